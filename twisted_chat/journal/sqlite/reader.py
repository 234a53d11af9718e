"""Reads committed entries, over a connection that cannot write. Blocking, and without threads.

The exception is a log in memory, which has only one connection.
"""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections.abc import Collection, Iterable, Mapping
from time import sleep
from typing import Any

from twisted_chat.core.events import Entry
from twisted_chat.core.journal import Found
from twisted_chat.core.records import Record
from twisted_chat.journal import search
from twisted_chat.journal.sqlite import records
from twisted_chat.journal.sqlite.blocks import AFTER, BEFORE, ONE
from twisted_chat.journal.sqlite.index import using_index

#: Snippets after which a search pauses, and the seconds of the pause: so the reactor's thread need
#: not wait until the interpreter takes its lock from the search thread.
PAUSE_EVERY = 10
PAUSE = 0.0002

_FOUND = "SELECT rowid FROM entry_text WHERE entry_text MATCH ? {} ORDER BY rowid DESC LIMIT ?"
_NOT_OF = """
    AND (SELECT author FROM entry WHERE id = entry_text.rowid)
    NOT IN ({})
"""
_NOT_IN = """
    AND (SELECT room FROM entry WHERE id = entry_text.rowid)
    NOT IN (SELECT id FROM room WHERE name IN (SELECT value FROM json_each(?)))
"""
_ENTRIES = """
    SELECT room.name, number, time, kind, nickname, text, author, nullif(message_id, ''),
        substr(seal, -32)
    FROM entry JOIN room ON room.id = entry.room WHERE entry.id IN ({}) ORDER BY entry.id DESC
"""
_COLUMNS = """
    e.number, e.time, e.kind, e.nickname, e.text, e.author, nullif(e.message_id, ''),
    substr(e.seal, -32)
"""
_AFTER, _BEFORE, _ID = AFTER.format(_COLUMNS), BEFORE.format(_COLUMNS), ONE.format("e.id")


class Reader:
    """Reads runs of entries, oldest first, and searches them.

    With ``shared``, the connection is not closed. All methods may raise :class:`sqlite3.Error`.
    """

    def __init__(self, connection: sqlite3.Connection, shared: bool = False) -> None:
        self._connection = connection
        self._shared = shared
        #: A thread must hold it while it reads if another thread may close the reader: closing a
        #: connection while it runs a statement crashes the interpreter.
        self.in_use = threading.Lock()

    def after(self, room: str, after: int, through: int, limit: int) -> list[Entry]:
        """The first ``limit`` entries numbered above ``after``, up to ``through``."""
        rows = self._connection.execute(_AFTER, (self._room(room), after, through, limit))
        return _entries(room, rows)

    def before(self, room: str, before: int, limit: int) -> list[Entry]:
        """The last ``limit`` entries numbered below ``before``."""
        rows = self._connection.execute(_BEFORE, (self._room(room), before, limit))
        return _entries(room, rows)[::-1]

    def _room(self, name: str) -> int | None:
        """The id of the room ``name``, or None if there is none."""
        row = self._connection.execute("SELECT id FROM room WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def records(self, kind: str, prefix: str) -> list[Record]:
        """The records of this ``kind`` whose key begins with ``prefix``, but no damaged ones."""
        return records.read_some(self._connection, kind, prefix)

    def common(self, positions: Mapping[str, int], end: float) -> dict[str, int]:
        """For each room, the number of the last entry that this log and a client have in common.

        :param positions: for each room, the number of the last entry that the client saw.
        :param end: the result of :meth:`.Runs.common`.
        """
        return {room: self._common(room, number, end) for room, number in positions.items()}

    def _common(self, room: str, number: int, end: float) -> int:
        row = self._connection.execute(
            "SELECT id, base, last FROM room WHERE name = ?", (room,)
        ).fetchone()
        if row is None or not end:
            return 0
        id, base, last = row
        if number <= base:
            return number  # all entries that are kept come after it

        def is_common(number: int) -> bool:
            entry = self._connection.execute(_ID, (id, number)).fetchone()
            return entry is not None and bool(entry[0] <= end)

        if number <= last and (end == math.inf or is_common(number)):
            return number
        # Bisect: the last common number is low or more, and less than high.
        low, high = base, min(number, last + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if is_common(middle) else (low, middle)
        return int(low)

    def search(
        self,
        words: str,
        room: str | None,
        limit: int,
        without: Collection[int] = (),
        hidden: Collection[str] = (),
    ) -> list[Entry]:
        """The latest ``limit`` entries that contain all of ``words``, the latest first.

        :param room: the only room to search; None: all rooms but those in ``hidden``.
        :param without: authors whose entries are left out.
        :raises IndexDamaged: the index cannot be read.
        """
        id = None
        if room is not None:
            id = self._room(room)
            if id is None:
                return []
        wanted = search.query(words, id)
        if wanted is None:
            return []
        conditions = _NOT_OF.format(_marks(without)) if without else ""
        values: list[str | int] = [*without]
        if hidden:
            conditions += _NOT_IN
            values.append(json.dumps([*hidden]))  # there may be more rooms than SQLite's variables
        with using_index():
            found = self._connection.execute(
                _FOUND.format(conditions), (wanted, *values, limit)
            ).fetchall()
        if not found:
            return []
        rows = self._connection.execute(_ENTRIES.format(_marks(found)), [id for (id,) in found])
        return [Entry(*row) for row in rows]

    def find(
        self,
        words: str,
        room: str | None,
        limit: int,
        without: Collection[int] = (),
        hidden: Collection[str] = (),
    ) -> Found:
        """The result of :meth:`search`, with a snippet of each entry."""
        entries = self.search(words, room, limit, without, hidden)
        snippet = search.snippets(words)
        snippets = []
        for number, entry in enumerate(entries, 1):
            snippets.append(snippet(entry.text))
            if number % PAUSE_EVERY == 0:
                sleep(PAUSE)
        return Found(tuple(entries), tuple(snippets))

    def interrupt(self) -> None:
        """Make a search that runs on another thread raise :class:`sqlite3.OperationalError`."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connection, unless it is in use."""
        if self._shared or not self.in_use.acquire(blocking=False):
            return
        try:
            self._connection.close()
        finally:
            self.in_use.release()


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def _entries(room: str, rows: Iterable[Any]) -> list[Entry]:
    return [Entry(room, *row) for row in rows]

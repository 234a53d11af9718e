"""The search index in SQLite: filled in steps behind the commits, and made anew if it is damaged.

It can always be made anew from the entries. So its damage stops neither commits nor the removal of
old entries. Blocking; it belongs to the writer's connection.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from twisted_chat.journal import search
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of

#: The FTS5 table, and the tables in which FTS5 keeps its contents (SQLite, "FTS5", section 9).
TABLE = "entry_text"
SHADOWS = tuple(f"{TABLE}_{name}" for name in ("data", "idx", "content", "docsize", "config"))

#: The same statement as in file 2 of the schema, which does not change any more.
_CREATE = (
    "CREATE VIRTUAL TABLE entry_text USING fts5 (\n"
    "    room, text, content = '', tokenize = 'ascii'\n)"
)
_CREATE_INDEXED = (
    "CREATE TABLE indexed (entry INTEGER NOT NULL, version INTEGER NOT NULL DEFAULT 0)"
)

#: Bytes of texts after which a step of the index ends; a step takes at most about 50 ms.
STEP_BYTES = 200_000

#: Parts of SQLite's messages for faults that are not the index's.
_SURROUNDINGS = ("locked", "full", "I/O", "readonly", "memory", "interrupted", "unable to open")

_INSERT = "INSERT INTO entry_text (rowid, room, text) VALUES (?, ?, ?)"
_DELETE = "INSERT INTO entry_text (entry_text, rowid, room, text) VALUES ('delete', ?, ?, ?)"

#: Texts as bytes: a damaged text that is not UTF-8 must not keep the rest from being indexed.
_NEXT = """
    SELECT id, room, CAST(text AS BLOB) FROM entry WHERE id > ? ORDER BY id LIMIT ?
"""

_log = logging.getLogger(__name__)


class IndexDamaged(Exception):
    """The index is damaged; the argument is the reason, in SQLite's words."""


@contextmanager
def using_index() -> Iterator[None]:
    """A context in which SQLite's faults count as damage of the index, but for disk and locks.

    :raises IndexDamaged: the index is damaged.
    :raises sqlite3.Error: the disk, a lock or the like is at fault.
    """
    try:
        yield
    except SQLITE_FAULTS as error:
        if isinstance(error, sqlite3.Error) and any(word in str(error) for word in _SURROUNDINGS):
            raise
        raise IndexDamaged(reason_of(error)) from error


class SearchIndex:
    """The search index of a database.

    :param connection: the writer's connection.
    :param transaction: ``transaction()`` is a context manager for one transaction.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        transaction: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._connection = connection
        self._transaction = transaction
        #: The number of times that the index was made anew since the start.
        self.made_anew = 0
        #: Whether the last step may have left entries that are not indexed.
        self.has_more = False

    def prepare(self) -> None:
        """Make the index anew if it has tokens by other rules, or if it cannot be read.

        :raises sqlite3.Error: that failed.
        """
        try:
            with using_index():
                position, version = self._state()
                self._one("SELECT count(*) FROM entry_text WHERE entry_text MATCH 'x'")
        except IndexDamaged as damage:
            self.make_anew(str(damage))
            return
        if version != search.VERSION and position:
            self.make_anew(None)
        elif version != search.VERSION:
            self._connection.execute("UPDATE indexed SET version = ?", (search.VERSION,))

    def behind(self) -> int:
        """The number of entries that are not in the index."""
        try:
            position, _ = self._state()
        except IndexDamaged:
            position = 0
        (count,) = self._one("SELECT count(*) FROM entry WHERE id > ?", position)
        return int(count)

    def percent(self) -> int:
        """The part of the log that is in the index, in percent."""
        try:
            position, _ = self._state()
        except IndexDamaged:
            return 0
        (last,) = self._one("SELECT coalesce(max(id), 1) FROM entry")
        return int(100 * position // last)

    def bring_on(self, limit: int) -> int:
        """Index up to ``limit`` more entries, or fewer if they are long; returns their number.

        :raises sqlite3.Error: no entry was indexed.
        """
        try:
            return self._step(limit)
        except IndexDamaged as damage:
            self.make_anew(str(damage))
        try:
            return self._step(limit)
        except IndexDamaged as damage:
            raise sqlite3.DatabaseError(str(damage)) from damage

    def _step(self, limit: int) -> int:
        position, _ = self._state()
        rows: list[tuple[int, str, str]] = []
        size = 0
        for id, room, text in self._connection.execute(_NEXT, (position, limit)):
            rows.append(_document(id, room, text))
            size += len(text)
            if size >= STEP_BYTES:
                break
        self.has_more = len(rows) == limit or size >= STEP_BYTES
        if not rows:
            return 0
        with self._transaction():
            self._write(_INSERT, rows)
            self._connection.execute("UPDATE indexed SET entry = ?", (rows[-1][0],))
        return len(rows)

    def forget(self, room: int, texts: Sequence[tuple[int, Any]]) -> None:
        """Remove entries from the index, within a transaction.

        :param room: the id of their room.
        :param texts: the id and the text of each entry.
        :raises IndexDamaged: the transaction must be rolled back, and the index made anew.
        """
        position, _ = self._state()
        self._write(_DELETE, [_document(id, room, text) for id, text in texts if id <= position])

    def make_anew(self, reason: str | None) -> None:
        """Empty the index; later steps fill it again.

        :param reason: the damage, for the server's log; None if the rules for tokens have changed.
        :raises sqlite3.Error: the index was not changed.
        """
        if reason is None:
            _log.warning("the search index is made anew, by new rules for words")
        else:
            _log.error("the search index is damaged, and is made anew: %s", reason)
        with self._transaction():
            self._drop()
            self._connection.execute(_CREATE)
            self._connection.execute("DROP TABLE IF EXISTS indexed")
            self._connection.execute(_CREATE_INDEXED)
            self._connection.execute("INSERT INTO indexed VALUES (0, ?)", (search.VERSION,))
        self.made_anew += 1

    def _drop(self) -> None:
        try:
            self._connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
        except SQLITE_FAULTS:  # FTS5 cannot drop a table that it cannot read
            self._connection.execute("PRAGMA writable_schema = ON")
            try:
                self._connection.execute("DELETE FROM sqlite_schema WHERE name = ?", (TABLE,))
            finally:
                self._connection.execute("PRAGMA writable_schema = RESET")
        for shadow in SHADOWS:
            self._connection.execute(f"DROP TABLE IF EXISTS {shadow}")

    def _write(self, statement: str, rows: Sequence[tuple[int, str, str]]) -> None:
        with using_index():
            self._connection.executemany(statement, rows)
            # FTS5 keeps new rows in memory. A savepoint makes it write them, so that a fault shows
            # here, and not in the commit, where it could not be told from other faults.
            self._connection.execute("SAVEPOINT written")
            self._connection.execute("RELEASE written")

    def _state(self) -> tuple[int, int]:
        """The id of the last entry in the index, and the version of the rules for its tokens.

        :raises IndexDamaged: they cannot be read.
        """
        with using_index():
            row = self._connection.execute("SELECT entry, version FROM indexed").fetchone()
        if row is None or not all(isinstance(value, int) for value in row):
            raise IndexDamaged("how far it has come is not known")
        position, version = row
        return position, version

    def _one(self, query: str, *parameters: object) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._connection.execute(query, parameters).fetchone()
        return row


def _document(id: int, room: int, text: object) -> tuple[int, str, str]:
    """The row of the index for an entry."""
    given = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return id, search.room_token(room), search.segmented(given)

"""Writes entries, each room's next ones, and removes its oldest ones. Blocking.

Every method that writes is called within a transaction. This module must not know when one is due.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from twisted_chat.core.changes import Draft, Saved
from twisted_chat.core.events import Entry
from twisted_chat.journal.chain import (
    KINDS,
    SALT_SIZE,
    START,
    Starter,
    content_hash,
    encode,
    pack,
    starter,
)
from twisted_chat.journal.sqlite.blocks import AFTER, ONE

#: The most rooms whose last number and hash are kept in memory.
HEADS_KEPT = 10_000

#: Rows that one statement inserts: each statement releases and takes the interpreter's lock once.
_SIZES = (1000, 100, 10, 1)

_COLUMNS = (
    *("room", "number", "time", "kind", "nickname", "text"),
    *("author", "message_id", "seal"),
)
_BLOCK = ("room", "number", "id", "count")

_HEAD = """
    SELECT room.id, coalesce(e.number, base), coalesce(substr(e.seal, -32), base_hash),
        b.number, b.id + b.count
    FROM room LEFT JOIN block AS b
        ON b.room = room.id AND b.number = (SELECT max(number) FROM block WHERE room = room.id)
    LEFT JOIN entry AS e ON e.id = b.id + b.count - 1
    WHERE room.name = ?
"""
_MESSAGE = """
    SELECT room.name, number, time, kind, nickname, text, author, message_id, substr(seal, -32)
    FROM entry JOIN room ON room.id = entry.room
    WHERE author = ? AND message_id = ? AND message_id <> '' AND format > 0
"""
_HAS_BEFORE = """
    SELECT 1 FROM room
    JOIN block ON block.room = room.id AND block.number = room.base + 1
    JOIN entry ON entry.id = block.id
    WHERE entry.time < ? AND entry.id < (SELECT max(id) FROM entry) LIMIT 1
"""
_CUT_BLOCK = """
    UPDATE block SET id = id + ?2 + 1 - number, count = number + count - ?2 - 1, number = ?2 + 1
    WHERE room = ?1 AND number <= ?2
"""


class Head(msgspec.Struct):
    """The end of one room's log.

    :param block: the number of the first entry of the last block, and ``end`` the id after its last
        entry; None if the room has no entries.
    :param topic: the topic that the current group sets, if any.
    :param values: the columns of the rows of the current group.
    """

    id: int
    number: int
    hash: bytes
    block: int | None
    end: int | None
    start: Starter
    topic: str | None = None
    values: list[object] = []


class Old(NamedTuple):
    """One of the oldest entries of a room."""

    id: int
    number: int
    time: int
    text: bytes
    hash: bytes


class Entries:
    """The entries of a database, through the writer's connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._heads: dict[str, Head] = {}  # by room, the last used one last

    # -- writing ------------------------------------------------------------------------------

    def head(self, room: str) -> Head:
        """A copy of the room's head, for one group; a new room is inserted."""
        known = self.known_head(room)
        if known is None:
            cursor = self._connection.execute(
                "INSERT INTO room (name, base_hash) VALUES (?, ?)", (room, START)
            )
            assert cursor.lastrowid is not None
            return Head(cursor.lastrowid, 0, START, None, None, starter(room))
        return Head(known.id, known.number, known.hash, known.block, known.end, known.start)

    def known_head(self, room: str) -> Head | None:
        """The head of ``room``, or None if it has never had an entry."""
        known = self._heads.get(room)
        if known is not None:
            return known
        row = self._connection.execute(_HEAD, (room,)).fetchone()
        if row is None:
            return None
        id, number, hash, block, end = row
        return Head(id, number, hash, block, end, starter(room))

    def number(self, drafts: Sequence[Draft], heads: dict[str, Head]) -> list[Saved]:
        """Make the next entries of their rooms of ``drafts``, whose rows are kept in ``heads``.

        :param heads: those of the group's rooms, by room; more are added.
        """
        saved = []
        salts = bytearray(os.urandom(SALT_SIZE * len(drafts)))
        at = 0
        for draft in drafts:
            room, time, kind, nickname = draft.room, draft.time, draft.kind, draft.nickname
            text, author, message_id = draft.text, draft.author, draft.message_id
            head = heads.get(room)
            if head is None:
                head = heads[room] = self.head(room)
            number = head.number = head.number + 1
            # The same as seal(), without a call: a third of the writer's time is spent here.
            id = message_id or ""
            salt = salts[at : at + SALT_SIZE]
            at += SALT_SIZE
            content = content_hash()
            content.update(salt + encode((nickname, text, id)))
            sealed = head.start()
            sealed.update(head.hash + content.digest() + pack(number, time, author, KINDS[kind]))
            hash = head.hash = sealed.digest()
            if kind == "topic":
                head.topic = text
            # Python binds one bytearray faster than two, or bytes; and "" faster than None.
            row = (head.id, number, time, kind, nickname, text, author, id, salt + hash)
            head.values += row
            entry = Entry(room, number, time, kind, nickname, text, author, message_id, hash)
            saved.append(Saved(draft, entry))
        return saved

    def write(self, heads: Iterable[Head]) -> None:
        """Write the rows of a group, and what they change in their rooms.

        The rows of each room follow each other, so that they need one row in ``block``.
        """
        values: list[object] = []
        for head in heads:
            values += head.values
        last = self._insert("entry", _COLUMNS, values)
        id = last + 1 - len(values) // len(_COLUMNS)
        new: list[object] = []
        longer: list[tuple[int, int, int]] = []
        ends: list[tuple[int, str | None, int, int]] = []
        for head in heads:
            count = len(head.values) // len(_COLUMNS)
            if head.end == id and head.block is not None:
                longer.append((count, head.id, head.block))
            else:
                head.block = head.number - count + 1
                new += (head.id, head.block, id, count)
            ends.append((head.number, head.topic, head.id, head.number - count))
            id = head.end = id + count
            head.values = []
        self._insert("block", _BLOCK, new)
        self._update("UPDATE block SET count = count + ? WHERE room = ? AND number = ?", longer)
        # The last condition is the guard against two entries with one number.
        self._update(
            "UPDATE room SET last = ?, topic = coalesce(?, topic) WHERE id = ? AND last <= ?", ends
        )

    def _update(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Execute ``statement``, which changes one row, for each of ``rows``.

        :raises sqlite3.DatabaseError: one is not there.
        """
        if rows and self._connection.executemany(statement, rows).rowcount != len(rows):
            raise sqlite3.DatabaseError("the numbers of the entries in a room are damaged")

    def _insert(self, table: str, columns: Sequence[str], values: Sequence[object]) -> int:
        """Insert rows into ``table``; returns the id of the last one."""
        start, end = 0, len(values)
        last: int | None = 0
        for rows, statement in _STATEMENTS[table]:
            size = rows * len(columns)
            while end - start >= size:
                some = values if size == end else values[start : start + size]
                last = self._connection.execute(statement, some).lastrowid
                start += size
        assert last is not None
        return last

    def written(self, heads: dict[str, Head]) -> None:
        """The group with these heads, by room, is committed."""
        for room, head in heads.items():
            self._heads.pop(room, None)
            self._heads[room] = head
        while len(self._heads) > HEADS_KEPT:
            del self._heads[next(iter(self._heads))]

    def message(self, author: int, message_id: str) -> Entry | None:
        """The entry as which this message was saved, or None."""
        row = self._connection.execute(_MESSAGE, (author, message_id)).fetchone()
        return None if row is None else Entry(*row)

    # -- removing -----------------------------------------------------------------------------

    def oldest(self, head: Head, limit: int) -> list[Old]:
        """The oldest entries of a room, but not the last entry of the log: ids must continue."""
        (newest,) = self._connection.execute(
            "SELECT room FROM entry ORDER BY id DESC LIMIT 1"
        ).fetchone() or (None,)
        columns = "e.id, e.number, e.time, CAST(e.text AS BLOB), substr(e.seal, -32)"
        rows = self._connection.execute(
            AFTER.format(columns), (head.id, 0, head.number - (head.id == newest), limit)
        )
        return [Old(*row) for row in rows]

    def has_older(self, head: Head, time: int, step: int) -> bool:
        """Whether an entry behind the oldest ``step`` ones of a room is from before ``time``.

        Only some entries are examined, in steps that double. So one wrong time does not hold up the
        removal at all, and a long run of wrong times only for a while.
        """
        (number,) = self._connection.execute(
            "SELECT base FROM room WHERE id = ?", (head.id,)
        ).fetchone()
        while (number := number + step) < head.number:
            row = self._connection.execute(ONE.format("e.time"), (head.id, number)).fetchone()
            if row is not None and row[0] < time:
                return True
            step *= 2
        return False

    def has_before(self, time: int) -> bool:
        """Whether a room's oldest entry, if not the log's last one, is from before ``time``."""
        return self._connection.execute(_HAS_BEFORE, (time,)).fetchone() is not None

    def remove(self, room: int, old: Sequence[Old]) -> None:
        """Remove ``old``, the oldest entries of ``room``."""
        last = old[-1]
        self._connection.executemany("DELETE FROM entry WHERE id = ?", [(one.id,) for one in old])
        self._connection.execute(
            "DELETE FROM block WHERE room = ?1 AND number <= ?2 AND number + count <= ?2 + 1",
            (room, last.number),
        )
        self._connection.execute(_CUT_BLOCK, (room, last.number))
        self._connection.execute(
            "UPDATE room SET base = ?1, base_hash = ?2,"
            " topic = CASE WHEN last > ?1 THEN topic ELSE '' END WHERE id = ?3",
            (last.number, last.hash, room),
        )

    def removed(self, room: str) -> None:
        """The removal of entries of ``room`` is committed: its last block may be another one."""
        self._heads.pop(room, None)


def _statements(table: str, columns: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """Statements to insert several rows, each after its number of rows; the largest first."""
    row = f"({', '.join('?' * len(columns))})"
    insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
    return tuple((size, insert + ", ".join([row] * size)) for size in _SIZES)


_STATEMENTS = {"entry": _statements("entry", _COLUMNS), "block": _statements("block", _BLOCK)}

"""The log in SQLite: open, write a group, read a run. Blocking, and without threads of its own.

One connection writes; readers open their own, read-only. (A second connection that writes
or checkpoints could meet SQLite's WAL-reset bug, fixed in 3.51.3.)
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from twisted_chat.errors import (
    CannotStart,
    DatabaseForeign,
    DatabaseInUse,
    DatabaseNewer,
    DatabaseUnusable,
)
from twisted_chat.journal import Draft, RoomState
from twisted_chat.journal.chain import START, link
from twisted_chat.messages import Entry

Durability = Literal["full", "normal"]
MEMORY = ":memory:"

#: ``PRAGMA application_id`` of our databases: the ASCII letters "Chat".
APPLICATION_ID = 0x43686174

#: How long to wait for another process that holds the database locked, in seconds.
BUSY_TIMEOUT = 60.0

_INSERT = """
    INSERT INTO entry (room, number, time, kind, nickname, text, client_id, message_id, hash)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SELECT = """
    SELECT number, time, kind, nickname, text, client_id, message_id, hash
    FROM entry WHERE room = (SELECT id FROM room WHERE name = ?)
"""


class _Head(msgspec.Struct):
    """The end of one room's log."""

    id: int
    number: int
    hash: bytes


class Store:
    """The write connection of one database, and the factory of its readers."""

    def __init__(self, path: str, durability: Durability = "full") -> None:
        """Open the database at ``path``, made if it does not exist; :data:`MEMORY` keeps nothing.

        :raises CannotStart: it cannot be opened, is not ours, is newer than this program, or
            another process serves it.
        """
        self.path = path
        self._lock = None if path == MEMORY else _lock(path)
        try:
            self._connection = _connect(path, durability)
            self._heads = self._read_heads()
        except CannotStart:
            self._unlock()
            raise
        except sqlite3.Error as error:
            self._unlock()
            raise DatabaseUnusable(path=path, reason=error) from error

    @property
    def in_memory(self) -> bool:
        """Whether there is only the one connection, so that readers take turns with the writer."""
        return self.path == MEMORY

    def rooms(self) -> list[RoomState]:
        """The rooms that have a log, with the number of their last entry and their topic."""
        topics = dict(
            self._connection.execute(
                "SELECT room, text FROM entry WHERE (room, number) IN"
                " (SELECT room, max(number) FROM entry WHERE kind = 'topic' GROUP BY room)"
            )
        )
        return [
            RoomState(name, head.number, topics.get(head.id, ""))
            for name, head in self._heads.items()
        ]

    def commit(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Write ``drafts`` in one transaction; on return they are on disk.

        :raises sqlite3.Error: none of them is.
        """
        heads: dict[str, _Head] = {}
        entries = []
        rows = []
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for draft in drafts:
                head = heads.get(draft.room)
                if head is None:
                    head = heads[draft.room] = self._head(draft.room)
                entry = _next_entry(head, draft)
                entries.append(entry)
                rows.append((head.id, *_row(entry)))
            connection.executemany(_INSERT, rows)
            connection.executemany(
                "UPDATE room SET last = ? WHERE id = ?",
                [(head.number, head.id) for head in heads.values()],
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._heads.update(heads)
        return entries

    def reader(self) -> Reader:
        """A reader of what is committed; for use on one thread at a time.

        :raises sqlite3.Error: it cannot be opened.
        """
        if self.in_memory:
            return Reader(self._connection, shared=True)
        connection = sqlite3.connect(
            _read_only(self.path), uri=True, check_same_thread=False, timeout=BUSY_TIMEOUT
        )
        return Reader(connection)

    def close(self) -> None:
        self._connection.close()
        self._unlock()

    def _head(self, room: str) -> _Head:
        """A copy of the end of a room's log, to be kept if the transaction succeeds."""
        known = self._heads.get(room)
        if known is not None:
            return _Head(known.id, known.number, known.hash)
        cursor = self._connection.execute(
            "INSERT INTO room (name, base_hash) VALUES (?, ?)", (room, START)
        )
        assert cursor.lastrowid is not None
        return _Head(cursor.lastrowid, 0, START)

    def _read_heads(self) -> dict[str, _Head]:
        rows = self._connection.execute(
            "SELECT room.name, room.id, coalesce(last.number, room.base),"
            " coalesce(last.hash, room.base_hash)"
            " FROM room LEFT JOIN entry AS last ON last.room = room.id AND last.number ="
            " (SELECT max(number) FROM entry WHERE entry.room = room.id)"
            " ORDER BY room.id"
        )
        return {name: _Head(*head) for name, *head in rows}

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()


class Reader:
    """Runs of entries, oldest first."""

    def __init__(self, connection: sqlite3.Connection, shared: bool = False) -> None:
        self._connection = connection
        self._shared = shared

    def after(self, room: str, after: int, through: int, limit: int) -> list[Entry]:
        """The first ``limit`` entries numbered above ``after``, up to ``through``."""
        rows = self._connection.execute(
            _SELECT + "AND number > ? AND number <= ? ORDER BY number LIMIT ?",
            (room, after, through, limit),
        )
        return _entries(room, rows)

    def before(self, room: str, before: int, limit: int) -> list[Entry]:
        """The last ``limit`` entries numbered below ``before``."""
        rows = self._connection.execute(
            _SELECT + "AND number < ? ORDER BY number DESC LIMIT ?", (room, before, limit)
        )
        return _entries(room, rows)[::-1]

    def close(self) -> None:
        if not self._shared:
            self._connection.close()


def _next_entry(head: _Head, draft: Draft) -> Entry:
    head.number += 1
    content = (
        draft.room,
        head.number,
        draft.time,
        draft.kind,
        draft.nickname,
        draft.text,
        draft.client_id,
        draft.message_id,
    )
    head.hash = link(head.hash, *content)
    return Entry(*content, head.hash)


def _row(entry: Entry) -> tuple[object, ...]:
    return msgspec.structs.astuple(entry)[1:]


def _entries(room: str, rows: Iterable[Any]) -> list[Entry]:
    return [Entry(room, *row) for row in rows]


def _lock(path: str) -> IO[str]:
    """Hold ``path`` for this process, until it ends however it ends.

    A file beside the database, because closing any other descriptor of the database itself
    would drop the locks that SQLite holds on it (SQLite, "How To Corrupt", section 2.2).
    """
    try:
        # By its real path: a link to the database is the same database.
        holder = open(f"{os.path.realpath(path)}.lock", "a+", encoding="ascii")  # noqa: SIM115
    except OSError as error:
        raise DatabaseUnusable(path=path, reason=error.strerror) from error
    try:
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder.seek(0)
        process = holder.read().strip() or "unknown"
        holder.close()
        raise DatabaseInUse(path=path, process=process) from error
    holder.truncate(0)
    holder.write(f"{os.getpid()}\n")
    holder.flush()
    return holder


def _connect(path: str, durability: Durability) -> sqlite3.Connection:
    _look(path)
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT
    )
    try:
        _check_ours(connection, path)
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # possible only when new
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {durability}")
        connection.execute("PRAGMA foreign_keys = ON")
        _upgrade(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _look(path: str) -> None:
    """Check without writing: what is refused is left as it is, its write-ahead log too."""
    if path == MEMORY or not os.path.exists(path):
        return
    connection = sqlite3.connect(_read_only(path), uri=True, timeout=BUSY_TIMEOUT)
    try:
        _check_ours(connection, path)
    except sqlite3.OperationalError:
        pass  # it must be recovered first, which needs a connection that writes
    finally:
        connection.close()


def _check_ours(connection: sqlite3.Connection, path: str) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (application or tables):
        raise DatabaseForeign(path=path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(schema_scripts()):
        raise DatabaseNewer(path=path)


def _read_only(path: str) -> str:
    return Path(path).absolute().as_uri() + "?mode=ro"


def _upgrade(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date: each numbered file, once, in one transaction."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    scripts = schema_scripts()
    for number, script in enumerate(scripts[version:], version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
        )


def schema_scripts() -> list[str]:
    """The schema's numbered files, in order."""
    folder = resources.files("twisted_chat.journal") / "schema"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]

"""A database opened to be read only: one moment of it, and nothing written beside it either."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec

from twisted_chat.core.characters import visible
from twisted_chat.core.errors import (
    CannotStart,
    DatabaseForeign,
    DatabaseNewer,
    DatabaseUnusable,
    LogRefusal,
    Refusal,
)
from twisted_chat.core.events import Entry, Kind
from twisted_chat.core.mailboxes import KIND, StoredMessage, prefix_of
from twisted_chat.i18n.language import N_
from twisted_chat.journal.sqlite import records
from twisted_chat.journal.sqlite.blocks import AFTER
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of
from twisted_chat.journal.sqlite.opening import BUSY_TIMEOUT
from twisted_chat.journal.sqlite.upgrade import APPLICATION_ID, schema_scripts

#: The first version of the schema with every column that is read here.
OLDEST = 2

#: The first version of the schema with the table ``block``, and with the second format of entries.
BLOCKS_SINCE = 8

_FORMER_ENTRIES = """
    SELECT number, time, kind, nickname, text, message_id FROM entry
    WHERE room = ? AND number >= ? ORDER BY number
"""
_ENTRIES = AFTER.format("e.number, e.time, e.kind, e.nickname, e.text, nullif(e.message_id, '')")
_ENTRIES_OF_AUTHOR = _ENTRIES.replace("ORDER BY", "AND e.author = ?5 ORDER BY")

#: Entries that are read at once.
BATCH = 1000

#: Names of rooms in one sentence, at most.
_NAMES_SHOWN = 50

#: The last microsecond that a date can have.
_LAST_TIME = 253_402_300_799_999_999


class DatabaseMalformed(LogRefusal):
    code = "database-malformed"
    template = N_("{path} is damaged: {reason}")


class DatabaseOlder(CannotStart):
    code = "database-older"
    template = N_(
        "{path} was written by an older version of this program; to upgrade it, start "
        "the server with it once"
    )


class DatabaseChanged(CannotStart):
    code = "database-changed"
    template = N_("{path} changed while it was being read, because a server started; try again")


class EntryDamaged(Refusal):
    code = "entry-damaged"
    template = N_("#{room}: entry {number} is damaged")


class RoomDamaged(Refusal):
    code = "room-damaged"
    template = N_("#{room}: the record of the room itself is damaged")


class RoomUnknown(Refusal):
    code = "room-unknown"
    template = N_("There is no room #{room} in {path}. There are: {rooms}.")


class NoRooms(RoomUnknown):
    template = N_("There is no room #{room} in {path}, which has no rooms yet.")


class Room(msgspec.Struct, frozen=True):
    """A room's record: entries ``base + 1`` to ``last`` are kept."""

    id: int
    name: str
    base: int
    last: int


class _Row(msgspec.Struct, array_like=True):
    """The columns of an entry, in the order of the query."""

    number: int
    time: Annotated[int, msgspec.Meta(ge=0, le=_LAST_TIME)]
    kind: Kind
    nickname: str
    text: str
    message_id: str | None


class Archive:
    """One moment of a database. Made by :func:`open_archive`.

    Its methods raise :class:`sqlite3.Error`, which :func:`open_archive` turns into refusals.
    """

    def __init__(self, path: str, connection: sqlite3.Connection, files: _Unlocked | None) -> None:
        self.path = path
        self._connection = connection
        self._files = files

    def rows(self, query: str, *parameters: object) -> Iterator[tuple[Any, ...]]:
        """The rows of ``query``, as SQLite returns them."""
        return self._connection.execute(query, parameters)

    def batches(self, query: str, *parameters: object) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of ``query``, in batches, which is faster."""
        cursor = self._connection.execute(query, parameters)
        while rows := cursor.fetchmany(BATCH):
            yield rows

    def kept_messages(self, account: int) -> list[StoredMessage]:
        """The private messages that are kept for ``account``, the oldest first."""
        found = records.read_some(self._connection, KIND, prefix_of(account))
        return [one for one in found if isinstance(one, StoredMessage) and one.text]

    @contextmanager
    def any_text(self) -> Iterator[None]:
        """In this context, texts that are not UTF-8 are read too, as lone surrogates; slowly."""
        strict = self._connection.text_factory
        self._connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        try:
            yield
        finally:
            self._connection.text_factory = strict

    def copy_to(
        self, target: sqlite3.Connection, pages: int, progress: Callable[[int, int, int], None]
    ) -> None:
        """Copy the database, ``pages`` pages at once; ``progress`` is as for SQLite's backup."""
        self._connection.backup(target, pages=pages, progress=progress, sleep=0)

    def version(self) -> int:
        """The version of the schema."""
        ((version,),) = self.rows("PRAGMA user_version")
        return int(version)

    def check_unchanged(self) -> None:
        """Check that all rows read so far belong to one moment.

        :raises DatabaseChanged: they may not.
        """
        if self._files is not None and self._files.changed():
            raise DatabaseChanged(path=visible(self.path))

    def rooms(self) -> list[Room]:
        """All rooms, in the order in which they were created.

        :raises RoomDamaged: the record of one is.
        """
        rooms = []
        for row in self.rows("SELECT id, name, base, last FROM room ORDER BY id"):
            try:
                rooms.append(Room(*msgspec.convert(row, tuple[int, str, int, int])))
            except msgspec.ValidationError:
                raise RoomDamaged(room=shown(row[1])) from None
        return rooms

    def room(self, name: str) -> Room:
        """The room called ``name``.

        :raises RoomUnknown: there is no such room; the refusal names the existing ones.
        """
        rooms = self.rooms()
        for room in rooms:
            if room.name == name:
                return room
        names = [f"#{visible(room.name)}" for room in rooms]
        if len(names) > _NAMES_SHOWN:
            names[_NAMES_SHOWN:] = ["…"]
        unknown = RoomUnknown if names else NoRooms
        raise unknown(room=visible(name), path=visible(self.path), rooms=", ".join(names))

    def entries(
        self, room: Room, last: int | None = None, author: int | None = None
    ) -> Iterator[list[Entry]]:
        """The entries of ``room``, or its ``last`` ones, oldest first, in batches.

        With ``author``, only those of that account. The authors stay unread.

        :raises EntryDamaged: one of them is damaged.
        """
        first = room.base + 1 if last is None else max(room.base, room.last - last) + 1
        query: str = _FORMER_ENTRIES
        parameters: tuple[int, ...] = (room.id, first)
        if self.version() >= BLOCKS_SINCE:
            query, parameters = _ENTRIES, (room.id, first - 1, room.last, -1)
            if author is not None:
                query, parameters = _ENTRIES_OF_AUTHOR, (*parameters, author)
        elif author is not None:
            return  # there were no accounts
        for rows in self.batches(query, *parameters):
            entries = _entries(room.name, rows)
            self.check_unchanged()
            yield entries


def _entries(room: str, rows: list[tuple[Any, ...]]) -> list[Entry]:
    try:
        read = msgspec.convert(rows, list[_Row])
    except msgspec.ValidationError:
        raise EntryDamaged(room=visible(room), number=_first_damaged(rows)) from None
    return [
        Entry(room, row.number, row.time, row.kind, row.nickname, row.text, 0, row.message_id, b"")
        for row in read
    ]


def _first_damaged(rows: list[tuple[Any, ...]]) -> str:
    """The number of the first damaged entry among ``rows``."""
    for row in rows:
        try:
            msgspec.convert(row, _Row)
        except msgspec.ValidationError:
            return shown(row[0])
    raise AssertionError("each row by itself is as it must be")


def shown(value: object) -> str:
    """``value`` as text for a message; in a damaged database it may have any type."""
    return visible(str(value))


@contextmanager
def open_archive(path: str) -> Iterator[Archive]:
    """The database at ``path`` as it is now, for as long as the context lasts.

    :raises CannotStart: it cannot be opened, or is not one that this program can read.
    :raises DatabaseMalformed: SQLite finds it damaged, now or while it is read.
    """
    with ExitStack() as stack:
        files = None
        try:
            uri, files = _locate(path, stack)
            connection = stack.enter_context(
                closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT))
            )
            connection.execute("BEGIN")  # all that follows sees the same moment
            _check(connection, path)
            yield Archive(path, connection, files)
        except SQLITE_FAULTS as error:
            if files is not None and files.changed():
                raise DatabaseChanged(path=visible(path)) from error
            raise refusal_for(error, path) from error


def refusal_for(error: Exception, path: str) -> Refusal:
    """The refusal for ``error``, which SQLite raised while reading ``path``."""
    reason = shown(reason_of(error))
    damaged = (
        not isinstance(error, sqlite3.Error)
        or "malformed" in reason
        or "Could not decode" in reason
    )
    return (DatabaseMalformed if damaged else DatabaseUnusable)(path=visible(path), reason=reason)


def _check(connection: sqlite3.Connection, path: str) -> None:
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    if application != APPLICATION_ID:
        raise DatabaseForeign(path=visible(path))
    if version > len(schema_scripts()):
        raise DatabaseNewer(path=visible(path))
    if version < OLDEST:
        raise DatabaseOlder(path=visible(path))


class _Unlocked:
    """The state of the files of a database that is read without locks, to notice changes."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._state = self._look()

    def changed(self) -> bool:
        return self._look() != self._state

    def _look(self) -> tuple[object, ...]:
        try:
            status = os.stat(self._database)
        except OSError as error:
            return (error.errno,)
        # A longer write-ahead log is harmless: only the database file was read.
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _locate(path: str, stack: ExitStack) -> tuple[str, _Unlocked | None]:
    """The URI with which SQLite reads ``path`` and writes nothing, not even beside it.

    A plain read-only connection creates a missing ``-wal`` and ``-shm``, and leaves them. The
    right way depends on the files that exist (sqlite.org/wal.html, section 10):

    - Both: a server is running or was killed. SQLite reads them as they are; if no other
      process has the shared memory open, it builds the log's index in its own memory.
    - No log, or an empty one: everything is in the database, and nobody has it open. It is
      read without locks; a server that starts meanwhile is noticed by what it changes.
    - A log alone, as in a copy of two files: they are copied to where a ``-shm`` may be made.
    """
    try:
        database = str(Path(path).resolve(strict=True))
        if os.path.isdir(database):
            raise OSError(None, os.strerror(errno.EISDIR))  # SQLite calls it an I/O error
        if not os.access(database, os.R_OK):
            raise OSError(None, os.strerror(errno.EACCES))
        wal, shm = (f"{database}{suffix}" for suffix in ("-wal", "-shm"))
        files = _Unlocked(database)
        if not (os.path.exists(wal) and os.path.exists(shm)):
            if not os.path.exists(wal) or not os.path.getsize(wal):
                return _uri(database, "mode=ro&immutable=1"), files
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="twisted-chat-"))
            copy = os.path.join(folder, "copy.db")
            shutil.copyfile(database, copy)
            shutil.copyfile(wal, f"{copy}-wal")
            return _uri(copy, "mode=ro"), files
        return _uri(database, "mode=ro&readonly_shm=1"), None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatabaseUnusable(path=visible(path), reason=reason) from error


def _uri(path: str, query: str) -> str:
    return f"{Path(path).as_uri()}?{query}"

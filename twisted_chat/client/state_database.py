"""The file of a client's state: an SQLite database that one process uses at a time.

All functions block, and run on one thread. This module must not know when the state is written.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred

from twisted_chat.client.state import TYPED_LIMIT, Kept, new_client_id
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, DatabaseForeign, DatabaseNewer, LogRefusal
from twisted_chat.i18n.language import N_
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of

#: Seconds that a write waits for another program that has the file open.
BUSY_TIMEOUT = 5.0

#: ``PRAGMA application_id`` of our files: the ASCII letters "ChCl".
APPLICATION_ID = 0x4368436C

#: ``PRAGMA user_version`` of a file that :data:`_SCHEMA` makes.
VERSION = 1

# Typed lines and facts are JSON: SQLite's types cannot hold all texts and numbers of Python.
_SCHEMA = f"""
    BEGIN IMMEDIATE;
    CREATE TABLE waiting (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, line BLOB NOT NULL);
    CREATE TABLE typed (place INTEGER PRIMARY KEY, line TEXT NOT NULL);
    CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {VERSION};
    COMMIT;
"""
_KEEP = """
    INSERT INTO waiting (id, line) VALUES (?, ?)
    ON CONFLICT (id) DO UPDATE SET line = excluded.line
"""
_TRIM = f"DELETE FROM typed WHERE place <= (SELECT max(place) FROM typed) - {TYPED_LIMIT}"

_DAMAGED = "database disk image is malformed"


class StateUnusable(LogRefusal, CannotStart):
    code = "state-unusable"
    template = N_("cannot write {path}: {reason}")


class StateDamaged(StateUnusable):
    """The file itself is damaged; a new file would solve that."""

    template = N_(
        "cannot read the client's state in {path}: {reason}. If you move that file "
        "away, the client starts afresh."
    )


class StateInUse(CannotStart):
    code = "state-in-use"
    template = N_("{path} is in use by another client (process {process})")


class Change(msgspec.Struct, frozen=True, eq=False):
    """A message to store or, if ``line`` is None, to delete; ``kept`` fires when it is stored."""

    id: str
    line: bytes | None = None
    kept: Deferred[None] | None = None


class Group(msgspec.Struct, frozen=True):
    """The changes of one transaction."""

    changes: list[Change]
    typed: list[str]
    #: Attributes of :class:`.state.Notes`, and their values as JSON.
    facts: dict[str, str]
    #: Fire when the facts are stored, or cannot be stored.
    noting: list[Deferred[None]]


def private_folder(path: Path) -> None:
    """Make the folder ``path`` and its missing parents, for their owner only. Blocks.

    The mode is that of the XDG Base Directory Specification.

    :raises OSError: a folder cannot be made.
    """
    for folder in reversed([path, *path.parents]):
        folder.mkdir(0o700, exist_ok=True)


class StateDatabase:
    """The file of a state, locked and open."""

    def __init__(self, path: Path) -> None:
        with ExitStack() as stack:
            stack.enter_context(_locked(path))
            self._connection = stack.enter_context(closing(_connected(path)))
            self._held = stack.pop_all()

    def read(self) -> Kept:
        rows = self._connection.execute("SELECT name, value FROM fact").fetchall()
        facts = {name: json.loads(value) for name, value in rows}
        waiting = self._connection.execute("SELECT id, line FROM waiting ORDER BY place")
        typed = self._connection.execute("SELECT line FROM typed ORDER BY place")
        found = {
            "rooms": {},
            "ignored": (),
            "draft": "",
            "log": "",
            **facts,
            "waiting": waiting.fetchall(),
            "typed": [json.loads(line) for (line,) in typed],
        }
        return msgspec.convert(found, Kept, builtin_types=(bytes,))  # refuses a text for a line

    def write(self, group: Group) -> None:
        """Write ``group`` to the disk in one transaction; if this raises, nothing is written."""
        execute, executemany = self._connection.execute, self._connection.executemany
        execute("BEGIN IMMEDIATE")
        try:
            for change in group.changes:
                if change.line is None:
                    execute("DELETE FROM waiting WHERE id = ?", (change.id,))
                else:
                    execute(_KEEP, (change.id, change.line))
            if group.typed:
                lines = [(json.dumps(line),) for line in group.typed]
                executemany("INSERT INTO typed (line) VALUES (?)", lines)
                execute(_TRIM)
            executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", group.facts.items())
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._held.close()


def open_database(path: Path) -> tuple[StateDatabase, Kept]:
    """Open the file at ``path``, or make it; returns the open file and its contents.

    :raises CannotStart: the file cannot be used.
    """
    shown = visible(str(path))
    try:
        database = StateDatabase(path)
        try:
            return database, database.read()
        except BaseException:
            database.close()
            raise
    except sqlite3.OperationalError as error:
        raise StateUnusable(path=shown, reason=error) from error
    except SQLITE_FAULTS as error:
        raise StateDamaged(path=shown, reason=visible(reason_of(error))) from error
    except (ValueError, msgspec.ValidationError) as error:
        raise StateDamaged(path=shown, reason=_DAMAGED) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock ``path`` for this process; the lock ends with the process, even if it is killed.

    The lock is on a file beside ``path``, because closing another descriptor of ``path`` itself
    would drop the locks that SQLite holds on it (SQLite, "How To Corrupt", section 2.2).
    """
    shown = visible(str(path))
    try:
        private_folder(path.parent)
        # The real path, because a link to the file stands for the same file.
        lock = os.open(f"{os.path.realpath(path)}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateUnusable(path=shown, reason=error.strerror) from error
    try:
        _take(lock, shown)
        yield
    finally:
        os.close(lock)


def _take(lock: int, shown: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.write(lock, b"%d\n" % os.getpid())
    except BlockingIOError as error:
        process = os.read(lock, 20).decode("ascii", "replace").strip()
        raise StateInUse(path=shown, process=visible(process) or "?") from error
    except OSError as error:
        raise StateUnusable(path=shown, reason=error.strerror) from error


def _connected(path: Path) -> sqlite3.Connection:
    """A connection to the file at ``path``, which only its owner can read."""
    shown = visible(str(path))
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StateDamaged(path=shown, reason=error.strerror) from error
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT)
    try:
        _prepare(connection, shown)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, shown: str) -> None:
    """Check that the file is a client's state and not damaged; then set it up."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
        version = 0
    elif application != APPLICATION_ID:
        raise DatabaseForeign(path=shown)
    elif version > VERSION:
        raise DatabaseNewer(path=shown)
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise StateDamaged(path=shown, reason=_DAMAGED)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if version == 0:
        connection.executescript(_SCHEMA)
    connection.execute(
        "INSERT OR IGNORE INTO fact VALUES ('client_id', ?)", (json.dumps(new_client_id()),)
    )

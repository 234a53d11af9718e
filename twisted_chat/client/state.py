"""What a client keeps between its runs, so that nothing is lost when it is killed.

:class:`Kept` is what was found on opening, :class:`State` is how it is changed.
:class:`FileState` keeps it in a file, :class:`MemoryState` in memory only. A line that waits for
the server is on disk when its ``Deferred`` fires; all else is written together with the next such
line, or within :data:`DELAY`.

It must not know the connection, nor what the lines mean. The reactor's thread touches no file.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, DatabaseForeign, DatabaseNewer, LogRefusal
from twisted_chat.i18n.language import N_
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of

#: Seconds until what is less urgent than a line is written, and until a failed write is repeated.
DELAY = 1.0

#: How many of the lines last typed are kept.
TYPED_LIMIT = 1000

#: Seconds that a write waits for another program that looks at the file.
BUSY_TIMEOUT = 5.0

#: ``PRAGMA application_id`` of our files: the ASCII letters "ChCl".
APPLICATION_ID = 0x4368436C

#: ``PRAGMA user_version`` of what :data:`_SCHEMA` makes.
VERSION = 1

# Typed lines and facts are JSON, as SQLite's text and numbers do not hold all of Python's.
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
_NOT_OPEN = N_("the client is closing")

T = TypeVar("T")


class StateUnusable(LogRefusal, CannotStart):
    code = "state-unusable"
    template = N_("cannot keep anything in {path}: {reason}")


class StateDamaged(StateUnusable):
    """It is about the file itself, so that a new one would do."""

    template = N_(
        "cannot read what was kept in {path}: {reason}. "
        "Move that file away, and the client begins anew."
    )


class StateInUse(CannotStart):
    code = "state-in-use"
    template = N_("{path} is in use by another client (process {process})")


class NotKept(LogRefusal):
    code = "not-kept"
    template = N_("This line is not kept if the client ends before it is sent ({reason}).")


class Kept(msgspec.Struct, frozen=True):
    """What was kept when a state was opened."""

    #: 32 lower-case hexadecimal digits: who one is to the server, and a secret.
    client_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    #: The number of the last entry dealt with in each room, in the order in which one came.
    rooms: dict[str, int]
    #: Message ids and the lines to send, in the order in which they were kept.
    waiting: tuple[tuple[str, bytes], ...]
    #: The nicknames of people who are ignored.
    ignored: tuple[str, ...]
    #: The last lines typed, oldest first, at most :data:`TYPED_LIMIT`.
    typed: tuple[str, ...]
    #: A line that was not finished.
    draft: str
    #: What the server told of the log that the numbers in ``rooms`` are of.
    log: str = ""


class State(Protocol):
    """How it is kept: on the reactor's thread, from when ``open`` has fired until ``close``.

    Before and after, lines are refused and the rest is ignored.
    """

    def open(self) -> Deferred[Kept]:
        """Fires with what there is; a client id that had to be made is kept by then.

        Errback: :class:`~twisted_chat.core.errors.CannotStart`.
        """

    def keep(self, id: str, line: bytes) -> Deferred[None]:
        """Keep ``line``, of the message ``id``, until :meth:`forget`. Fires when it is on disk.

        Errback: :class:`NotKept`.
        """

    def forget(self, id: str) -> None:
        """The server has the message ``id``, or refused it."""

    def seen(self, room: str, number: int) -> None:
        """Entries of ``room`` up to ``number`` were dealt with; a lower number changes nothing.

        Cheap: for every entry.
        """

    def of_log(self, log: str) -> Deferred[None]:
        """The numbers are of this log from now on: see ``log`` in ``docs/protocol.rst``.

        Fires once that is kept, or cannot be.
        """

    def left(self, room: str) -> None:
        """One is not in ``room`` any more: its number is forgotten."""

    def ignore(self, names: Sequence[str]) -> None:
        """These are all the people who are ignored now."""

    def typed(self, line: str) -> None:
        """``line`` was typed."""

    def draft(self, text: str) -> None:
        """``text`` is typed, but not finished."""

    def close(self) -> Deferred[None]:
        """Write what is left and let go of the file, then fire; also where nothing is open."""


class _Notes:
    """What is known of the rooms and the rest, as it stands at the moment."""

    def __init__(self) -> None:
        self.rooms: dict[str, int] = {}
        self.ignored: tuple[str, ...] = ()
        self.draft = ""
        self.log = ""

    def see(self, room: str, number: int) -> bool:
        """Returns whether that is news."""
        if number <= self.rooms.get(room, -1):
            return False
        self.rooms[room] = number
        return True


class MemoryState:
    """A :class:`State` that ends with the process; each ``Deferred`` fires at once."""

    def __init__(self, client_id: str | None = None) -> None:
        self._client_id = client_id or _new_client_id()
        self._open = False
        self._notes = _Notes()
        self._waiting: dict[str, bytes] = {}
        self._typed: deque[str] = deque(maxlen=TYPED_LIMIT)

    def open(self) -> Deferred[Kept]:
        self._open = True
        return succeed(
            Kept(
                self._client_id,
                dict(self._notes.rooms),
                tuple(self._waiting.items()),
                self._notes.ignored,
                tuple(self._typed),
                self._notes.draft,
                self._notes.log,
            )
        )

    def keep(self, id: str, line: bytes) -> Deferred[None]:
        if not self._open:
            return fail(NotKept(reason=_NOT_OPEN))
        self._waiting[id] = line
        return succeed(None)

    def forget(self, id: str) -> None:
        if self._open:
            self._waiting.pop(id, None)

    def seen(self, room: str, number: int) -> None:
        if self._open:
            self._notes.see(room, number)

    def of_log(self, log: str) -> Deferred[None]:
        if self._open:
            self._notes.log = log
        return succeed(None)

    def left(self, room: str) -> None:
        if self._open:
            self._notes.rooms.pop(room, None)

    def ignore(self, names: Sequence[str]) -> None:
        if self._open:
            self._notes.ignored = tuple(names)

    def typed(self, line: str) -> None:
        if self._open:
            self._typed.append(line)

    def draft(self, text: str) -> None:
        if self._open:
            self._notes.draft = text

    def close(self) -> Deferred[None]:
        self._open = False
        return succeed(None)


class _Change(msgspec.Struct, frozen=True, eq=False):
    """A line to keep, or, without one, a message to forget."""

    id: str
    line: bytes | None = None
    kept: Deferred[None] | None = None


class _Group(msgspec.Struct, frozen=True):
    """What is written in one transaction."""

    changes: list[_Change]
    typed: list[str]
    #: Names in :class:`_Notes`, and the values as JSON.
    facts: dict[str, str]
    noting: list[Deferred[None]]


class FileState:
    """A :class:`State` in one SQLite file, which belongs to one process at a time.

    What comes while a transaction is being committed goes into the next one together. When a
    write fails, lines are refused with :class:`NotKept`, and the rest is tried again.
    """

    _log = Logger()

    def __init__(self, reactor: Any, path: str | os.PathLike[str]) -> None:
        """``reactor`` provides IReactorFromThreads and IReactorTime.

        :raises TypeError: ``path`` is no path.
        """
        self._reactor = reactor
        self._path = Path(path)
        self._open = False
        self._busy = False  # the thread has something to do
        self._failing = False  # the last write failed
        self._closing: list[Deferred[None]] = []
        self._pool: ThreadPoolExecutor | None = None
        self._file: _File | None = None
        self._notes = _Notes()
        # What is not written yet: in order, as a set of names in _notes, and in order.
        self._changes: list[_Change] = []
        self._facts: set[str] = set()
        self._typed: deque[str] = deque(maxlen=TYPED_LIMIT)
        self._urgent = False
        #: What fires once the facts are written, or cannot be.
        self._noting: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None

    def open(self) -> Deferred[Kept]:
        self._pool = ThreadPoolExecutor(1, "client state")
        self._busy = True
        opening = self._in_thread(lambda: _open_file(self._path))
        return opening.addCallbacks(self._opened, self._not_opened)

    def keep(self, id: str, line: bytes) -> Deferred[None]:
        if not self._open:
            return fail(NotKept(reason=_NOT_OPEN))
        kept: Deferred[None] = Deferred()
        self._changes.append(_Change(id, line, kept))
        self._urgent = True
        self._step()
        return kept

    def forget(self, id: str) -> None:
        if self._open:
            self._changes.append(_Change(id))
            self._step()

    def seen(self, room: str, number: int) -> None:
        if self._open and self._notes.see(room, number):
            self._changed("rooms")

    def of_log(self, log: str) -> Deferred[None]:
        if not self._open or log == self._notes.log:
            return succeed(None)
        self._notes.log = log
        noted: Deferred[None] = Deferred()
        self._noting.append(noted)
        self._urgent = True
        self._changed("log")
        return noted

    def left(self, room: str) -> None:
        if self._open and self._notes.rooms.pop(room, None) is not None:
            self._changed("rooms")

    def ignore(self, names: Sequence[str]) -> None:
        if self._open:
            self._notes.ignored = tuple(names)
            self._changed("ignored")

    def typed(self, line: str) -> None:
        if self._open:
            self._typed.append(line)
            self._step()

    def draft(self, text: str) -> None:
        if self._open:
            self._notes.draft = text
            self._changed("draft")

    def close(self) -> Deferred[None]:
        self._open = False
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        self._step()
        return closed

    # -- one thing after the other ------------------------------------------------------------

    def _changed(self, fact: str) -> None:
        self._facts.add(fact)
        self._step()

    def _step(self) -> None:
        """Begin what is to be done next, if the thread is free for it."""
        if self._busy:
            return
        unwritten = bool(self._changes or self._facts or self._typed)
        if unwritten and (self._urgent or self._closing):
            self._write()
        elif self._closing:
            self._close_file()
        elif unwritten and self._timer is None:
            self._timer = self._reactor.callLater(DELAY, self._due)

    def _due(self) -> None:
        self._timer = None
        self._urgent = True
        self._step()

    def _opened(self, found: tuple[_File, Kept]) -> Kept:
        self._file, kept = found
        self._notes.rooms = dict(kept.rooms)
        self._notes.ignored = kept.ignored
        self._notes.draft = kept.draft
        self._notes.log = kept.log
        self._open = not self._closing
        self._busy = False
        self._step()
        return kept

    def _not_opened(self, why: Failure) -> Failure:
        self._ended(None)
        return why

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        facts = {name: json.dumps(getattr(self._notes, name)) for name in self._facts}
        group = _Group(self._changes, list(self._typed), facts, self._noting)
        self._changes = []
        self._noting = []
        self._facts.clear()
        self._typed.clear()
        self._urgent = False
        self._busy = True
        file = self._file
        assert file is not None, "only what was opened is written"
        self._in_thread(lambda: file.write(group)).addCallbacks(
            self._written, self._not_written, callbackArgs=(group,), errbackArgs=(group,)
        )

    def _written(self, _: None, group: _Group) -> None:
        self._busy = False
        self._failing = False
        for change in group.changes:
            if change.kept is not None:
                change.kept.callback(None)
        for noted in group.noting:
            noted.callback(None)
        self._step()

    def _not_written(self, why: Failure, group: _Group) -> None:
        self._busy = False
        if not self._failing:
            self._failing = True
            self._complain(why)
        if not self._closing:
            self._changes[:0] = [change for change in group.changes if change.kept is None]
            self._facts.update(group.facts)
            self._typed = deque([*group.typed, *self._typed], maxlen=TYPED_LIMIT)
        for change in group.changes:
            if change.kept is not None:
                change.kept.errback(NotKept(reason=why.value))
        for noted in group.noting:
            noted.callback(None)
        self._step()

    def _complain(self, why: Failure) -> None:
        if why.check(*SQLITE_FAULTS):
            self._log.error(
                "{path} was not written: {reason}", path=self._path, reason=reason_of(why.value)
            )
        else:
            self._log.failure("a defect: {path} was not written", why, path=self._path)

    def _close_file(self) -> None:
        if self._file is None:
            self._ended(None)
            return
        self._busy = True
        self._in_thread(self._file.close).addBoth(self._ended)

    def _ended(self, result: Failure | None) -> None:
        if result is not None:
            self._complain(result)
        self._busy = False
        self._file = None
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None
        waiting, self._closing = self._closing, []
        for closed in waiting:
            closed.callback(None)

    def _in_thread(self, function: Callable[[], T]) -> Deferred[T]:
        """Call ``function`` in the thread; fires here with what it returns or raises."""
        result: Deferred[T] = Deferred()

        def job() -> None:
            try:
                value = function()
            except BaseException:
                self._reactor.callFromThread(result.errback, Failure())
            else:
                self._reactor.callFromThread(result.callback, value)

        assert self._pool is not None, "there is a thread from open to close"
        self._pool.submit(job)
        return result


def private_folder(path: Path) -> None:
    """Make the folder ``path`` and those above it that are missing, for their owner alone.

    Blocks. As the XDG Base Directory Specification has it.

    :raises OSError: one of them cannot be made.
    """
    for folder in reversed([path, *path.parents]):
        folder.mkdir(0o700, exist_ok=True)


# -- in the thread ----------------------------------------------------------------------------


class _File:
    """The file, locked and open. All of this blocks, and belongs to one thread."""

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
        return msgspec.convert(found, Kept, builtin_types=(bytes,))  # and no text in their place

    def write(self, group: _Group) -> None:
        """On return, all of ``group`` is on disk; if this raises, nothing of it is."""
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


def _open_file(path: Path) -> tuple[_File, Kept]:
    """The file at ``path``, made if there is none, and what is in it.

    :raises CannotStart: it cannot be used.
    """
    shown = visible(str(path))
    try:
        file = _File(path)
        try:
            return file, file.read()
        except BaseException:
            file.close()
            raise
    except sqlite3.OperationalError as error:
        raise StateUnusable(path=shown, reason=error) from error
    except SQLITE_FAULTS as error:
        raise StateDamaged(path=shown, reason=visible(reason_of(error))) from error
    except (ValueError, msgspec.ValidationError) as error:
        raise StateDamaged(path=shown, reason=_DAMAGED) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold ``path`` for this process, until it ends however it ends.

    A file beside it, because closing any other descriptor of the file itself would drop the
    locks that SQLite holds on it (SQLite, "How To Corrupt", section 2.2).
    """
    shown = visible(str(path))
    try:
        private_folder(path.parent)
        # By its real path: a link to the file is the same file.
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
    """A connection to the file at ``path``, of which only its owner can read anything."""
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
    """Check that the file is ours and sound before anything is changed in it."""
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
        "INSERT OR IGNORE INTO fact VALUES ('client_id', ?)", (json.dumps(_new_client_id()),)
    )


def _new_client_id() -> str:
    return secrets.token_hex(16)

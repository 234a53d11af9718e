"""The log in SQLite: opens it, writes groups, removes old entries. Blocking, and without threads.

One connection writes; readers open read-only connections. (A second connection that writes or
checkpoints could hit SQLite's WAL-reset bug, fixed in 3.51.3.)
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import NamedTuple

from twisted_chat.core.changes import Draft, Failed, KeptPerson, RoomState, Saved
from twisted_chat.core.errors import (
    CannotStart,
    DatabaseUnusable,
    IdReused,
)
from twisted_chat.core.events import Entry
from twisted_chat.core.records import PERSON, Forgotten, Record
from twisted_chat.journal.runs import TOKEN_SIZE, Runs, superfluous
from twisted_chat.journal.sqlite import files, people, records
from twisted_chat.journal.sqlite.entries import Entries, Head, Old
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of
from twisted_chat.journal.sqlite.index import IndexDamaged, SearchIndex
from twisted_chat.journal.sqlite.opening import BUSY_TIMEOUT, Durability, connect, look, read_only
from twisted_chat.journal.sqlite.reader import Reader
from twisted_chat.journal.sqlite.upgrade import (
    SECRET_SIZE,
    backup_of,
    schema_scripts,
)

MEMORY = ":memory:"

#: A room's record, with the nickname that set its topic as long as that entry is kept.
_ROOM = """
    SELECT name, base, last, topic, CASE WHEN topic = '' THEN '' ELSE coalesce(
        (SELECT nickname FROM entry WHERE entry.room = room.id AND kind = 'topic'
         ORDER BY entry.id DESC LIMIT 1), '') END
    FROM room
"""

#: The epoch of a log grows when entries may be others than those that its clients saw.
NEXT_EPOCH = "UPDATE log SET epoch = epoch + 1"

#: The author and the message id, by which a message that is sent again is recognised.
MessageKey = tuple[int, str | None]

_log = logging.getLogger(__name__)


class _Run(NamedTuple):
    """The run that begins, and the tokens of the old runs to remove with it."""

    row: tuple[bytes, int]
    superfluous: list[bytes]


class Store:
    """The write connection of one database, and the factory of its readers."""

    def __init__(self, path: str, durability: Durability = "full") -> None:
        """Open the database at ``path``, or create it; with :data:`MEMORY`, nothing is on disk.

        :raises CannotStart: it cannot be opened, is another program's or a newer version's, or is
            served by another process.
        """
        self.path = path
        self._lock: files.Lock | None = None
        self._made = False
        self._readers: list[Reader] = []
        self._real_path = os.path.realpath(path)
        opened = ExitStack()
        try:
            if not self.in_memory:
                look(path)
                self._lock = files.Lock(path)
                self._make_private()
            self._connection = opened.enter_context(closing(connect(path, durability)))
            self._entries = Entries(self._connection)
            self.search_index = SearchIndex(self._connection, self._transaction)
            self._prepare_index()
            self.begin_run()
            self.secret = self._read_secret()
            if not self.in_memory:
                self._place = files.Place(self._real_path)
                # It keeps SQLite from removing files that have taken the place of ours: see close.
                self._holder = opened.enter_context(closing(self._open_holder()))
            opened.pop_all()
        except BaseException as error:
            opened.close()
            self._release()
            if isinstance(error, SQLITE_FAULTS):
                raise DatabaseUnusable(path=path, reason=reason_of(error)) from error
            raise

    @property
    def in_memory(self) -> bool:
        """Whether there is only one connection, so that readers take turns with the writer."""
        return self.path == MEMORY

    def rooms(self) -> list[RoomState]:
        """The records of the rooms in which any entry is kept."""
        rows = self._connection.execute(f"{_ROOM} WHERE base < last ORDER BY id")
        return [RoomState(*row) for row in rows]

    def room(self, name: str) -> RoomState | None:
        """The record of the room ``name``, even if no entry in it is kept any more."""
        row = self._connection.execute(f"{_ROOM} WHERE name = ?", (name,)).fetchone()
        return None if row is None else RoomState(*row)

    def begin_run(self) -> None:
        """Begin a run (:mod:`twisted_chat.journal.runs`), as a server starts with this log.

        If entries were lost since the last run, the epoch of the log grows. A copy that
        ``twisted-chat backup`` makes has a higher epoch than the log.

        If it cannot be written now, as when the disk is full, the first group writes it.
        """
        rows = self._connection.execute("SELECT token, entry FROM run ORDER BY number").fetchall()
        (identity,) = self._connection.execute("SELECT identity FROM log").fetchone()
        (last,) = self._connection.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()
        if not all(isinstance(token, bytes) and isinstance(entry, int) for token, entry in rows):
            raise sqlite3.DatabaseError("the table of its runs is damaged")
        before = max([entry for _, entry in rows[-1:]], default=0)
        self._lost_entries = last < before
        run = (os.urandom(TOKEN_SIZE), max(last, before))
        #: The runs of this log, up to the present one.
        self.runs = Runs(identity, [*rows, run])
        self._unwritten_run: _Run | None = _Run(run, superfluous([*rows, run]))
        with suppress(sqlite3.OperationalError):
            self._write((), None)

    def _read_secret(self) -> bytes:
        (secret,) = self._connection.execute("SELECT secret FROM log").fetchone()
        if not isinstance(secret, bytes) or len(secret) != SECRET_SIZE:
            raise sqlite3.DatabaseError("the secret of the log is damaged")
        return secret

    def _write_run(self, run: _Run) -> None:
        self._connection.execute("INSERT INTO run (token, entry) VALUES (?, ?)", run.row)
        self._connection.executemany(
            "DELETE FROM run WHERE token = ?", [(token,) for token in run.superfluous]
        )
        if self._lost_entries:
            self._connection.execute(NEXT_EPOCH)

    def commit(self, drafts: Sequence[Draft]) -> list[Saved | Failed]:
        """Write ``drafts`` in one transaction; on return, the saved ones are on disk.

        A draft is not written again if the log has an entry with its author and message id.

        :raises sqlite3.Error: none of them was saved.
        """
        try:
            return self._write(drafts, None)
        except sqlite3.IntegrityError:
            # A message was sent again. That is rare, so that drafts are looked up only then.
            return self._write(drafts, self._known(drafts))

    def _write(
        self, drafts: Sequence[Draft], known: dict[MessageKey, Entry] | None
    ) -> list[Saved | Failed]:
        heads: dict[str, Head] = {}
        outcomes: list[Saved | Failed] = []
        with self._transaction():
            if self._unwritten_run is not None:
                self._write_run(self._unwritten_run)
            if known is None:
                outcomes += self._entries.number(drafts, heads)
                drafts, known = (), {}
            for draft in drafts:
                earlier = known.get((draft.author, draft.message_id))
                if earlier is not None:
                    outcomes.append(_again(draft, earlier))
                    continue
                (saved,) = self._entries.number((draft,), heads)
                outcomes.append(saved)
                if draft.message_id is not None:
                    known[draft.author, draft.message_id] = saved.entry
            if heads:
                self._entries.write(heads.values())
        self._entries.written(heads)
        self._unwritten_run = None
        return outcomes

    def _known(self, drafts: Sequence[Draft]) -> dict[MessageKey, Entry]:
        """The entries as which some of ``drafts`` were saved earlier."""
        known: dict[MessageKey, Entry] = {}
        for draft in drafts:
            if draft.message_id is not None:
                entry = self._entries.message(draft.author, draft.message_id)
                if entry is not None:
                    known[draft.author, draft.message_id] = entry
        return known

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A context for one transaction: afterwards, all its changes are on disk, or none are."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def people(self) -> list[KeptPerson]:
        """The people who can come back.

        :raises sqlite3.Error: they cannot be read.
        """
        return people.read(self._connection)

    def keep(self, kept: Iterable[KeptPerson], forgotten: Iterable[int]) -> None:
        """Write the people ``kept``, and remove those of the authors ``forgotten``.

        :raises sqlite3.Error: nothing was changed.
        """
        with self._transaction():
            people.write(self._connection, kept, forgotten)

    def records(self) -> list[Record]:
        """All records except those that stay on disk.

        :raises sqlite3.Error: they cannot be read, or one of them is damaged.
        """
        return records.read(self._connection)

    def record_keys(self, kind: str) -> list[str]:
        """The keys of the records of this ``kind``, in their order.

        :raises sqlite3.Error: they cannot be read.
        """
        return records.keys(self._connection, kind)

    def store(self, changed: Iterable[Record | Forgotten]) -> None:
        """Write or delete records, in one transaction.

        :raises sqlite3.Error: nothing was changed.
        """
        with self._transaction():
            changed = tuple(changed)
            gone = [one for one in changed if isinstance(one, Forgotten) and one.kind == PERSON]
            records.write(self._connection, [one for one in changed if one not in gone])
            people.write(self._connection, (), [int(one.key) for one in gone])

    def unindexed(self) -> int:
        """The number of entries that are not in the search index yet."""
        return self.search_index.behind()

    def index(self, limit: int) -> int:
        """Index up to ``limit`` more entries for searches; returns their number.

        :raises sqlite3.Error: no entry was indexed.
        """
        return self.search_index.bring_on(limit)

    def remove_before(self, room: str, time: int, limit: int) -> tuple[int, bool]:
        """Remove up to ``limit`` of the oldest entries of ``room`` that are from before ``time``;
        returns the number of the last removed entry (0: none), and whether more may be left.

        If an older entry has a later time than a newer one, the clock was wrong, and the earlier
        time counts. The last entry of the log stays, as the ids of entries must continue. So does
        the record of an empty room, as its numbers and hashes must continue.

        :raises sqlite3.Error: nothing was removed.
        """
        head = self._entries.known_head(room)
        if head is None:
            return 0, False
        old = self._entries.oldest(head, limit)
        if not self._entries.has_older(head, time, limit):
            while old and old[-1].time >= time:
                old.pop()
        if not old:
            return 0, False
        try:
            self._remove(room, head.id, old)
        except IndexDamaged as damage:
            self.search_index.make_anew(str(damage))
            self._remove(room, head.id, old)
        # Each row of this pragma frees one page, and execute() would stop after the first.
        with suppress(*SQLITE_FAULTS):  # the entries are gone; the space can be freed next time
            self._connection.executescript(f"PRAGMA incremental_vacuum({4 * limit})")
        return old[-1].number, len(old) == limit

    def has_before(self, time: int) -> bool:
        """Whether :meth:`remove_before` would remove any entry, in any room."""
        return self._entries.has_before(time)

    def clock_seen(self, now: int) -> int:
        """The last time at which the clock was believed; if that is unknown, the time of the newest
        entry, but ``now`` at most; without entries, ``now``. All in microseconds since 1970 UTC.
        """
        row = self._connection.execute("SELECT seen FROM clock").fetchone()
        if row is None:
            row = self._connection.execute(
                "SELECT min(time, ?) FROM entry ORDER BY id DESC LIMIT 1", (now,)
            ).fetchone()
        return now if row is None else int(row[0])

    def see_clock(self, now: int) -> None:
        """Save that the clock was believed when it said ``now``.

        :raises sqlite3.Error: that was not saved.
        """
        with self._transaction():
            if self._connection.execute("UPDATE clock SET seen = max(seen, ?)", (now,)).rowcount:
                return
            self._connection.execute("INSERT INTO clock VALUES (?)", (now,))

    def _remove(self, name: str, room: int, old: Sequence[Old]) -> None:
        with self._transaction():
            self.search_index.forget(room, [(one.id, one.text) for one in old])
            self._entries.remove(room, old)
        self._entries.removed(name)

    def reader(self) -> Reader:
        """A reader of the committed entries, for use on one thread at a time.

        :raises sqlite3.Error: it cannot be opened.
        """
        if self.in_memory:
            return Reader(self._connection, shared=True)
        connection = sqlite3.connect(
            read_only(self.path), uri=True, check_same_thread=False, timeout=BUSY_TIMEOUT
        )
        reader = Reader(connection)
        self._readers.append(reader)
        return reader

    def copy(self) -> Store:
        """A copy of this log in memory, with a new run, as if a backup was put back."""
        copied = Store(MEMORY)
        self._connection.backup(copied._connection)
        copied._connection.execute(NEXT_EPOCH)
        copied.begin_run()
        return copied

    def close(self) -> None:
        """Close the database and its readers, and leave one file: the write-ahead log is written
        back, unless another program, or a reader on another thread, is reading.
        """
        readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()
        if self.in_memory:
            self._connection.close()
        elif self._place.is_kept():
            self._holder.close()
            self._write_back()
            self._connection.close()
        else:
            # Write our log back into our database, wherever that is now: SQLite would use the log
            # for the database that is in its place now.
            if not self._place.log_was_replaced() and self._write_back():
                self._place.remove_companions()
            # If the last connection to close can write, it removes the log by its name, even if it
            # is another database's now. So the last one is the holder, which can only read.
            self._connection.close()
            self._holder.close()
        self._release()

    def _open_holder(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            read_only(self.path), uri=True, check_same_thread=False, timeout=BUSY_TIMEOUT
        )
        connection.execute("SELECT count(*) FROM log").fetchone()  # now it holds a lock
        return connection

    def is_in_place(self) -> bool:
        """Whether this store still writes and locks the files at its paths; only if on disk."""
        assert self._lock is not None
        if not self._lock.is_held:  # somebody has removed the lock's file
            try:
                lock = files.Lock(self.path)
            except CannotStart:
                return False
            self._lock.release()
            self._lock = lock
        return self._place.is_kept()

    def size(self) -> int:
        """Bytes of the database and of its write-ahead log."""
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (page_size,) = self._connection.execute("PRAGMA page_size").fetchone()
        log = 0 if self.in_memory else files.log_size(self._real_path)
        return int(pages * page_size + log)

    def shorten_log(self) -> None:
        """Write the write-ahead log back into the database, unless a reader is reading."""
        with suppress(*SQLITE_FAULTS):
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.execute(f"PRAGMA busy_timeout = {int(1000 * BUSY_TIMEOUT)}")

    def _write_back(self) -> bool:
        """Write the write-ahead log back into the database; returns whether all of it is."""
        with suppress(*SQLITE_FAULTS):  # after any fault, the next start reads the log
            busy, *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                _log.warning(
                    "another program reads %s: keep %s-wal with it, or start and stop the server"
                    " once that program has ended",
                    self.path,
                    os.path.basename(self.path),
                )
            return not busy
        return False

    def _prepare_index(self) -> None:
        try:
            self.search_index.prepare()
        except SQLITE_FAULTS as error:  # the chat works without searches
            _log.error("the search index cannot be made: %s", reason_of(error))

    def _make_private(self) -> None:
        """Remove other users' rights before SQLite opens the files: nobody else ever reads them."""
        try:
            self._made = files.make_private(self._real_path)  # a link may lead to nothing yet
        except OSError as error:
            raise DatabaseUnusable(path=self.path, reason=error.strerror) from error
        for suffix in files.COMPANIONS:
            files.tighten(f"{self._real_path}{suffix}")
        for version in range(1, len(schema_scripts())):
            files.tighten(backup_of(self.path, version))

    def _release(self) -> None:
        if self._made:
            with suppress(OSError):
                if not os.path.getsize(self._real_path):  # it was created, but never written
                    os.unlink(self._real_path)
        if self._lock is not None:
            self._lock.release()


def _again(draft: Draft, entry: Entry) -> Saved | Failed:
    """The outcome of ``draft``, whose author and message id are those of ``entry``."""
    if (entry.room, entry.kind, entry.text) == (draft.room, draft.kind, draft.text):
        return Saved(draft, entry, fresh=False)
    return Failed(draft, IdReused(id=draft.message_id))

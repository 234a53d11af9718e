"""The journal with a writer thread: group commit, in order.

A group is all changes that were submitted while the previous group was committed. Each group is one
transaction: the slower the disk, the larger the groups. This module must not know the reactor: the
functions that call back on the chat's thread are parameters.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from twisted_chat.core.account_errors import AccountNotSaved
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.changes import (
    Change,
    Draft,
    Failed,
    Group,
    Keep,
    KeptPerson,
    Ordered,
    Outcome,
    Removed,
    RoomState,
    rooms_opened,
)
from twisted_chat.core.errors import (
    CannotStart,
    DatabaseUnusable,
    NotSaved,
    Refusal,
    SearchNotReady,
)
from twisted_chat.core.journal import (
    CommonReader,
    Found,
    HistoryReader,
    RecordReader,
    SearchReader,
)
from twisted_chat.core.records import ON_DISK, Forgotten, Record
from twisted_chat.journal import indexing
from twisted_chat.journal.indexing import Indexing
from twisted_chat.journal.kept import Stored, Writer
from twisted_chat.journal.readers import STOPPING, Readers, result_of
from twisted_chat.journal.removal import Clock, Removal
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of
from twisted_chat.journal.sqlite.guard import Guard
from twisted_chat.journal.sqlite.index import IndexDamaged
from twisted_chat.journal.sqlite.reader import Reader
from twisted_chat.journal.sqlite.store import Store

#: Changes in the queue at which it is full: then the connections of senders are not read.
QUEUE_LIMIT = 10_000

#: Seconds of the reactor's loop that applying one group may take: the times of the last groups
#: limit the size of the next. The limit is never lower than ``GROUP_LEAST`` changes.
GROUP_SECONDS = 0.05
GROUP_LEAST = 200

#: Seconds to wait for another process that holds the database locked.
LOCK_TIMEOUT = 60.0

#: Seconds after :meth:`GroupCommitJournal.stop` in which the queue must be saved.
STOP_TIMEOUT = 5.0

#: Characters of an unsaved message that its author is shown.
EXCERPT = 60

#: The field of the server's log by which programs recognise these lines.
_NOT_SAVED = {"event": "not-saved"}

T = TypeVar("T")
_log = logging.getLogger(__name__)


class GroupCommitJournal:
    """A :class:`twisted_chat.core.journal.Journal` over a :class:`Store`.

    :param open_store: opens the store; it may raise :class:`.CannotStart`.
    :param call_from_thread: ``call_from_thread(function, *arguments)`` calls a function on the
        chat's thread, in the order of the calls.
    :param soon: called on the chat's thread, calls a function there when the current work is done,
        so that changes that are submitted together are one group.
    :param max_size: the most bytes of the log on disk; 0 is no limit.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        call_from_thread: Callable[..., object],
        soon: Callable[[Callable[[], None]], object],
        *,
        max_size: int = 0,
    ) -> None:
        self._open_store = open_store
        self._max_size = max_size
        self._clock = Clock()
        #: Knows whether the log can take entries; None before the start.
        self.guard: Guard | None = None
        self._call_from_thread = call_from_thread
        self._soon = soon
        self._wake = threading.Condition()
        self._jobs: list[Callable[[], None]] = []  # guarded by _wake
        self._kept: list[Keep] = []  # guarded by _wake
        self._unstored: list[Stored] = []  # guarded by _wake
        self._all_delivered = False  # set under _wake
        self._stopping = False  # set under _wake
        self._has_ended = False  # set under _wake: no more records are written
        self._asleep = False  # set under _wake
        self._end = math.inf  # by time.monotonic: nothing is saved after this time
        #: Called on the writer thread with the outcomes of the drafts of a group, and the seconds
        #: that saving them took; it must be set before the start.
        self.measured: Callable[[Sequence[Outcome], float], None] | None = None
        # Filled by the chat's thread and emptied by the writer, without a lock.
        self._queue: deque[Change | _Behind] = deque()
        self._thread = threading.Thread(target=self._run, name="journal writer", daemon=True)
        self._readers = Readers(lambda: self._store.reader(), call_from_thread)
        # The following attributes belong to the chat's thread.
        self._apply: Callable[[Group], None] = _not_open
        self._outstanding = 0
        self._waking = False
        self._group_limit = GROUP_LEAST
        self._late: list[Change | _Behind] = []
        self._waiting_for_space: list[Callable[[], None]] = []
        self._stopped: Callable[[], None] = nothing

    def open(
        self,
        apply: Callable[[Group], None],
        opened: Callable[[Sequence[RoomState] | Refusal], None],
    ) -> None:
        try:
            rooms = self._open()
        except CannotStart as error:
            opened(error)
            return
        self._apply = apply
        self._thread.start()
        self._readers.start(with_threads=not self._store.in_memory)
        opened(rooms)

    def _open(self) -> Sequence[RoomState]:
        self._store = self._open_store()
        self.guard = Guard(self._store, most=self._max_size)
        try:
            rooms = self._store.rooms()
            self._records = self._store.records()
            self._keys = {kind: self._store.record_keys(kind) for kind in ON_DISK}
            self._writer = Writer(self._store, self.guard, self._call_from_thread)
            self._indexing = Indexing(self._store)  # belongs to the writer thread
        except SQLITE_FAULTS as error:
            self._store.close()
            raise DatabaseUnusable(path=self._store.path, reason=reason_of(error)) from error
        return rooms

    @property
    def node(self) -> str:
        return ""

    def submit(self, changes: Sequence[Change]) -> None:
        if len(changes) == 1 and isinstance(changes[0], Keep):
            with self._wake:
                self._kept.append(changes[0])
                self._wake.notify()
        else:
            self._put(changes)

    @property
    def told(self) -> str:
        return self._store.runs.told

    def store(
        self, records: Sequence[Record | Forgotten], done: Callable[[Refusal | None], None]
    ) -> None:
        with self._wake:
            if not self._has_ended:
                self._unstored.append(Stored(records, done))
                self._wake.notify()
                return
        self._call_from_thread(done, AccountNotSaved(reason=STOPPING))

    def records(self) -> Sequence[Record]:
        records, self._records = self._records, []
        return records

    def keys(self, kind: str) -> Sequence[str]:
        return self._keys.pop(kind, ())

    def read_records(self, kind: str, prefix: str, reply: RecordReader) -> None:
        self._read(lambda reader: reader.records(kind, prefix), reply)

    @property
    def secret(self) -> bytes:
        return self._store.secret

    @property
    def lasts(self) -> bool:
        return not self._store.in_memory

    def common(self, positions: Mapping[str, int], told: str, reply: CommonReader) -> None:
        end = self._store.runs.common(told)
        self._read(lambda reader: reader.common(positions, end), reply)

    @property
    def full(self) -> bool:
        return self._outstanding >= QUEUE_LIMIT

    @property
    def outstanding(self) -> int:
        return self._outstanding

    @property
    def is_open(self) -> bool:
        """Whether the log takes changes."""
        return self._thread.is_alive() and not self._stopping

    @property
    def size(self) -> int:
        """Bytes of the log on disk, when they were last measured; 0 before the start."""
        return 0 if self.guard is None else self.guard.size

    @property
    def max_size(self) -> int:
        """The most bytes of the log on disk; 0 is no limit."""
        return self._max_size

    @max_size.setter
    def max_size(self, size: int) -> None:
        self._max_size = size
        if self.guard is not None:
            self.guard.most = size
            self._put_job(self.guard.look)

    @property
    def confirmed(self) -> int:
        """A time (microseconds since 1970 UTC) that the operator confirms as reached; 0: none."""
        return self._clock.confirmed

    @confirmed.setter
    def confirmed(self, time: int) -> None:
        self._clock.confirmed = time

    @property
    def obstacle(self) -> str:
        """Why the log takes no entries now, in English; "" if it does."""
        if not self.is_open or self.guard is None:
            return "the log is not open"
        if self.guard.obstacle:
            self._put_job(self.guard.look)  # a load balancer that asks may keep all senders away
        return self.guard.obstacle

    def when_space(self, callback: Callable[[], None]) -> None:
        self._waiting_for_space.append(callback)

    def read_after(
        self, room: str, after: int, through: int, limit: int, reply: HistoryReader
    ) -> None:
        self._read(lambda reader: reader.after(room, after, through, limit), reply)

    def read_before(self, room: str, before: int, limit: int, reply: HistoryReader) -> None:
        self._read(lambda reader: reader.before(room, before, limit), reply)

    def search(
        self,
        words: str,
        room: str | None,
        limit: int,
        reply: SearchReader,
        source: Hashable = None,
        without: Collection[int] = (),
        hidden: Collection[str] = (),
    ) -> None:
        deadline = math.inf

        def job() -> None:
            # Index one step, and queue the rest behind the next commits.
            nonlocal deadline
            deadline = min(deadline, time.monotonic() + indexing.INDEX_WAIT)
            if (
                self._indexing.behind
                and self._indexing.step(indexing.INDEX_STEP)
                and self._indexing.behind
            ):
                if time.monotonic() < deadline:
                    self._put_job(job)
                else:
                    self._call_from_thread(reply, self._indexing.not_ready())
                return
            made_anew = self._indexing.made_anew
            find = partial(self._find, words, room, limit, without, hidden, made_anew)
            if self._store.in_memory:
                self._read_here(self._readers.limited(find), reply)
            else:
                self._readers.search(find, reply, source)

        self._put((_Behind(job),))  # behind all changes that are in the queue now

    def remove_before(
        self,
        time: int,
        now: int | None = None,
        rooms: Mapping[str, int] = MappingProxyType({}),
        begun: Callable[[], None] = nothing,
    ) -> None:
        # The operator's retention decides on the clock, or else the longest one of a room: nobody
        # holds up the removal in other rooms by a short one.
        oldest = time or min(filter(None, rooms.values()), default=0)

        def begin() -> None:
            try:
                if now is None or self._clock.believes(self._store, now, now - oldest):
                    self._call_from_thread(begun)
                    self._remove(Removal(self._store, time, self._removed, rooms))
            except SQLITE_FAULTS as error:
                _log.error("old entries were not removed: %s", reason_of(error))

        self._put_job(begin)

    def people(self) -> Sequence[KeptPerson]:
        try:
            return self._store.people()
        except SQLITE_FAULTS as error:
            _log.error("who could come back cannot be read: %s", reason_of(error))
            return ()

    def stop(self, stopped: Callable[[], None]) -> None:
        self._stopped = stopped
        self._end = time.monotonic() + STOP_TIMEOUT
        with self._wake:
            self._stopping = True
            self._wake.notify()

    # -- on the chat's thread ------------------------------------------------------------------

    def _put(self, items: Sequence[Change | _Behind]) -> None:
        self._outstanding += len(items)
        if self._stopping:
            self._late.extend(items)
            self._call_from_thread(self._deliver_late)
            return
        self._queue.extend(items)
        if self._asleep and not self._waking:
            self._waking = True
            self._soon(self._wake_up)

    def _wake_up(self) -> None:
        self._waking = False
        with self._wake:
            self._wake.notify()

    def _delivered(self, outcomes: Sequence[Outcome], places: int) -> None:
        """Apply the ``outcomes`` of a group, which had ``places`` items of the queue."""
        self._outstanding -= places
        start = time.perf_counter()
        try:
            self._apply(Group(self.node, outcomes))
        finally:
            if places:
                self._fit_groups(places, time.perf_counter() - start)
            if self._late:
                self._deliver_late()
            if self._waiting_for_space and self._outstanding <= QUEUE_LIMIT // 2:
                waiting, self._waiting_for_space = self._waiting_for_space, []
                for callback in waiting:
                    callback()

    def _deliver_late(self) -> None:
        """Hand back the changes that were submitted after the stop, behind all others, unsaved."""
        if self._late and self._outstanding == len(self._late):
            late, self._late = self._late, []
            self._delivered(_failed(late, STOPPING), len(late))

    def _delivered_all(self) -> None:
        with self._wake:
            self._all_delivered = True
            self._wake.notify()

    def _fit_groups(self, size: int, seconds: float) -> None:
        """Limit the next groups: applying a group of ``size`` items took ``seconds``."""
        fitting = int(size * GROUP_SECONDS / max(seconds, 1e-6))
        if fitting < self._group_limit or size >= self._group_limit:
            self._group_limit = max(GROUP_LEAST, min(fitting, 2 * self._group_limit, QUEUE_LIMIT))

    def _read(self, query: Callable[[Reader], T], reply: Callable[[T | Refusal], None]) -> None:
        if self._store.in_memory:
            self._put_job(lambda: self._read_here(query, reply))
        else:
            self._readers.read(query, reply)

    def _put_job(self, job: Callable[[], None]) -> None:
        with self._wake:
            self._jobs.append(job)
            self._wake.notify()

    # -- on a thread that searches -------------------------------------------------------------

    def _find(
        self,
        words: str,
        room: str | None,
        limit: int,
        without: Collection[int],
        hidden: Collection[str],
        made_anew: int,
        reader: Reader,
    ) -> Found:
        try:
            return reader.find(words, room, limit, without, hidden)
        except IndexDamaged as damage:
            self._put_job(partial(self._indexing.make_anew, made_anew, str(damage)))
            raise SearchNotReady(percent=0) from damage

    # -- on the writer thread ------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                self._asleep = True  # before the queue is examined: a later change wakes the thread
                while not (
                    self._queue or self._jobs or self._kept or self._unstored or self._stopping
                ):
                    if not self._wake.wait(self._indexing.delay()):
                        break
                self._asleep = False
                jobs, self._jobs = self._jobs, []
                kept, self._kept = self._kept, []
                # Records that come from now on are older than no change of this group.
                size = min(len(self._queue), self._group_limit)
                records, self._unstored = self._unstored, []
                stopping = self._stopping
            group = [self._queue.popleft() for _ in range(size)]
            self._writer.write_records(records, kept)  # before later changes
            if stopping and not group:
                self._writer.write_people([*kept, *self._last_kept()])
                self._writer.write_records(self._last_records())
                break
            if group:
                self._call_from_thread(self._delivered, self._commit(group), len(group))
                self._indexing.behind += len(group)
                if self._indexing.behind > indexing.INDEX_BACKLOG:
                    self._indexing.step(2 * len(group))
                elif not self._queue:
                    self._indexing.step_a_little()
            self._writer.write_people(kept)
            for job in jobs:
                self._do(job)
            if not (group or jobs or kept or records):
                self._indexing.step(indexing.INDEX_STEP)
        self._readers.close()  # an open reader would keep the log from being written back
        self._do(self._store.close)
        self._call_from_thread(self._stopped)

    def _read_here(
        self, query: Callable[[Reader], T], reply: Callable[[T | Refusal], None]
    ) -> None:
        """Read a log in memory, which has only one connection, on this thread."""
        self._call_from_thread(reply, result_of(lambda: query(self._store.reader())))

    def _last_kept(self) -> list[Keep]:
        """The last :class:`.Keep` changes, submitted once everything has been applied.

        They contain how far each person has seen each room.
        """
        self._call_from_thread(self._delivered_all)
        with self._wake:
            while not self._all_delivered and time.monotonic() < self._end:
                self._wake.wait(max(0.0, self._end - time.monotonic()))
            kept, self._kept = self._kept, []
            return kept

    def _last_records(self) -> list[Stored]:
        with self._wake:
            self._has_ended = True
            return self._unstored

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception:  # the thread must go on
            _log.exception("internal error in the journal's thread")

    def _remove(self, removal: Removal) -> None:
        """Do one step of ``removal``; the next step is another job, behind the next commits."""
        if removal.step():
            self._put_job(lambda: self._remove(removal))
        self._indexing.look_whether_anew()
        assert self.guard is not None
        self.guard.look()

    def _removed(self, room: str, last: int) -> None:
        self._call_from_thread(self._delivered, (Ordered(Removed(room, last)),), 0)

    def _commit(self, group: Sequence[Change | _Behind]) -> Sequence[Outcome]:
        """Commit ``group``; returns the outcome of each change, in order."""
        drafts = [item for item in group if type(item) is Draft]
        rooms: dict[str, RoomState] = {}
        for item in group if len(drafts) < len(group) else ():
            if isinstance(item, _Behind):
                self._put_job(item.job)
            elif names := rooms_opened(item):
                self._do(partial(self._look_up, names, rooms))
        saved: Sequence[Outcome] = ()
        if drafts:
            start = time.perf_counter()
            saved = self._save(drafts)
            if self.measured is not None:
                self._do(partial(self.measured, saved, time.perf_counter() - start))
        if len(drafts) == len(group):
            return saved
        return _in_order(group, saved, rooms)

    def _look_up(self, names: Sequence[str], rooms: dict[str, RoomState]) -> None:
        """Add the records of the rooms called ``names`` to ``rooms``."""
        for name in names:
            if name not in rooms and (state := self._store.room(name)) is not None:
                rooms[name] = state

    def _save(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        while rest := drafts[len(outcomes) :]:  # near the size limit, it may take several commits
            outcomes += self._save_first(rest)
        return outcomes

    def _save_first(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        """Save the first of ``drafts``, as many as fit; returns their outcomes.

        If none is saved, all of ``drafts`` have failed.
        """
        if time.monotonic() > self._end:
            return _failed(drafts, STOPPING)
        try:
            assert self.guard is not None
            allowed, reason = self.guard.allows(drafts)
            return (
                self._commit_when_unlocked(drafts[:allowed]) if allowed else _failed(drafts, reason)
            )
        except SQLITE_FAULTS as error:
            _log.error(
                "%d messages were not saved: %s", len(drafts), reason_of(error), extra=_NOT_SAVED
            )
            return _failed(drafts, reason_of(error))
        except Exception as error:
            _log.exception(
                "internal error: %d messages were not saved", len(drafts), extra=_NOT_SAVED
            )
            return _failed(drafts, str(error))

    def _commit_when_unlocked(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        """Commit; while another process holds the database locked, try again until a timeout."""
        patience_ends = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                return self._store.commit(drafts)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                if time.monotonic() > min(patience_ends, self._end):
                    raise


@dataclass(frozen=True)
class _Behind:
    """A job for the writer thread, behind the commit of all changes submitted before."""

    job: Callable[[], None]


def _in_order(
    group: Sequence[Change | _Behind],
    drafts: Iterable[Outcome],
    rooms: Mapping[str, RoomState] = {},
) -> Sequence[Outcome]:
    """The outcomes of ``group`` in its order, given those of its ``drafts``."""
    outcomes = iter(drafts)
    return [
        next(outcomes) if isinstance(item, Draft) else Ordered(item, rooms)
        for item in group
        if not isinstance(item, _Behind)
    ]


def _failed(group: Sequence[Change | _Behind], reason: str) -> Sequence[Outcome]:
    drafts = (item for item in group if isinstance(item, Draft))
    failed = (Failed(one, NotSaved(text=one.text[:EXCERPT], reason=reason)) for one in drafts)
    return _in_order(group, failed)


def _not_open(group: Group) -> None:
    raise AssertionError("the journal was not started")

"""A journal in memory, without threads, for one node or several.

Nothing is committed, applied or read before the test calls for it, or before the next turn of a
clock. It is for tests: of the chat, and of programs that use :mod:`twisted_chat.testing`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from itertools import groupby
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
from twisted_chat.core.errors import HistoryUnavailable, NotSaved, Refusal
from twisted_chat.core.journal import (
    CommonReader,
    Found,
    HistoryReader,
    RecordReader,
    SearchReader,
)
from twisted_chat.core.records import Forgotten, Record
from twisted_chat.journal.sqlite.reader import Reader
from twisted_chat.journal.sqlite.store import MEMORY, Store

T = TypeVar("T")

#: More entries than any test has.
_MANY = 2**31


class MemoryLog:
    """One order for the changes of all nodes, over one ``store``."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store(MEMORY)
        #: The changes that were submitted and are not committed, each with its journal.
        self.queue: list[tuple[MemoryJournal, Change]] = []
        self.journals: list[MemoryJournal] = []

    def commit(self) -> None:
        """Commit all submitted changes: one group, for all nodes, per run of one node's changes."""
        queue, self.queue = self.queue, []
        for journal, run in groupby(queue, key=lambda item: item[0]):
            changes = [change for _, change in run]
            group = Group(journal.node, self._outcomes(journal, changes))
            for each in self.journals:
                each.groups.append(group)

    def _outcomes(self, journal: MemoryJournal, changes: Sequence[Change]) -> list[Outcome]:
        rooms = {
            name: state
            for change in changes
            for name in rooms_opened(change)
            if (state := self.store.room(name)) is not None
        }
        drafts = [change for change in changes if isinstance(change, Draft)]
        written: Sequence[Outcome]
        reason = journal.broken
        if reason is None:
            written = self.store.commit(drafts)
        else:
            written = [Failed(one, NotSaved(text=one.text, reason=reason)) for one in drafts]
        outcomes = iter(written)
        return [
            next(outcomes) if isinstance(change, Draft) else Ordered(change, rooms)
            for change in changes
        ]


class MemoryJournal:
    """A :class:`twisted_chat.core.journal.Journal` over a :class:`MemoryLog`.

    ``soon``, if given, calls a function in the next turn: then changes are committed and reads are
    answered in that turn. Without it, both wait for :meth:`run`.
    """

    confirmed = 0
    max_size = 0
    size = 0
    measured: Callable[[Sequence[Outcome], float], None] | None = None

    def __init__(
        self,
        log: MemoryLog | None = None,
        soon: Callable[[Callable[[], None]], object] | None = None,
        node: str = "",
    ) -> None:
        self.log = log or MemoryLog()
        self.node = node
        #: Whether submitted changes are committed in the next turn.
        self.commits_at_once = soon is not None
        #: Why nothing can be committed or read, such as "database or disk is full"; None if it can.
        self.broken: str | None = None
        self.full = False
        self.lasts = True
        self.stopped = False
        #: Callbacks that wait for space in the queue, and reads of the log that wait.
        self.waiting: list[Callable[[], None]] = []
        self.reads: list[Callable[[], None]] = []
        #: The groups that are committed and were not applied here.
        self.groups: list[Group] = []
        self._next_turn = soon
        self._is_due = False
        self._has_ended = False
        self._apply: Callable[[Group], None] = _not_open
        self.log.journals.append(self)

    @property
    def queue(self) -> list[Change]:
        """The changes that were submitted here and are not committed."""
        return [change for journal, change in self.log.queue if journal is self]

    # -- the interface ------------------------------------------------------------------------

    def open(
        self,
        apply: Callable[[Group], None],
        opened: Callable[[Sequence[RoomState] | Refusal], None],
    ) -> None:
        self._apply = apply
        self.log.store.begin_run()
        opened(self.log.store.rooms())

    def stop(self, stopped: Callable[[], None]) -> None:
        while self.queue or self.groups or self.reads:
            self.turn()
        self.stopped = True
        self._leave()
        stopped()

    def submit(self, changes: Sequence[Change]) -> None:
        if self.stopped:
            self.groups.append(Group(self.node, _late(changes)))
            self._soon(self.catch_up)
            return
        for change in changes:
            if isinstance(change, Keep):
                self.log.store.keep(change.people, change.forgotten)
                if len(self.log.journals) == 1:
                    continue
            self.log.queue.append((self, change))
        if self.commits_at_once and not self._is_due:
            self._is_due = True
            self._soon(self._due)

    def when_space(self, callback: Callable[[], None]) -> None:
        if self._next_turn is None:
            self.waiting.append(callback)
        else:
            self._soon(callback)

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
        def find(reader: Reader) -> Found:
            self.log.commit()  # a search must find all entries that were submitted before
            while self.log.store.index(_MANY):
                pass
            return reader.find(words, room, limit, without, hidden)

        self._read(find, reply)

    def people(self) -> Sequence[KeptPerson]:
        return self.log.store.people()

    def store(
        self, records: Sequence[Record | Forgotten], done: Callable[[Refusal | None], None]
    ) -> None:
        def write() -> None:
            if self.broken is None:
                self.log.store.store(records)
                done(None)
            else:
                done(AccountNotSaved(reason=self.broken))

        self._soon(write)

    def records(self) -> Sequence[Record]:
        return self.log.store.records()

    def keys(self, kind: str) -> Sequence[str]:
        return self.log.store.record_keys(kind)

    def read_records(self, kind: str, prefix: str, reply: RecordReader) -> None:
        self._read(lambda reader: reader.records(kind, prefix), reply)

    @property
    def secret(self) -> bytes:
        return self.log.store.secret

    @property
    def told(self) -> str:
        return self.log.store.runs.told

    def common(self, positions: Mapping[str, int], told: str, reply: CommonReader) -> None:
        end = self.log.store.runs.common(told)
        self._read(lambda reader: reader.common(positions, end), reply)

    def remove_before(
        self,
        time: int,
        now: int | None = None,
        rooms: Mapping[str, int] = MappingProxyType({}),
        begun: Callable[[], None] = nothing,
    ) -> None:
        self._soon(begun)
        for state in self.log.store.rooms():
            before = rooms.get(state.name, time)
            last, _ = self.log.store.remove_before(state.name, before, _MANY)
            if last:
                self.submit((Removed(state.name, last),))

    @property
    def is_open(self) -> bool:
        return not (self.stopped or self._has_ended)

    @property
    def obstacle(self) -> str:
        return (self.broken or "") if self.is_open else "the log is not open"

    @property
    def outstanding(self) -> int:
        return len(self.queue)

    # -- for tests ----------------------------------------------------------------------------

    def run(self) -> None:
        """Commit, apply and read until there is nothing left to do."""
        while self.queue or self.groups or self.reads:
            self.turn()

    def turn(self) -> None:
        """Commit, apply and read what waits now, but not what follows from that."""
        self.step()
        reads, self.reads = self.reads, []
        for read in reads:
            read()

    def step(self) -> None:
        """Commit all submitted changes, and apply them."""
        if self.log.queue:
            self.log.commit()
        self.catch_up()

    def catch_up(self) -> None:
        """Apply all committed groups."""
        groups, self.groups = self.groups, []
        for group in groups:
            self._apply(group)

    def end(self) -> None:
        """As ``kill -9``: changes that are not committed are lost, and no callback is called."""
        self._has_ended = True
        self._leave()

    # -- inside -------------------------------------------------------------------------------

    def _leave(self) -> None:
        """Remove this node from the log."""
        self.log.queue = [item for item in self.log.queue if item[0] is not self]
        if self in self.log.journals:
            self.log.journals.remove(self)

    def _due(self) -> None:
        self._is_due = False
        self.step()

    def _read(self, query: Callable[[Reader], T], reply: Callable[[T | Refusal], None]) -> None:
        def job() -> None:
            if self.broken is not None:
                reply(HistoryUnavailable(reason=sqlite3.OperationalError(self.broken)))
            else:
                reply(query(self.log.store.reader()))

        self._soon(job)

    def _soon(self, job: Callable[[], None]) -> None:
        if self._next_turn is None:
            self.reads.append(job)
        else:
            self._next_turn(lambda: None if self._has_ended else job())


def _late(changes: Sequence[Change]) -> list[Outcome]:
    """The outcomes of ``changes`` that are submitted after the stop."""
    return [
        Failed(change, NotSaved(text=change.text, reason="the server is stopping"))
        if isinstance(change, Draft)
        else Ordered(change)
        for change in changes
        if not isinstance(change, Keep)
    ]


def _not_open(group: Group) -> None:
    raise AssertionError("the journal was not opened")

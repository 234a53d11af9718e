"""A log in memory, without threads: one for each node that applies it, or only one.

Nothing is committed, applied or read before it is told to, or in the next turn of a clock. It is
for tests: those of the chat, and those of programs that use :mod:`twisted_chat.testing`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

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
from twisted_chat.core.journal import CommonReader, Found, HistoryReader, SearchReader
from twisted_chat.journal.sqlite.reader import Reader
from twisted_chat.journal.sqlite.store import MEMORY, Store

T = TypeVar("T")

#: More entries than any test says.
_MANY = 2**31


class MemoryLog:
    """One order for the changes of all nodes, over one ``store``."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store(MEMORY)
        #: What was submitted and is not committed.
        self.queue: list[tuple[MemoryJournal, Change]] = []
        self.journals: list[MemoryJournal] = []

    def commit(self) -> None:
        """Commit what was submitted; each node gets it, as a group for each run of one node's."""
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

    ``soon``, if given, calls a function in the next turn, in which what was submitted is committed
    and what was asked for is read. Without it, that waits for :meth:`run`.
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
        #: Whether what is submitted is committed in the next turn.
        self.commits_at_once = soon is not None
        #: Why nothing can be committed or read, such as "database or disk is full".
        self.broken: str | None = None
        self.full = False
        self.lasts = True
        self.stopped = False
        #: What waits for space in the queue, and for a look at the log.
        self.waiting: list[Callable[[], None]] = []
        self.reads: list[Callable[[], None]] = []
        #: What is committed and was not applied here.
        self.groups: list[Group] = []
        self._next_turn = soon
        self._is_due = False
        self._has_ended = False
        self._apply: Callable[[Group], None] = _nobody
        self.log.journals.append(self)

    @property
    def store(self) -> Store:
        """Where the log is."""
        return self.log.store

    @property
    def queue(self) -> list[Change]:
        """What was submitted here and is not committed."""
        return [change for journal, change in self.log.queue if journal is self]

    # -- the interface ------------------------------------------------------------------------

    def open(
        self,
        apply: Callable[[Group], None],
        opened: Callable[[Sequence[RoomState] | Refusal], None],
    ) -> None:
        self._apply = apply
        self.store.begin_run()
        opened(self.store.rooms())

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
                self.store.keep(change.people, change.forgotten)
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
        without: Collection[bytes] = (),
        hidden: Collection[str] = (),
    ) -> None:
        def find(reader: Reader) -> Found:
            self.log.commit()  # what was submitted before is found
            while self.store.index(_MANY):
                pass
            return reader.find(words, room, limit, without, hidden)

        self._read(find, reply)

    def people(self) -> Sequence[KeptPerson]:
        return self.store.people()

    @property
    def told(self) -> str:
        return self.store.runs.told

    def common(self, positions: Mapping[str, int], told: str, reply: CommonReader) -> None:
        end = self.store.runs.common(told)
        self._read(lambda reader: reader.common(positions, end), reply)

    def remove_before(self, time: int, now: int | None = None) -> None:
        for state in self.store.rooms():
            last, _ = self.store.remove_before(state.name, time, _MANY)
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
        """Commit, apply and read until nothing is left to do."""
        while self.queue or self.groups or self.reads:
            self.turn()

    def turn(self) -> None:
        """Do what is to be done by now, and not what comes of that."""
        self.step()
        reads, self.reads = self.reads, []
        for read in reads:
            read()

    def step(self) -> None:
        """Commit what was submitted, and apply it."""
        if self.log.queue:
            self.log.commit()
        self.catch_up()

    def catch_up(self) -> None:
        """Apply what is committed."""
        groups, self.groups = self.groups, []
        for group in groups:
            self._apply(group)

    def end(self) -> None:
        """As ``kill -9``: what is not committed is lost, and nothing is called back any more."""
        self._has_ended = True
        self._leave()

    # -- inside -------------------------------------------------------------------------------

    def _leave(self) -> None:
        """The log has one node less."""
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
                reply(query(self.store.reader()))

        self._soon(job)

    def _soon(self, job: Callable[[], None]) -> None:
        if self._next_turn is None:
            self.reads.append(job)
        else:
            self._next_turn(lambda: None if self._has_ended else job())


def _late(changes: Sequence[Change]) -> list[Outcome]:
    """What becomes of ``changes`` that are submitted when the log is closed."""
    return [
        Failed(change, NotSaved(text=change.text, reason="the server is stopping"))
        if isinstance(change, Draft)
        else Ordered(change)
        for change in changes
        if not isinstance(change, Keep)
    ]


def _nobody(group: Group) -> None:
    raise AssertionError("the journal was not opened")

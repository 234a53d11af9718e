"""Stand-ins for the journal's thread and for a connection, driven step by step."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import cache
from itertools import count
from typing import TypeVar

from twisted.internet.task import Clock

from twisted_chat.core.chat import Chat
from twisted_chat.core.errors import HistoryUnavailable, NotSaved, Refusal
from twisted_chat.core.identities import Identities
from twisted_chat.core.journal import (
    CommonReader,
    Draft,
    Failed,
    HistoryReader,
    KeptPerson,
    Marker,
    Outcome,
    RoomState,
    SearchReader,
)
from twisted_chat.core.limits import Limits
from twisted_chat.core.messages import Entry, Event, Refused, Replayed, Request, Style
from twisted_chat.core.people import Person
from twisted_chat.core.profile import PERSON, PROGRAM, Profile
from twisted_chat.core.registry import Registry
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.session import Session
from twisted_chat.core.sources import Sources
from twisted_chat.dialects import text
from twisted_chat.journal.sqlite.reader import Reader
from twisted_chat.journal.sqlite.store import MEMORY, Store

T = TypeVar("T")

#: 2026-11-23 19:57:00 UTC, in microseconds.
NOON = 1_795_463_820_000_000

#: The limits by default, without flood control.
NO_RATE = Limits(rate=None)


class StepJournal:
    """A journal without threads: nothing is committed or read before :meth:`run`.

    ``broken``, when set, makes commits and reads fail with that reason.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store(MEMORY)
        self.queue: list[Draft | Marker] = []
        self.reads: list[Callable[[], None]] = []
        self.broken: str | None = None
        self.full = False
        self.lasts = True
        self.waiting: list[Callable[[], None]] = []
        self.stopped = False

    def start(self, deliver: Callable[[Sequence[Outcome]], None]) -> Sequence[RoomState]:
        self._deliver = deliver
        self.store.begin_run()
        return self.store.rooms()

    @property
    def told(self) -> str:
        return self.store.runs.told

    def common(self, positions: Mapping[str, int], told: str, reply: CommonReader) -> None:
        end = self.store.runs.common(told)
        self._read(lambda reader: reader.common(positions, end), reply)

    def people(self) -> Sequence[KeptPerson]:
        return self.store.people()

    def keep(self, people: Sequence[KeptPerson], forgotten: Sequence[bytes]) -> None:
        self.store.keep(people, forgotten)

    def append(self, draft: Draft) -> None:
        self.queue.append(draft)

    def extend(self, drafts: Sequence[Draft]) -> None:
        self.queue.extend(drafts)

    def mark(self, callback: Callable[[], None]) -> None:
        self.queue.append(Marker(callback))

    def find(self, room: str, reply: Callable[[RoomState | None], None]) -> None:
        state = self.store.room(room)
        self.mark(lambda: reply(state))

    def when_space(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

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
        while self.store.index(1_000_000):
            pass
        self._read(lambda reader: reader.find(words, room, limit, without, hidden), reply)

    def remove_before(
        self, time: int, removed: Callable[[str, int], None], now: int | None = None
    ) -> None:
        for state in self.store.rooms():
            last, _ = self.store.remove_before(state.name, time, 1_000_000)
            if last:
                removed(state.name, last)

    def stop(self, stopped: Callable[[], None]) -> None:
        self.run()
        self.stopped = True
        stopped()

    def run(self) -> None:
        """Commit and read until nothing is left to do."""
        while self.queue or self.reads:
            self.turn()

    def turn(self) -> None:
        """Do what is to be done by now, and not what comes of that."""
        if self.queue:
            self.step()
        reads, self.reads = self.reads, []
        for read in reads:
            read()

    def step(self) -> None:
        """Commit what is queued, as one group."""
        group, self.queue = self.queue, []
        drafts = [item for item in group if isinstance(item, Draft)]
        outcomes: list[Outcome] = []
        if self.broken is None:
            results = iter(self.store.commit(drafts))
            outcomes = [next(results) if isinstance(item, Draft) else item for item in group]
        else:
            outcomes = [
                Failed(item, NotSaved(text=item.text, reason=self.broken))
                if isinstance(item, Draft)
                else item
                for item in group
            ]
        self._deliver(outcomes)

    def _read(self, query: Callable[[Reader], T], reply: Callable[[T | Refusal], None]) -> None:
        def job() -> None:
            if self.broken is not None:
                reply(HistoryUnavailable(reason=sqlite3.OperationalError(self.broken)))
            else:
                reply(query(self.store.reader()))

        self.reads.append(job)


class _TextRendering:
    """The text dialect, in one style."""

    def __init__(self, style: Style) -> None:
        self._style = style

    def render(self, events: Sequence[Event]) -> Rendered:
        return text.render(events, self._style)


_rendering = cache(_TextRendering)


class FakeConnection:
    """Keeps what a session shows, as events and as the lines of the text dialect.

    The last ``unread`` entries have not arrived.
    """

    searcher = None

    def __init__(self) -> None:
        self.ready = True
        self.closed = False
        self.unread = 0
        self.adopted: Session | None = None
        self.arrives = True
        self.holds = 0
        self.wrong_codes = 0
        self.events: list[Event] = []
        self._bytes = b""
        self.source = Sources(lambda: NO_RATE, Clock()).open("192.0.2.1").source

    @property
    def outlet(self) -> FakeConnection:
        return self

    def rendering(self, style: Style) -> _TextRendering:
        return _rendering(style)

    def deliver(self, rendered: Rendered) -> None:
        if not self.closed:
            self.events.extend(rendered.events)
            self._bytes += rendered.data

    def show(self, events: Sequence[Event], style: Style) -> None:
        if not self.closed:
            self.events.extend(events)
            self._bytes += text.render(events, style).data

    def hold(self) -> Callable[[], None]:
        self.holds += 1

        def release() -> None:
            self.holds -= 1

        return release

    def missing(self) -> dict[str, int]:
        entries = [e.entry if isinstance(e, Replayed) else e for e in self.events]
        unread = [e for e in entries if isinstance(e, Entry)][-self.unread :] if self.unread else []
        return {entry.room: entry.number for entry in reversed(unread)}

    def arrival(self) -> Callable[[], bool]:
        return lambda: self.arrives

    def wrong_code(self) -> None:
        self.wrong_codes += 1

    def adopt(self, session: Session) -> None:
        self.adopted = session

    def drop_lines(self) -> int:
        return 0

    def take_lines(self) -> Sequence[bytes]:
        return ()

    def put_lines(self, lines: Sequence[bytes]) -> None: ...

    def close(self) -> None:
        self.closed = True

    def lines(self) -> list[str]:
        """The lines since the last call."""
        data, self._bytes = self._bytes, b""
        return data.decode().splitlines()

    def refusals(self) -> list[str]:
        """The codes of all refusals so far."""
        return [event.refusal.code for event in self.events if isinstance(event, Refused)]


class Visitor:
    """A connection, and the session that it serves."""

    def __init__(
        self, world: World, *, program: bool = False, profile: Profile | None = None
    ) -> None:
        self._world = world
        self.connection = FakeConnection()
        self._session = Session(world.chat, self.connection, "(test)", world.language)
        self._session.profile = profile or (PROGRAM if program else PERSON)

    @property
    def session(self) -> Session:
        return self.connection.adopted or self._session

    def breaks_off(self) -> Callable[[], None] | None:
        """The connection is lost; returns what is to be called after the grace period, if any."""
        over = self.session.connection_lost(self.connection)
        self._world.journal.run()
        return over

    def ask(self, *requests: Request) -> None:
        """Send requests, one after the other, and let all of them be answered."""
        for request in requests:
            self.session.handle(request)
            self._world.journal.run()

    def types(self, *lines: str) -> list[str]:
        """Type lines; returns what is shown meanwhile."""
        self.connection.lines()
        self.ask(*(text.parse(line.encode()) for line in lines))
        return self.connection.lines()

    def sees(self) -> list[str]:
        """The lines that were shown since the last look."""
        return self.connection.lines()


class World:
    """A chat over a :class:`StepJournal`, whose clock moves a second at each look."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        language: str = "en",
        history_lines: int = 20,
        keep_days: float = 0,
        motd: Iterable[str] = (),
        limits: Limits = NO_RATE,
        said: Callable[[Person, Entry], None] | None = None,
    ) -> None:
        self.journal = StepJournal(store)
        self.clock = Clock()
        self.registry: Registry[Person] = Registry()
        self.language = language
        seconds = count()
        self.chat = Chat(
            self.journal,
            self.registry,
            Identities(300, self.clock.seconds),
            lambda: NOON + next(seconds) * 1_000_000,
            self._later,
            history_lines=history_lines,
            keep_days=keep_days,
            motd=tuple(motd),
            limits=limits,
            said=said,
        )
        self.chat.start()

    def _later(self, seconds: float, callback: Callable[[], None]) -> object:
        """What is to be done in the next turn is done when the journal runs."""
        if seconds:
            return self.clock.callLater(seconds, callback)
        self.journal.reads.append(callback)
        return None

    def enter(self, *names: str) -> list[Visitor]:
        """People who chose these names; what they saw on entering is forgotten."""
        visitors = []
        for name in names:
            visitor = Visitor(self)
            visitor.types(name)
            visitors.append(visitor)
        for visitor in visitors:
            visitor.sees()
        return visitors

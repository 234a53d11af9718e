"""Stand-ins for the journal's thread and for a connection, driven step by step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import count

from twisted.internet.task import Clock

from twisted_chat.core.callbacks import nothing
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry, Event, Refused, Replayed, Style, Welcomed
from twisted_chat.core.limits import Limits
from twisted_chat.core.people import Person
from twisted_chat.core.profile import PERSON, PROGRAM, Profile
from twisted_chat.core.proofs import Proof
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.requests import Request
from twisted_chat.core.session import Session
from twisted_chat.core.sources import Sources
from twisted_chat.dialects import text
from twisted_chat.journal.memory import MemoryJournal, MemoryLog
from twisted_chat.journal.sqlite.store import Store
from twisted_chat.server.build import build_chat
from twisted_chat.server.passwords import CHEAP, Argon2Passwords

#: 2026-11-23 19:57:00 UTC, in microseconds.
NOON = 1_795_463_820_000_000

#: The limits by default, without flood control.
NO_RATE = Limits(rate=None)


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
        self.is_there = True
        self.closed = False
        self.unread = 0
        self.adopted: Session | None = None
        self.arrives = True
        #: Whether what is typed is hidden; whether the client would do so.
        self.hides = False
        self.can_hide = True
        self.holds = 0
        #: Called when nothing holds the requests any more.
        self.released: Callable[[], None] = nothing
        self.wrong_codes = 0
        self.wrong_secrets: list[str] = []
        self.secure = True
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
            if not self.holds:
                self.released()

        return release

    def missing(self) -> dict[str, int]:
        entries = [e.entry if isinstance(e, Replayed) else e for e in self.events]
        unread = [e for e in entries if isinstance(e, Entry)][-self.unread :] if self.unread else []
        return {entry.room: entry.number for entry in reversed(unread)}

    def arrival(self) -> Callable[[], bool]:
        return lambda: self.arrives

    def hide_typing(self, hide: bool, told: Callable[[bool], None] = nothing) -> None:
        self.hides = hide and self.can_hide
        told(self.hides)

    def wrong_code(self) -> None:
        self.wrong_codes += 1

    def wrong_secret(self, name: str) -> None:
        self.wrong_secrets.append(name)

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

        self._requests: deque[Request] = deque()
        self.connection.released = self._go_on

    @property
    def session(self) -> Session:
        return self.connection.adopted or self._session

    def send(self, request: Request) -> None:
        """Send a request, which waits where the connection holds it."""
        self._requests.append(request)
        self._go_on()

    def _go_on(self) -> None:
        while self._requests and not self.connection.holds:
            self.session.handle(self._requests.popleft())

    def lose(self) -> Callable[[], None] | None:
        """The connection is lost; returns what is to be called after the grace period, if any."""
        self._requests.clear()
        self.connection.is_there = False
        return self.session.connection_lost(self.connection)

    def breaks_off(self) -> Callable[[], None] | None:
        """The connection is lost, which all are told; returns the same as :meth:`lose`."""
        over = self.lose()
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
        for line in lines:
            parse = text.parse_secret if self.session.asks_secret else text.parse
            self.ask(parse(line.encode()))
        return self.connection.lines()

    def enter_as(self, proof: Proof) -> None:
        """Enter as an account whose secret was checked."""
        self.session._enter_as(proof, {}, None, None)
        self._world.journal.run()

    def sees(self) -> list[str]:
        """The lines that were shown since the last look."""
        return self.connection.lines()


def code_of(visitor: Visitor) -> str:
    """The code to come back with that ``visitor`` was shown last."""
    return [event.code for event in visitor.connection.events if isinstance(event, Welcomed)][-1]


def _opened(refusal: Refusal | None) -> None:
    assert refusal is None


def _at_once(function: Callable[..., object], *arguments: object) -> None:
    function(*arguments)


class World:
    """A chat over a :class:`MemoryJournal`, whose clock moves a second at each look."""

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
        log: MemoryLog | None = None,
        node: str = "",
    ) -> None:
        self.journal = MemoryJournal(log or MemoryLog(store), node=node)
        self.clock = Clock()
        self.language = language
        looks = count()
        self.chat = build_chat(
            self.journal,
            later=self._later,
            seconds=self.clock.seconds,
            microseconds=lambda: NOON + next(looks) * 1_000_000,
            history_lines=history_lines,
            keep_days=keep_days,
            motd=tuple(motd),
            limits=limits,
            said=said,
            passwords=Argon2Passwords(_at_once, CHEAP, threads=0),
        )
        self.registry = self.chat.registry
        self.chat.open(_opened)

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

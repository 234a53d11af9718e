"""What the connections of one server share: its limits, its timers, its log, and each other."""

from __future__ import annotations

import enum
import functools
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from twisted_chat.core.changes import announcement
from twisted_chat.core.chat import Chat
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry, Style
from twisted_chat.core.limits import Limits
from twisted_chat.core.people import Elsewhere, Person
from twisted_chat.core.session import Connection, Session
from twisted_chat.core.sources import Sources
from twisted_chat.dialects import wording
from twisted_chat.dialects.base import Dialect
from twisted_chat.dialects.jsonl import JSONL
from twisted_chat.dialects.text import TEXT
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.net.addresses import Address
from twisted_chat.net.rejections import Rejections
from twisted_chat.net.scheduler import Scheduler
from twisted_chat.net.timeouts import Deadlines
from twisted_chat.net.watch import Watch, Watched

#: Seconds from one look whether all lines are handled, when the server stops, to the next.
HASTE_INTERVAL = 0.02


class Pace(enum.Enum):
    """How fast lines are handled."""

    BY_RATE = enum.auto()
    HASTE = enum.auto()
    STOPPED = enum.auto()


class ConnectedClient(msgspec.Struct, frozen=True):
    """One connected client at the moment of a snapshot; ``nickname`` is None until chosen."""

    nickname: str | None
    address: str


class OpenConnection(Connection, Watched, Hashable, Protocol):
    """A connection that has a session."""

    @property
    def is_through(self) -> bool:
        """Whether all that was received is handled."""

    def hasten(self) -> None:
        """The server stops: what waits is handled now, whatever the rate."""

    def limits_changed(self) -> None:
        """Those of the factory are to be respected from now on."""

    def login_deadline_missed(self) -> None:
        """Whoever it is had to choose a name by now."""

    def write_timeout_passed(self) -> None:
        """What is sent had to be taken by now."""


class SharedFactory(ServerFactory):
    """The open connections of one server, and what they share.

    :param reactor: provides IReactorTime and IReactorFromThreads.
    :param chat: where their sessions are; the limits are its own.
    :param dialects: those that are spoken, in the order in which they are asked whether they
        recognise a connection's first bytes. The last one is spoken by everybody else, and to
        whoever has said nothing.
    :param greeting_delay: seconds after which whoever has said nothing is greeted.
    :param reconnect_grace: seconds for which a program that is gone is not missed.
    """

    noisy = False
    log = Logger()

    def __init__(
        self,
        reactor: Any,
        chat: Chat,
        dialects: Sequence[Dialect] = (JSONL, TEXT),
        *,
        greeting_delay: float = 0.25,
        language: str = "en",
        reconnect_grace: float = 10,
    ) -> None:
        self.reactor = reactor
        self.chat = chat
        self.dialects = dialects
        self.greeting_delay = greeting_delay
        self.reconnect_grace = reconnect_grace
        self.language = language
        self.scheduler = Scheduler(functools.partial(reactor.callLater, 0))
        #: How often somebody was refused something, or shut out, by the reason.
        self.refused = chat.refused
        #: Those who do not take all that they are sent.
        self.slow_readers: Deadlines[OpenConnection] = Deadlines(
            reactor, lambda: self.limits.write_timeout, lambda each: each.write_timeout_passed()
        )
        self._newcomers: Deadlines[OpenConnection] = Deadlines(
            reactor, lambda: self.limits.login_deadline, lambda each: each.login_deadline_missed()
        )
        self.sources = Sources(lambda: self.limits, reactor)
        self.pace = Pace.BY_RATE
        self.watch = Watch(reactor)
        self.rejections = Rejections(reactor, self.say, lambda why: why.sentence(self.language))
        self._connections: set[OpenConnection] = set()
        self._counting = False
        self._emptied: Deferred[None] | None = None

    @property
    def active(self) -> int:
        """How many connections are open, but for those that are being rejected."""
        return len(self._connections)

    @property
    def limits(self) -> Limits:
        """The limits of this server; new ones hold for everybody at once."""
        return self.chat.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        old = self.chat.limits
        self.chat.limits = limits
        self._newcomers.renew()
        self.slow_readers.renew()
        if limits.rate != old.rate:
            self.sources.limits_changed()
        if limits.text != old.text:
            for connection in self._connections:
                connection.limits_changed()

    def announce(self, announcement_text: str, room: str | None = None) -> None:
        """Say something as the server, to everybody or to one room. Safe from any thread.

        :raises Refusal: the text holds a control character, or the room's name is not one.
        """
        announced = announcement(announcement_text, room)
        self.reactor.callFromThread(self.chat.announce, announced)

    def snapshot(self) -> tuple[ConnectedClient, ...]:
        """Who is connected at this moment. Safe from any thread."""
        return tuple(
            ConnectedClient(name.text if name else None, client.address)
            for client, name in self.chat.registry.snapshot()
            if not isinstance(client, Elsewhere)
        )

    def handle_all(self, seconds: float) -> Deferred[None]:
        """Handle what was received, whatever the rate; fires when that is done, or time is over.

        What is left then, and what comes later, is not handled any more.
        """
        self.pace = Pace.HASTE
        done: Deferred[None] = Deferred()
        latest = self.reactor.seconds() + seconds

        def look() -> None:
            for connection in tuple(self._connections):
                connection.hasten()
            through = all(connection.is_through for connection in self._connections)
            if through or self.reactor.seconds() >= latest:
                self.pace = Pace.STOPPED
                done.callback(None)
            else:
                self.reactor.callLater(HASTE_INTERVAL, look)

        look()
        return done

    def emptied(self) -> Deferred[None]:
        """Fires when nobody is connected any more."""
        if not self._connections:
            return succeed(None)
        self._emptied = Deferred()
        return self._emptied

    # -- connections come and go --------------------------------------------------------------

    def rejected(self, refusal: Refusal, address: Address) -> None:
        """A connection from ``address`` was rejected."""
        self.refused[refusal.code] += 1
        self.chat.audit("turned-away", address, reason=refusal.code)
        self.rejections.count(refusal, address)

    def connected(self, connection: OpenConnection, address: str) -> Session:
        """A session for a new connection."""
        session = Session(self.chat, connection, address, self.language)
        self._connections.add(connection)
        self._newcomers.start(connection)
        sentence = N_("[NEW CONNECTION] {peer} connected.")
        self.say(sentence, event="connected", peer=session.address)
        self.chat.audit("connected", address)
        self._count_soon()
        return session

    def disconnected(self, connection: OpenConnection, address: str) -> None:
        """A connection is gone."""
        self._connections.remove(connection)
        self.watch.close(connection)
        self._newcomers.stop(connection)
        self.slow_readers.stop(connection)
        sentence = N_("[CONNECTION CLOSED] {peer} disconnected.")
        self.say(sentence, event="disconnected", peer=address)
        self.chat.audit("disconnected", address)
        self._count_soon()
        if self._connections:
            return
        self._newcomers.renew()
        self.slow_readers.renew()
        if self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    # -- the operator's log -------------------------------------------------------------------

    def _count_soon(self) -> None:
        """Log how many are connected: once, where many come or go at the same time."""
        if not self._counting:
            self._counting = True
            self.reactor.callLater(0, self._count)

    def _count(self) -> None:
        self._counting = False
        sentence = N_("[ACTIVE CONNECTIONS] {active}")
        self.say(sentence, event="active-connections", active=self.active)

    def say(self, sentence: str, *, event: str, **details: object) -> None:
        """Write one line into the server's log, in the server's language.

        ``event`` is what programs that read the log know it by.
        """
        self.log.info(catalogue(self.language).gettext(sentence), event=event, **details)

    def said(self, person: Person, entry: Entry) -> None:
        """Write what somebody said into the server's log: only where the operator asked for it."""
        style = Style(self.language, prefixed=entry.room != self.chat.default_room)
        (line,) = wording.lines([entry], style)
        sentence = N_("Message received from {peer}: {line}")
        self.say(sentence, event="message", peer=person.address, line=line)

"""The factory that the connections of one server share: its limits, timers, counters and log.

This module must not know how a connection reads or sends.
"""

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
from twisted_chat.core.characters import visible
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

#: Seconds between checks whether all lines are handled, when the server stops.
HASTE_INTERVAL = 0.02


#: The lines of the server's log about one connection, by the name of the event.
_REPORTS = {
    "wrong-code": N_("[WRONG CODE] {peer} gave a /resume code that nobody has."),
    "wrong-secret": N_("[WRONG SECRET] {peer} gave a wrong password, token or code for {name}."),
    "write-timeout": N_("[CUT OFF] {peer} read nothing for {seconds} seconds."),
    "vanished": N_("[CUT OFF] {peer} gave no sign of life for {seconds} seconds."),
    "hard-limit": N_(
        "[CUT OFF] {peer} did not read, and more than {limit} bytes were waiting for it."
    ),
}


class Pace(enum.Enum):
    """How fast lines are handled: by the rate limit, at full speed, or not at all."""

    BY_RATE = enum.auto()
    HASTE = enum.auto()
    STOPPED = enum.auto()


class ConnectedClient(msgspec.Struct, frozen=True):
    """One connected client in a snapshot; ``nickname`` is None until it is chosen."""

    nickname: str | None
    address: str


class OpenConnection(Connection, Watched, Hashable, Protocol):
    """A connection that has a session."""

    @property
    def is_through(self) -> bool:
        """Whether everything received is handled, or dropped because the connection closes."""

    def hasten(self) -> None:
        """Handle the waiting lines now, whatever the rate: the server stops."""

    def limits_changed(self) -> None:
        """Apply the factory's limits, which have changed."""

    def login_deadline_missed(self) -> None:
        """Disconnect a client that has not chosen a nickname in time."""

    def write_timeout_passed(self) -> None:
        """Cut off a client that has taken nothing within the write timeout."""


class SharedFactory(ServerFactory):
    """The open connections of one server, and what they share.

    :param reactor: provides IReactorTime and IReactorFromThreads.
    :param chat: the chat of their sessions; it has the limits.
    :param dialects: the dialects of the server, in the order in which they are asked whether they
        recognise a connection's first bytes. The last one is for all other clients, and for
        clients that have sent nothing.
    :param greeting_delay: seconds after which a client that has sent nothing is greeted.
    :param language: the language of the log, and of sessions that have chosen none.
    :param reconnect_grace: seconds that a program has to reconnect before others are told that it
        left.
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
        #: The number of refusals, rejections and disconnections, by reason.
        self.refused = chat.refused
        #: Connections whose client does not take all that it is sent.
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
        """The number of open connections, without those that are being rejected."""
        return len(self._connections)

    @property
    def limits(self) -> Limits:
        """The limits of this server; new limits apply to all connections at once."""
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
        """Send an announcement of the server. Safe from any thread.

        :param announcement_text: the text.
        :param room: the name of the room that gets it; None for everybody.
        :raises Refusal: the text contains a control character, or the room's name is invalid.
        """
        announced = announcement(announcement_text, room)
        self.reactor.callFromThread(self.chat.announce, announced)

    def snapshot(self) -> tuple[ConnectedClient, ...]:
        """The clients that are connected to this server now. Safe from any thread."""
        return tuple(
            ConnectedClient(name.text if name else None, client.address)
            for client, name in self.chat.registry.snapshot()
            if not isinstance(client, Elsewhere)
        )

    def handle_all(self, seconds: float) -> Deferred[None]:
        """Handle all received lines, whatever the rate, for up to ``seconds``.

        :returns: fires when every line is handled, or when the time is over. Lines that are left
            then, or come later, are not handled.
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
        """A Deferred that fires when no connection is open."""
        if not self._connections:
            return succeed(None)
        self._emptied = Deferred()
        return self._emptied

    # -- connections come and go --------------------------------------------------------------

    def rejected(self, refusal: Refusal, address: Address) -> None:
        """Count and log that a connection from ``address`` was rejected, because of ``refusal``."""
        self.refused[refusal.code] += 1
        self.chat.audit("turned-away", address, reason=refusal.code)
        self.rejections.count(refusal, address)

    def connected(self, connection: OpenConnection, address: str) -> Session:
        """Register a new connection from ``address``; returns its session."""
        session = Session(self.chat, connection, address, self.language)
        self._connections.add(connection)
        self._newcomers.start(connection)
        sentence = N_("[NEW CONNECTION] {peer} connected.")
        self.say(sentence, event="connected", peer=session.address)
        self.chat.audit("connected", address)
        self._count_soon()
        return session

    def disconnected(self, connection: OpenConnection, address: str) -> None:
        """Forget a connection, which is gone, and log that."""
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
        """Log the number of connections in the next turn: once, even if several come or go now."""
        if not self._counting:
            self._counting = True
            self.reactor.callLater(0, self._count)

    def _count(self) -> None:
        self._counting = False
        sentence = N_("[ACTIVE CONNECTIONS] {active}")
        self.say(sentence, event="active-connections", active=self.active)

    def say(self, sentence: str, *, event: str, **details: object) -> None:
        """Write one line into the server's log, in the server's language.

        :param sentence: the English sentence, marked for translation.
        :param event: the name of the event for programs that read the log.
        :param details: the values of the sentence's fields.
        """
        self.log.info(catalogue(self.language).gettext(sentence), event=event, **details)

    def report(self, event: str, peer: Address, **details: object) -> None:
        """Write a line about the connection of ``peer`` into the server's log."""
        self.say(_REPORTS[event], event=event, peer=peer, **details)

    def said(self, person: Person, entry: Entry) -> None:
        """Write ``entry``, a message of ``person``, into the server's log.

        The server calls it only if the operator has set ``log-messages``.
        """
        style = Style(self.language, prefixed=entry.room != self.chat.default_room)
        one_line = msgspec.structs.replace(entry, text=visible(entry.text))
        (line,) = wording.lines([one_line], style)
        sentence = N_("Message received from {peer}: {line}")
        self.say(sentence, event="message", peer=person.address, line=line)

"""A chat server in memory, for the tests of programs that use :mod:`twisted_chat.client`.

It has no sockets, threads or files, and time passes only when the test advances the clock. The rest
is the real server, from the bytes of its connections to the SQL of its log::

    server = ChatServer()
    bot = ChatClient(server.clock, server.endpoint(), "Echo")
    ...
    bot.startService()
    server.say("lobby", "Ana", "oi")
    assert [entry.text for entry in server.log("lobby")] == ["oi", "oi"]

A test can also make :class:`ChatServer` lose connections, kill it, start it again, and delay its
commits. Give programs under test a :class:`~twisted_chat.client.MemoryState`:
:class:`~twisted_chat.client.FileState` has a thread. ``docs/bots.rst`` has more. This module
must not know any test framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IOpenSSLContextFactory,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat.client import ChatClient, Event, Receipt, Refused
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.changes import announcement
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry
from twisted_chat.core.flood import Rate
from twisted_chat.core.limits import Limits
from twisted_chat.core.names import room_among
from twisted_chat.core.proofs import Policy
from twisted_chat.journal.memory import MemoryJournal, MemoryLog
from twisted_chat.journal.sqlite.store import MEMORY, Store
from twisted_chat.net.connection import ChatProtocol
from twisted_chat.server.build import Housekeeping, build_chat, build_factory
from twisted_chat.server.passwords import CHEAP, Argon2Passwords

__all__ = ["ChatServer", "SteppedClock"]

#: The time at which :attr:`ChatServer.clock` shows 0: 2026-01-01 00:00:00 UTC, in microseconds.
BEGINNING = 1_767_225_600_000_000

#: Bytes that can be in transit before the sender is paused.
BUFFER = 2**16

#: A number of entries that no test reaches.
MANY = 2**31


class SteppedClock(Clock):
    """A clock for tests that makes each delayed call at the time for which it was scheduled.

    Twisted's own clock moves first, and then makes all calls that were due meanwhile: a periodic
    check would then find a long silence.
    """

    def advance(self, amount: float) -> None:
        """Let ``amount`` seconds pass; with 0, make the calls that are due now."""
        end = self.rightNow + amount
        while self.calls:
            due = min(call.getTime() for call in self.calls)
            if due > end:
                break
            self.rightNow = max(self.rightNow, due)
            super().advance(0)
        self.rightNow = max(self.rightNow, end)


class ChatServer:
    """A chat server in memory, and the people whom a test adds to it.

    All delayed calls are on :attr:`clock`. A method returns after everything has happened that
    needs no time to pass. After other calls, such as a request of a client, call :meth:`settle`. A
    client that lost its connection tries again after up to two seconds, then after longer delays,
    up to half a minute.
    """

    def __init__(
        self,
        clock: SteppedClock | None = None,
        *,
        room: str = "lobby",
        motd: Sequence[str] = (),
        keep_days: float = 0,
        rate: Rate | None = None,
        reconnect_grace: float = 10,
        language: str = "en",
        tls: IOpenSSLContextFactory | None = None,
    ) -> None:
        """Start the server. The arguments without a description are as for ``twistd chat``.

        :param clock: the clock, which several servers may share; by default, a new one.
        :param motd: the lines of the message of the day.
        :param keep_days: days that entries are kept; 0 is for ever.
        :param rate: the rate of flood control; None for no flood control.
        :param reconnect_grace: seconds that a program has to reconnect before others are told that
            it left.
        :param tls: the server's TLS options, such as Twisted's ``CertificateOptions``; None for a
            server without TLS.
        """
        self.clock = SteppedClock() if clock is None else clock
        #: Whether new connections are accepted while the server runs.
        self.accepts_connections = True
        self._commits_at_once = True
        self._disk_error: str | None = None
        self._room = room
        self._motd = tuple(motd)
        self._keep_days = keep_days
        self._rate = rate
        self._reconnect_grace = reconnect_grace
        self._language = language
        self._tls = tls
        self._guests: dict[str, ChatClient] = {}
        self._wires: list[_Wire] = []
        self._ports = count(1024)
        self._store = Store(MEMORY)
        self._life: _Life | None = None
        self.start()

    @property
    def commits_at_once(self) -> bool:
        """Whether changes are committed at once; if not, they wait for :meth:`commit`."""
        return self._commits_at_once

    @commits_at_once.setter
    def commits_at_once(self, value: bool) -> None:
        self._commits_at_once = value
        if self._life is not None:
            self._life.journal.commits_at_once = value

    @property
    def disk_error(self) -> str | None:
        """The reason why saving and reading fail, such as "database or disk is full", or None."""
        return self._disk_error

    @disk_error.setter
    def disk_error(self, reason: str | None) -> None:
        self._disk_error = reason
        if self._life is not None:
            self._life.journal.broken = reason

    # -- connecting ---------------------------------------------------------------------------

    def endpoint(self) -> IStreamClientEndpoint:
        """The endpoint of this server, for a :class:`~twisted_chat.client.ChatClient`."""
        return _Endpoint(self._connect)

    def settle(self) -> None:
        """Let everything happen that needs no time to pass."""
        self.clock.advance(0)

    def cut(self, nickname: str | None = None) -> None:
        """Break the connection of ``nickname``, or all of them; bytes in transit are lost."""
        for wire in tuple(self._wires):
            if nickname is None or _nickname(wire) == nickname:
                wire.break_off(ConnectionLost(), ConnectionLost())
        self.settle()

    # -- other people -------------------------------------------------------------------------

    @property
    def people(self) -> tuple[str, ...]:
        """The nicknames of the people in the chat, in the order in which they joined.

        A person with an account is one person, however many connections they have. The people
        include programs that lost their connection, until ``reconnect_grace`` is over.
        """
        if self._life is None:
            return ()
        found = self._life.factory.snapshot()
        names = (one.nickname for one in found if one.nickname is not None)
        return tuple(dict.fromkeys(names))

    def enter(self, nickname: str, *rooms: str) -> ChatClient:
        """Let a person join the chat, unless they are in it already, and then ``rooms``.

        :returns: the person's client.
        :raises Refusal: the server refuses the nickname.
        """
        guest = self._guests.get(nickname)
        if guest is None:
            guest = self._guests[nickname] = self._let_in(nickname)
        for room in rooms:
            if room_among(room, guest.rooms) not in guest.rooms:
                guest.join(room)
        self.settle()
        return guest

    def leave(self, nickname: str) -> None:
        """Let a person leave the chat who joined it with :meth:`enter` or :meth:`say`.

        :raises KeyError: no person joined with this nickname.
        """
        self._guests.pop(nickname).stopService()
        self.settle()

    def say(self, room: str, nickname: str, text: str) -> Deferred[Receipt]:
        """Let a person send a message to ``room``, and join it before if necessary.

        :returns: fires when the message is saved: at once, unless commits are delayed.
        """
        saying = self.enter(nickname, room).say(text, room)
        self.settle()
        return saying

    def announce(self, text: str, room: str | None = None) -> None:
        """Make an announcement of the operator, to everybody or to one room.

        :raises Refusal: the text contains a control character, or the room's name is invalid.
        """
        self._running().chat.announce(announcement(text, room))
        self.settle()

    # -- the log ------------------------------------------------------------------------------

    def log(self, room: str) -> list[Entry]:
        """All saved entries of ``room``, in their order."""
        name = room_among(room, [state.name for state in self._store.rooms()])
        return self._store.reader().after(name, 0, MANY, MANY)

    def commit(self) -> None:
        """Commit all waiting changes as one group. See :attr:`commits_at_once`."""
        self._running().journal.step()
        self.settle()

    # -- stopping and starting ----------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether the server runs; if not, connections are refused."""
        return self._life is not None

    def stop(self) -> None:
        """Stop the server in good order: it saves all messages, announces the stop and closes."""
        life = self._running()
        self._life = None
        life.housekeeping.stop()
        life.chat.stop(nothing)
        self.settle()
        self._drop_all()

    def kill(self) -> None:
        """End the server as with ``kill -9``: changes that were not committed are lost."""
        life = self._running()
        self._life = None
        life.housekeeping.stop()
        life.journal.end()
        self._drop_all()

    def back_up(self) -> Backup:
        """A copy of the log as it is now, for :meth:`start`."""
        return Backup(self._store.copy())

    def start(self, *, new_log: bool = False, backup: Backup | None = None) -> None:
        """Start the server again: with its log, an empty one, or a ``backup``.

        A backup can be restored any number of times.

        :raises RuntimeError: the server runs.
        """
        if self._life is not None:
            raise RuntimeError("the server runs already")
        if new_log or backup is not None:
            self._store.close()
            self._store = Store(MEMORY) if backup is None else backup._store.copy()
        self._life = _Life(self)
        self.settle()

    # -- inside -------------------------------------------------------------------------------

    def _running(self) -> _Life:
        if self._life is None:
            raise RuntimeError("the server does not run")
        return self._life

    def _microseconds(self) -> int:
        return BEGINNING + int(self.clock.seconds() * 1_000_000)

    def _let_in(self, nickname: str) -> ChatClient:
        refused: list[Refusal] = []

        def listen(event: Event) -> None:
            if isinstance(event, Refused):
                refused.append(event.refusal)

        guest = ChatClient(self.clock, self.endpoint(), nickname, insist=False)
        guest.listen(listen)
        guest.startService()
        self.settle()
        if refused:
            guest.stopService()
            raise refused[0]
        return guest

    def _connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[IProtocol] = Deferred(lambda _: call.cancel())
        call: IDelayedCall = self.clock.callLater(0, self._connected, factory, connecting)
        return connecting

    def _connected(self, factory: IProtocolFactory, connecting: Deferred[IProtocol]) -> None:
        if self._life is None or not self.accepts_connections:
            connecting.errback(ConnectionRefusedError())
            return
        here = IPv4Address("TCP", "192.0.2.1", 50000)  # an address for examples (RFC 5737)
        there = IPv4Address("TCP", "192.0.2.2", next(self._ports))
        ours: IProtocolFactory = self._life.factory
        if self._tls is not None:
            from twisted.protocols.tls import TLSMemoryBIOFactory  # needs optional packages

            ours = TLSMemoryBIOFactory(self._tls, False, ours, self.clock)
        client, server = factory.buildProtocol(here), ours.buildProtocol(there)
        assert client is not None
        assert server is not None
        end = _Wire(self.clock, server, here, there)
        other = _Wire(self.clock, client, there, here)
        end.other, other.other = other, end
        self._wires = [wire for wire in self._wires if wire.connected] + [end]
        server.makeConnection(end)
        client.makeConnection(other)
        connecting.callback(client)

    def _drop_all(self) -> None:
        """Break all connections; only the client's protocol of each is called."""
        for wire in self._wires:
            wire.break_off(None, ConnectionLost())
        self._wires.clear()
        self.settle()


def _nickname(wire: _Wire) -> str:
    protocol = getattr(wire.protocol, "wrappedProtocol", wire.protocol)  # wrapped in TLS, or plain
    assert isinstance(protocol, ChatProtocol)
    return protocol.session.name


def _opened(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise refusal


class Backup:
    """A copy of a server's log. Made by :meth:`ChatServer.back_up`."""

    def __init__(self, store: Store) -> None:
        self._store = store


class _Life:
    """One run of a server, from its start to its end; the log outlives it."""

    def __init__(self, server: ChatServer) -> None:
        clock = server.clock
        soon = partial(clock.callLater, 0)
        self.journal = MemoryJournal(MemoryLog(server._store), soon)
        self.journal.commits_at_once = server.commits_at_once
        self.journal.broken = server.disk_error
        self.chat = build_chat(
            self.journal,
            later=clock.callLater,
            seconds=clock.seconds,
            microseconds=server._microseconds,
            room=server._room,
            keep_days=server._keep_days,
            motd=server._motd,
            # All clients have one address.
            limits=Limits(rate=server._rate, connections_per_address=0, rooms_per_hour=0),
            policy=Policy(insecure_secrets=True),
            passwords=Argon2Passwords(soon, CHEAP, threads=0),
        )
        self.factory = build_factory(
            clock,
            self.chat,
            language=server._language,
            reconnect_grace=server._reconnect_grace,
        )
        self.chat.open(_opened)
        self.housekeeping = Housekeeping(self.chat, clock)
        self.housekeeping.start()


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """An endpoint that calls ``connect`` instead of opening a socket."""

    def __init__(self, connect: Callable[[IProtocolFactory], Deferred[IProtocol]]) -> None:
        self._connect = connect

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._connect(protocolFactory)


@implementer(ITransport, IConsumer, IPushProducer)
class _Wire:
    """One end of a connection in memory: bytes written here arrive at :attr:`other`.

    They arrive in the next turn of the clock, unless the other end is paused.
    """

    other: _Wire
    disconnecting = False

    def __init__(
        self, clock: Clock, protocol: IProtocol, host: IPv4Address, peer: IPv4Address
    ) -> None:
        self.protocol = protocol
        self.connected = True
        self._clock = clock
        self._host = host
        self._peer = peer
        self._data = b""  # in transit
        self._is_due = False
        self._reads = True
        self._producer: IPushProducer | None = None
        self._producer_waits = False

    def write(self, data: bytes) -> None:
        if not self.connected:
            return
        self._data += data
        if len(self._data) > BUFFER and self._producer is not None and not self._producer_waits:
            self._producer_waits = True
            self._producer.pauseProducing()
        self._soon()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        self.disconnecting = True
        self._soon()

    def abortConnection(self) -> None:
        self.break_off(ConnectionAborted(), ConnectionLost())

    def getHost(self) -> IPv4Address:
        return self._host

    def getPeer(self) -> IPv4Address:
        return self._peer

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        assert streaming, "nothing here pulls"
        assert IPushProducer.providedBy(producer)
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None
        self._producer_waits = False
        self._soon()

    def pauseProducing(self) -> None:
        self._reads = False

    def resumeProducing(self) -> None:
        self._reads = True
        self.other._soon()

    def stopProducing(self) -> None:
        self.loseConnection()

    def break_off(self, here: Exception | None, there: Exception | None) -> None:
        """Break the connection.

        :param here: the reason that this end's protocol gets; None to call nothing.
        :param there: the same for the other end.
        """
        if self.connected:
            for end, reason in ((self, here), (self.other, there)):
                end.connected = False
                if reason is not None:
                    self._clock.callLater(0, end._lost, reason)

    def _lost(self, reason: Exception) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(reason))

    def _soon(self) -> None:
        if self.connected and not self._is_due:
            self._is_due = True
            self._clock.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._is_due = False
        if not self.connected or not self.other._reads:
            return
        arrived, self._data = self._data, b""
        if arrived:
            self.other.protocol.dataReceived(arrived)
        if self._data:
            return  # written meanwhile: these bytes have their own turn
        if self._producer_waits and self._producer is not None:
            self._producer_waits = False
            self._producer.resumeProducing()
        elif self.disconnecting and self._producer is None:
            self.break_off(ConnectionDone(), ConnectionDone())

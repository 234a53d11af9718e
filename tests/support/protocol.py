"""Connections in memory: a factory with a chat behind it, and the other side's bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

from msgspec import structs
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.support.fakes import NO_RATE, World
from twisted_chat.core.flood import Rate
from twisted_chat.core.limits import Limits
from twisted_chat.net.connection import ChatProtocol
from twisted_chat.server.build import build_factory


class TestReactor(Clock):
    """A clock that runs what other threads ask for when told to."""

    __test__ = False

    def __init__(self) -> None:
        super().__init__()
        self._from_threads: deque[Callable[[], None]] = deque()

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._from_threads.append(lambda: function(*arguments))

    def turn(self, seconds: float) -> None:
        """One turn of a late reactor: what the calls that are due add waits for the next."""
        self.rightNow += seconds
        for call in [call for call in self.calls if call.getTime() <= self.rightNow]:
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)

    def run_calls(self) -> None:
        while self._from_threads:
            self._from_threads.popleft()()


class House:
    """A factory, its clock and the chat behind it."""

    def __init__(
        self,
        rate: Rate | None = None,
        language: str = "en",
        keep_days: float = 0,
        limits: Limits = NO_RATE,
    ) -> None:
        if rate is not None:
            limits = structs.replace(limits, rate=rate)
        self.world = World(language=language, keep_days=keep_days, limits=limits)
        self.clock = TestReactor()
        self.factory = build_factory(self.clock, self.world.chat, language=language)
        self._hosts = count(1)

    def connect(self, peer: Any = None) -> Client:
        """A connection from ``peer``, or else from an address of its own."""
        if peer is None:
            third, last = divmod(next(self._hosts), 256)
            peer = IPv4Address("TCP", f"192.168.{1 + third}.{last}", 54321)
        return Client(self, peer)

    def enter(self, name: str) -> Client:
        client = self.connect()
        client.send(name.encode() + b"\n")
        client.read()
        return client


class Client:
    """One connection, from the other side."""

    def __init__(self, house: House, peer: Any) -> None:
        self._house = house
        self.transport = StringTransport(peerAddress=peer)
        protocol = house.factory.buildProtocol(self.transport.getPeer())
        assert isinstance(protocol, ChatProtocol)
        self.protocol: ChatProtocol = protocol
        protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)
        self._house.world.journal.run()

    def read(self) -> bytes:
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def lines(self) -> list[str]:
        return self.read().decode().splitlines()

    def half_close(self) -> None:
        self.protocol.readConnectionLost()
        self._house.world.journal.run()

    def lose(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self._house.world.journal.run()


HELLO = b'{"type":"hello","nickname":"Bot","client":"%s"}\n' % (b"ab" * 16)

"""A person at the client, and one at netcat, who come to the same server of the kit."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol

from tests.support.screen import Screen
from twisted_chat.client import ChatClient, MemoryState
from twisted_chat.terminal.conversation import Conversation
from twisted_chat.testing import ChatServer


class Person:
    """Somebody at the client, without a terminal."""

    def __init__(
        self,
        server: ChatServer,
        nickname: str | None = "Ana",
        state: MemoryState | None = None,
        **options: Any,
    ) -> None:
        self.server = server
        self.client = ChatClient(
            server.clock,
            server.endpoint(),
            nickname,
            state=state or MemoryState(),
            catch_up=False,
            insist=False,
        )
        self.talk = Conversation(
            self.client, server.clock, **{"language": "en", "backlog": 5, **options}
        )
        self.screen = Screen()
        self.talk.view = self.screen
        self.statuses: list[int] = []
        self.talk.ended.addCallback(self.statuses.append)
        self.talk.start()
        server.settle()

    def types(self, *lines: str) -> list[str]:
        """What is shown when ``lines`` are typed."""
        self.screen.take()
        for line in lines:
            self.talk.typed(line)
        self.wait(0.5)
        return self.screen.take()

    def wait(self, seconds: float) -> None:
        self.server.clock.advance(seconds)
        self.server.settle()


class _Received(Protocol):
    """Keeps what comes."""

    def connectionMade(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


class Netcat:
    """Somebody at netcat."""

    def __init__(self, server: ChatServer, nickname: str | None = "Ana") -> None:
        self._server = server
        self._wire = _Received()
        server.endpoint().connect(Factory.forProtocol(lambda: self._wire))
        self.wait(2)  # until it is clear that no program connects
        if nickname is not None:
            self.types(nickname)

    def types(self, *lines: str) -> list[str]:
        """What is shown when ``lines`` are typed."""
        self._wire.data = b""
        assert self._wire.transport is not None
        for line in lines:
            self._wire.transport.write(line.encode() + b"\n")
        self.wait(1)
        return self.take()

    def take(self) -> list[str]:
        """What was shown since it was taken last."""
        data, self._wire.data = self._wire.data, b""
        return data.decode().splitlines()

    def wait(self, seconds: float) -> None:
        self._server.clock.advance(seconds)
        self._server.settle()

"""People and programs who log in, over connections in memory."""

from __future__ import annotations

import json
from typing import Any

from tests.support.protocol import Client, House
from twisted_chat.core.accounts import Account
from twisted_chat.core.names import nickname
from twisted_chat.core.proofs import Policy

PASSWORD, WRONG = "correct horse", "wrong horse battery"


class Home:
    """A house whose connections may carry secrets, and people who talk to it."""

    def __init__(self, **policy: Any) -> None:
        self.house = House()
        self.chat = self.house.world.chat
        self.audited: list[tuple[str, str | None]] = []
        self.chat.audit = lambda what, address, nickname=None, **details: self.audited.append(
            (what, nickname)
        )
        self.set(insecure_secrets=True, **policy)

    def set(self, **policy: Any) -> None:
        self.chat.proofs.policy = Policy(**policy)

    def registered(self, name: str = "Ana", password: str = PASSWORD) -> Account:
        """An account, whose owner has left again."""
        client = self.person()
        client.send(f"{name}\n/register {password}\n/quit\n".encode())
        found = self.account(name)
        assert found is not None, client.lines()
        self.let_go(client)
        return found

    def account(self, name: str = "Ana") -> Account | None:
        return self.chat.accounts.named(nickname(name))

    def person(self, peer: Any = None) -> Client:
        client = self.house.connect(peer)
        client.send(b"\n")
        client.read()
        return client

    def types(self, client: Client, *lines: str) -> list[str]:
        client.read()
        for line in lines:
            client.send(line.encode() + b"\n")
        return client.lines()

    def program(self, peer: Any = None) -> Client:
        return self.house.connect(peer)

    def asks(self, client_: Client, type: str, **fields: Any) -> list[dict[str, Any]]:
        client_.read()
        client_.send(json.dumps({"type": type, **fields}).encode() + b"\n")
        return [json.loads(line) for line in client_.lines()]

    def hello(self, nickname: str = "Ana", **fields: Any) -> dict[str, Any]:
        """The first answer to a program's hello."""
        client = self.program()
        answers = self.asks(client, "hello", nickname=nickname, **fields)
        self.let_go(client)
        return answers[0]

    def let_go(self, client: Client) -> None:
        client.lose()
        self.house.clock.advance(11)  # the grace period
        self.house.world.journal.run()

    @property
    def people(self) -> list[str]:
        """Their nicknames, each once."""
        found = self.house.factory.snapshot()
        return list(dict.fromkeys(one.nickname for one in found if one.nickname))

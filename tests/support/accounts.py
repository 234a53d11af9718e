"""Accounts in a world of tests, and people who have come in with one."""

from __future__ import annotations

from tests.support.fakes import Visitor, World
from twisted_chat.core.accounts import Account, Credential
from twisted_chat.core.errors import Refusal
from twisted_chat.core.names import nickname
from twisted_chat.core.proofs import Proof


def make_account(world: World, name: str = "Ana", *credentials: Credential) -> int:
    """An account that an operator makes; returns its number."""
    got: list[Refusal | None] = []
    world.chat.desk.make(0, nickname(name), credentials, got.append)
    world.journal.run()
    assert got == [None]
    account = world.chat.accounts.named(nickname(name))
    assert account is not None
    return account.number


def device(
    world: World,
    account: int = 1,
    *,
    name: str = "Ana",
    rooms: str = "",
    credential: str = "",
    program: bool = False,
) -> Visitor:
    """One more connection of an account, whose secret was checked; it is made if there is none.

    :param name: the nickname of the account, if it is made.
    :param rooms: the rooms to which the token is limited.
    :param credential: the id of the credential.
    :param program: whether the client is a program.
    """
    accounts = world.chat.accounts
    found = accounts.get(account)
    if found is None and account > 0:
        found = Account(account, nickname(name))
        accounts.put(found)
    visitor = Visitor(world, program=program)
    nickname_ = nickname(name) if found is None else found.nickname
    allowed = frozenset(rooms.split())
    visitor.enter_as(Proof(account, nickname_, credential, "", allowed))
    return visitor

"""A guest is told at most once how to register, and never before they come back."""

from __future__ import annotations

from typing import Literal

import pytest
from msgspec import structs

from tests.support.accounts import device
from tests.support.fakes import Visitor, World, code_of

OFFER = "[SERVER]: /register PASSWORD makes the name Ana yours for good, if you like."


def come_back(world: World, person: Visitor, *, secure: bool = True) -> tuple[Visitor, list[str]]:
    """``person`` loses the connection and comes back; what they are shown."""
    person.breaks_off()
    again = Visitor(world)
    again.connection.secure = secure
    return again, again.types(f"/resume {code_of(person)}")


def test_a_guest_is_told_once_on_coming_back() -> None:
    world = World()
    ana = Visitor(world)
    assert OFFER not in ana.types("Ana", "oi", "/nick Anna", "/nick Ana", "/join cinema")
    again, shown = come_back(world, ana)
    assert shown[0] == "[SERVER]: Welcome back, Ana."
    assert shown.count(OFFER) == 1
    _, shown = come_back(world, again)
    assert shown[0] == "[SERVER]: Welcome back, Ana."
    assert OFFER not in shown


@pytest.mark.parametrize("registration", ["invite", "off"])
def test_nobody_is_told_where_it_is_not_possible(registration: Literal["invite", "off"]) -> None:
    world = World()
    world.chat.proofs.policy = structs.replace(world.chat.proofs.policy, registration=registration)
    (ana,) = world.enter("Ana")
    assert OFFER not in come_back(world, ana)[1]


@pytest.mark.parametrize("insecure_secrets", [False, True])
def test_nobody_is_told_to_send_a_password_where_it_is_refused(insecure_secrets: bool) -> None:
    world = World()
    world.chat.proofs.policy = structs.replace(
        world.chat.proofs.policy, insecure_secrets=insecure_secrets
    )
    (ana,) = world.enter("Ana")
    _, shown = come_back(world, ana, secure=False)
    assert (OFFER in shown) == insecure_secrets


def test_somebody_with_an_account_is_not_told() -> None:
    world = World()
    ana = device(world)
    _, shown = come_back(world, ana)
    assert shown[0] == "[SERVER]: Welcome back, Ana."
    assert OFFER not in shown

"""The registry of connected clients, from one thread and from many."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.support.faults import in_threads
from twisted_chat.core.errors import NameTaken, NameTooSimilar, Refusal
from twisted_chat.core.names import Nickname, nickname
from twisted_chat.core.registry import Registry


class Client:
    """Somebody connected: equal to nobody else."""


@pytest.fixture
def registry() -> Registry[Client]:
    return Registry()


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads take turns so often that a missing lock is seen."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def added(registry: Registry[Client], name: str | None = None) -> Client:
    client = Client()
    registry.add(client)
    if name is not None:
        registry.claim(client, nickname(name))
    return client


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Run ``work`` in ``count`` threads at once; its first exception is raised here."""
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        work(number)

    in_threads([partial(run, number) for number in range(count)])


def test_it_counts_who_is_connected(registry: Registry[Client]) -> None:
    one, other = Client(), Client()
    assert (registry.add(one), registry.add(other), registry.add(one)) == (1, 2, 2)
    assert len(registry) == 2
    assert (registry.remove(one), registry.remove(one), registry.remove(other)) == (1, 1, 0)


def test_a_name_is_found_in_whatever_case(registry: Registry[Client]) -> None:
    ana = added(registry, "Ana")
    assert registry.find(nickname("ANA")) is ana
    assert registry.find(nickname("Anna")) is None


def test_a_lookalike_does_not_find_somebody_else(registry: Registry[Client]) -> None:
    """What was meant for ``lan`` must not go to ``Ian``."""
    added(registry, "Ian")
    assert registry.find(nickname("lan")) is None


def test_a_held_name_is_taken(registry: Registry[Client]) -> None:
    ana, other = added(registry, "Ana"), added(registry)
    with pytest.raises(NameTaken):
        registry.claim(other, nickname("ANA"))
    assert registry.find(nickname("Ana")) is ana
    assert dict(registry.snapshot())[other] is None


def test_a_lookalike_of_a_held_name_is_too_similar(registry: Registry[Client]) -> None:
    added(registry, "Ian")
    with pytest.raises(NameTooSimilar) as refused:
        registry.claim(added(registry), nickname("lan"))
    assert refused.value.details == {"name": "lan", "other": "Ian"}


def test_taken_is_said_before_too_similar(registry: Registry[Client]) -> None:
    """``IX`` is ``iX`` in another case and looks like ``lX``, and both are here.

    The answer is the exact one, and the same on every run: many names, because the order of a
    set of texts changes from run to run.
    """
    for ending in "abcdefghjknopqrstuvwxyz":
        added(registry, f"i{ending}")
        added(registry, f"l{ending}")
        with pytest.raises(NameTaken):
            registry.claim(added(registry), nickname(f"I{ending}"))


def test_a_refused_claim_changes_nothing(registry: Registry[Client]) -> None:
    added(registry, "Ana")
    bia = added(registry, "Bia")
    before = registry.snapshot()
    with pytest.raises(Refusal):
        registry.claim(bia, nickname("ana"))
    assert registry.snapshot() == before
    assert registry.find(nickname("Bia")) is bia


def test_a_new_name_frees_the_old_one(registry: Registry[Client]) -> None:
    ana = added(registry, "Ana")
    registry.claim(ana, nickname("Clara"))
    assert registry.find(nickname("Ana")) is None
    assert registry.find(nickname("Clara")) is ana
    assert registry.find(nickname("Ana")) is None
    added(registry, "Ana")


@pytest.mark.parametrize("new", ["ANA", "Ana", "ana"])
def test_one_may_change_the_case_of_ones_own_name(registry: Registry[Client], new: str) -> None:
    ana = added(registry, "Ana")
    registry.claim(ana, nickname(new))
    assert registry.snapshot() == ((ana, nickname(new)),)


def test_one_may_take_a_lookalike_of_ones_own_name(registry: Registry[Client]) -> None:
    ian = added(registry, "Ian")
    registry.claim(ian, nickname("lan"))
    with pytest.raises(NameTooSimilar):
        registry.claim(added(registry), nickname("1an"))
    added(registry, "ian")  # looked like "Ian", does not look like "lan"


def test_release_frees_the_name_and_keeps_the_client(registry: Registry[Client]) -> None:
    ana = added(registry, "Ana")
    registry.release(ana)
    registry.release(ana)
    assert registry.snapshot() == ((ana, None),)
    added(registry, "ana")


def test_the_name_of_one_who_is_gone_is_free_once_it_is_released(
    registry: Registry[Client],
) -> None:
    """Who is connected is this node's matter, and who has which name that of all nodes."""
    ana = added(registry, "Ana")
    registry.remove(ana)
    with pytest.raises(NameTaken):
        added(registry, "ana")
    registry.release(ana)
    added(registry, "ana")
    assert len(registry) == 2


def test_who_is_connected_elsewhere_has_a_name_and_is_not_counted(
    registry: Registry[Client],
) -> None:
    client = Client()
    registry.claim(client, nickname("Ana"))
    assert registry.find(nickname("Ana")) is client
    assert registry.snapshot() == ()
    assert len(registry) == 0
    registry.release(client)
    registry.release(client)
    assert registry.find(nickname("Ana")) is None


def test_a_snapshot_is_an_immutable_copy(registry: Registry[Client]) -> None:
    ana = added(registry, "Ana")
    snapshot = registry.snapshot()
    added(registry, "Bia")
    registry.remove(ana)
    assert snapshot == ((ana, nickname("Ana")),)
    assert isinstance(snapshot, tuple)
    hash(snapshot)


@pytest.mark.usefixtures("frequent_switches")
@pytest.mark.parametrize("round_", range(5))
def test_of_a_hundred_threads_that_claim_one_name_one_wins(
    registry: Registry[Client], round_: int
) -> None:
    """Half of them by a lookalike of it."""
    clients = [added(registry) for _ in range(100)]
    names = (nickname("Ian"), nickname("lan"))
    won: list[Client] = []
    refused: list[Refusal] = []

    def claim(number: int) -> None:
        try:
            registry.claim(clients[number], names[number % 2])
        except (NameTaken, NameTooSimilar) as refusal:
            refused.append(refusal)
        else:
            won.append(clients[number])

    at_once(100, claim)
    assert len(won) == 1
    assert len(refused) == 99
    assert [client for client, name in registry.snapshot() if name] == won


def _check(snapshot: tuple[tuple[Client, Nickname | None], ...]) -> None:
    """Nobody is there twice, and no two names can be confused."""
    assert len({client for client, _ in snapshot}) == len(snapshot)
    keys = [key for _, name in snapshot if name is not None for key in name.keys]
    assert len(keys) == len(set(keys))


@pytest.mark.usefixtures("frequent_switches")
def test_invariants_hold_while_sixteen_threads_come_and_go(registry: Registry[Client]) -> None:
    names = [nickname(name) for name in ("Ian", "lan", "ian", "Ana", "ANA", "Bob", "B0b", "Eva")]

    def live(number: int) -> None:
        chance = random.Random(number)
        for _ in range(60):
            client = Client()
            registry.add(client)
            for _ in range(3):
                name = chance.choice(names)
                try:
                    registry.claim(client, name)
                except (NameTaken, NameTooSimilar):
                    continue
                assert dict(registry.snapshot())[client] is name
                assert registry.find(name) is client
                _check(registry.snapshot())
                if chance.random() < 0.3:
                    registry.release(client)
            registry.release(client)
            registry.remove(client)
            assert client not in dict(registry.snapshot())

    at_once(16, live)
    assert registry.snapshot() == ()
    for name in names:
        assert registry.find(name) is None
    for free in ("Ian", "Ana", "Bob", "Eva"):
        added(registry, free)


# -- names of those who can come back -------------------------------------------------------------


def test_a_name_is_kept_for_the_one_who_went_and_for_its_owner() -> None:
    registry: Registry[str] = Registry()
    for client in ("ana", "stranger", "again"):
        registry.add(client)
    ana = nickname("Ana")
    registry.claim("ana", ana, 1, "home")
    registry.keep("ana", 1, "home")
    assert registry.find(ana) is None
    for name in ("Ana", "ANA"):
        with pytest.raises(NameTaken):
            registry.claim("stranger", nickname(name), 2, "elsewhere")
    registry.claim("stranger", nickname("Bia"), 2, "elsewhere")
    registry.claim("ana", ana, 1, "elsewhere")
    assert registry.find(ana) == "ana"
    registry.keep("ana", 1, "home")
    registry.claim("again", ana, 3, "home")
    assert registry.find(ana) == "again"
    registry.release("again")
    registry.claim("stranger", ana, 2, "elsewhere")


def test_a_name_that_is_kept_no_more_is_free() -> None:
    registry: Registry[str] = Registry()
    registry.add("ana")
    registry.add("stranger")
    for name in ("Ana", "Bia"):
        registry.claim("ana", nickname(name), 1, "home")
        registry.keep("ana", 1, "home")
    registry.claim("stranger", nickname("Ana"), 2, "elsewhere")
    registry.drop(1)
    registry.drop(1)
    registry.claim("stranger", nickname("Bia"), 2, "elsewhere")

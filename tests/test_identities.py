"""Who can come back: codes, client ids, and for how long."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from twisted_chat.core.identities import Identities

ANA, BIA = b"a" * 16, b"b" * 16
WINDOW = 300


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(clock: Clock) -> Identities[str]:
    return Identities(WINDOW, clock.seconds)


def spellings(code: str) -> Iterator[str]:
    """How people type a code that they were told."""
    yield code
    yield code.upper()
    yield code.replace("-", "")
    yield code.replace("-", " ")
    yield code.replace("-", "").upper()
    yield f" {code} "
    yield "-".join(code)


def test_a_code_is_easily_typed_and_not_to_be_guessed(known: Identities[str]) -> None:
    """Groups of four; no vowels, and nothing that is taken for something else; 80 bits or more."""
    used: set[str] = set()
    for n in range(200):
        groups = known.add_code(str(n)).split("-")
        assert {len(group) for group in groups} == {4}
        letters = "".join(groups)
        assert not set(letters) & set("aeiou01ly")
        assert letters.isalnum()
        assert letters.isascii()
        used |= set(letters)
    assert len(letters) * math.log2(len(used)) >= 80


def test_another_code_takes_the_place_of_the_one_that_was_used(known: Identities[str]) -> None:
    """Which holds until it is known that the new one was seen."""
    codes = [known.add_code("Ana") for _ in range(3)]
    assert [known.by_code(code) for code in codes] == [None, "Ana", "Ana"]
    assert [known.is_newest("Ana", code) for code in codes] == [False, False, True]
    known.forget_last_code("Ana")
    known.forget_last_code("Ana")
    assert [known.by_code(code) for code in codes] == [None, None, "Ana"]


def test_a_code_that_was_never_shown_is_taken_back(known: Identities[str]) -> None:
    code, never_shown = known.add_code("Ana"), known.add_code("Ana")
    known.take_code_back("Ana")
    assert (known.by_code(code), known.by_code(never_shown)) == ("Ana", None)
    assert known.is_newest("Ana", code)
    known.take_code_back("Ana")
    assert known.by_code(code) is None
    known.take_code_back("Ana")


def test_a_code_is_nowhere_in_memory(known: Identities[str]) -> None:
    code = known.add_code("Ana")
    kept = repr(vars(known))
    assert code not in kept
    assert code.replace("-", "") not in kept


def test_each_code_is_one_person_s(known: Identities[str]) -> None:
    codes = {known.add_code(str(n)): str(n) for n in range(5000)}
    assert len(codes) == 5000
    for code, person in codes.items():
        assert known.by_code(code) == person


def test_codes_cannot_be_guessed_from_one_another(clock: Clock) -> None:
    """Two servers that do the same in the same moment tell different codes."""
    one, other = (Identities[str](WINDOW, clock.seconds) for _ in range(2))
    assert one.add_code("Ana") != other.add_code("Ana")


def test_a_code_is_known_however_it_is_written(known: Identities[str]) -> None:
    code = known.add_code("Ana")
    known.add_code("Bia")
    for spelling in spellings(code):
        assert known.by_code(spelling) == "Ana"


@pytest.mark.parametrize("code", ["", "-", " ", "aaaa-aaaa", "🙂", "\0", "bcdf", "b" * 10_000])
def test_anything_else_is_nobody_s_code(known: Identities[str], code: str) -> None:
    known.add_client("Ana", ANA)
    known.add_code("Ana")
    assert known.by_code(code) is None


def test_a_part_of_a_code_is_not_enough(known: Identities[str]) -> None:
    code = known.add_code("Ana")
    for part in (code[:-1], code[1:], code[:4], f"{code}b"):
        assert known.by_code(part) is None


def test_a_client_id_is_one_person_s(known: Identities[str]) -> None:
    known.add_client("Ana", ANA)
    known.add_client("Bia", BIA)
    known.add_code("Caio")
    assert known.by_client(ANA) == "Ana"
    assert known.by_client(BIA) == "Bia"
    assert known.by_client(b"c" * 16) is None


def test_whoever_is_here_is_known_for_as_long_as_they_stay(
    known: Identities[str], clock: Clock
) -> None:
    """Their own connection may be dead without anybody having noticed."""
    known.add_client("Ana", ANA)
    code = known.add_code("Ana")
    clock.advance(100 * WINDOW)
    assert known.by_code(code) == "Ana"
    assert known.by_client(ANA) == "Ana"


def test_whoever_is_gone_can_come_back_within_the_window(
    known: Identities[str], clock: Clock
) -> None:
    code = known.add_code("Ana")
    clock.advance(1000)
    known.gone("Ana")
    clock.advance(WINDOW - 1)
    assert known.by_code(code) == "Ana"
    clock.advance(2)
    assert known.by_code(code) is None


def test_after_the_window_everything_of_them_is_forgotten(
    known: Identities[str], clock: Clock
) -> None:
    known.add_client("Ana", ANA)
    code = known.add_code("Ana")
    known.gone("Ana")
    clock.advance(WINDOW + 1)
    assert known.by_code(code) is None
    assert known.by_client(ANA) is None


def test_the_window_is_for_those_who_have_a_code(known: Identities[str], clock: Clock) -> None:
    """How long a program is waited for is the business of whoever waits."""
    known.add_client("Ana", ANA)
    known.gone("Ana")
    clock.advance(100 * WINDOW)
    assert known.by_code("") is None
    assert known.by_client(ANA) == "Ana"


def test_each_one_s_window_is_their_own(known: Identities[str], clock: Clock) -> None:
    codes = {name: known.add_code(name) for name in ("Ana", "Bia", "Caio")}
    for name in codes:
        known.gone(name)
        clock.advance(100)
    clock.advance(1)  # Ana went 301 seconds ago, Bia 201, Caio 101
    assert [known.by_code(code) for code in codes.values()] == [None, "Bia", "Caio"]
    clock.advance(100)
    assert [known.by_code(code) for code in codes.values()] == [None, None, "Caio"]


def test_whoever_came_back_is_not_forgotten(known: Identities[str], clock: Clock) -> None:
    known.add_client("Ana", ANA)
    code = known.add_code("Ana")
    known.gone("Ana")
    clock.advance(WINDOW - 1)
    known.back("Ana")
    clock.advance(10 * WINDOW)
    assert known.by_code(code) == "Ana"
    assert known.by_client(ANA) == "Ana"


def test_each_absence_has_a_window_of_its_own(known: Identities[str], clock: Clock) -> None:
    """Also where others went meanwhile: the order of going is that of the last time."""
    ana, bia = known.add_code("Ana"), known.add_code("Bia")
    known.gone("Ana")
    clock.advance(200)
    known.gone("Bia")
    known.back("Ana")
    clock.advance(50)
    known.gone("Ana")
    clock.advance(270)
    assert known.by_code(ana) == "Ana"
    assert known.by_code(bia) is None
    clock.advance(40)
    assert known.by_code(ana) is None


def test_whoever_is_forgotten_cannot_come_back(known: Identities[str]) -> None:
    codes = {name: known.add_code(name) for name in ("Ana", "Bia")}
    for name in codes:
        known.add_client(name, name.encode())
    known.gone("Ana")
    known.forget("Ana")
    assert known.by_code(codes["Ana"]) is None
    assert known.by_client(b"Ana") is None
    assert known.by_code(codes["Bia"]) == "Bia"
    assert known.by_client(b"Bia") == "Bia"


def test_forgetting_and_leaving_are_harmless_for_strangers(
    known: Identities[str], clock: Clock
) -> None:
    known.add_client("Ana", ANA)
    code = known.add_code("Ana")
    known.forget("Ana")
    for _ in range(2):
        known.forget("Ana")
        known.gone("Ana")
        known.back("Ana")
        known.gone("never seen")
        clock.advance(1)
    assert known.by_code(code) is None


def test_a_window_of_nothing_lets_nobody_back(clock: Clock) -> None:
    known: Identities[str] = Identities(0, clock.seconds)
    code = known.add_code("Ana")
    assert known.by_code(code) == "Ana"
    known.gone("Ana")
    clock.advance(0.001)
    assert known.by_code(code) is None


def test_whoever_wants_to_know_is_told_once_who_is_forgotten(
    known: Identities[str], clock: Clock
) -> None:
    told: list[str] = []
    for name in ("Ana", "Bia", "Caio", "Davi"):
        known.add_code(name)
        assert known.gone(name, lambda name=name: told.append(name))  # type: ignore[misc]
    assert not known.gone("never seen", lambda: told.append("?"))
    known.forget("Bia")
    known.back("Caio")
    clock.advance(WINDOW + 1)
    known.forget_old()
    known.forget_old()
    assert told == ["Bia", "Ana", "Davi"]


def test_nothing_is_left_of_people_who_came_and_went(known: Identities[str], clock: Clock) -> None:
    """A server that runs for years does not grow."""
    for n in range(1000):
        known.add_client(str(n), str(n).encode())
        known.add_code(str(n))
        known.gone(str(n))
        clock.advance(1)
    clock.advance(WINDOW)
    assert known.by_code("") is None
    left = [value for value in vars(known).values() if isinstance(value, dict) and value]
    assert left == []

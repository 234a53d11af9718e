"""Wrong secrets: three a minute, then a wait that doubles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from twisted_chat.core import guesses as guesses_module
from twisted_chat.core.guesses import (
    FIRST_WAIT,
    FREE,
    KNOWN_SOURCES,
    LONGEST_WAIT,
    QUIET,
    Guesses,
    KnownSources,
)


def _guesses() -> tuple[Guesses, Clock]:
    clock = Clock()
    return Guesses(clock.seconds), clock


def test_three_wrong_secrets_a_minute_then_a_wait_that_doubles_up_to_an_hour() -> None:
    guesses, clock = _guesses()
    waits = []
    for _ in range(12):
        guesses.count("x")
        waits.append(guesses.wait("x"))
        clock.advance(waits[-1])
    assert waits == [0, 0, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_the_wait_ends() -> None:
    guesses, clock = _guesses()
    for _ in range(FREE):
        guesses.count("x")
    clock.advance(FIRST_WAIT - 1)
    assert guesses.wait("x") == 1
    clock.advance(1)
    assert guesses.wait("x") == 0


def test_others_do_not_wait() -> None:
    guesses, _ = _guesses()
    for _ in range(FREE):
        guesses.count("x")
    assert guesses.wait("x")
    assert not guesses.wait("y")


def test_wrong_secrets_are_forgotten_after_a_quiet_minute() -> None:
    guesses, clock = _guesses()
    for _ in range(5):
        guesses.count("x")
        guesses.count("x")
        clock.advance(FIRST_WAIT)
    assert guesses.wait("x") == 0


def test_waits_are_forgotten_after_a_quiet_hour() -> None:
    guesses, clock = _guesses()
    for _ in range(FREE + 1):
        guesses.count("x")
    clock.advance(2 * FIRST_WAIT + QUIET)
    for expected in (0, 0, FIRST_WAIT):
        guesses.count("x")
        assert guesses.wait("x") == expected


@given(st.lists(st.sampled_from([0.0, 1.0, 30.0, 60.0, 3600.0, 7200.0])))
def test_whoever_waits_gives_at_most_three_wrong_secrets_in_any_minute(pauses: list[float]) -> None:
    guesses, clock = _guesses()
    given_at: list[float] = []
    for pause in pauses:
        clock.advance(pause)
        if not guesses.wait("x"):
            guesses.count("x")
            given_at.append(clock.seconds())
        assert guesses.wait("x") <= LONGEST_WAIT
    for at in given_at:
        assert sum(at <= other < at + FIRST_WAIT for other in given_at) <= FREE


def test_how_many_are_left() -> None:
    guesses, clock = _guesses()
    left = [guesses.left("x")]
    for _ in range(FREE):
        guesses.count("x")
        left.append(guesses.left("x"))
    assert left == [3, 2, 1, 0]
    clock.advance(FIRST_WAIT)
    assert guesses.left("x") == 1
    clock.advance(QUIET)
    assert guesses.left("x") == FREE


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses_module, "REMEMBERED", 10)
    guesses, _ = _guesses()
    for _ in range(FREE):
        guesses.count("guesser")
    for key in range(9):
        guesses.count(key)
    assert guesses.wait("guesser")
    guesses.count("one more")
    assert len(guesses) == 10
    assert not guesses.wait("guesser")


def test_an_account_remembers_its_last_sources() -> None:
    known = KnownSources()
    for source in range(KNOWN_SOURCES + 1):
        known.add(1, source)
        known.add(1, 1)
    assert not known.has(1, 0)
    assert known.has(1, 1)
    assert known.has(1, KNOWN_SOURCES)
    assert not known.has(2, 1)


def test_few_accounts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses_module, "KNOWN_ACCOUNTS", 2)
    known = KnownSources()
    for account in (1, 2, 1, 3):
        known.add(account, "home")
    assert known.has(1, "home")
    assert not known.has(2, "home")
    assert known.has(3, "home")

"""Flood control: the long-run rate holds, whatever the clock does."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_chat.core.flood import Rate, TokenBucket

rates = st.builds(
    Rate,
    burst=st.one_of(st.integers(1, 50).map(float), st.floats(1, 50)),
    per_second=st.floats(0.01, 1000),
)


def test_a_burst_passes_at_once_then_the_rate_holds() -> None:
    bucket = TokenBucket(Rate(3, 2), now=100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert bucket.take(100.5) == 0.5
    assert bucket.take(101.0) == 0.5


def test_a_pause_earns_a_burst_and_no_more() -> None:
    bucket = TokenBucket(Rate(3, 2), now=0.0)
    for _ in range(3):
        bucket.take(0.0)
    assert [bucket.take(1e6) for _ in range(3)] == [0.0, 0.0, 0.5]


@given(rates, st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_no_window_holds_more_than_the_burst_and_the_rate(rate: Rate, pauses: list[float]) -> None:
    """For a client that waits as long as it is told to, and sometimes longer."""
    bucket, now, times = TokenBucket(rate, 0.0), 0.0, []
    for pause in pauses:
        now += pause
        times.append(now)
        now += bucket.take(now)
    for first in range(len(times)):
        for last in range(first, len(times)):
            allowed = rate.burst + rate.per_second * (times[last] - times[first])
            assert last - first + 1 <= allowed + 1e-6


@given(rates)
def test_a_greedy_client_gets_the_whole_rate(rate: Rate) -> None:
    """Control must not take more than it says: after the burst, lines come at the rate."""
    bucket, now, times = TokenBucket(rate, 0.0), 0.0, []
    for _ in range(100):
        times.append(now)
        now += bucket.take(now)
    assert len([time for time in times if time == 0.0]) >= int(rate.burst)
    for earlier, later in pairwise(times):
        assert later - earlier <= 1 / rate.per_second + 1e-6


@given(rates, st.lists(st.floats(-4000, 4000), max_size=60))
def test_the_wait_is_finite_however_the_clock_jumps(rate: Rate, steps: list[float]) -> None:
    bucket, now = TokenBucket(rate, 0.0), 0.0
    for count, step in enumerate(steps, 1):
        now += step
        assert 0 <= bucket.take(now) <= count / rate.per_second + 1e-6


@given(rates, st.lists(st.floats(0, 4000), min_size=1, max_size=60))
def test_a_clock_that_only_goes_back_gives_nothing(rate: Rate, steps: list[float]) -> None:
    """It counts as one that stands still."""
    stepping, standing, now = TokenBucket(rate, 0.0), TokenBucket(rate, 0.0), 0.0
    for step in steps:
        now -= step
        assert stepping.take(now) == standing.take(0.0)


def test_a_clock_set_back_an_hour_does_not_lock_anybody_out() -> None:
    bucket = TokenBucket(Rate(2, 1), now=10_000.0)
    assert bucket.take(10_000.0) == 0.0
    assert bucket.take(6_400.0) == pytest.approx(1.0)
    assert bucket.take(6_401.0) == pytest.approx(1.0)

"""Old entries are removed, and a wrong clock removes none: nor does it keep one for ever."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.store import commit, log_of
from tests.support.writer import Setup
from tests.support.writer import draft as say
from twisted_chat.core.errors import DatabaseUnusable
from twisted_chat.journal import removal
from twisted_chat.journal.retention import DAY, date, is_believed, patience
from twisted_chat.journal.sqlite.store import MEMORY, Store

NOW = 1_795_464_000_000_000  # 2026-11-23
YEAR = 365 * DAY


def test_a_jump_is_believed_that_a_pause_explains() -> None:
    """A weekend, always; a month, where entries are kept for a year."""
    assert patience(1 * DAY) == patience(30 * DAY) == 3 * DAY
    assert patience(YEAR) == patience(10 * YEAR) == 30 * DAY
    assert is_believed(NOW + 30 * DAY, NOW, YEAR, 0)
    assert not is_believed(NOW + 31 * DAY, NOW, YEAR, 0)
    assert is_believed(NOW - YEAR, NOW, YEAR, 0)  # a clock that was set back removes less


def test_what_the_operator_confirms_is_believed_but_not_what_comes_long_after() -> None:
    confirmed = NOW + 366 * DAY
    assert is_believed(NOW + 366 * DAY, NOW, YEAR, confirmed)
    assert not is_believed(NOW + 400 * DAY, NOW, YEAR, confirmed)
    assert not is_believed(NOW + 366 * DAY, NOW, YEAR, NOW - DAY)  # an old one, left in the file
    assert not is_believed(NOW + 366 * DAY, NOW, YEAR, NOW + 3660 * DAY)  # a slip of the operator's


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_time_can_be_told(time: int) -> None:
    assert date(time)


class Days:
    """A log in which somebody says something each day, and a clock."""

    def __init__(self, path: str = MEMORY, days: int = 400) -> None:
        self.setup = Setup(path)
        self.setup.say(*(say(str(day), time=NOW - (days - day) * DAY) for day in range(days)))

    def remove(self, now: int, keep: int = YEAR) -> int:
        """Remove what is old by a clock that says ``now``; returns how many entries are gone."""
        before = len(self.setup.read_all())
        self.setup.remove_before(now - keep, now)
        return before - len(self.setup.read_all())


def test_a_clock_a_year_ahead_removes_nothing_and_the_operator_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    days = Days()
    assert days.remove(NOW) == 35
    assert "35 entries from before 2025-11-23 were removed, in 1 rooms" in caplog.text
    caplog.clear()
    for _ in range(3):
        assert days.remove(NOW + 366 * DAY) == 0
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        "old entries are not removed: the clock says 2027-11-24, and when they were removed last "
        "it said 2026-11-23; if it is right, confirm it with --clock-confirmed 2027-11-24, or else "
        "set it right"
    )
    assert days.remove(NOW + DAY) == 1  # it was set right
    days.setup.journal.confirmed = NOW + 366 * DAY
    assert days.remove(NOW + 366 * DAY) > 300
    days.setup.journal.confirmed = 0
    assert days.remove(NOW + 367 * DAY) == 0  # nothing but the last is left; and it is believed
    days.setup.stop()


def test_what_was_said_while_the_clock_was_wrong_does_not_make_it_right(tmp_path: Path) -> None:
    """Nor does a restart."""
    path = str(tmp_path / "chat.db")
    days = Days(path)
    assert days.remove(NOW) == 35
    days.setup.say(say("in a year", time=NOW + 366 * DAY))
    days.setup.stop()
    days.setup = Setup(path)
    assert days.remove(NOW + 366 * DAY) == 0
    days.setup.stop()


def test_a_log_without_a_record_of_the_clock_begins_with_its_newest_entry() -> None:
    days = Days()
    assert days.remove(NOW + 366 * DAY) == 0
    days.setup.stop()


def test_where_nothing_would_be_removed_nobody_is_told(caplog: pytest.LogCaptureFixture) -> None:
    days = Days(days=10)
    assert days.remove(NOW + 300 * DAY) == 0
    assert caplog.records == []
    days.setup.stop()


# -- rooms with a retention of their own ------------------------------------------------------


def test_a_room_is_kept_for_longer_or_shorter_than_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    setup = Setup(MEMORY)
    for room in ("short", "long", "ever", "lobby"):
        setup.say(*(say(str(day), room, time=NOW - day * DAY) for day in (400, 40, 4)))
    times = {"short": NOW - 30 * DAY, "long": NOW - 500 * DAY, "ever": 0}
    setup.remove_before(NOW - YEAR, NOW, **times)
    kept = {room: len(setup.read_all(room)) for room in ("short", "long", "ever", "lobby")}
    assert kept == {"short": 1, "long": 3, "ever": 3, "lobby": 2}
    assert [record.getMessage() for record in caplog.records] == [
        "3 entries from before 2025-11-23 (or other times that their rooms set) were removed, "
        "in 2 rooms"
    ]
    setup.stop()


def test_only_rooms_with_a_retention_lose_entries_where_the_others_have_none() -> None:
    setup = Setup(MEMORY)
    for room in ("short", "lobby"):
        setup.say(*(say(str(day), room, time=NOW - day * DAY) for day in (400, 40, 1)))
    setup.remove_before(0, NOW, short=NOW - 30 * DAY)
    assert [len(setup.read_all(room)) for room in ("short", "lobby")] == [1, 3]
    setup.stop()


def test_a_short_retention_of_one_room_does_not_hold_up_the_others() -> None:
    """After two weeks without the server, a retention of a day alone would doubt the clock."""
    days = Days()
    assert days.remove(NOW) == 35
    before = len(days.setup.read_all())
    later = NOW + 14 * DAY
    days.setup.remove_before(later - YEAR, later, short=later - DAY)
    assert before - len(days.setup.read_all()) == 14
    days.setup.stop()


# -- entries with wrong times -----------------------------------------------------------------


def removed(times: list[int], before: int, limit: int = 200) -> int:
    """How many of entries with these times are removed, where ``limit`` go at one go."""
    store = Store(MEMORY)
    commit(store, *(say(str(time), time=time) for time in times))
    while store.remove_before("lobby", before, limit)[1]:
        pass
    kept = len(log_of(store))
    store.close()
    return len(times) - kept


def test_one_entry_ten_years_ahead_keeps_nothing() -> None:
    """It goes with those around it: an entry is no newer than those after it."""
    times = list(range(1000))
    times[3] = 10**9
    assert removed(times, 900) == 900


def test_an_entry_that_is_new_keeps_what_is_newer() -> None:
    assert removed([1, 2, 50, 51, 52], 40) == 2


@pytest.mark.parametrize("wrong", [1, 150, 500, 3000])
def test_many_entries_with_a_wrong_time_are_passed_over(wrong: int) -> None:
    times = [10**9] * wrong + list(range(3 * wrong + 1000))
    assert removed(times, 10**8) == len(times) - 1


@given(st.lists(st.integers(0, 50), min_size=2, max_size=60), st.integers(0, 50))
def test_what_is_removed_is_old_or_before_something_old(times: list[int], before: int) -> None:
    gone = removed(times, before, 7)
    assert gone == 0 or times[gone - 1] < before
    assert gone < len(times)
    if times == sorted(times):
        assert gone == min(sum(time < before for time in times), len(times) - 1)


def test_many_rooms_are_looked_at_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders do not wait for all of them, also where there is nothing to be removed."""
    monkeypatch.setattr(removal, "REMOVE_ROOMS", 10)
    setup = Setup(MEMORY)
    setup.say(*(say("x", f"r{room}", time=room % 2) for room in range(100)))
    jobs: list[bool] = []
    step = removal.Removal.step

    def counted(self: removal.Removal) -> bool:
        jobs.append(True)
        return step(self)

    monkeypatch.setattr(removal.Removal, "step", counted)
    gone = setup.remove_before(1)
    assert len(gone) == 50
    assert len(jobs) >= 10
    setup.stop()


def test_a_log_that_cannot_be_read_at_the_start_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: Store) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "rooms", failing)
    with pytest.raises(DatabaseUnusable, match="disk I/O error"):
        Setup(str(tmp_path / "chat.db"))
    assert [file.name for file in tmp_path.iterdir()] == ["chat.db"]

"""When old entries may be removed: not because a clock was wrong.

A clock that is a year ahead makes all entries old at once. So the log has the last time at which
its clock was believed, and a clock that is much later than that is not believed before the operator
confirms the date. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime

#: Microseconds.
DAY = 86_400_000_000

#: A jump of the clock is believed if it is no longer than this part of the time that entries are
#: kept; but always one of the first number of days, as where a server stood still over a
#: weekend, and never one of more than the second.
PART = 0.1
LEAST_DAYS = 3
MOST_DAYS = 30


def patience(age: int) -> int:
    """The longest jump that is believed, in microseconds, where entries are kept for ``age``."""
    return int(min(MOST_DAYS * DAY, max(LEAST_DAYS * DAY, PART * age)))


def is_believed(now: int, seen: int, age: int, confirmed: int) -> bool:
    """Whether the clock may say ``now`` (microseconds since 1970 UTC).

    Args:
        seen: the last time at which the clock was believed.
        age: for how long entries are kept.
        confirmed: about the time that it is, as the operator says; 0 is none. One that is far
            ahead confirms nothing: a date with a slip in it would let every clock pass.
    """
    return min(now - seen, abs(now - confirmed)) <= patience(age)


def date(time: int) -> str:
    """The day of ``time``, in UTC, as ISO 8601 has it; of a time that no date has, the number."""
    try:
        return datetime.fromtimestamp(time / 1_000_000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return str(time)

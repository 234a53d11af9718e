"""Decides whether the clock is right, so that a wrong clock does not remove entries. Pure.

A clock that is a year ahead makes all entries old at once. So the log has the last time at which
its clock was believed. A clock that says a much later time is not believed before the operator
confirms the date.
"""

from __future__ import annotations

from datetime import UTC, datetime

#: A day in microseconds.
DAY = 86_400_000_000

#: A jump of the clock is believed if it is no longer than this part of the time for which entries
#: are kept. A jump of ``LEAST_DAYS`` is always believed, as a server may be off over a weekend; a
#: jump of more than ``MOST_DAYS`` never is.
PART = 0.1
LEAST_DAYS = 3
MOST_DAYS = 30


def patience(age: int) -> int:
    """The longest jump that is believed if entries are kept for ``age``; both in microseconds."""
    return int(min(MOST_DAYS * DAY, max(LEAST_DAYS * DAY, PART * age)))


def is_believed(now: int, seen: int, age: int, confirmed: int) -> bool:
    """Whether the clock, which says ``now``, is believed.

    :param now: microseconds since 1970 UTC, as are ``seen`` and ``confirmed``.
    :param seen: the last time at which the clock was believed.
    :param age: the microseconds for which entries are kept.
    :param confirmed: a time near the present, as the operator confirms; 0 is none. A time far from
        ``now`` confirms nothing: otherwise, a mistyped date would let every clock pass.
    """
    return min(now - seen, abs(now - confirmed)) <= patience(age)


def date(time: int) -> str:
    """The UTC date of ``time`` (microseconds since 1970) in ISO 8601; the number if it has none."""
    try:
        return datetime.fromtimestamp(time / 1_000_000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return str(time)

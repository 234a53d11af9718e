"""Flood control: the rate at which lines are taken, as a token bucket.

Pure: the time is a parameter. Nothing is dropped; a line without a token waits.
"""

from __future__ import annotations

import msgspec

#: A token is whole from here on: the waits are rounded, and must not leave a rest of nothing.
_WHOLE = 1 - 1e-6


class Rate(msgspec.Struct, frozen=True):
    """``burst`` lines at once, and ``per_second`` lines a second in the long run."""

    burst: float
    per_second: float


class TokenBucket:
    """Counts lines, or anything else, against a :class:`Rate`. It is full at first.

    ``now`` is in seconds. A clock that was set back gives no tokens and takes none.
    """

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._at = now

    def take(self, now: float) -> float:
        """Count one line; returns the seconds until the next may come."""
        self._fill(now)
        self._tokens -= 1
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._rate.per_second

    def whole(self, now: float) -> int:
        """How many lines may come now."""
        self._fill(now)
        return max(0, int(self._tokens + (1 - _WHOLE)))

    def take_many(self, count: int) -> None:
        """Count ``count`` lines, no more than :meth:`whole` has just said."""
        self._tokens -= count

    def wait(self, now: float) -> float:
        """The seconds until the next line may come; 0 if it may come now."""
        self._fill(now)
        return 0.0 if self._tokens >= _WHOLE else (1 - self._tokens) / self._rate.per_second

    def charge(self, tokens: float, now: float) -> None:
        """Count what has been done already: at most a whole burst is owed afterwards."""
        self._fill(now)
        self._tokens = max(self._tokens - tokens, min(self._tokens, -self._rate.burst))

    def time_to_fill(self, now: float) -> float:
        """The seconds until nothing that was counted matters any more."""
        self._fill(now)
        return (self._rate.burst - self._tokens) / self._rate.per_second

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self._at)
        self._at = now
        self._tokens = min(self._rate.burst, self._tokens + passed * self._rate.per_second)

"""Flood control: a token bucket, which limits the rate of lines.

Pure: the time is a parameter. Nothing is dropped; a line without a token waits. It must not know
whose lines they are.
"""

from __future__ import annotations

import msgspec

#: Tokens that count as a whole one: after a rounded wait, slightly less than 1 may be there.
_WHOLE = 1 - 1e-6


class Rate(msgspec.Struct, frozen=True):
    """``burst`` lines at once, and ``per_second`` lines per second in the long run."""

    burst: float
    per_second: float


class TokenBucket:
    """Counts lines, or other units, against a :class:`Rate`. A new bucket is full.

    ``now`` is always the time in seconds. If the clock was set back, the bucket gains no tokens and
    loses none.
    """

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._at = now

    def take(self, now: float) -> float:
        """Count one line; returns the seconds until the next line may come."""
        self._fill(now)
        self._tokens -= 1
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._rate.per_second

    def whole(self, now: float) -> int:
        """The number of lines that may come now."""
        self._fill(now)
        return max(0, int(self._tokens + (1 - _WHOLE)))

    def take_many(self, count: int) -> None:
        """Count ``count`` lines, at most the number that :meth:`whole` has just returned."""
        self._tokens -= count

    def wait(self, now: float) -> float:
        """The seconds until the next line may come; 0 if it may come now."""
        self._fill(now)
        return 0.0 if self._tokens >= _WHOLE else (1 - self._tokens) / self._rate.per_second

    def charge(self, tokens: float, now: float) -> None:
        """Count ``tokens`` of work that is done already; the debt grows to one burst at most."""
        self._fill(now)
        self._tokens = max(self._tokens - tokens, min(self._tokens, -self._rate.burst))

    def time_to_fill(self, now: float) -> float:
        """The seconds until the bucket is full, so that nothing counted matters any more."""
        self._fill(now)
        return (self._rate.burst - self._tokens) / self._rate.per_second

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self._at)
        self._at = now
        self._tokens = min(self._rate.burst, self._tokens + passed * self._rate.per_second)

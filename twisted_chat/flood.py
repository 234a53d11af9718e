"""Flood control: how long a client that sends too much is not read.

Pure: the time is a parameter. Nothing is dropped, what was sent waits.
"""

from __future__ import annotations

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """``burst`` lines at once, and ``per_second`` lines a second in the long run."""

    burst: float
    per_second: float


class TokenBucket:
    """Counts one client's lines against a :class:`Rate`."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._at = now

    def take(self, now: float) -> float:
        """Count one line at ``now`` (seconds); returns the seconds until the next may come."""
        # A clock that was set back gives no tokens and takes none.
        passed = max(0.0, now - self._at)
        self._at = now
        self._tokens = min(self._rate.burst, self._tokens + passed * self._rate.per_second) - 1
        if self._tokens >= 1:
            return 0.0
        return (1 - self._tokens) / self._rate.per_second

"""Flood control for one connection: when its lines may be handled, and what its client is told.

This module must not know the lines themselves, only their number and cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted_chat.core.events import Slowed
from twisted_chat.core.sources import Allowance
from twisted_chat.net.shared import Pace, SharedFactory

#: Seconds between two notices to a client that its lines are slowed, at least.
TELL_SLOWED_INTERVAL = 60.0


class Pacing:
    """Flood control for one connection: lines wait while its source has no token for them.

    :param shared: has the current pace, the limits and the counters of the server.
    :param allowance: the tokens that the connection may spend of its source's rate.
    """

    __slots__ = ("_allowance", "_shared", "_slowed", "_slowed_told", "is_waiting")

    def __init__(self, shared: SharedFactory, allowance: Allowance) -> None:
        self._shared = shared
        self._allowance = allowance
        #: Whether the next line waits for a token.
        self.is_waiting = False
        #: Whether a line had to wait, and none has been handled without waiting since.
        self._slowed = False
        #: The time of the last notice to the client.
        self._slowed_told = -math.inf

    def many(self, limit: int, cost: int) -> int:
        """The number of lines that may be handled together now.

        :param limit: the most lines to return.
        :param cost: the tokens that each line costs.
        """
        if self._shared.pace is Pace.STOPPED:
            return 0
        if self._shared.pace is Pace.HASTE:
            return limit
        return self._allowance.available(limit) // cost

    def handled_many(self, count: int, cost: int) -> None:
        """Charge for ``count`` lines that were handled together, at ``cost`` tokens each."""
        if self._shared.pace is not Pace.HASTE:
            self._allowance.spend_many(count * cost)
            self._slowed = self.is_waiting = False

    def may_handle(self, wake: Callable[[], None]) -> bool:
        """Whether the next line may be handled now, for one token.

        If it has to wait for the token, ``wake`` is called once it may be handled.
        """
        if self._shared.pace is Pace.HASTE:
            return True
        if self._shared.pace is Pace.STOPPED:
            return False
        may = self._allowance.spend(wake)
        if may and not self.is_waiting:
            self._slowed = False
        self.is_waiting = not may
        return may

    def charge(self, cost: int) -> None:
        """Charge for a request that costs ``cost`` tokens, of which one is paid already."""
        if cost > 1:
            self._allowance.charge(cost - 1)

    def hasten(self) -> bool:
        """Stop waiting for a token; returns whether the next line did."""
        did, self.is_waiting = self.is_waiting, False
        if did:
            self._allowance.stop_waiting()
        return did

    def tell_slowed(self) -> Slowed | None:
        """Note that a line had to wait; returns the notice for the client, None if not due."""
        if self._slowed:
            return None
        self._slowed = True
        self._shared.refused["rate"] += 1
        now = self._shared.reactor.seconds()
        rate = self._shared.limits.rate
        if rate is None or now - self._slowed_told < TELL_SLOWED_INTERVAL:
            return None
        self._slowed_told = now
        return Slowed(rate.burst, rate.per_second)

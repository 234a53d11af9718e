"""How fast the lines of one connection are handled, and what its client is told of that."""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted_chat.core.events import Slowed
from twisted_chat.core.sources import Allowance
from twisted_chat.net.shared import Pace, SharedFactory

#: Seconds from telling somebody that they are being slowed to the next time, at least.
TELL_SLOWED_INTERVAL = 60.0


class Pacing:
    """Flood control for one connection: lines wait while its source has no token for them.

    :param shared: says how fast lines are handled at the moment.
    :param allowance: what the connection may take of its source's rate.
    """

    def __init__(self, shared: SharedFactory, allowance: Allowance) -> None:
        self._shared = shared
        self._allowance = allowance
        #: The line at hand waits for a token.
        self.is_waiting = False
        #: Lines had to wait, and have not yet caught up; and when that was told last.
        self._slowed = False
        self._slowed_told = -math.inf

    def many(self, limit: int, cost: int) -> int:
        """How many lines may be handled together now, up to ``limit``, at ``cost`` tokens each."""
        if self._shared.pace is Pace.STOPPED:
            return 0
        if self._shared.pace is Pace.HASTE:
            return limit
        return self._allowance.available(limit) // cost

    def handled_many(self, count: int, cost: int) -> None:
        """So many lines were handled together."""
        if self._shared.pace is not Pace.HASTE:
            self._allowance.spend_many(count * cost)
            self._slowed = self.is_waiting = False

    def may_handle(self, wake: Callable[[], None]) -> bool:
        """Whether the next line may be handled now; ``wake`` is called when it may, if ever."""
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
        """What a line asked for costs ``cost`` tokens, of which one is paid."""
        if cost > 1:
            self._allowance.charge(cost - 1)

    def hasten(self) -> bool:
        """Nothing waits any more; returns whether something did."""
        did, self.is_waiting = self.is_waiting, False
        if did:
            self._allowance.stop_waiting()
        return did

    def tell_slowed(self) -> Slowed | None:
        """A line had to wait: what is to be shown for that, if anything."""
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

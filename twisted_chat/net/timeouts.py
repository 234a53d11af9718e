"""Deadlines of the same period for many items, with one timer for all.

This module must not know the items, which may be connections.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import islice, takewhile
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

ItemT = TypeVar("ItemT", bound=Hashable)

#: Items that are handled in one turn of the reactor's loop, at most.
AT_ONCE = 100


#: Seconds by which two ways to compute a time may differ.
_ROUNDING = 1e-3


class Deadlines(Generic[ItemT]):
    """Calls a function with each item whose deadline has passed.

    :param clock: tells the time and starts the timer.
    :param period: returns the seconds from the start of an item to its deadline; 0 is no deadline.
    :param missed: called with the item, once for each start.
    """

    def __init__(
        self, clock: IReactorTime, period: Callable[[], float], missed: Callable[[ItemT], object]
    ) -> None:
        self._clock = clock
        self._period = period
        self._missed = missed
        #: The start of each item, the oldest first.
        self._since: dict[ItemT, float] = {}
        self._timer: IDelayedCall | None = None

    def start(self, item: ItemT) -> None:
        """Start the period of ``item``, or start it again."""
        self._since.pop(item, None)
        self._since[item] = self._clock.seconds()
        if self._timer is None:
            self._set_timer()

    def stop(self, item: ItemT) -> None:
        """Remove the deadline of ``item``, if it has one."""
        # The timer runs on: an early look is cheaper than setting the timer often.
        self._since.pop(item, None)

    def renew(self) -> None:
        """Set the timer anew: the period has changed, or no item is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._set_timer()

    def __len__(self) -> int:
        return len(self._since)

    def _set_timer(self) -> None:
        period = self._period()
        if self._since and period:
            passed = self._clock.seconds() - next(iter(self._since.values()))
            if passed < 0:  # the clock was set back: start all items again
                passed = 0.0
                self._since = dict.fromkeys(self._since, self._clock.seconds())
            self._timer = self._clock.callLater(max(0.0, period - passed), self._look)

    def _look(self) -> None:
        self._timer = None
        # The timer's sum and this difference may be rounded differently. Without the tolerance the
        # timer would be set again for 0 seconds, for ever on a clock that stands still.
        latest = self._clock.seconds() - self._period() + _ROUNDING
        over = takewhile(lambda since: since[1] <= latest, self._since.items())
        for item, _ in tuple(islice(over, AT_ONCE)):
            if self._since.pop(item, None) is not None:
                self._missed(item)
        self._set_timer()

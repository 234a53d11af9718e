"""What has to be done within so many seconds, for many things at once, with one timer."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import islice, takewhile
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

ItemT = TypeVar("ItemT", bound=Hashable)

#: So many are dealt with in one turn of the reactor's loop.
AT_ONCE = 100


#: Seconds that two ways to reckon a time may differ by.
_ROUNDING = 1e-3


class Deadlines(Generic[ItemT]):
    """Calls ``missed`` with each item whose time is over.

    ``period`` says how many seconds each has; while it says 0, there are no deadlines.
    """

    def __init__(
        self, clock: IReactorTime, period: Callable[[], float], missed: Callable[[ItemT], object]
    ) -> None:
        self._clock = clock
        self._period = period
        self._missed = missed
        #: Since when, in that order.
        self._since: dict[ItemT, float] = {}
        self._timer: IDelayedCall | None = None

    def start(self, item: ItemT) -> None:
        """The time of ``item`` begins, or begins again."""
        self._since.pop(item, None)
        self._since[item] = self._clock.seconds()
        if self._timer is None:
            self._set_timer()

    def stop(self, item: ItemT) -> None:
        """``item`` has no deadline any more."""
        # The timer runs on: it is cheaper to find nothing than to set one often.
        self._since.pop(item, None)

    def renew(self) -> None:
        """What ``period`` says is another number now, or there is nobody left."""
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
            if passed < 0:  # the clock was set back: all begin again
                passed = 0.0
                self._since = dict.fromkeys(self._since, self._clock.seconds())
            self._timer = self._clock.callLater(max(0.0, period - passed), self._look)

    def _look(self) -> None:
        self._timer = None
        # A little more, as the timer's sum and this difference may be rounded differently: it would
        # be set again for no time at all, for ever on a clock that stands still.
        latest = self._clock.seconds() - self._period() + _ROUNDING
        over = takewhile(lambda since: since[1] <= latest, self._since.items())
        for item, _ in tuple(islice(over, AT_ONCE)):
            if self._since.pop(item, None) is not None:
                self._missed(item)
        self._set_timer()

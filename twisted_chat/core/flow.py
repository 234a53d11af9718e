"""One rate, and the lines that wait for it: the one whose turn it is gets the next token.

Pure: the clock and its timers are parameters. It must not know what the rate is of.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Protocol

from twisted_chat.core.flood import Rate, TokenBucket


class Timer(Protocol):
    """What :meth:`Clock.callLater` returns."""

    def cancel(self) -> object: ...


class Clock(Protocol):
    """Seconds that never go backwards, and timers."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, callable: Callable[[], object], /) -> Timer: ...


class Taker(Protocol):
    """Takes tokens, and waits if there is none."""

    #: When it had the last one.
    served: float
    #: Its place among those that wait, by number; -1 if it does not wait.
    place: int

    def grant(self) -> None:
        """It has a token."""


_order = count()


class Flow:
    """One rate, and the connections whose lines wait for it: with one timer for all of them."""

    __slots__ = ("_clock", "_gone", "_heap", "_timer", "bucket")

    def __init__(self, clock: Clock, rate: Rate | None) -> None:
        self._clock = clock
        self.bucket = None if rate is None else TokenBucket(rate, clock.seconds())
        #: Those that wait, the one that was served longest ago first; and those that do
        #: not any more, whose place is another one: how many that are.
        self._heap: list[tuple[float, int, Taker]] = []
        self._gone = 0
        self._timer: Timer | None = None

    def set_rate(self, rate: Rate | None) -> None:
        self.bucket = None if rate is None else TokenBucket(rate, self._clock.seconds())
        self._cancel()
        if self._heap:
            self._timer = self._clock.callLater(0, self._serve)

    def take(self, taker: Taker) -> bool:
        """Take a token, unless there is none or others wait for it."""
        now = self._clock.seconds()
        if self.bucket is not None:
            if self._timer is not None or self.bucket.wait(now):
                return False
            self.bucket.take(now)
        taker.served = now
        return True

    def available(self) -> int | None:
        """How many tokens could be taken now, if nobody waits for them; None is any number."""
        if self.bucket is None:
            return None
        return 0 if self._timer is not None else self.bucket.whole(self._clock.seconds())

    def take_many(self, taker: Taker, count: int) -> None:
        """Take ``count`` of the tokens that are available."""
        if self.bucket is not None:
            self.bucket.take_many(count)
            taker.served = self._clock.seconds()

    def wait(self, taker: Taker) -> None:
        """Serve ``taker`` when it is its turn."""
        taker.place = next(_order)
        heappush(self._heap, (taker.served, taker.place, taker))
        if self._timer is None:
            self._set_timer()

    def leave(self, taker: Taker) -> None:
        """``taker`` does not wait any more."""
        if taker.place < 0:
            return  # it is being served
        taker.place = -1
        self._gone += 1
        if 2 * self._gone > len(self._heap):  # or else thousands that go take a second
            self._heap = [item for item in self._heap if item[2].place == item[1]]
            heapify(self._heap)
            self._gone = 0
        if not self._heap:
            self._cancel()

    def _serve(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        served = []
        while self._heap and (self.bucket is None or not self.bucket.wait(now)):
            _, place, taker = heappop(self._heap)
            if taker.place != place:
                self._gone -= 1
                continue
            if self.bucket is not None:
                self.bucket.take(now)
            taker.place = -1
            taker.served = now
            served.append(taker)
        self._set_timer()
        for taker in served:
            taker.grant()

    def _set_timer(self) -> None:
        if self._heap:
            seconds = self.bucket.wait(self._clock.seconds()) if self.bucket is not None else 0
            self._timer = self._clock.callLater(seconds, self._serve)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

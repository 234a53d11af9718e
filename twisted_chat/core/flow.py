"""One rate and the takers (connections) that wait for its tokens, the least recently served first.

Pure: the clock and its timers are parameters. It must not know whose rate it is, nor what a token
is for.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Protocol

from twisted_chat.core.flood import Rate, TokenBucket


class Timer(Protocol):
    """The result of :meth:`Clock.callLater`: a call that can be cancelled."""

    def cancel(self) -> object: ...


class Clock(Protocol):
    """A clock in seconds that never goes backwards, with timers."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, callable: Callable[[], object], /) -> Timer: ...


class Taker(Protocol):
    """Takes tokens, and waits if there is none: a connection, for its lines."""

    #: The time, in seconds, at which it took the last token.
    served: float
    #: The number of its entry in the queue; -1 if it does not wait.
    place: int

    def grant(self) -> None:
        """Called when the taker, which waited, has been given a token."""


_order = count()


class Flow:
    """One rate (None: unlimited) and the takers that wait for it, with one timer for all."""

    __slots__ = ("_clock", "_gone", "_heap", "_timer", "bucket")

    def __init__(self, clock: Clock, rate: Rate | None) -> None:
        self._clock = clock
        self.bucket = None if rate is None else TokenBucket(rate, clock.seconds())
        #: The queue: ``served``, ``place`` and the taker, the least recently served first. An item
        #: is stale if the taker's place is another one by now: it left.
        self._heap: list[tuple[float, int, Taker]] = []
        #: The number of stale items.
        self._gone = 0
        self._timer: Timer | None = None

    def set_rate(self, rate: Rate | None) -> None:
        self.bucket = None if rate is None else TokenBucket(rate, self._clock.seconds())
        self._cancel()
        if self._heap:
            self._timer = self._clock.callLater(0, self._serve)

    def take(self, taker: Taker) -> bool:
        """Take a token for ``taker``; returns False if there is none or others wait for one."""
        now = self._clock.seconds()
        if self.bucket is not None:
            if self._timer is not None or self.bucket.wait(now):
                return False
            self.bucket.take(now)
        taker.served = now
        return True

    def available(self) -> int | None:
        """The number of tokens that can be taken now, 0 if others wait; None if unlimited."""
        if self.bucket is None:
            return None
        return 0 if self._timer is not None else self.bucket.whole(self._clock.seconds())

    def take_many(self, taker: Taker, count: int) -> None:
        """Take ``count`` tokens for ``taker``, at most :meth:`available`."""
        if self.bucket is not None:
            self.bucket.take_many(count)
            taker.served = self._clock.seconds()

    def wait(self, taker: Taker) -> None:
        """Queue ``taker``: its :meth:`~Taker.grant` is called when its turn comes."""
        taker.place = next(_order)
        heappush(self._heap, (taker.served, taker.place, taker))
        if self._timer is None:
            self._set_timer()

    def leave(self, taker: Taker) -> None:
        """Take ``taker`` out of the queue."""
        if taker.place < 0:
            return  # it has its token already
        taker.place = -1
        self._gone += 1
        if 2 * self._gone > len(self._heap):  # not at each leave: thousands take a second
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

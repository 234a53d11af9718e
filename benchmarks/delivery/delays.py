"""How long messages took: from sending each to reading it."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.delivery.connection import Client
from benchmarks.delivery.speech import COUNTERS
from benchmarks.delivery.transcript import Reader, Transcript


class _Arrival(NamedTuple):
    """Somebody read the lines of a transcript that end after ``start``, up to ``end``."""

    transcript: Transcript
    start: int
    end: int
    #: Seconds, of the performance counter.
    time: float
    #: The reader's number, if its own lines are left out.
    author: int | None


class Summary(NamedTuple):
    """Milliseconds, and of how many deliveries."""

    p50: float
    p99: float
    longest: float
    deliveries: int


class Delays:
    """Notes who read what and when; later, when there is time, makes delays of that."""

    def __init__(self, senders: Mapping[int, Client], last_only: bool) -> None:
        """``last_only``: of what is read at once, only the last line counts."""
        self._senders = senders
        self._last_only = last_only
        self._arrivals: list[_Arrival] = []
        self._held: dict[Reader, float] = {}
        self._delays = array("d")

    def read(self, reader: Reader, data: memoryview) -> None:
        """``reader`` reads ``data``."""
        now = time.perf_counter()
        start = reader.offset
        reader.read(data)
        if reader.follows and reader.pending:
            self._held[reader] = now
        if reader.offset > start:
            self._arrivals.append(
                _Arrival(reader.transcript, start, reader.offset, now, reader.author)
            )

    def settle(self) -> None:
        """Those whose bytes are held until others have read the same read them now."""
        for reader, when in tuple(self._held.items()):
            start = reader.offset
            reader.settle()
            if reader.offset > start:
                self._arrivals.append(
                    _Arrival(reader.transcript, start, reader.offset, when, reader.author)
                )
            if not reader.pending:
                del self._held[reader]

    def work_out(self) -> None:
        """Make delays of what was noted."""
        for transcript, start, end, when, author in self._arrivals:
            first = bisect_right(transcript.ends, start)
            last = bisect_right(transcript.ends, end)
            if self._last_only:
                first = max(first, last - 1)
            for index in range(first, last):
                number, counter = divmod(transcript.lines[index], COUNTERS)
                if number == author:
                    continue
                sender = self._senders[number]
                run = bisect_right(sender.sent_until, counter)
                self._delays.append(when - sender.sent_at[run])
        self._arrivals.clear()

    def forget(self) -> None:
        """What was noted until now does not count."""
        self._arrivals.clear()
        del self._delays[:]

    def summary(self) -> Summary | None:
        """None if there was nothing."""
        self.work_out()
        if not self._delays:
            return None
        delays = sorted(self._delays)
        p50, p99 = (delays[int(share * (len(delays) - 1))] for share in (0.5, 0.99))
        return Summary(1e3 * p50, 1e3 * p99, 1e3 * delays[-1], len(delays))

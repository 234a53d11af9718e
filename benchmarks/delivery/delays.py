"""The delays of messages, from sending each to reading it."""

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
    """A reader has read the lines of a transcript that end after ``start``, up to ``end``."""

    transcript: Transcript
    start: int
    end: int
    #: The time of reading, in seconds of the performance counter.
    time: float
    #: The reader's number, if it does not receive its own lines.
    author: int | None


class Summary(NamedTuple):
    """Delays in milliseconds, and the number of deliveries."""

    p50: float
    p99: float
    longest: float
    deliveries: int


class Delays:
    """Notes when each reader has read which lines; computes the delays later."""

    def __init__(self, senders: Mapping[int, Client], last_only: bool) -> None:
        """Begin without arrivals.

        :param senders: the senders, by their numbers.
        :param last_only: whether only the last of several lines that are read at once counts.
        """
        self._senders = senders
        self._last_only = last_only
        self._arrivals: list[_Arrival] = []
        self._held: dict[Reader, float] = {}
        self._delays = array("d")

    def read(self, reader: Reader, data: memoryview) -> None:
        """Pass ``data`` to ``reader``, and note the time."""
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
        """Let followers read their pending bytes, which others have written meanwhile."""
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
        """Compute the delays of the noted arrivals."""
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
        """Drop all arrivals and delays so far: they do not count."""
        self._arrivals.clear()
        del self._delays[:]

    def summary(self) -> Summary | None:
        """The delays so far, in short; None if there are none."""
        self.work_out()
        if not self._delays:
            return None
        delays = sorted(self._delays)
        p50, p99 = (delays[int(share * (len(delays) - 1))] for share in (0.5, 0.99))
        return Summary(1e3 * p50, 1e3 * p99, 1e3 * delays[-1], len(delays))

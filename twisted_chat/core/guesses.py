"""Wrong secrets: whoever gives many has to wait, longer each time. And registrations, per hour.

A source, and an account, may give three wrong secrets within a minute; after the third, no secret
is tried for a minute, and after each further one for twice as long, up to an hour. A secret that is
not tried does not count. So the owner of an account waits an hour at the most; and they do not wait
for the account at all where they have come in before, nor with a token or code, which nobody
guesses.

Pure: the clock is a parameter. This module must not know what a secret is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import msgspec

#: Wrong secrets without a wait.
FREE = 3

#: Seconds of the first wait, and of the longest.
FIRST_WAIT = 60.0
LONGEST_WAIT = 3600.0

#: Seconds after a wait in which nothing wrong must come until the wrong secrets are forgotten.
QUIET = 3600.0

#: The most sources, or accounts, whose wrong secrets are remembered. Beyond that, those whose last
#: wrong secret was the longest ago are forgotten.
REMEMBERED = 20_000

#: Names that a source can register within an hour.
REGISTRATIONS = 10
HOUR = 3600.0

#: The most accounts whose sources are remembered, and sources of each.
KNOWN_ACCOUNTS = 20_000
KNOWN_SOURCES = 8


class _Record(msgspec.Struct):
    """Wrong secrets of one key: their number, and the time, in seconds, of the last."""

    count: int
    at: float

    @property
    def wait(self) -> float:
        """Seconds from the last wrong secret to the next one that is tried."""
        over = self.count - FREE
        return 0.0 if over < 0 else min(FIRST_WAIT * 2.0 ** min(over, 30), LONGEST_WAIT)

    @property
    def forgotten(self) -> float:
        """The time at which it does not matter any more."""
        return self.at + (self.wait + QUIET if self.wait else FIRST_WAIT)


class Guesses:
    """The wrong secrets of each key: a source, an account, or a name.

    :param clock: seconds that never go backwards.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: Those whose last wrong secret was the longest ago come first.
        self._records: OrderedDict[Hashable, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def wait(self, key: Hashable) -> float:
        """The seconds until a secret of ``key`` may be tried; 0 if it may be tried now."""
        record = self._records.get(key)
        return 0.0 if record is None else max(0.0, record.at + record.wait - self._clock())

    def left(self, key: Hashable) -> int:
        """How many wrong secrets of ``key`` may come before it has to wait; 0 while it waits."""
        if self.wait(key):
            return 0
        record = self._records.get(key)
        if record is None or record.forgotten <= self._clock():
            return FREE
        return max(1, FREE - record.count)

    def count(self, key: Hashable) -> None:
        """Count a wrong secret of ``key``."""
        now = self._clock()
        record = self._records.pop(key, None)
        if record is None or record.forgotten <= now:
            record = _Record(0, now)
        record.count += 1
        record.at = now
        self._records[key] = record
        while len(self._records) > REMEMBERED:
            self._records.popitem(last=False)


class KnownSources:
    """The sources from which somebody has come into each account, as far as they are remembered."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, OrderedDict[Hashable, None]] = OrderedDict()

    def add(self, account: int, source: Hashable) -> None:
        """Remember that ``source`` came into ``account``."""
        known = self._known.setdefault(account, OrderedDict())
        self._known.move_to_end(account)
        known[source] = None
        known.move_to_end(source)
        if len(known) > KNOWN_SOURCES:
            known.popitem(last=False)
        if len(self._known) > KNOWN_ACCOUNTS:
            self._known.popitem(last=False)

    def has(self, account: int, source: Hashable) -> bool:
        """Whether ``source`` has come into ``account`` before."""
        return source in self._known.get(account, ())


class Registrations:
    """The names that each source has registered within the last hour.

    :param clock: seconds that never go backwards.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: The times, the oldest first; the sources that registered last come last.
        self._times: OrderedDict[Hashable, list[float]] = OrderedDict()

    def wait(self, source: Hashable) -> float:
        """The seconds until ``source`` may register another name; 0 if it may do so now."""
        times = self._times.get(source, [])
        times[:] = [time for time in times if time > self._clock() - HOUR]
        return 0.0 if len(times) < REGISTRATIONS else times[0] + HOUR - self._clock()

    def count(self, source: Hashable) -> None:
        """Count a name that ``source`` registers."""
        self._times.setdefault(source, []).append(self._clock())
        self._times.move_to_end(source)
        while len(self._times) > REMEMBERED:
            self._times.popitem(last=False)

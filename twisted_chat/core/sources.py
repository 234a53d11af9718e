"""Sources: the addresses that connections come from, and all that is counted for each.

Every limit is that of a source, so that another connection, or a new one after the last is gone,
never has a fresh allowance. A source outlives its connections: it is forgotten when nothing is
left to count. Its connections share its rate: a line that finds no token waits, and the
connection that has had none for the longest time gets the next.

Pure: the clock and its timers are parameters. It must not know connections or what they say.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from itertools import islice

from twisted_chat.core.errors import (
    Refusal,
    ServerFull,
    TooManyConnections,
    TooManyGuesses,
    TooManyNewRooms,
)
from twisted_chat.core.flood import Rate, TokenBucket
from twisted_chat.core.flow import Clock, Flow
from twisted_chat.core.limits import DEFAULTS, Limits

#: The part of an IPv6 address that a household or a machine has all to itself (RFC 6177).
_NETWORK_BITS = 64

#: Sources without a connection that are remembered: a rate takes seconds to be whole again, what
#: is counted by the hour takes an hour. Beyond that, the one that was idle longest is forgotten.
IDLE_LIMIT = 50_000

#: People who are away and can come back, of all sources. Beyond that, who goes is not remembered:
#: nobody else is forgotten for it.
ABSENT_LIMIT = 20_000

#: Wrong codes of ``/resume`` that a source can give: at once, and in the long run.
GUESSES = Rate(5, 1 / 12)

#: Seconds for which a room counts that was made.
HOUR = 3600.0

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(host: str) -> _Address | None:
    """The address that ``host`` is, without its zone; None for anything else.

    An IPv4 address inside an IPv6 one (RFC 4291, 2.5.5.2) is the IPv4 one.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        return ipaddress.IPv6Address(int(address))
    return address


def source_of(host: str) -> str:
    """What a connection from ``host`` is counted for: the address, or the /64 network of IPv6."""
    address = parse_address(host)
    if address is None:
        return host
    if isinstance(address, ipaddress.IPv6Address) and not address.is_loopback:
        host_bits = 128 - _NETWORK_BITS
        network = ipaddress.IPv6Address(int(address) >> host_bits << host_bits)
        return f"{network}/{_NETWORK_BITS}"
    return str(address)


def _nobody() -> None:
    """Nobody waits."""


class Source:
    """One address or network, and what is counted for it. ``key`` is None for a Unix socket.

    Those in a network that the operator trusts share nothing but this object: each connection
    has the rate to itself, and no number is limited.
    """

    __slots__ = (
        "_absent",
        "_guesses",
        "_most",
        "_rooms",
        "_sources",
        "connections",
        "flow",
        "key",
        "local",
        "trusted",
    )

    def __init__(self, sources: Sources, key: str | None, local: bool, trusted: bool) -> None:
        self._sources = sources
        self.key = key
        #: Whether it is this machine.
        self.local = local
        self.trusted = trusted
        self.connections = 0
        self.flow = sources.new_flow()
        #: The rooms that were made within the last hour, the oldest first, and when.
        self._rooms: dict[str, float] = {}
        self._guesses: TokenBucket | None = None
        #: Those who are away and can come back, and how each is forgotten; the first to go first.
        self._absent: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()
        #: Connections at one time, at most.
        self._most = 0

    def add_absent(self, person: Hashable, forget: Callable[[], None]) -> None:
        """``person`` is away and can come back, until ``forget`` is called.

        It is called for the one who is away for the longest time, if more are than may be
        connected; where any number may be, if more are than were connected at one time.
        """
        self.remove_absent(person)
        if self._sources.absent >= ABSENT_LIMIT:
            forget()
            return
        self._absent[person] = forget
        self._sources.absent += 1
        limit = self._sources.limits.connections_per_address
        if not limit or self.local or self.trusted:
            limit = max(limit or DEFAULTS.connections_per_address, self._most)
        while len(self._absent) > limit:
            oldest = next(iter(self._absent))
            forget = self._absent[oldest]
            self.remove_absent(oldest)
            forget()

    def remove_absent(self, person: Hashable) -> None:
        """``person`` is back, or is forgotten."""
        if self._absent.pop(person, None) is not None:
            self._sources.absent -= 1

    def entered(self) -> None:
        """A connection of it came."""
        self.connections += 1
        self._most = max(self._most, self.connections)

    def check_guess(self) -> None:
        """Whether a code may be tried.

        :raises TooManyGuesses: too many were wrong; this one is not looked at.
        """
        if self._guesses is not None and not self.trusted:
            seconds = self._guesses.wait(self._sources.clock.seconds())
            if seconds:
                raise TooManyGuesses(seconds=math.ceil(seconds))

    def count_wrong_guess(self) -> None:
        """A code was nobody's."""
        now = self._sources.clock.seconds()
        if self._guesses is None:
            self._guesses = TokenBucket(GUESSES, now)
        self._guesses.take(now)

    def check_new_rooms(self, names: Collection[str]) -> None:
        """Whether it may make these rooms. One that it made a moment ago is not new.

        :raises TooManyNewRooms: they would be more than may be made within an hour.
        """
        limit = self._sources.limits.rooms_per_hour
        if not limit or self.trusted or not names:
            return
        now = self._sources.clock.seconds()
        self._forget_rooms(now)
        fresh = [name for name in names if name not in self._rooms]
        if len(self._rooms) + len(fresh) > limit:
            first = next(iter(self._rooms.values()), now)
            minutes = max(1, math.ceil((first + HOUR - now) / 60))
            raise TooManyNewRooms(limit=limit, minutes=minutes)

    def count_new_rooms(self, names: Collection[str]) -> list[str]:
        """These rooms are made; returns those that were not counted before."""
        if self.trusted or not self._sources.limits.rooms_per_hour:
            return []
        now = self._sources.clock.seconds()
        fresh = [name for name in names if name not in self._rooms]
        self._rooms.update(dict.fromkeys(fresh, now))
        return fresh

    def uncount_new_rooms(self, names: Collection[str]) -> None:
        """These rooms, which were counted, were not made after all."""
        for name in names:
            self._rooms.pop(name, None)

    def time_to_forget(self, now: float) -> float:
        """The seconds until nothing of it matters, if no connection comes."""
        if self._absent:
            return math.inf
        bucket = self.flow.bucket
        rate = 0.0 if bucket is None else bucket.time_to_fill(now)
        guesses = 0.0 if self._guesses is None else self._guesses.time_to_fill(now)
        last = next(reversed(self._rooms.values()), -math.inf)
        return max(rate, guesses, last + HOUR - now)

    def _forget_rooms(self, now: float) -> None:
        for name, made in tuple(self._rooms.items()):
            if made > now - HOUR:
                break
            del self._rooms[name]


class Allowance:
    """What one connection may take of its source's rate.

    :meth:`close` it with the connection.
    """

    __slots__ = (
        "_flow",
        "_paid",
        "_sources",
        "_waiting",
        "_wake",
        "host",
        "place",
        "served",
        "source",
    )

    def __init__(self, sources: Sources, host: str | None) -> None:
        self._sources = sources
        self.host = host
        self._paid = False
        self._waiting = False
        #: Its place among those that wait, by number; -1 if it does not wait.
        self.place = -1
        self._wake: Callable[[], None] = _nobody
        #: When it had the last token. A new connection has no advantage over one that waits.
        self.served = sources.clock.seconds()
        self.enter(sources.find(host))

    def spend(self, wake: Callable[[], None]) -> bool:
        """Take the token for one line.

        If there is none, the line has to wait, and ``wake`` is called when one was taken for it:
        then the next call returns true.
        """
        if self._paid:
            self._paid = False
            return True
        if not self._waiting:
            if self._flow.take(self):
                return True
            self._waiting = True
            self._wake = wake
            self._flow.wait(self)
        return False

    def available(self, most: int) -> int:
        """How many lines could be handled now, up to ``most``, without one of them waiting."""
        if self._paid or self._waiting:
            return 0
        available = self._flow.available()
        return most if available is None else min(most, available)

    def spend_many(self, count: int) -> None:
        """Take the tokens for ``count`` lines, no more than :meth:`available` has just said."""
        self._flow.take_many(self, count)

    def charge(self, lines: float) -> None:
        """Count what was done already and costs as much as ``lines``: those that follow wait."""
        if self._flow.bucket is not None:
            self._flow.bucket.charge(lines, self._sources.clock.seconds())

    def stop_waiting(self) -> None:
        """What waited is gone: ``wake`` is not called any more."""
        if self._waiting:
            self._waiting = False
            self._wake = _nobody
            self._flow.leave(self)

    def close(self) -> None:
        """The connection is gone."""
        self.stop_waiting()
        self._sources.leave(self)

    # -- for this module ------------------------------------------------------------------------

    def enter(self, source: Source) -> None:
        self.source = source
        source.entered()
        self._flow = self._sources.new_flow() if source.trusted else source.flow

    def move(self, source: Source) -> None:
        """It is counted for another one from now on; a line that waits, waits there."""
        wake, waiting = self._wake, self._waiting
        self.stop_waiting()
        self.enter(source)
        if waiting:
            self._waiting, self._wake = True, wake
            self._flow.wait(self)

    def set_rate(self, rate: Rate | None) -> None:
        if self._flow is not self.source.flow:
            self._flow.set_rate(rate)

    def grant(self) -> None:
        self._waiting = False
        self._paid = True
        wake, self._wake = self._wake, _nobody
        wake()


class Sources:
    """All sources. ``limits`` says what holds at the moment."""

    def __init__(
        self, limits: Callable[[], Limits], clock: Clock, trusted: Sequence[Network] = ()
    ) -> None:
        self._limits = limits
        self.clock = clock
        self._trusted = tuple(trusted)
        self._table: dict[tuple[str | None, bool], Source] = {}
        #: Those that have no connection, the one that has had none for the longest time first.
        self._idle: OrderedDict[Source, None] = OrderedDict()
        self._allowances: dict[Allowance, None] = {}
        #: How many people are away and can come back.
        self.absent = 0

    def __len__(self) -> int:
        return len(self._table)

    @property
    def limits(self) -> Limits:
        """What holds at the moment."""
        return self._limits()

    @property
    def total(self) -> int:
        """How many connections there are."""
        return len(self._allowances)

    def refusal(self, host: str | None) -> Refusal | None:
        """Why another connection from ``host`` would be too many, if it would."""
        limits = self._limits()
        if limits.max_clients and self.total >= limits.max_clients:
            return ServerFull()
        limit = limits.connections_per_address
        source = self._table.get(self._key(host))
        if source is None or source.trusted or source.local:
            return None
        if limit and source.connections >= limit:
            return TooManyConnections(limit=limit)
        return None

    def open(self, host: str | None) -> Allowance:
        """There is another connection, from ``host``: None is a Unix socket."""
        allowance = Allowance(self, host)
        self._allowances[allowance] = None
        return allowance

    def limits_changed(self) -> None:
        """Another rate holds, for everybody at once."""
        rate = self._limits().rate
        for source in self._table.values():
            source.flow.set_rate(rate)
        for allowance in self._allowances:
            allowance.set_rate(rate)

    @property
    def trusted(self) -> tuple[Network, ...]:
        """The networks whose addresses share no limit."""
        return self._trusted

    @trusted.setter
    def trusted(self, networks: Sequence[Network]) -> None:
        self._trusted = tuple(networks)
        for allowance in tuple(self._allowances):
            source = allowance.source
            if self._key(allowance.host) != (source.key, source.trusted):
                allowance.move(self.find(allowance.host))
                self.left(source)

    # -- for this module ------------------------------------------------------------------------

    def new_flow(self) -> Flow:
        return Flow(self.clock, self._limits().rate)

    def find(self, host: str | None) -> Source:
        key = self._key(host)
        source = self._table.get(key)
        if source is None:
            self._forget_idle()
            address = None if host is None else parse_address(host)
            local = host is None or (address is not None and address.is_loopback)
            source = self._table[key] = Source(self, key[0], local, key[1])
        self._idle.pop(source, None)
        return source

    def leave(self, allowance: Allowance) -> None:
        if allowance in self._allowances:
            del self._allowances[allowance]
            self.left(allowance.source)

    def left(self, source: Source) -> None:
        source.connections -= 1
        if not source.connections:
            self._idle[source] = None
            self._forget_idle()

    def _key(self, host: str | None) -> tuple[str | None, bool]:
        if host is None:
            return None, False
        return source_of(host), self._is_trusted(host)

    def _is_trusted(self, host: str) -> bool:
        address = parse_address(host) if self._trusted else None
        return address is not None and any(address in network for network in self._trusted)

    def _forget_idle(self) -> None:
        """Look at two that are idle: each comes and goes, so that none is left in the end."""
        now = self.clock.seconds()
        for source in tuple(islice(self._idle, 2)):
            del self._idle[source]
            if source.time_to_forget(now) > 0 and len(self._idle) < IDLE_LIMIT:
                self._idle[source] = None
            else:
                del self._table[source.key, source.trusted]

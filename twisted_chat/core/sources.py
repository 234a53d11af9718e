"""Sources: the addresses and networks of clients, and everything that is counted for each.

Limits belong to sources, so that a second connection, or a new connection after the last has
closed, has no fresh allowance. A source is forgotten when it has no connection and no count that
matters. Its connections share its rate: a line that finds no token waits, and the next token goes
to the waiting connection whose last token was the longest ago.

Pure: the clock and its timers are parameters. This module must not know connections or requests.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from functools import lru_cache
from itertools import islice

from twisted_chat.core.callbacks import nothing
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

#: The bits of the part of an IPv6 address that one household or machine has for itself (RFC 6177).
_NETWORK_BITS = 64

#: The most sources without a connection that are remembered. A rate recovers within seconds, and
#: counts of rooms expire within an hour; if there are more sources, the oldest are forgotten.
IDLE_LIMIT = 50_000

#: The last addresses that are kept parsed: for one connection, its address is parsed three times.
_PARSED = 256

#: The most people, of all sources, who are away and can come back. Beyond that, people who leave
#: are not remembered, and nobody else is forgotten for them.
ABSENT_LIMIT = 20_000

#: Wrong codes of ``/resume`` that a source can give: 5 at once, then one in 12 seconds.
GUESSES = Rate(5, 1 / 12)

#: Seconds for which a created room counts.
HOUR = 3600.0

#: Private messages for people who are away that a source, or an account, can send: 100 at once,
#: then 100 an hour.
KEPT_MESSAGES = Rate(100, 100 / HOUR)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(_PARSED)
def parse_address(host: str) -> _Address | None:
    """The address ``host``, without its zone; None if ``host`` is not an IP address.

    An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) becomes the IPv4 address.
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


@lru_cache(_PARSED)
def source_of(host: str) -> str:
    """The key of the source of ``host``: the IPv4 address, or the /64 network of an IPv6 address.

    Anything else, and the loopback address of IPv6, is its own key.
    """
    address = parse_address(host)
    if address is None:
        return host
    if isinstance(address, ipaddress.IPv6Address) and not address.is_loopback:
        host_bits = 128 - _NETWORK_BITS
        network = ipaddress.IPv6Address(int(address) >> host_bits << host_bits)
        return f"{network}/{_NETWORK_BITS}"
    return str(address)


class Source:
    """One address or network, with its counts. ``key`` is None for a Unix socket.

    The connections of a trusted source do not share the rate: each has its own. Their numbers and
    the rooms that they create are not limited.
    """

    __slots__ = (
        "_absent",
        "_guesses",
        "_kept_messages",
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
        #: Whether the source is this machine.
        self.local = local
        self.trusted = trusted
        self.connections = 0
        self.flow = sources.new_flow()
        #: The rooms created within the last hour, with the seconds of the clock; the oldest first.
        self._rooms: dict[str, float] = {}
        self._guesses: TokenBucket | None = None
        self._kept_messages: TokenBucket | None = None
        #: People who are away and can come back, each with the function that forgets them; those
        #: who have been away longest first.
        self._absent: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()
        #: The most connections at one time so far.
        self._most = 0

    def add_absent(self, person: Hashable, forget: Callable[[], None]) -> None:
        """Count ``person``, who is away and can come back until ``forget`` is called.

        A source can have as many people away as it can have connections; if its connections are
        not limited, as many as it has had at one time, or the default limit if that is more.
        Beyond that, the person who has been away longest is forgotten.
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
        """Stop counting ``person``, who is back or was forgotten."""
        if self._absent.pop(person, None) is not None:
            self._sources.absent -= 1

    def entered(self) -> None:
        """Count another connection."""
        self.connections += 1
        self._most = max(self._most, self.connections)

    def check_guess(self) -> None:
        """Check that the source may try a code.

        :raises TooManyGuesses: it gave too many wrong codes; the caller must not try this one.
        """
        if self._guesses is not None and not self.trusted:
            seconds = self._guesses.wait(self._sources.clock.seconds())
            if seconds:
                raise TooManyGuesses(seconds=math.ceil(seconds))

    def count_wrong_guess(self) -> None:
        """Count a wrong code."""
        now = self._sources.clock.seconds()
        if self._guesses is None:
            self._guesses = TokenBucket(GUESSES, now)
        self._guesses.take(now)

    def kept_message_wait(self) -> float:
        """The seconds until a message of this source can be kept for somebody who is away."""
        if self._kept_messages is None or self.trusted:
            return 0.0
        return self._kept_messages.wait(self._sources.clock.seconds())

    def count_kept_message(self) -> None:
        """Count a message that is kept for somebody who is away."""
        now = self._sources.clock.seconds()
        if self._kept_messages is None:
            self._kept_messages = TokenBucket(KEPT_MESSAGES, now)
        self._kept_messages.take(now)

    def check_new_rooms(self, names: Collection[str]) -> None:
        """Check that the source may create the rooms ``names``; rooms counted already do not count.

        :raises TooManyNewRooms: they would exceed the limit of rooms per hour.
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
        """Count the rooms ``names``; returns those that were not counted before."""
        if self.trusted or not self._sources.limits.rooms_per_hour:
            return []
        now = self._sources.clock.seconds()
        fresh = [name for name in names if name not in self._rooms]
        self._rooms.update(dict.fromkeys(fresh, now))
        return fresh

    def uncount_new_rooms(self, names: Collection[str]) -> None:
        """Stop counting the rooms ``names``: they were not created after all."""
        for name in names:
            self._rooms.pop(name, None)

    def time_to_forget(self, now: float) -> float:
        """The seconds until none of the counts matters, if no connection is opened before."""
        if self._absent:
            return math.inf
        bucket = self.flow.bucket
        rate = 0.0 if bucket is None else bucket.time_to_fill(now)
        guesses = 0.0 if self._guesses is None else self._guesses.time_to_fill(now)
        kept = 0.0 if self._kept_messages is None else self._kept_messages.time_to_fill(now)
        last = next(reversed(self._rooms.values()), -math.inf)
        return max(rate, guesses, kept, last + HOUR - now)

    def _forget_rooms(self, now: float) -> None:
        for name, made in tuple(self._rooms.items()):
            if made > now - HOUR:
                break
            del self._rooms[name]


class Allowance:
    """One connection's share of its source's rate. Call :meth:`close` with the connection."""

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
        #: A number that orders the waiting allowances; -1 if this one does not wait.
        self.place = -1
        self._wake: Callable[[], None] = nothing
        #: The time of the last token. It begins with now, so that a new connection has no advantage
        #: over a waiting one.
        self.served = sources.clock.seconds()
        self.enter(sources.find(host))

    def spend(self, wake: Callable[[], None]) -> bool:
        """Take the token for one line; returns whether there was one.

        If there was none, the line must wait. ``wake`` is called when a token has been taken for
        it: then the next call returns True.
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
        """The number of lines, up to ``most``, that can be handled now without waiting."""
        if self._paid or self._waiting:
            return 0
        available = self._flow.available()
        return most if available is None else min(most, available)

    def spend_many(self, count: int) -> None:
        """Take the tokens for ``count`` lines, no more than :meth:`available` has just returned."""
        self._flow.take_many(self, count)

    def charge(self, lines: float) -> None:
        """Charge for work that is done already and costs as much as ``lines``: later lines wait."""
        if self._flow.bucket is not None:
            self._flow.bucket.charge(lines, self._sources.clock.seconds())

    def stop_waiting(self) -> None:
        """Give up the waiting line: ``wake`` is not called any more."""
        if self._waiting:
            self._waiting = False
            self._wake = nothing
            self._flow.leave(self)

    def close(self) -> None:
        """Give the allowance back, as the connection is closed."""
        self.stop_waiting()
        self._sources.leave(self)

    # -- for this module ------------------------------------------------------------------------

    def enter(self, source: Source) -> None:
        self.source = source
        source.entered()
        self._flow = self._sources.new_flow() if source.trusted else source.flow

    def move(self, source: Source) -> None:
        """Count the connection for ``source`` from now on; a waiting line waits there."""
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
        wake, self._wake = self._wake, nothing
        wake()


class Sources:
    """All sources.

    :param limits: returns the limits at the moment.
    :param clock: seconds that never go backwards, and timers.
    :param trusted: the networks to which the limits of a source do not apply.
    """

    def __init__(
        self, limits: Callable[[], Limits], clock: Clock, trusted: Sequence[Network] = ()
    ) -> None:
        self._limits = limits
        self.clock = clock
        self._trusted = tuple(trusted)
        self._table: dict[tuple[str | None, bool], Source] = {}
        #: The sources without a connection, in the order in which they are examined next.
        self._idle: OrderedDict[Source, None] = OrderedDict()
        self._allowances: dict[Allowance, None] = {}
        #: The number of people who are away and can come back.
        self.absent = 0

    def __len__(self) -> int:
        return len(self._table)

    @property
    def limits(self) -> Limits:
        """The limits at the moment."""
        return self._limits()

    @property
    def total(self) -> int:
        """The number of connections."""
        return len(self._allowances)

    def refusal(self, host: str | None) -> Refusal | None:
        """Why another connection from ``host`` must be rejected; None if it can be accepted."""
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
        """Count a new connection from ``host`` (None: a Unix socket); returns its allowance."""
        allowance = Allowance(self, host)
        self._allowances[allowance] = None
        return allowance

    def limits_changed(self) -> None:
        """Apply the new rate to all sources and connections."""
        rate = self._limits().rate
        for source in self._table.values():
            source.flow.set_rate(rate)
        for allowance in self._allowances:
            allowance.set_rate(rate)

    @property
    def trusted(self) -> tuple[Network, ...]:
        """The networks to which the limits of a source do not apply."""
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
        """Examine two idle sources, and forget those whose counts do not matter any more.

        That is done whenever a source appears or becomes idle, so all are forgotten in the end.
        """
        now = self.clock.seconds()
        for source in tuple(islice(self._idle, 2)):
            del self._idle[source]
            if source.time_to_forget(now) > 0 and len(self._idle) < IDLE_LIMIT:
                self._idle[source] = None
            else:
                del self._table[source.key, source.trusted]

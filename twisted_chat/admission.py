"""How many connections there may be, of one address and of all together. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable

from twisted_chat.errors import Refusal, ServerFull, TooManyConnections
from twisted_chat.limits import Limits

#: The part of an IPv6 address that a household or a machine has all to itself (RFC 6177).
_NETWORK_BITS = 64


class Admission:
    """Counts the connections that there are. ``limits`` says what holds at the moment.

    A connection's ``source`` is what it is counted for: see :func:`source_of`.
    """

    def __init__(self, limits: Callable[[], Limits]) -> None:
        self._limits = limits
        self._by_source: Counter[str] = Counter()
        self.total = 0

    def refusal(self, source: str | None) -> Refusal | None:
        """Why another connection would be too many, if it would."""
        limits = self._limits()
        if limits.max_clients and self.total >= limits.max_clients:
            return ServerFull()
        limit = limits.connections_per_address
        if limit and source is not None and self._by_source[source] >= limit:
            return TooManyConnections(limit=limit)
        return None

    def enter(self, source: str | None) -> None:
        """There is another connection."""
        self.total += 1
        if source is not None:
            self._by_source[source] += 1

    def leave(self, source: str | None) -> None:
        """One that had entered is gone."""
        self.total -= 1
        if source is not None:
            self._by_source[source] -= 1
            if not self._by_source[source]:
                del self._by_source[source]


def source_of(host: str) -> str | None:
    """The address, or the network of IPv6, that a connection from ``host`` is counted for.

    None if that is this machine itself, which may make as many as it wants.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            if address.is_loopback:
                return None
            host_bits = 128 - _NETWORK_BITS
            network = ipaddress.IPv6Address(int(address) >> host_bits << host_bits)
            return f"{network}/{_NETWORK_BITS}"
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)

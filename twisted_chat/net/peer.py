"""Where a connection comes from."""

from __future__ import annotations

import ipaddress

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from twisted_chat.core.sources import parse_address
from twisted_chat.net.addresses import Address

_INTERNET = (IPv4Address, IPv6Address)


def host_of(address: IAddress) -> str | None:
    """The host of an address of the internet; None for any other one."""
    return address.host if isinstance(address, _INTERNET) else None


def describe(address: IAddress) -> Address:
    """``address`` for the operator's log.

    One of IPv4 that came to a port of IPv6 has the address that it would have elsewhere.
    """
    if isinstance(address, _INTERNET):
        parsed = parse_address(address.host)
        host = str(parsed) if isinstance(parsed, ipaddress.IPv4Address) else address.host
        return Address.of(host, address.port, f"({host!r}, {address.port})")
    return Address.of("unix", None, "(unix)")

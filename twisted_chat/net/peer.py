"""The address of a connection's peer, from Twisted's address objects. Pure."""

from __future__ import annotations

import ipaddress

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress

from twisted_chat.core.sources import parse_address
from twisted_chat.net.addresses import Address

_INTERNET = (IPv4Address, IPv6Address)


def host_of(address: IAddress) -> str | None:
    """The host of an IPv4 or IPv6 address; None for any other address."""
    return address.host if isinstance(address, _INTERNET) else None


def describe(address: IAddress) -> Address:
    """``address`` in the form that the log shows.

    An IPv4 address inside an IPv6 one (RFC 4291, 2.5.5.2) is shown as the IPv4 address.
    """
    if isinstance(address, _INTERNET):
        parsed = parse_address(address.host)
        host = str(parsed) if isinstance(parsed, ipaddress.IPv4Address) else address.host
        return Address.of(host, address.port, f"({host!r}, {address.port})")
    return Address.of("unix", None, "(unix)")

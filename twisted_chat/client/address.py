"""The address of a server, as people type it: ``HOST[:PORT]`` or ``tls:HOST[:PORT]``. Pure."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from twisted_chat.core.characters import find_unsafe, visible
from twisted_chat.core.errors import CannotStart
from twisted_chat.i18n.language import N_

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 50000

#: The prefixes of an address to connect to over TLS, and over plain TCP.
TLS, TCP = "tls:", "tcp:"


class Address(NamedTuple):
    """A server's address: a host name or an IP address, a port, and whether to use TLS."""

    host: str
    port: int
    tls: bool = False


class WrongAddress(CannotStart):
    code = "wrong-address"
    template = N_(
        "{address} is not an address; expected: HOST, HOST:PORT or tls:HOST:PORT, with a port "
        "from 1 to 65535"
    )


def parse_address(text: str) -> Address:
    """Parse the address of a server; an IPv6 address before a port is in brackets.

    :raises WrongAddress: ``text`` is not an address.
    """
    for scheme in (TLS, TCP):
        rest = text.removeprefix(scheme)
        # In "tls:50000", "tls" is the name of a host.
        if rest != text and rest and not _is_port(rest):
            return Address(*_host_and_port(rest, text), scheme == TLS)
    return Address(*_host_and_port(text, text))


def _host_and_port(text: str, given: str) -> tuple[str, int]:
    if _is_ipv6(text):
        return text, DEFAULT_PORT
    host, colon, port = text.partition(":")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or not _is_ipv6(host) or colon not in ("", ":"):
            raise WrongAddress(address=visible(given))
    if not host or " " in host or find_unsafe(text) or (colon and not _is_port(port)):
        raise WrongAddress(address=visible(given))
    return host, int(port) if colon else DEFAULT_PORT


def format_address(host: str, port: int, tls: bool = False) -> str:
    """The address of a server, in the form that :func:`parse_address` reads."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return visible(f"{TLS if tls else ''}{address}")


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    digits = text.isascii() and text.isdecimal() and len(text) <= 5
    return digits and 1 <= int(text) <= 65535

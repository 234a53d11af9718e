"""Where a server is, as people type it: ``HOST[:PORT]`` or ``tls:HOST[:PORT]``. Pure."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from twisted_chat.core.characters import find_unsafe, visible
from twisted_chat.core.errors import CannotStart
from twisted_chat.i18n.language import N_

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 50000

#: What an address begins with that is spoken to over TLS, and over TCP alone.
TLS, TCP = "tls:", "tcp:"


class Address(NamedTuple):
    """A server: its host's name or IP address, its port, and whether over TLS."""

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
    """The server that ``text`` names; an IPv6 address before a port is in brackets.

    :raises WrongAddress: it names none.
    """
    for scheme in (TLS, TCP):
        rest = text.removeprefix(scheme)
        # "tls:50000" is a port of a host of that name.
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
    """A server as :func:`parse_address` reads it."""
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

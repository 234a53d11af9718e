"""Where a server is, as people type it: ``HOST[:PORT]``. Pure."""

from __future__ import annotations

import ipaddress

from twisted_chat.characters import find_unsafe, visible
from twisted_chat.errors import CannotStart
from twisted_chat.language import N_

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 50000


class WrongAddress(CannotStart):
    code = "wrong-address"
    template = N_(
        "{address} is not an address; expected: HOST or HOST:PORT, with a port from 1 to 65535"
    )


def parse_address(text: str) -> tuple[str, int]:
    """The host and the port that ``text`` names; an IPv6 address before a port is in brackets.

    :raises WrongAddress: it names none.
    """
    if _is_ipv6(text):
        return text, DEFAULT_PORT
    host, colon, port = text.partition(":")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or not _is_ipv6(host) or colon not in ("", ":"):
            raise WrongAddress(address=visible(text))
    if not host or " " in host or find_unsafe(text) or (colon and not _is_port(port)):
        raise WrongAddress(address=visible(text))
    return host, int(port) if colon else DEFAULT_PORT


def format_address(host: str, port: int) -> str:
    """``host`` and ``port`` as :func:`parse_address` reads them."""
    return visible(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    digits = text.isascii() and text.isdecimal() and len(text) <= 5
    return digits and 1 <= int(text) <= 65535

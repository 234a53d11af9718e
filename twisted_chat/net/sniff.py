"""Recognises clients of other protocols by their first bytes or lines, and answers them. Pure.

A space follows an HTTP method (RFC 9112, section 3) and a nickname contains none, so a person can
be called GET. A request that is recognised as HTTP never becomes text, whichever line it begins
in: the author of a web page can make a browser send any lines after the first one.
"""

from __future__ import annotations

import enum
import re
from codecs import BOM_UTF8

from twisted_chat.i18n.language import N_, catalogue


class Foreign(enum.Enum):
    """A protocol other than the chat's."""

    HTTP = "http"
    TLS = "tls"
    SSH = "ssh"


class Undecided(enum.Enum):
    """The type of :data:`UNDECIDED`: more bytes are needed."""

    UNDECIDED = enum.auto()


UNDECIDED = Undecided.UNDECIDED

#: Methods of HTTP (RFC 9110, RFC 5789), and PRI, which begins HTTP/2 (RFC 9113, section 3.4).
_METHODS = (
    *(b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"),
    b"PRI",
)

#: The first bytes of each protocol. TLS begins with a handshake record (RFC 8446, section 5.1), SSH
#: with its version (RFC 4253, section 4.2).
_BEGINNINGS = {
    **{method + b" ": Foreign.HTTP for method in _METHODS},
    b"\x16\x03": Foreign.TLS,
    b"SSH-1.": Foreign.SSH,
    b"SSH-2.": Foreign.SSH,
}

#: A request line with any method, or the beginning of one that is too long to be seen in full.
_REQUEST_LINE = re.compile(rb"[^\s]+ +(?:[^\s]+ +HTTP/\d|/[^\s]{200})", re.IGNORECASE)

#: Headers that every browser sends, in case the request line before them was not recognised.
_HEADER = re.compile(
    rb"(?:host|user-agent|accept|accept-encoding|accept-language|connection|content-length"
    rb"|content-type|origin|referer|sec-fetch-[a-z]+): ",
    re.IGNORECASE,
)

_LEADING = b" \t\r\n\0\xef\xbb\xbf"


def recognise(data: bytes) -> Foreign | Undecided | None:
    """The protocol of a connection by its first bytes.

    :param data: the first bytes, without a byte order mark.
    :returns: the foreign protocol; :data:`UNDECIDED` if more bytes are needed; None if the bytes
        may belong to the chat.
    """
    if BOM_UTF8.startswith(data):
        return UNDECIDED
    for beginning, foreign in _BEGINNINGS.items():
        if data.startswith(beginning):
            return foreign
        if beginning.startswith(data):
            return UNDECIDED
    return None


def recognise_line(line: bytes) -> Foreign | None:
    """The foreign protocol of ``line``, sent in the place of a nickname; None if it may be one."""
    line = line.lstrip(_LEADING)
    foreign = recognise(line)
    if isinstance(foreign, Foreign) and foreign is not Foreign.TLS:  # that begins a connection
        return foreign
    if _REQUEST_LINE.match(line) or _HEADER.match(line):
        return Foreign.HTTP
    return None


def answer(foreign: Foreign, language: str) -> bytes:
    """The last bytes to send to a client of another protocol, in a form that it understands.

    :param foreign: the client's protocol.
    :param language: the language of the sentence for a person, if the protocol can carry one.
    """
    if foreign is Foreign.TLS:
        return b"\x15\x03\x01\x00\x02\x02\x28"  # alert, fatal: handshake_failure (RFC 8446, 6.2)
    _ = catalogue(language).gettext
    sentence = _(N_("This is a chat server: use telnet, nc or twisted-chat connect."))
    if foreign is Foreign.SSH:
        # Lines before the version string are for the person (RFC 4253, section 4.2).
        return f"{sentence}\r\n".encode()
    body = f"{sentence}\n".encode()
    head = (
        "HTTP/1.1 400 Bad Request\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body

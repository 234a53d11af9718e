"""What speaks another protocol than the chat's, by its first bytes. Pure.

A nickname holds no space, and an HTTP method is followed by one (RFC 9112, section 3): so a
person can be called GET. What is taken for HTTP never becomes text, wherever it begins: a
browser can be made to send what its page's author likes, after the first line.
"""

from __future__ import annotations

import enum
import re
from codecs import BOM_UTF8

from twisted_chat.i18n.language import N_, catalogue


class Foreign(enum.Enum):
    """A protocol that is not spoken here."""

    HTTP = "http"
    TLS = "tls"
    SSH = "ssh"


class Undecided(enum.Enum):
    """More bytes are needed."""

    UNDECIDED = enum.auto()


UNDECIDED = Undecided.UNDECIDED

#: Methods of HTTP (RFC 9110, 5789), and how HTTP/2 begins (RFC 9113, section 3.4).
_METHODS = (
    *(b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"),
    b"PRI",
)

#: What connections begin with. TLS: a handshake record (RFC 8446, section 5.1); SSH: RFC 4253,
#: section 4.2.
_BEGINNINGS = {
    **{method + b" ": Foreign.HTTP for method in _METHODS},
    b"\x16\x03": Foreign.TLS,
    b"SSH-1.": Foreign.SSH,
    b"SSH-2.": Foreign.SSH,
}

#: A request line with any method, or one that is too long to be seen as a whole.
_REQUEST_LINE = re.compile(rb"[^\s]+ +(?:[^\s]+ +HTTP/\d|/[^\s]{200})", re.IGNORECASE)

#: Headers that a browser sends in any case: where the line before them was not seen for what it is.
_HEADER = re.compile(
    rb"(?:host|user-agent|accept|accept-encoding|accept-language|connection|content-length"
    rb"|content-type|origin|referer|sec-fetch-[a-z]+): ",
    re.IGNORECASE,
)

_LEADING = b" \t\r\n\0\xef\xbb\xbf"


def recognise(data: bytes) -> Foreign | Undecided | None:
    """The protocol of a connection that begins with ``data``; None if it may be the chat's.

    A byte order mark, which says nothing about the protocol, has to be taken away before.
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
    """The same for a line where a nickname is expected."""
    line = line.lstrip(_LEADING)
    foreign = recognise(line)
    if isinstance(foreign, Foreign):
        return foreign
    if _REQUEST_LINE.match(line) or _HEADER.match(line):
        return Foreign.HTTP
    return None


def answer(foreign: Foreign, language: str) -> bytes:
    """What ends the connection in a way that the other side understands."""
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

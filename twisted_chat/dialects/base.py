"""A dialect as a value that has everything that a connection needs. Pure.

A dialect recognises the first bytes of a connection (``recognises``), splits bytes into lines
(``new_splitter``), parses a line to a request (``parse``), and renders events to bytes
(``render``). A new dialect is a module with one :class:`Dialect`; ``ChatFactory`` gets the list of
dialects to use. This module must not know any particular dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from typing import Protocol

import msgspec
from msgspec import structs

from twisted_chat.core.events import Event, Style
from twisted_chat.core.profile import Profile
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.requests import Request, Say


class Splitter(Protocol):
    """Splits the bytes of one connection into the lines of its dialect."""

    #: The most bytes of a line. Of a longer line, one piece that is longer than this is returned.
    limit: int
    #: The bytes of the incomplete line.
    partial: bytes
    #: Whether the client ends its lines with CR LF; then the answers end with it, too.
    crlf: bool

    def split(self, data: bytes) -> list[bytes]:
        """The lines that end in ``data``, the next bytes, without their line ends."""

    def end(self) -> list[bytes]:
        """The incomplete line, if it counts as a line when the client sends nothing more."""

    def count(self, data: bytes) -> int:
        """The number of lines that end in ``data``, which is dropped."""

    def erase_character(self) -> None:
        """Drop the last character of the incomplete line."""

    def erase_line(self) -> None:
        """Drop the incomplete line."""


def _one_by_one(lines: Sequence[bytes]) -> list[Say]:
    return []


def _no_cancels(lines: Sequence[bytes]) -> Sequence[int]:
    return ()


def _as_it_is(style: Style) -> Style:
    return style


class Dialect(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One language between clients and the server."""

    name: str
    #: The kind of client that speaks it.
    profile: Profile
    #: Whether a connection that begins with these bytes speaks it; None if more are needed.
    recognises: Callable[[bytes], bool | None]
    #: Returns a new splitter for one connection; the argument is the line limit in bytes.
    new_splitter: Callable[[int], Splitter]
    #: Parses a line to a request; raises :class:`twisted_chat.core.errors.Refusal`.
    parse: Callable[[bytes], Request]
    #: Renders events in a style.
    render: Callable[[Sequence[Event], Style], Rendered]
    #: Parses lines that arrived together, faster than ``parse`` does but with the same result.
    #: Returns an empty list unless each line is a plain message.
    parse_says: Callable[[Sequence[bytes]], list[Say]] = _one_by_one
    #: Returns the indexes of the lines that ask to drop the lines before them. All lines are
    #: searched for them when they arrive.
    find_cancels: Callable[[Sequence[bytes]], Sequence[int]] = _no_cancels
    #: Maps the style of a member to the style of events for several members: the fewer the styles,
    #: the more members share a rendering.
    batch_style: Callable[[Style], Style] = _as_it_is
    #: The line limit in bytes; None: the operator's limit for texts.
    line_limit: int | None = None
    #: Parses the line that answers :class:`.SecretAsked`, whatever it contains; None if clients
    #: are not asked for a secret.
    parse_secret: Callable[[bytes], Request] | None = None
    #: Whether telnet commands are removed from the bytes and answered.
    filters_telnet: bool = False
    #: The events that a new connection is shown.
    greeting: tuple[Event, ...] = ()


def choose(dialects: Sequence[Dialect], data: bytes) -> Dialect | None:
    """The first of ``dialects`` that recognises ``data``, the first bytes of a connection.

    None if more bytes are needed. The last dialect gets every connection that no other recognises.
    """
    for dialect in dialects[:-1]:
        recognised = dialect.recognises(data)
        if recognised is None:
            return None
        if recognised:
            return dialect
    return dialects[-1]


class DialectRendering(msgspec.Struct, frozen=True, eq=False):
    """A :class:`twisted_chat.core.room.Rendering`: a dialect in one style."""

    dialect: Dialect
    style: Style

    def render(self, events: Sequence[Event]) -> Rendered:
        return self.dialect.render(events, self.style)


@cache
def rendering(dialect: Dialect, style: Style, crlf: bool = False) -> DialectRendering:
    """The one rendering for these arguments: :class:`twisted_chat.core.room.Batch` compares them
    by identity.
    """
    return DialectRendering(dialect, structs.replace(style, crlf=crlf))


def line_ends(data: bytes, events: Sequence[Event]) -> list[int]:
    """The end offset of each line of ``data``, its LF included: each event is one line."""
    return list(accumulate(len(line) + 1 for line in data.split(b"\n")[:-1]))

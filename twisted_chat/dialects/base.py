"""What a dialect is: a value with all that a connection needs of it. Pure.

The path of a line through a dialect is: ``recognises`` (the first bytes), ``new_splitter`` (bytes
to lines), ``parse`` (a line to a request); and back, ``render`` (events to bytes). A module with
one :class:`Dialect` in it is a new dialect; ``ChatFactory`` is given those that are spoken. What
lives here must not know any dialect in particular.
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
    """The lines of one connection, whatever a line is in the dialect."""

    #: Bytes that a line may have. Of a longer one, more than that is returned, once.
    limit: int
    #: The beginning of the next line.
    partial: bytes
    #: The other side ends its lines with CR LF, and is to be answered so.
    crlf: bool

    def split(self, data: bytes) -> list[bytes]:
        """The lines that end in ``data``, which comes next, without their ends."""

    def end(self) -> list[bytes]:
        """The last line, if it lacks its end and counts as one all the same."""

    def count(self, data: bytes) -> int:
        """How many lines end in ``data``, which is dropped."""

    def erase_character(self) -> None:
        """Drop the last character of the line that is not complete."""

    def erase_line(self) -> None:
        """Drop all of the line that is not complete."""


def _one_by_one(lines: Sequence[bytes]) -> list[Say]:
    return []


def _no_cancels(lines: Sequence[bytes]) -> Sequence[int]:
    return ()


def _as_it_is(style: Style) -> Style:
    return style


class Dialect(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One way to speak with the server."""

    #: What it is called.
    name: str
    #: What kind of client speaks it.
    profile: Profile
    #: Whether a connection that begins with these bytes speaks it; None while more are needed.
    recognises: Callable[[bytes], bool | None]
    #: Makes the splitter of a connection, for lines of so many bytes.
    new_splitter: Callable[[int], Splitter]
    #: The request on a line; it raises :class:`twisted_chat.core.errors.Refusal` if there is none.
    parse: Callable[[bytes], Request]
    #: Events as bytes, for somebody who wants to be shown them in a style.
    render: Callable[[Sequence[Event], Style], Rendered]
    #: The requests on lines that came together, if each says something and is nothing unusual; or
    #: else none of them. It is what ``parse`` makes of each, faster.
    parse_says: Callable[[Sequence[bytes]], list[Say]] = _one_by_one
    #: The indexes of the lines that ask to drop the lines before them. They are looked for in all
    #: lines that come, before it is their turn.
    find_cancels: Callable[[Sequence[bytes]], Sequence[int]] = _no_cancels
    #: The style in which what is shown to several members is rendered for one of them: the fewer
    #: there are, the more members share a rendering.
    batch_style: Callable[[Style], Style] = _as_it_is
    #: Bytes of a line; None if they are what the operator allows for a text.
    line_limit: int | None = None
    #: Telnet commands among the bytes are taken out and answered.
    filters_telnet: bool = False
    #: What is shown first of all.
    greeting: tuple[Event, ...] = ()


def choose(dialects: Sequence[Dialect], data: bytes) -> Dialect | None:
    """The first of ``dialects`` that recognises ``data``, which a connection begins with.

    None while that cannot be told. The last one is spoken by all that no other one recognises.
    """
    for dialect in dialects[:-1]:
        recognised = dialect.recognises(data)
        if recognised is None:
            return None
        if recognised:
            return dialect
    return dialects[-1]


class DialectRendering(msgspec.Struct, frozen=True, eq=False):
    """A :class:`twisted_chat.core.room.Rendering`: a dialect, in one style."""

    dialect: Dialect
    style: Style

    def render(self, events: Sequence[Event]) -> Rendered:
        return self.dialect.render(events, self.style)


@cache
def rendering(dialect: Dialect, style: Style, crlf: bool = False) -> DialectRendering:
    """The one object for each, so that many share it: see :class:`twisted_chat.core.room.Batch`."""
    return DialectRendering(dialect, structs.replace(style, crlf=crlf))


def line_ends(data: bytes, events: Sequence[Event]) -> list[int]:
    """The offset at which each line of ``data`` ends, its LF included: each event is one line."""
    return list(accumulate(len(line) + 1 for line in data.split(b"\n")[:-1]))

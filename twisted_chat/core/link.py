"""The interface of a connection to a session, and its stand-in while the person is away.

This module must not know bytes, sockets or dialects.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol

from twisted_chat.core.callbacks import nothing
from twisted_chat.core.events import Event, Style
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.room import Outlet, Rendering
from twisted_chat.core.sources import Source


class Link(Protocol):
    """A connection, as far as a session needs it to show events."""

    @property
    def searcher(self) -> Hashable:
        """The source, or the connection itself, whose searches run one after the other."""

    @property
    def source(self) -> Source:
        """The source of the connection: an address or a network."""

    @property
    def secure(self) -> bool:
        """Whether secrets may travel over it: it is encrypted, or does not leave this machine."""

    @property
    def outlet(self) -> Outlet:
        """The outlet through which renderings are sent."""

    def rendering(self, style: Style) -> Rendering:
        """The rendering of batches in ``style`` for the client's dialect."""

    def show(self, events: Sequence[Event], style: Style) -> None:
        """Send ``events``, rendered in ``style``."""

    @property
    def is_there(self) -> bool:
        """Whether the connection is not lost."""

    def hold(self) -> Callable[[], None]:
        """Handle no requests until the returned function is called."""

    def hide_typing(self, hide: bool, told: Callable[[bool], None] = nothing) -> None:
        """Have the client hide what is typed until the next line has come, or until ``hide`` is
        False.

        ``told`` is called with whether the client does so: now, or when it has answered. Until
        then, no line is handled.
        """

    def arrival(self) -> Callable[[], bool]:
        """A function that returns whether all bytes sent until now have arrived at the peer.

        Under TLS, it never returns True the first time.
        """

    def missing(self) -> Mapping[str, int]:
        """By room, the number of the first entry that was sent and may not have arrived."""

    def drop_lines(self) -> int:
        """Drop the lines that wait; returns their number."""

    def close(self) -> None:
        """Close the connection once all bytes sent until now have arrived."""


class NoConnection:
    """The :class:`Link` of a person who is away: it drops everything.

    ``source`` is the source of their last connection.
    """

    is_there = False
    secure = False
    ready = False
    searcher = None

    def __init__(self, source: Source) -> None:
        self.source = source

    @property
    def outlet(self) -> Outlet:
        return self

    def rendering(self, style: Style) -> Rendering:
        raise AssertionError("nothing is rendered for somebody who is away")

    def deliver(self, rendered: Rendered) -> None: ...

    def show(self, events: Sequence[Event], style: Style) -> None: ...

    def hold(self) -> Callable[[], None]:
        return self.close

    def missing(self) -> Mapping[str, int]:
        return {}

    def arrival(self) -> Callable[[], bool]:
        raise AssertionError("nothing is sent to somebody who is away")

    def hide_typing(self, hide: bool, told: Callable[[bool], None] = nothing) -> None:
        told(False)

    def wrong_code(self) -> None: ...

    def wrong_secret(self, name: str) -> None: ...

    def adopt(self, session: object) -> None: ...

    def drop_lines(self) -> int:
        return 0

    def take_lines(self) -> Sequence[bytes]:
        return ()

    def put_lines(self, lines: Sequence[bytes]) -> None: ...

    def close(self) -> None: ...

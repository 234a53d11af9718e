"""The connection over which a person is shown events, or its absence while they are away."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol

from twisted_chat.core.events import Event, Style
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.room import Outlet, Rendering
from twisted_chat.core.sources import Source


class Link(Protocol):
    """A connection, as far as it is needed to show events over it."""

    @property
    def searcher(self) -> Hashable:
        """The source (or the connection) whose searches are made one after the other."""

    @property
    def source(self) -> Source:
        """The source that the connection counts for: an address or a network."""

    @property
    def outlet(self) -> Outlet:
        """Where bytes go out."""

    def rendering(self, style: Style) -> Rendering:
        """How batches are rendered in ``style`` for the client's dialect."""

    def show(self, events: Sequence[Event], style: Style) -> None:
        """Send events."""

    @property
    def is_there(self) -> bool:
        """Whether it can still be sent anything."""

    def hold(self) -> Callable[[], None]:
        """Take no requests until the function that is returned is called."""

    def arrival(self) -> Callable[[], bool]:
        """A function that tells later whether all that was sent until now has arrived."""

    def missing(self) -> Mapping[str, int]:
        """The first entry of each room that was sent and may not have arrived, by number."""

    def drop_lines(self) -> int:
        """Forget the lines that wait; returns how many there were."""

    def close(self) -> None:
        """Close, once what was sent has arrived."""


class NoConnection:
    """Stands for the connection while the person is away: it drops everything.

    ``source`` is that of their last connection.
    """

    is_there = False
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

    def wrong_code(self) -> None: ...

    def adopt(self, session: object) -> None: ...

    def drop_lines(self) -> int:
        return 0

    def take_lines(self) -> Sequence[bytes]:
        return ()

    def put_lines(self, lines: Sequence[bytes]) -> None: ...

    def close(self) -> None: ...

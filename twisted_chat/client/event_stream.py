"""What happens to a client, for ``async for``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from twisted_chat.client.events import Disconnected
from twisted_chat.core.events import Event

#: Events that wait for whoever iterates over them: nothing more is read meanwhile.
EVENTS = 500

#: Bytes of events that wait for an answer to come behind them; a server that sends more before it
#: answers loses the connection.
EVENTS_SIZE = 2**26


class EventSource(Protocol):
    """The client whose events they are."""

    #: Why it ended, if nobody stopped it.
    failure: BaseException | None

    def listen(self, listener: Callable[[Event], None], *, dealt_with: bool = True) -> None:
        """Call ``listener`` with each event from now on."""

    def dealt_with(self, event: Event) -> None:
        """It need not come again."""

    def pause(self, *, but_for_answers: bool = False) -> None:
        """Tell nothing more, but for answers that are due."""

    def resume(self) -> None:
        """Go on telling."""


class Events:
    """What happens to one client, for ``async for``."""

    def __init__(
        self, client: EventSource, size: Callable[[], int], too_much: Callable[[], None]
    ) -> None:
        """``size`` tells the bytes of the line that is being told; ``too_much`` is called when more
        waits than there is room for.
        """
        self._client = client
        self._size_told = size
        self._too_much = too_much
        self._events: deque[tuple[Event, int]] = deque()
        self._size = 0
        self._waiting: Deferred[None] | None = None
        self._last: Event | None = None
        self._is_full = False
        self._is_over = False
        client.listen(self._add, dealt_with=False)

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        if self._last is not None:
            self._client.dealt_with(self._last)
            self._last = None
        while not self._events:
            if self._is_over and self._client.failure is not None:
                raise self._client.failure
            if self._is_over:
                raise StopAsyncIteration
            self._waiting = Deferred()
            await self._waiting
        self._last, size = self._events.popleft()
        self._size -= size
        if self._is_full and len(self._events) < EVENTS // 2:
            self._is_full = False
            self._client.resume()
        return self._last

    def _add(self, event: Event) -> None:
        size = self._size_told()
        self._events.append((event, size))
        self._size += size
        if self._size > EVENTS_SIZE:
            self._too_much()
        self._is_over |= isinstance(event, Disconnected) and event.retry is None
        if len(self._events) >= EVENTS and not self._is_full:
            self._is_full = True
            # Whoever reads slowly may do so because they wait for an answer.
            self._client.pause(but_for_answers=True)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

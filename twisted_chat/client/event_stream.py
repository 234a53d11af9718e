"""A client's events as an asynchronous iterator. It must not know connections or requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from twisted_chat.client.events import Disconnected
from twisted_chat.core.events import Event

#: Events that the program has still to read before the client pauses its connection.
EVENTS = 500

#: Bytes of events that the program has still to read while it waits for an answer. If the server
#: sends more before the answer, the connection is closed.
EVENTS_SIZE = 2**26


class EventSource(Protocol):
    """The part of :class:`.ChatClient` that :class:`Events` uses."""

    #: Why the client ended, if the program did not stop it.
    failure: BaseException | None

    def listen(self, listener: Callable[[Event], None], *, dealt_with: bool = True) -> None:
        """Call ``listener`` with each event from now on."""

    def dealt_with(self, event: Event) -> None:
        """Note that the program has finished with ``event``."""

    def pause(self, *, but_for_answers: bool = False) -> None:
        """Read no more events, except while an answer is due."""

    def resume(self) -> None:
        """Read again."""


class Events:
    """The events of one client: see :meth:`.ChatClient.events`."""

    def __init__(
        self, client: EventSource, size: Callable[[], int], too_much: Callable[[], None]
    ) -> None:
        """
        :param size: returns the bytes of the line that the client has just read.
        :param too_much: called when more than :data:`EVENTS_SIZE` bytes wait for the program.
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
            # The program may read slowly because it waits for an answer.
            self._client.pause(but_for_answers=True)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

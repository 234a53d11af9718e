"""Events as bytes, which a dialect renders and an outbox sends.

This module must not know how a dialect separates events: the dialect tells where each event ends.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from twisted_chat.core.events import Entry, Event, Replayed

#: Returns the offset in the bytes at which each of the events ends, in their order.
EndFinder = Callable[[bytes, Sequence[Event]], Sequence[int]]


def _no_ends(data: bytes, events: Sequence[Event]) -> Sequence[int]:
    return ()


class Rendered:
    """The bytes of some events.

    :param data: the bytes of all events, one event after the other.
    :param events: the events; none if the bytes are no events, or if nobody asks for their arrival.
    :param find_ends: finds the ends of any part of ``events`` in their bytes. It is called at most
        once, when the offsets are needed for the first time: those of most batches never are.
    """

    __slots__ = ("_ends", "_events", "_find_ends", "_left_out", "data")

    def __init__(
        self, data: bytes, events: Sequence[Event] = (), find_ends: EndFinder = _no_ends
    ) -> None:
        self.data = data
        self._events = events
        self._find_ends = find_ends
        self._left_out: Sequence[int] = ()
        self._ends: Sequence[int] | None = None

    @property
    def events(self) -> Sequence[Event]:
        """The events, in their order."""
        if not self._left_out:
            return self._events
        left_out = frozenset(self._left_out)
        return [event for at, event in enumerate(self._events) if at not in left_out]

    @property
    def ends(self) -> Sequence[int]:
        """The offset in :attr:`data` at which each event ends, ascending."""
        if self._ends is None:
            self._ends = self._find_ends(self.data, self.events)
        return self._ends

    @property
    def room(self) -> str | None:
        """The name of the room to which the entries belong; None if there are no entries."""
        entry = next(map(_entry, self._events), None)
        return None if entry is None else entry.room

    def without(self, left_out: Sequence[int]) -> Rendered:
        """A copy without the events at the indexes ``left_out``, which ascend."""
        data, ends = self.data, self.ends
        pieces = []
        start, following = 0, -1
        for at in left_out:
            if at != following:
                pieces.append(data[start : ends[at - 1] if at else 0])
            start, following = ends[at], at + 1
        pieces.append(data[start:])
        part = Rendered(b"".join(pieces), self._events, self._find_ends)
        part._left_out = left_out
        return part

    def first_missing(self, size: int) -> int | None:
        """The sequence number of the first entry that ends after the first ``size`` bytes."""
        for event in self.events[bisect_right(self.ends, size) :]:
            entry = _entry(event)
            if entry is not None:
                return entry.number
        return None


def first_missing(deliveries: Iterable[tuple[Rendered, int]]) -> dict[str, int]:
    """For each room, the sequence number of the first entry that has not arrived completely.

    :param deliveries: the deliveries, oldest first, each with the number of its bytes that arrived.
    """
    numbers: dict[str, int] = {}
    for rendered, arrived in deliveries:
        room = rendered.room
        if room is not None and room not in numbers:
            number = rendered.first_missing(arrived)
            if number is not None:
                numbers[room] = number
    return numbers


def _entry(event: Event) -> Entry | None:
    event = event.entry if isinstance(event, Replayed) else event
    return event if isinstance(event, Entry) else None

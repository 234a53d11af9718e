"""A queue in which sources take turns, with at most one item of each source in work. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A queue of at most ``of_source`` items of one source, and ``of_all`` items in total."""

    def __init__(self, of_source: int, of_all: int) -> None:
        self._of_source = of_source
        self._of_all = of_all
        self._total = 0
        self._waiting: dict[Hashable, deque[T]] = {}
        self._busy: set[Hashable] = set()
        self._turns: deque[Hashable] = deque()  # sources that have an item and are not busy

    def put(self, source: Hashable, item: T) -> bool:
        """Add ``item``; returns False, and does not add it, if too many items wait already."""
        waiting = self._waiting.get(source)
        if self._total >= self._of_all or (waiting and len(waiting) >= self._of_source):
            return False
        if waiting is None:
            waiting = self._waiting[source] = deque()
            if source not in self._busy:
                self._turns.append(source)
        waiting.append(item)
        self._total += 1
        return True

    def put_or_replace(self, source: Hashable, item: T) -> T | None:
        """Add ``item``; returns what has no place: nothing, ``item`` itself, or the last item of
        the source with the most, if ``item`` would come into a full queue and has fewer before it.
        """
        if self.put(source, item):
            return None
        longest = max(self._waiting.values(), key=len)
        own = len(self._waiting.get(source, ()))
        if own >= self._of_source or len(longest) < own + 2:
            return item
        dropped = longest.pop()
        self._total -= 1
        self.put(source, item)
        return dropped

    def take(self) -> tuple[Hashable, T] | None:
        """Remove and return the next item, after its source, which is busy until :meth:`done`.

        None if there is no item, or only items of busy sources.
        """
        if not self._turns:
            return None
        source = self._turns.popleft()
        waiting = self._waiting[source]
        item = waiting.popleft()
        self._total -= 1
        if not waiting:
            del self._waiting[source]
        self._busy.add(source)
        return source, item

    def done(self, source: Hashable) -> None:
        """Note that the item that was taken from ``source`` is done."""
        self._busy.discard(source)
        if source in self._waiting:
            self._turns.append(source)

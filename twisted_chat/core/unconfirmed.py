"""Events for one person that are not in the log and may not have arrived.

A private message to a person whose host has vanished is still written to their connection. Such an
event is kept until the client's system has confirmed it. A person who comes back is shown again
those that were not confirmed. Pure; this module must not know connections.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_chat.core.events import Event

#: The most events that are kept for one person; if there are more, the oldest is forgotten.
LIMIT = 100

#: Seconds between two looks whether an event has arrived; ten seconds in all.
LOOKS = (0.01, 0.02, 0.05, 0.12, 0.3, 0.5, *(1.0,) * 9)


class Shown:
    """One event, and whether it has arrived."""

    __slots__ = ("_arrived", "event")

    def __init__(self, event: Event) -> None:
        self.event = event
        self._arrived: Callable[[], bool] = _no

    def sent(self, arrived: Callable[[], bool]) -> None:
        """Note that the event was sent (again); ``arrived`` returns whether that has arrived."""
        self._arrived = arrived

    def has_arrived(self) -> bool:
        """Whether the event has arrived, over whichever connection."""
        if self._arrived is not _yes and self._arrived():
            self._arrived = _yes
        return self._arrived is _yes

    def give_up(self) -> None:
        """Do not show the event again: it is kept elsewhere."""
        self._arrived = _yes


class Unconfirmed:
    """The events of one person that may not have arrived, the oldest first."""

    __slots__ = ("_shown",)

    def __init__(self) -> None:
        self._shown: list[Shown] = []  # a deque takes ten times the memory

    def add(self, event: Event) -> Shown:
        """Keep ``event``, which the caller sends now, or when the person has a connection again."""
        while self._shown and self._shown[0].has_arrived():
            del self._shown[0]
        shown = Shown(event)
        self._shown.append(shown)
        del self._shown[:-LIMIT]
        return shown

    def missing(self) -> list[Shown]:
        """The events that have not arrived, the oldest first."""
        self._shown = [shown for shown in self._shown if not shown.has_arrived()]
        return self._shown.copy()


def _yes() -> bool:
    return True


def _no() -> bool:
    return False

"""What one person was shown that is not in the log, and may not have arrived.

A private message to somebody whose host has vanished is still given to their connection. It is kept
until the system of the other side has confirmed it; somebody who comes back is shown again what was
not. Pure; it must not know connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted_chat.core.events import Event

#: Events that are kept for one person; beyond that, the oldest is not shown again.
LIMIT = 100

#: Seconds from one look whether something has arrived to the next: ten in all.
LOOKS = (0.01, 0.02, 0.05, 0.12, 0.3, 0.5, *(1.0,) * 9)


class Shown:
    """One event, and whether it has arrived."""

    __slots__ = ("_arrived", "event")

    def __init__(self, event: Event) -> None:
        self.event = event
        self._arrived: Callable[[], bool] = _no

    def sent(self, arrived: Callable[[], bool]) -> None:
        """It was sent, again perhaps; ``arrived`` tells whether that has arrived."""
        self._arrived = arrived

    def has_arrived(self) -> bool:
        """Whether it has, on any connection."""
        if self._arrived is not _yes and self._arrived():
            self._arrived = _yes
        return self._arrived is _yes


class Unconfirmed:
    """The events of one person that may not have arrived, the oldest first."""

    def __init__(self) -> None:
        self._shown: deque[Shown] = deque(maxlen=LIMIT)

    def add(self, event: Event) -> Shown:
        """``event`` is about to be sent, or cannot be sent at the moment."""
        while self._shown and self._shown[0].has_arrived():
            self._shown.popleft()
        shown = Shown(event)
        self._shown.append(shown)
        return shown

    def missing(self) -> list[Shown]:
        """Those that have not arrived."""
        missing = [shown for shown in self._shown if not shown.has_arrived()]
        self._shown = deque(missing, LIMIT)
        return missing


def _yes() -> bool:
    return True


def _no() -> bool:
    return False

"""How far the person has read in each room, told to their other clients.

This module must not know how lines are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

#: Seconds during which lines are collected, so that one request stands for all of them.
INTERVAL = 2.0


class Marks:
    """The read entries of one person, by room.

    :param reactor: provides IReactorTime.
    :param mark: tells the server that a room was read up to a number.
    """

    def __init__(self, reactor: Any, mark: Callable[[str, int], None]) -> None:
        self._reactor = reactor
        self._mark = mark
        #: The numbers that the server was told, and those that it is to be told.
        self._told: dict[str, int] = {}
        self._new: dict[str, int] = {}
        self._timer: IDelayedCall | None = None

    def read(self, room: str, number: int) -> None:
        """Note that the person has read ``room`` up to entry ``number``."""
        if number <= max(self._told.get(room, 0), self._new.get(room, 0)):
            return
        self._new[room] = number
        if self._timer is None:
            self._timer = self._reactor.callLater(INTERVAL, self._tell)

    def read_elsewhere(self, room: str, number: int) -> None:
        """Note that the person has read ``room`` up to ``number`` at another client."""
        self._told[room] = max(number, self._told.get(room, 0))
        if self._new.get(room, 0) <= number:
            self._new.pop(room, None)

    def replaced(self, room: str) -> None:
        """Forget ``room``: its log was replaced, so that its numbers begin anew."""
        self._told.pop(room, None)
        self._new.pop(room, None)

    def end(self) -> None:
        """Tell what is still to be told: the person leaves."""
        if self._timer is not None:
            self._timer.cancel()
            self._tell()

    def _tell(self) -> None:
        self._timer = None
        new, self._new = self._new, {}
        for room, number in new.items():
            self._told[room] = number
            self._mark(room, number)

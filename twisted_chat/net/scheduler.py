"""Whose turn it is: connections with lines waiting share the reactor's thread.

However much some of them have sent, a few lines of each are handled in turn, and no more in one
turn of the reactor's loop than leaves it responsive. It knows nothing of lines but their number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

#: Lines of one connection that are handled before others have their turn.
SLICE = 50

#: Lines that are handled in one turn of the reactor's loop, about.
LINES_A_TURN = 2000

#: What takes longer than a line should counts as several, so that a turn takes 20 ms, about.
LINES_A_SECOND = 100_000

#: Who has so few lines to handle, as people do, waits for others like that, and not for floods.
FEW = 5


class Worker(Protocol):
    """Something that has lines to handle."""

    @property
    def waiting(self) -> int:
        """How many there are."""

    def work(self, limit: int) -> int:
        """Handle up to ``limit`` lines; returns how many that were, or were worth."""

    @property
    def busy(self) -> bool:
        """Whether there are more that can be handled now."""


class Scheduler:
    """``next_turn`` calls a function in the next turn of the reactor's loop."""

    def __init__(self, next_turn: Callable[[Callable[[], None]], object]) -> None:
        self._next_turn = next_turn
        self._with_few: deque[Worker] = deque()
        self._with_many: deque[Worker] = deque()
        self._left = 0
        self._under_way = False

    def submit(self, worker: Worker) -> None:
        """Let ``worker`` work now if nobody waits, or else in its turn, until it is not busy.

        It does not ask again before.
        """
        if not self._under_way:
            self._under_way = True
            self._left = LINES_A_TURN
            self._next_turn(self._go_on)
        if self._with_few or self._with_many or self._left <= 0:
            self._append(worker)
        else:
            self._run(worker)

    def _append(self, worker: Worker) -> None:
        (self._with_few if worker.waiting <= FEW else self._with_many).append(worker)

    def _run(self, worker: Worker) -> None:
        self._left -= max(1, worker.work(SLICE))  # or a defect could keep the thread for ever
        if worker.busy:
            self._append(worker)

    def _go_on(self) -> None:
        self._left = LINES_A_TURN
        try:
            while self._left > 0 and (self._with_few or self._with_many):
                for queue in (self._with_few, self._with_many):
                    if queue:
                        self._run(queue.popleft())
        finally:  # one with a defect does not stop the others
            if self._with_few or self._with_many:
                self._next_turn(self._go_on)
            else:
                self._under_way = False

"""Shares the reactor's thread among connections that have waiting lines.

However many lines a connection has, a few lines of each are handled in turn, and one turn of the
reactor's loop handles no more than leaves it responsive. This module must not know the lines
themselves, only their number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

#: Lines of one connection that are handled before others have their turn.
SLICE = 50

#: Lines that are handled in one turn of the reactor's loop, approximately.
LINES_A_TURN = 2000

#: Lines per second at which a slow request is converted to several lines: a turn of 2000 lines then
#: takes about 20 ms.
LINES_A_SECOND = 100_000

#: Waiting lines up to which a connection is in the queue of people, which does not wait for floods.
FEW = 5


class Worker(Protocol):
    """A connection with lines to handle."""

    @property
    def waiting(self) -> int:
        """The number of waiting lines."""

    def work(self, limit: int) -> int:
        """Handle up to ``limit`` lines; returns their cost in lines."""

    @property
    def busy(self) -> bool:
        """Whether further lines can be handled now."""


class Scheduler:
    """Runs workers in turn.

    :param next_turn: calls a function in the next turn of the reactor's loop.
    """

    def __init__(self, next_turn: Callable[[Callable[[], None]], object]) -> None:
        self._next_turn = next_turn
        self._with_few: deque[Worker] = deque()
        self._with_many: deque[Worker] = deque()
        self._left = 0
        self._under_way = False

    def submit(self, worker: Worker) -> None:
        """Run ``worker`` until it is not busy: at once if no other waits, or else in its turn.

        A worker must not be submitted again while it is busy.
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
        self._left -= max(1, worker.work(SLICE))  # a worker that returns 0 must not run for ever
        if worker.busy:
            self._append(worker)

    def _go_on(self) -> None:
        self._left = LINES_A_TURN
        try:
            while self._left > 0 and (self._with_few or self._with_many):
                for queue in (self._with_few, self._with_many):
                    if queue:
                        self._run(queue.popleft())
        finally:  # an internal error in one worker must not stop the others
            if self._with_few or self._with_many:
                self._next_turn(self._go_on)
            else:
                self._under_way = False

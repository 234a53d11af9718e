"""The state that a client keeps, in a file or in memory, and a reactor to wait on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.support.processes import PATIENCE
from twisted_chat.client.state import (
    Kept,
    MemoryState,
    State,
)
from twisted_chat.client.state_file import FileState

T = TypeVar("T")


class Loop(Clock):
    """A reactor whose clock stands still, and which runs what threads call while one waits."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.thread = threading.get_ident()

    def callFromThread(self, function: Callable[..., object], *arguments: Any) -> None:
        self._calls.put(lambda: function(*arguments))

    def turn(self) -> None:
        """Run one call of another thread, when there is one."""
        self._calls.get(timeout=PATIENCE)()

    def wait(self, deferred: Deferred[T]) -> T:
        """What ``deferred`` fires with, or fails with."""
        results: list[T | Failure] = []
        deferred.addBoth(results.append)
        while not results:
            self.turn()
        (result,) = results
        if isinstance(result, Failure):
            result.raiseException()
        return result


class Place:
    """Where a state is kept, and how it is opened anew."""

    def __init__(self, path: Path | None) -> None:
        self.loop = Loop()
        self._path = path
        self._memory = MemoryState()

    def state(self) -> State:
        return self._memory if self._path is None else FileState(self.loop, self._path)

    def open(self) -> tuple[State, Kept]:
        state = self.state()
        return state, self.loop.wait(state.open())

    def reopen(self, state: State) -> tuple[State, Kept]:
        self.loop.wait(state.close())
        return self.open()

    def look(self) -> Kept:
        """What is kept, when nobody has it open."""
        state, kept = self.open()
        self.loop.wait(state.close())
        return kept

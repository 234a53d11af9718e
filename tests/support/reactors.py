"""Reactors in memory."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.testing import MemoryReactorClock


class Reactor(MemoryReactorClock):
    """In memory; nothing comes from other threads."""

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        function(*arguments)

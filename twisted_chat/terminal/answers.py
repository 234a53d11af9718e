"""Waiting for the answers to all requests before the person leaves.

This module must not know the requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from twisted_chat.client.client import ChatClient


class Answers:
    """The requests of ``client`` that have no answer yet, at the end of a conversation.

    :param client: the client.
    :param reactor: provides IReactorTime.
    """

    def __init__(self, client: ChatClient, reactor: Any) -> None:
        self._client = client
        self._reactor = reactor
        self._seconds = 0.0
        self._timer: IDelayedCall | None = None
        self._count = 0
        self._then: Callable[[], object] | None = None

    @property
    def are_awaited(self) -> bool:
        """Whether :meth:`wait` was called, and its function was not called yet."""
        return self._then is not None

    def wait(self, seconds: float, then: Callable[[], object]) -> None:
        """Call ``then`` when all are there, or ``seconds`` pass without one; see :meth:`look`."""
        self._then = then
        self._seconds = seconds
        self._count = len(self._client.waiting)
        self._timer = self._reactor.callLater(seconds, self.give_up)

    def look(self, *, has_been_in: bool) -> None:
        """Look whether answers have come.

        :param has_been_in: whether the server has accepted the client; before, none is there.
        """
        if self._then is None or self._timer is None:
            return
        waiting = len(self._client.waiting)
        if waiting == 0 and has_been_in:
            self.give_up()
        elif waiting < self._count and self._timer.active():
            self._count = waiting
            self._timer.reset(self._seconds)

    def give_up(self) -> None:
        """Wait no longer."""
        then, self._then = self._then, None
        self.stop()
        if then is not None:
            then()

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

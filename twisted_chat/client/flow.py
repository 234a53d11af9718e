"""When a client reads events from its connection, and when it lets the server wait.

This module must not know what is read.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from twisted_chat.client.protocol import ChatClientProtocol


class Flow:
    """The reading of one client.

    :param is_answer_due: tells whether a request has no answer yet.
    """

    def __init__(self, is_answer_due: Callable[[], bool]) -> None:
        self._is_answer_due = is_answer_due
        self._connection: ChatClientProtocol | None = None
        self._is_paused = False
        self._waits_for_answers = False
        #: Whether the state is still storing the identity of the log.
        self._is_noting = False

    def over(self, connection: ChatClientProtocol | None) -> None:
        """Read from ``connection`` from now on; None if there is none."""
        self._connection = connection
        self.update()

    def pause(self, *, but_for_answers: bool) -> None:
        """Read no more until :meth:`resume`, or only while an answer is due."""
        self._is_paused = True
        self._waits_for_answers = but_for_answers
        self.update()

    def resume(self) -> None:
        """Read again, after :meth:`pause`."""
        self._is_paused = False
        self.update()

    def wait_for(self, noting: Deferred[None]) -> None:
        """Read nothing until ``noting`` fires, because the state must have the log's identity."""
        self._is_noting = not noting.called
        self.update()
        noting.addCallback(self._noted)

    def _noted(self, _: None) -> None:
        self._is_noting = False
        self.update()

    def update(self) -> None:
        """Pause or resume the connection: a request was made or answered."""
        if self._connection is None:
            return
        is_paused = self._is_paused and not (self._waits_for_answers and self._is_answer_due())
        if is_paused or self._is_noting:
            self._connection.pause()
        else:
            self._connection.resume()

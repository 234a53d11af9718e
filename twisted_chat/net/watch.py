"""Whether the other side of a connection is still there, where neither a read nor a write tells.

A connection that is held is not read, and so its end goes unnoticed: a few times a second it is
looked for. Meanwhile a held connection is read a little further, so that a request to drop what
waits is found behind it. And a peer whose system is gone without a word is found by the time
since anything was heard from it: keepalive and retransmission each have a limit of their own in
the system, and one begins when the other is nearly over, so that together they take twice as
long.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from twisted_chat.net.sockets import DEAD_AFTER, state_of, take_error

#: Seconds from one look at the connections that are held to the next.
LOOK_INTERVAL = 0.5

#: Looks in which every connection has its turn to be asked when it was heard from.
ROUND = 8

#: Seconds without a sign of life after which a peer is gone. Keepalive has asked it five times by
#: then; with the time of a round, it is found within :data:`DEAD_AFTER`.
UNHEARD_LIMIT = DEAD_AFTER - 5


class Watched(Protocol):
    """A connection, as it is watched."""

    @property
    def handle(self) -> object:
        """Its socket; anything else if it has none."""

    def look_ahead(self) -> None:
        """Read a little further, if that is bounded."""

    def hung_up(self, error: int) -> None:
        """Nothing can be sent any more. ``error`` is the system's, if nobody was told yet, or 0."""

    def vanished(self) -> None:
        """The other side's system has been silent for too long."""


class Watch:
    """Watches connections, with one timer for all."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._held: dict[Watched, None] = {}
        self._open: OrderedDict[Watched, None] = OrderedDict()
        self._timer: IDelayedCall | None = None

    def open(self, connection: Watched) -> None:
        """There is a new connection."""
        if state_of(connection.handle) is not None:
            self._open[connection] = None
            self._set_timer()

    def hold(self, connection: Watched) -> None:
        """It is not read any more."""
        self._held[connection] = None
        self._set_timer()

    def release(self, connection: Watched) -> None:
        """It is read again."""
        self._held.pop(connection, None)

    def close(self, connection: Watched) -> None:
        """It is gone."""
        self._held.pop(connection, None)
        self._open.pop(connection, None)
        if not (self._held or self._open) and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(LOOK_INTERVAL, self._look)

    def _look(self) -> None:
        self._timer = None
        for connection in tuple(self._held):
            state = state_of(connection.handle)
            if state is not None and state.hung_up:
                self._held.pop(connection, None)
                connection.hung_up(take_error(connection.handle))
            else:
                connection.look_ahead()
        for _ in range(-(-len(self._open) // ROUND)):
            if self._open:
                connection, _nothing = self._open.popitem(last=False)
                self._open[connection] = None
                self._ask(connection)
        if self._held or self._open:
            self._set_timer()

    def _ask(self, connection: Watched) -> None:
        state = state_of(connection.handle)
        if state is not None and state.unheard > UNHEARD_LIMIT:
            connection.vanished()

"""Finds peers that are gone when neither a read nor a write of the connection shows it.

A held connection is not read, so its end would go unnoticed: this module checks its socket twice
per second. It also lets a held connection read a little further, to find a request to cancel
behind the waiting lines. And it finds a peer whose system has died by the seconds since its last
packet: the system's own limits, of keepalive and of retransmission, can follow each other and
together take twice as long. This module must not know sessions or lines.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from twisted_chat.net.sockets import DEAD_AFTER, state_of, take_error

#: Seconds between two looks at the held connections.
LOOK_INTERVAL = 0.5

#: Looks within which every open connection is checked once for its peer's silence.
ROUND = 8

#: Seconds of silence after which a peer counts as gone. Keepalive has sent it five probes by then.
#: With the time of a round, a dead peer is found within :data:`DEAD_AFTER`.
UNHEARD_LIMIT = DEAD_AFTER - 5


class Watched(Protocol):
    """A connection that can be watched."""

    @property
    def handle(self) -> object:
        """The connection's socket; any other object if it has none."""

    def look_ahead(self) -> None:
        """Read a little further, within the limit of bytes to read ahead."""

    def hung_up(self, error: int) -> None:
        """Close: nothing can be sent any more. ``error`` is the pending ``errno``, or 0."""

    def vanished(self) -> None:
        """Cut off the peer: its system has been silent for too long."""


class Watch:
    """Watches connections, with one timer for all."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._held: dict[Watched, None] = {}
        self._open: OrderedDict[Watched, None] = OrderedDict()
        self._timer: IDelayedCall | None = None

    def open(self, connection: Watched) -> None:
        """Watch a new connection for its peer's silence."""
        if state_of(connection.handle) is not None:
            self._open[connection] = None
            self._set_timer()

    def hold(self, connection: Watched) -> None:
        """Watch ``connection`` for its end too: it is held, and not read any more."""
        self._held[connection] = None
        self._set_timer()

    def release(self, connection: Watched) -> None:
        """Stop watching ``connection`` for its end: it is read again."""
        self._held.pop(connection, None)

    def close(self, connection: Watched) -> None:
        """Stop watching ``connection``, which is gone."""
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

"""Closes a connection so that the peer can read everything that was sent.

1. The outbox sends the bytes that wait in it, and then the end of the stream.
2. Once the peer's system has acknowledged them, the connection is reset: OpenBSD's netcat on a
   terminal shows the end at once, but would wait for Enter before it exits.
3. If the peer ends its own stream meanwhile, the connection is closed at once. A peer that neither
   acknowledges nor ends within :data:`CLOSE_TIMEOUT` seconds is cut off.

This module must not know lines, sessions or dialects.
"""

from __future__ import annotations

from typing import Any

from twisted_chat.net.outbox import Outbox

#: Seconds that the peer has to read what was sent, once the connection is closing.
CLOSE_TIMEOUT = 5.0

#: Seconds from the end of the stream to the reset, and between checks whether it is possible yet.
LINGER = 0.5


class Closing:
    """Closes one connection.

    :param clock: provides IReactorTime.
    :param transport: the connection's transport.
    :param outbox: the bytes that wait for the peer.
    """

    __slots__ = ("_clock", "_latest", "_outbox", "_timer", "_transport")

    def __init__(self, clock: Any, transport: Any, outbox: Outbox) -> None:
        self._clock = clock
        self._transport = transport
        self._outbox = outbox
        #: The time at which the peer is cut off; None before the connection closes.
        self._latest: float | None = None
        self._timer: Any = None

    def begin(self) -> None:
        """Close the connection once everything sent has arrived."""
        self._latest = self._clock.seconds() + CLOSE_TIMEOUT
        self._outbox.close()
        self._timer = self._clock.callLater(CLOSE_TIMEOUT, self._transport.abortConnection)

    def peer_ended(self) -> None:
        """The peer has ended its stream: close at once if the connection is closing."""
        if self._latest is not None:
            self._transport.loseConnection()

    def all_sent(self) -> None:
        """The end of the stream is sent: reset the connection once the peer has acknowledged it.

        The transport is read meanwhile, and its bytes are dropped.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
            self._timer = self._clock.callLater(LINGER, self._reset_if_read)
            self._transport.resumeProducing()

    def stop(self) -> None:
        """The connection is gone: cancel the timer."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _reset_if_read(self) -> None:
        assert self._latest is not None
        if self._outbox.unacknowledged and self._clock.seconds() < self._latest:
            self._timer = self._clock.callLater(LINGER, self._reset_if_read)
        else:
            self._transport.abortConnection()

"""How a connection is closed so that the other side reads all that was sent.

1. The outbox sends what it has, and then the end of what is sent.
2. Once the other side's system has confirmed that, the connection is reset: OpenBSD's netcat on a
   terminal shows the end at once, but waits for Enter until then.
3. A client that ends its own side meanwhile is closed at once; one that does neither in
   :data:`CLOSE_TIMEOUT` seconds is cut off.
"""

from __future__ import annotations

from typing import Any

from twisted_chat.net.outbox import Outbox

#: Seconds for what was written to be read by the other side, once the connection is closing.
CLOSE_TIMEOUT = 5.0

#: Seconds from the end of what is sent until the connection is reset, or it is looked again
#: whether it can be.
LINGER = 0.5


class Closing:
    """The end of one connection: of ``transport`` with its ``outbox``.

    :param clock: provides IReactorTime.
    """

    def __init__(self, clock: Any, transport: Any, outbox: Outbox) -> None:
        self._clock = clock
        self._transport = transport
        self._outbox = outbox
        #: When it is cut off; None before it closes.
        self._latest: float | None = None
        self._timer: Any = None

    def begin(self) -> None:
        """Close, once what was sent has arrived."""
        self._latest = self._clock.seconds() + CLOSE_TIMEOUT
        self._outbox.close()
        self._timer = self._clock.callLater(CLOSE_TIMEOUT, self._transport.abortConnection)

    def peer_ended(self) -> None:
        """The other side has said all it will say."""
        if self._latest is not None:
            self._transport.loseConnection()

    def all_sent(self) -> None:
        """All is sent, and that it is all: the other side has to read it. What comes meanwhile is
        dropped.
        """
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
            self._timer = self._clock.callLater(LINGER, self._reset_if_read)
            self._transport.resumeProducing()

    def stop(self) -> None:
        """The connection is gone."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _reset_if_read(self) -> None:
        assert self._latest is not None
        if self._outbox.unacknowledged and self._clock.seconds() < self._latest:
            self._timer = self._clock.callLater(LINGER, self._reset_if_read)
        else:
            self._transport.abortConnection()

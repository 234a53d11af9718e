"""The bytes waiting for one connection: bounded, in order.

When the transport holds more than it likes to (64 KiB in Twisted), the outbox is no longer
ready: whoever writes should wait, in the log and not here, until it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer


class Transport(Protocol):
    """What of a Twisted transport is used here (``ITransport`` and ``IConsumer``)."""

    def write(self, data: bytes) -> None: ...

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def loseConnection(self) -> None: ...


@implementer(IPushProducer)
class Outbox:
    """Writes to ``transport``; ``changed`` is called when :attr:`ready` changes."""

    def __init__(self, transport: Transport, changed: Callable[[], None]) -> None:
        self.ready = True
        self._transport = transport
        self._changed = changed
        self._closed = False
        transport.registerProducer(self, True)

    def write(self, data: bytes) -> None:
        """Send ``data`` after all that was written before; nothing once closed."""
        if not self._closed:
            self._transport.write(data)

    def close(self) -> None:
        """Take no more; close the connection when what was written is sent."""
        if not self._closed:
            self._closed = True
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def lost(self) -> None:
        """The connection is gone: take no more."""
        self._closed = True

    # -- IPushProducer: called by the transport -----------------------------------------------

    def pauseProducing(self) -> None:
        if self.ready:
            self.ready = False
            self._changed()

    def resumeProducing(self) -> None:
        if not self.ready:
            self.ready = True
            self._changed()

    def stopProducing(self) -> None:
        self._closed = True

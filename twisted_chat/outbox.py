"""The bytes waiting for one connection: bounded, in order.

When the transport holds more than it likes to (64 KiB in Twisted), the outbox is no longer
ready: whoever writes should wait, in the log and not here, until it is.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

#: Bytes that a transport holds before it asks its producer to wait
#: (``twisted.internet.abstract.FileDescriptor.bufferSize``).
BUFFER = 2**16


class Transport(Protocol):
    """What of a Twisted transport is used here (``ITransport`` and ``IConsumer``)."""

    def write(self, data: bytes) -> None: ...

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def loseConnection(self) -> None: ...

    def getHandle(self) -> Any: ...


@implementer(IPushProducer)
class Outbox:
    """Writes to ``transport``; ``changed`` is called when :attr:`ready` changes."""

    def __init__(self, transport: Transport, changed: Callable[[], None]) -> None:
        self.ready = True
        self._transport = transport
        self._changed = changed
        self._closed = False
        self._undelivered = 0
        transport.registerProducer(self, True)

    def write(self, data: bytes) -> None:
        """Send ``data`` after all that was written before; nothing once closed."""
        if not self._closed:
            self._transport.write(data)

    def unconfirmed(self) -> int:
        """How many bytes the other side may not have received: rather too many than too few."""
        if self._closed:
            return self._undelivered
        try:
            # SIOCOUTQ (Linux, tcp(7)): what is in the kernel's queue and not acknowledged.
            handle = self._transport.getHandle()
            (kernel,) = struct.unpack("i", fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4)))
        except (OSError, AttributeError, TypeError):  # not a socket, or not one that can tell
            kernel = 0
        return int(kernel) + (0 if self.ready else BUFFER)

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
        # The connection is lost, but its socket can still be asked what did not arrive.
        self._undelivered = self.unconfirmed()
        self._closed = True

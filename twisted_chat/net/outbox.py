"""The bytes that wait to be sent on one connection, in order.

Bytes for a plain TCP socket are sent at once, without a turn of the reactor's loop. When the
socket takes only a part, the outbox keeps the rest and is no longer ready. Until it is ready
again, a session should leave further entries in the log and deliver nothing.

This module must not know lines, sessions or dialects.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from twisted_chat.core.callbacks import nothing
from twisted_chat.core.rendered import Rendered

#: Bytes assumed to be unacknowledged where the system does not tell: as many as a transport holds
#: before it pauses its producer (``twisted.internet.abstract.FileDescriptor.bufferSize``).
BUFFER = 2**16

#: Unsent bytes that the kernel may hold, on systems that let a program limit them. The outbox
#: remembers every delivery in the kernel's queue, so the limit bounds that memory.
UNSENT = 2**17

#: Deliveries (or bytes) remembered before the socket is asked how much the peer has acknowledged.
#: The first time, that is soon: with the first notice, the client has long had the greeting and the
#: list of people, which are large.
DELIVERIES = 32
FIRST_DELIVERIES = 4
DELIVERED_BYTES = 2**19


class Transport(Protocol):
    """The part of a Twisted transport that an outbox uses."""

    def write(self, data: bytes) -> None: ...

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...


class Owner(Protocol):
    """The connection of an outbox, which calls it when its state changes."""

    def outbox_changed(self) -> None:
        """:attr:`Outbox.ready` has changed."""

    def outbox_moved(self) -> None:
        """The peer has taken some of the waiting bytes, but not all."""

    def outbox_grew(self, size: int) -> None:
        """``size`` bytes wait that were delivered while the outbox was not ready."""


@implementer(IPushProducer, IPullProducer)
class Outbox:
    """Sends bytes over a transport, and calls its owner when its state changes.

    It is a pull producer for a plain TCP transport, which then calls it when the socket takes
    more. It is a push producer for any other transport, such as TLS, and writes every delivery to
    that transport at once.

    :param transport: the connection's transport.
    :param owner: the connection.
    """

    __slots__ = (
        "_broken",
        "_bytes_left",
        "_closed",
        "_closing",
        "_delivered_before",
        "_deliveries",
        "_deliveries_left",
        "_left_before",
        "_offset",
        "_owner",
        "_piled_up",
        "_send",
        "_socket",
        "_transport",
        "_undelivered",
        "_waiting",
        "error",
        "is_encrypted",
        "ready",
    )

    def __init__(self, transport: Transport, owner: Owner) -> None:
        self.ready = True
        self._transport = transport
        self._owner = owner
        self._closed = False
        self._closing = False
        #: Whether a send has failed; the transport will find the loss of the connection itself.
        self._broken = False
        #: The ``errno`` of that failure; 0 before.
        self.error = 0
        handle = getattr(transport, "getHandle", nothing)()
        #: Whether TLS is between the outbox and the socket.
        self.is_encrypted = handle is not None and not isinstance(handle, socket.socket)
        self._socket: socket.socket | None = handle if isinstance(handle, socket.socket) else None
        self._send: Callable[[bytes | memoryview], int] = self._write
        if self._socket is not None:
            self._send = self._socket.send
            _limit_unsent(self._socket)
        #: Data that the socket has not taken in full: of the first, it has ``_offset`` bytes.
        self._waiting: deque[bytes] | None = None
        self._offset = 0
        #: Bytes delivered while the outbox was not ready, which still wait.
        self._piled_up = 0
        #: The result of :meth:`_left` at the last call of :meth:`has_moved`.
        self._left_before = 0
        #: The last deliveries, of which some may not have arrived.
        self._deliveries: list[Rendered] = []
        #: Deliveries and bytes until the socket is asked how much the peer has acknowledged.
        self._deliveries_left = FIRST_DELIVERIES
        self._bytes_left = DELIVERED_BYTES
        #: This number minus ``_bytes_left`` is the number of delivered bytes.
        self._delivered_before = DELIVERED_BYTES
        self._undelivered: int | None = None
        transport.registerProducer(self, self._socket is None)

    def deliver(self, rendered: Rendered) -> None:
        """Send ``rendered`` after all earlier deliveries; does nothing once closed."""
        if self._closed:
            return
        self._deliveries.append(rendered)
        data = rendered.data
        if self._waiting is not None:
            self._waiting.append(data)
            self._pile_up(len(data))
        elif not self._broken:
            sent = self._try(data)
            if sent < len(data) and not self._broken:
                self._wait(data, sent)
        if self._broken:
            assert self._undelivered is not None
            self._undelivered += len(data)
            self._bytes_left -= len(data)
            return
        self._deliveries_left -= 1
        self._bytes_left -= len(data)
        if self._deliveries_left <= 0 or self._bytes_left <= 0:
            self._forget_arrived()

    def arrival(self) -> Callable[[], bool]:
        """A function that returns whether every delivery made before this call has arrived.

        Under TLS it returns True at its second call at the earliest, in a later turn of the loop.
        Where the system does not tell what the peer has acknowledged, everything counts as arrived.
        """
        if self._kernel() is None:
            return _yes
        end = before = self._delivered()

        asked = False

        def arrived() -> bool:
            nonlocal asked, before
            if self._socket is not None or self._undelivered is not None:
                return self._delivered() - self._unconfirmed() >= end
            # TLS buffers small writes until the next turn of the loop: deliveries from before the
            # last call are no longer in that buffer.
            done = asked and before - (self._unconfirmed() - BUFFER) >= end
            asked = True
            before = self._delivered()
            return done

        return arrived

    def missing(self) -> list[tuple[Rendered, int]]:
        """The deliveries that may not have arrived, oldest first.

        :returns: pairs of a delivery and the number of its first bytes that have arrived.
        """
        unconfirmed = self._unconfirmed()
        missing = []
        for rendered in reversed(self._deliveries):
            if unconfirmed <= 0:
                break
            missing.append((rendered, max(0, len(rendered.data) - unconfirmed)))
            unconfirmed -= len(rendered.data)
        return missing[::-1]

    def close(self) -> None:
        """Accept no more deliveries, and close the connection once all are sent."""
        if not self._closed:
            self._closed = self._closing = True
            if self._waiting is None:
                self._end()

    def abort(self) -> None:
        """Accept no more deliveries, and close the connection now.

        :meth:`missing` then includes the bytes that wait.
        """
        self.stopProducing()
        self._transport.abortConnection()

    def has_moved(self) -> bool:
        """Whether the peer has taken bytes since the last call, or since the outbox was not ready.

        A few bytes count too, even if the system does not ask for more yet.
        """
        before, self._left_before = self._left_before, self._left()
        return before != self._left_before

    def lost(self) -> None:
        """Accept no more deliveries: the connection is gone."""
        self._closed = True
        self.ready = False
        self._waiting = None
        # Breaks the reference cycle with the owner, so that no garbage collection is needed.
        self._owner = _NOBODY

    @property
    def unacknowledged(self) -> bool:
        """Whether the peer's system has yet to acknowledge some bytes or the end of the stream."""
        return bool(self._kernel())

    # -- sending --------------------------------------------------------------------------------

    def _write(self, data: bytes | memoryview) -> int:
        self._transport.write(bytes(data))
        return len(data)

    def _write_although_paused(self, data: bytes | memoryview) -> int:
        self._pile_up(len(data))
        return self._write(data)

    def _pile_up(self, size: int) -> None:
        self._piled_up += size
        self._owner.outbox_grew(self._piled_up)

    def _left(self) -> int:
        """Bytes that the transport is sending (``FileDescriptor.doWrite``) or the kernel holds.

        While the outbox is not ready nothing is added, so the number can only fall.
        """
        return self._begun() + (self._kernel() or 0)

    def _begun(self) -> int:
        transport = self._transport
        return len(getattr(transport, "dataBuffer", b"")) - int(getattr(transport, "offset", 0))

    def _try(self, data: bytes | memoryview) -> int:
        """Send ``data``; returns the number of bytes that the socket has taken."""
        try:
            return self._send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.error = error.errno or 0
            # Do not close: bytes that the peer sent before it went are still to be read.
            self._undelivered = self._unconfirmed()
            self._broken = True
            return 0

    def _wait(self, data: bytes, sent: int) -> None:
        self._waiting = deque((data,))
        self._offset = sent
        self._transport.startWriting()  # type: ignore[attr-defined]  # plain TCP has it
        self.ready = False
        self._left_before = self._left()
        self._owner.outbox_changed()

    def _flush(self) -> None:
        """Send the waiting bytes, as far as the socket takes them."""
        waiting = self._waiting
        moved = False
        while waiting and not self._broken:
            data = waiting[0]
            # A view, so that a long text is not copied each time that a part of it is sent.
            sent = self._try(memoryview(data)[self._offset :])
            if self._broken:
                break
            self._offset += sent
            moved = moved or sent > 0
            if self._offset < len(data):
                self._transport.startWriting()  # type: ignore[attr-defined]
                if moved:
                    self._left_before = self._left()
                    self._owner.outbox_moved()
                return
            waiting.popleft()
            self._offset = 0
            if waiting:
                self._piled_up -= len(waiting[0])
        self._waiting = None

    def _end(self) -> None:
        if self._undelivered is None:
            self._undelivered = self._unconfirmed()
        self._closing = False
        self._transport.unregisterProducer()
        # Closed in both directions, a socket with unread bytes would reset the connection.
        close_half = getattr(self._transport, "loseWriteConnection", None)
        if self._socket is not None and close_half is not None:
            close_half()
        else:
            self._transport.loseConnection()

    # -- bytes that may not have arrived --------------------------------------------------------

    def _forget_arrived(self) -> None:
        self._deliveries = [rendered for rendered, _ in self.missing()]
        self._deliveries_left = max(DELIVERIES, len(self._deliveries))
        delivered = self._delivered()
        self._bytes_left = max(DELIVERED_BYTES, sum(len(each.data) for each in self._deliveries))
        self._delivered_before = delivered + self._bytes_left

    def _delivered(self) -> int:
        """The number of delivered bytes; ``_bytes_left`` gives it at no extra cost."""
        return self._delivered_before - self._bytes_left

    def _unconfirmed(self) -> int:
        """The number of bytes that the peer may not have received: exact, or too high."""
        if self._undelivered is not None:
            return self._undelivered
        waiting = sum(map(len, self._waiting or ())) - self._offset
        if self._socket is None:
            # Encryption only adds bytes; before it, TLS buffers small writes (_tempDataLen).
            waiting += self._begun() + int(getattr(self._transport, "_tempDataLen", 0)) + BUFFER
        kernel = self._kernel()
        return waiting + (BUFFER if kernel is None else kernel)

    def _kernel(self) -> int | None:
        """Unacknowledged bytes in the kernel's queue; None if the system does not tell."""
        # A TLS transport has the socket of the connection below it.
        connection = self._socket or getattr(self._transport, "socket", None)
        try:  # SIOCOUTQ (Linux, tcp(7))
            queued = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))  # type: ignore[arg-type]
        except (OSError, TypeError, ValueError):  # not supported, no socket, or a closed one
            return None
        return int(struct.unpack("i", queued)[0])

    # -- IPullProducer, IPushProducer: called by the transport ----------------------------------

    def pauseProducing(self) -> None:
        if self.ready:
            self.ready = False
            self._send = self._write_although_paused
            self._left_before = self._left()
            self._owner.outbox_changed()

    def resumeProducing(self) -> None:
        if self._waiting is not None:
            self._flush()
        if self._waiting is None and self._closing:
            self._end()
        elif self._waiting is None and not self.ready:
            self.ready = True
            if self._socket is None:
                self._send = self._write
                self._piled_up = 0
            self._owner.outbox_changed()

    def stopProducing(self) -> None:
        # The connection is lost, but the system can still tell how much has not arrived.
        self._undelivered = self._unconfirmed()
        self.lost()


class _Nobody:
    """The owner after :meth:`Outbox.lost`: does nothing."""

    def outbox_changed(self) -> None: ...
    def outbox_moved(self) -> None: ...
    def outbox_grew(self, size: int) -> None: ...


_NOBODY = _Nobody()


def _limit_unsent(connection: socket.socket) -> None:
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux, macOS; tcp(7)
    if option is not None:
        with suppress(OSError):  # not TCP
            connection.setsockopt(socket.IPPROTO_TCP, option, UNSENT)


def _yes() -> bool:
    return True

"""The bytes waiting for one connection: bounded, in order.

What a plain TCP socket takes is sent at once, without a turn of the reactor's loop. As soon as
it takes less than it is given, the outbox is no longer ready, and keeps the rest: whoever
delivers should wait, in the log and not here, until it is.
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

from twisted_chat.core.rendered import Rendered

#: Bytes that may be on the way where that cannot be known: what a transport holds before it asks
#: its producer to wait (``twisted.internet.abstract.FileDescriptor.bufferSize``).
BUFFER = 2**16

#: Bytes that the kernel holds at most of what it has not sent, where it lets itself be told so: of
#: what it holds, each delivery is remembered.
UNSENT = 2**17

#: Deliveries (or their bytes) that are remembered before the socket is asked how much the peer has
#: confirmed.
DELIVERIES = 32
DELIVERED_BYTES = 2**19


class Transport(Protocol):
    """What of a Twisted transport is used here."""

    def write(self, data: bytes) -> None: ...

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...


class Owner(Protocol):
    """Who is told what becomes of an outbox."""

    def outbox_changed(self) -> None:
        """:attr:`Outbox.ready` is another one now."""

    def outbox_moved(self) -> None:
        """The other side has taken something, but not yet all."""

    def outbox_grew(self, size: int) -> None:
        """Bytes wait that were delivered although it was not ready: ``size`` by now."""


@implementer(IPushProducer, IPullProducer)
class Outbox:
    """Sends over ``transport``, and tells its owner.

    It is a pull producer of a plain TCP transport, which then says when the socket takes more;
    and a push producer of any other one, such as TLS, which is given all that is delivered.
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
        #: The socket takes nothing any more; the transport will find that out.
        self._broken = False
        #: What the system said of that, as ``errno``.
        self.error = 0
        handle = getattr(transport, "getHandle", _nothing)()
        #: Whether something is between this and the socket: TLS.
        self.is_encrypted = handle is not None and not isinstance(handle, socket.socket)
        self._socket: socket.socket | None = handle if isinstance(handle, socket.socket) else None
        self._send: Callable[[bytes | memoryview], int] = self._write
        if self._socket is not None:
            self._send = self._socket.send
            _limit_unsent(self._socket)
        #: What the socket has not taken yet: of the first one, what comes after the offset.
        self._waiting: deque[bytes] | None = None
        self._offset = 0
        #: Bytes that wait behind what it was that was not taken at once.
        self._piled_up = 0
        #: What had not arrived of what is being sent, when it was last asked.
        self._left_before = 0
        #: What was sent last, and may not have arrived.
        self._deliveries: list[Rendered] = []
        self._deliveries_left = DELIVERIES  # until it is asked
        self._bytes_left = DELIVERED_BYTES
        #: What ``_bytes_left`` is taken from gives the bytes that were delivered.
        self._delivered_before = DELIVERED_BYTES
        self._undelivered: int | None = None
        transport.registerProducer(self, self._socket is None)

    def deliver(self, rendered: Rendered) -> None:
        """Send it, after all that was sent before; nothing once closed."""
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
        """Whether all that was delivered until now has arrived: a function that tells, later.

        Under TLS it tells so a turn of the loop after it was asked for the first time.
        Where the system does not say what the other side has confirmed, all counts as arrived.
        """
        if self._kernel() is None:
            return _yes
        end = before = self._delivered()

        asked = False

        def arrived() -> bool:
            nonlocal asked, before
            if self._socket is not None or self._undelivered is not None:
                return self._delivered() - self._unconfirmed() >= end
            # TLS gathers small pieces until the next turn of the loop: what was delivered before
            # the last look is not among them any more.
            done = asked and before - (self._unconfirmed() - BUFFER) >= end
            asked = True
            before = self._delivered()
            return done

        return arrived

    def missing(self) -> list[tuple[Rendered, int]]:
        """What was sent and may not have arrived, oldest first; with how many bytes have."""
        unconfirmed = self._unconfirmed()
        missing = []
        for rendered in reversed(self._deliveries):
            if unconfirmed <= 0:
                break
            missing.append((rendered, max(0, len(rendered.data) - unconfirmed)))
            unconfirmed -= len(rendered.data)
        return missing[::-1]

    def close(self) -> None:
        """Take no more; close the connection when what was delivered is sent."""
        if not self._closed:
            self._closed = self._closing = True
            if self._waiting is None:
                self._end()

    def abort(self) -> None:
        """Take no more; close the connection now. What waits is known not to have arrived."""
        self.stopProducing()
        self._transport.abortConnection()

    def has_moved(self) -> bool:
        """Whether the other side has taken something since it was asked last, or since it was
        not ready; also too little of it for the system to want more.
        """
        before, self._left_before = self._left_before, self._left()
        return before != self._left_before

    def lost(self) -> None:
        """The connection is gone: take no more."""
        self._closed = True
        self.ready = False
        self._waiting = None
        # Who holds this is not held by it: a connection that is gone is no garbage in a circle.
        self._owner = _NOBODY

    @property
    def unacknowledged(self) -> bool:
        """Whether the other side's system has not yet confirmed all, and its end."""
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
        """What the transport has begun to send (``FileDescriptor.doWrite``), and what the kernel
        holds of it: less and less, as nothing is added while it is not ready.
        """
        return self._begun() + (self._kernel() or 0)

    def _begun(self) -> int:
        transport = self._transport
        return len(getattr(transport, "dataBuffer", b"")) - int(getattr(transport, "offset", 0))

    def _try(self, data: bytes | memoryview) -> int:
        """Send ``data``; returns how much of it was taken."""
        try:
            return self._send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.error = error.errno or 0
            # What the other side has sent before it went is still to be read: go on.
            self._undelivered = self._unconfirmed()
            self._broken = True
            return 0

    def _wait(self, data: bytes, sent: int) -> None:
        self._waiting = deque((data,))
        self._offset = sent
        self._transport.startWriting()  # type: ignore[attr-defined]  # as a plain TCP one can
        self.ready = False
        self._left_before = self._left()
        self._owner.outbox_changed()

    def _flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        waiting = self._waiting
        moved = False
        while waiting and not self._broken:
            data = waiting[0]
            # A view, so that a long text is not copied for each part of it that is sent.
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
        # Closed as a whole, a socket is reset if something that came is unread.
        close_half = getattr(self._transport, "loseWriteConnection", None)
        if self._socket is not None and close_half is not None:
            close_half()
        else:
            self._transport.loseConnection()

    # -- what may not have arrived --------------------------------------------------------------

    def _forget_arrived(self) -> None:
        self._deliveries = [rendered for rendered, _ in self.missing()]
        self._deliveries_left = max(DELIVERIES, len(self._deliveries))
        delivered = self._delivered()
        self._bytes_left = max(DELIVERED_BYTES, sum(len(each.data) for each in self._deliveries))
        self._delivered_before = delivered + self._bytes_left

    def _delivered(self) -> int:
        """How many bytes were delivered: counted down, which costs nothing more."""
        return self._delivered_before - self._bytes_left

    def _unconfirmed(self) -> int:
        """How many bytes the other side may not have received: never too few."""
        if self._undelivered is not None:
            return self._undelivered
        waiting = sum(map(len, self._waiting or ())) - self._offset
        if self._socket is None:
            # TLS makes more of it, and never less; it gathers small pieces before it does.
            waiting += self._begun() + int(getattr(self._transport, "_tempDataLen", 0)) + BUFFER
        kernel = self._kernel()
        return waiting + (BUFFER if kernel is None else kernel)

    def _kernel(self) -> int | None:
        """What is in the kernel's queue and not acknowledged; None if it cannot tell."""
        # Of TLS, that of the connection below.
        connection = self._socket or getattr(self._transport, "socket", None)
        try:  # SIOCOUTQ (Linux, tcp(7))
            queued = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))  # type: ignore[arg-type]
        except (OSError, TypeError, ValueError):  # it cannot tell, there is none, it is closed
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
        # The connection is lost, but its socket can still be asked what did not arrive.
        self._undelivered = self._unconfirmed()
        self.lost()


class _Nobody:
    """The owner of what is no longer in use."""

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


def _nothing() -> None:
    """A transport without a handle."""

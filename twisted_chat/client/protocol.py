"""One connection to a chat server: lines of text in, lines of text out.

It must not know the terminal, nor what the lines mean: only how to leave.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, INegotiated, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat.characters import find_unsafe, visible
from twisted_chat.dialects.text import LEAVE
from twisted_chat.language import N_

#: Seconds that the server has to close the connection once we leave.
LEAVE_TIMEOUT = 2.0

#: Seconds that it may need for each line just sent, since flood control makes lines wait.
LINE_TIMEOUT = 1.0

# Why a connection ended.
LEFT = N_("You left the chat.")
CLOSED = N_("The server closed the connection.")
BROKEN = N_("The connection broke off.")
LINE_TOO_LONG = N_("The server sent a line that is too long, and the connection was closed.")


class Receiver(Protocol):
    """What a program does with what arrives. Called on the reactor's thread."""

    def connected(self, client: ChatClientProtocol) -> None:
        """There is a connection; the server expects a name as the first line."""

    def line_received(self, text: str) -> None:
        """The server sent a line. It has no line break and is safe to show on a terminal."""

    def disconnected(self, reason: str, clean: bool) -> None:
        """There is no connection (any more). This is the last call.

        ``reason`` is one line, a sentence where there was a connection; ``clean`` is true
        where it was ours to leave.
        """


class ChatClientProtocol(LineReceiver):
    """A connection that tells a :class:`Receiver` what arrives.

    Lines end with LF or CRLF. What is not UTF-8 or could disturb a terminal is replaced by
    characters that show it. A line of more than ``MAX_LENGTH`` bytes ends the connection.
    """

    delimiter = b"\n"
    MAX_LENGTH = 65536

    transport: Any  # Twisted types it without what every stream transport has

    def __init__(self, reactor: Any, receiver: Receiver) -> None:
        """``reactor`` provides IReactorTime."""
        #: Fires when the receiver has been told that the connection is gone.
        self.ended: Deferred[None] = Deferred()
        self._reactor = reactor
        self._receiver = receiver
        self._flow = _Flow()
        self._leaving = False
        self._finished = False
        self._too_long = False
        self._abort: IDelayedCall | None = None
        self._all_read = 0.0

    # -- for programs -------------------------------------------------------------------------

    def send_line(self, text: str) -> None:
        """Send a line. Nothing is sent any more once we leave.

        :raises ValueError: ``text`` holds a line break or another control character.
        """
        unsafe = find_unsafe(text)
        if unsafe is not None:
            raise ValueError(f"U+{ord(unsafe):04X} cannot be sent")
        if not (self._leaving or self._finished):
            self._all_read = max(self._all_read, self._reactor.seconds()) + LINE_TIMEOUT
            self.sendLine(text.encode())

    def ready(self) -> Deferred[None]:
        """Fires when the server keeps up with what is sent: at once, most of the time."""
        return self._flow.ready()

    def leave(self) -> None:
        """Leave the chat; the server closes then, or else we do after a while."""
        if not self._leaving:
            self._leaving = True
            if not self._finished:
                self.sendLine(LEAVE.encode())
        if self._abort is None and self.connected:
            unread = max(0.0, self._all_read - self._reactor.seconds())
            self._abort = self._reactor.callLater(
                LEAVE_TIMEOUT + unread, self.transport.abortConnection
            )

    def finish(self) -> None:
        """Say that nothing more will be sent; answers still come, until the server closes."""
        if INegotiated.providedBy(self.transport):  # TLS has no half-closed connections
            self.leave()
        elif not (self._leaving or self._finished):
            self._finished = True
            # A paused producer would keep that half open.
            self.transport.unregisterProducer()
            self._flow.resumeProducing()
            self.transport.loseWriteConnection()

    # -- for Twisted --------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self.transport.registerProducer(self._flow, True)
        self._receiver.connected(self)

    def lineReceived(self, line: bytes) -> None:
        text = line.removesuffix(b"\r").decode("utf-8", "replace")
        self._receiver.line_received(visible(text))

    def lineLengthExceeded(self, line: bytes) -> None:
        self._too_long = True
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connected = 0
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        self._flow.resumeProducing()
        rest = self.clearLineBuffer()
        if rest:
            self.lineReceived(rest)
        why = self._why(reason)
        self._receiver.disconnected(why, clean=why == LEFT)
        self.ended.callback(None)

    def _why(self, reason: Failure) -> str:
        if self._too_long:
            return LINE_TOO_LONG
        # After finish(), only a server that closes in good order has read everything.
        if self._leaving or (self._finished and reason.check(ConnectionDone)):
            return LEFT
        return CLOSED if reason.check(ConnectionDone) else BROKEN


@implementer(IPushProducer)
class _Flow:
    """Whether the transport takes more, as it tells its producer."""

    def __init__(self) -> None:
        self._paused = False
        self._waiting: list[Deferred[None]] = []

    def ready(self) -> Deferred[None]:
        if not self._paused:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()

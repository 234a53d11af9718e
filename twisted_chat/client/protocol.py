"""One connection to a chat server: requests out, events in.

It parses lines to events, and notices when the server is silent. It must not know the meaning of
requests and events, or any other connection.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from twisted_chat.client.wire import NotUnderstood, decode, encode
from twisted_chat.core.events import Event, Pong, Refused, Welcomed
from twisted_chat.core.requests import Hello, Ping, Request
from twisted_chat.i18n.language import N_

#: Seconds within which the server must answer ``hello``.
HELLO_TIMEOUT = 10.0

#: Seconds between two pings, which also measure the delay; and seconds of silence after which the
#: connection counts as dead.
PING_AFTER = 15.0
PING_TIMEOUT = 30.0

#: Bytes of a received line, at most. The longest one is a page of history.
LINE_LIMIT = 1 << 20

#: Bytes before the first line of JSON that are skipped: on a slow connection, the server may send
#: the greeting for people before it receives our first line.
GREETING_LIMIT = 4096

# The reasons why a connection ended.
CLOSED = N_("the server closed the connection")
BROKEN = N_("the connection broke")
SILENT = N_("the server does not answer")
LINE_TOO_LONG = N_("the server sent a line that is too long")
NOT_UNDERSTOOD = N_("the server sent something that this client does not understand")
NOT_A_CHAT = N_("this is not a twisted-chat server")
SPEAKS_TLS = N_("the server speaks TLS: put tls: in front of its address")
SAID_NOTHING = N_(
    "the server closed the connection without an answer; if it speaks TLS, put tls: in "
    "front of its address"
)

#: The first bytes of a TLS alert (RFC 8446, section 5.1), the answer of a TLS server to our line.
_ALERT = b"\x15\x03"


class Receiver(Protocol):
    """The client of a connection. Called on the reactor's thread."""

    def connected(self, connection: ChatClientProtocol) -> None:
        """Call :meth:`ChatClientProtocol.hello`: the connection is open."""

    def received(self, connection: ChatClientProtocol, event: Event) -> None:
        """Take an event of the server. The first is :class:`.Welcomed` or a refusal."""

    def lost(self, connection: ChatClientProtocol, reason: str) -> None:
        """Note that the connection is gone, for ``reason``, a short sentence in English."""


class ChatClientProtocol(LineReceiver):
    """Speaks JSON Lines with a server, and passes its events to a receiver.

    While it is paused with :meth:`pause`, it passes on no events, and the server keeps them.
    """

    delimiter = b"\n"
    MAX_LENGTH = LINE_LIMIT

    transport: Any  # Twisted's type lacks methods that every stream transport has

    def __init__(self, clock: Any, receiver: Receiver) -> None:
        """Make the protocol of one connection.

        :param clock: provides IReactorTime.
        :param receiver: gets the events.
        """
        #: Seconds between the last ``ping`` and its answer; None before the first answer.
        self.delay: float | None = None
        #: Bytes of the line whose event the receiver is getting.
        self.size = 0
        self._clock = clock
        self._receiver = receiver
        self._reason: str | None = None
        self._rest = bytearray()
        self._lines: deque[bytes] = deque()
        self._is_paused = False
        self._is_delivering = False
        self._is_chat = False
        self._waits_for_welcome = False
        self._passed_over = 0
        self._heard = 0.0
        self._has_heard = False
        self._asked: float | None = None
        self._watch: IDelayedCall | None = None

    # -- for the client -----------------------------------------------------------------------

    def hello(self, hello: Hello) -> None:
        """Introduce the client; the server has :data:`HELLO_TIMEOUT` seconds to answer."""
        self._waits_for_welcome = True
        self.send(hello)
        self._look_in(HELLO_TIMEOUT)

    def send(self, request: Request) -> None:
        """Send a request.

        :raises ControlCharacter: the request contains a lone surrogate.
        """
        self.send_line(encode(request))

    def send_line(self, line: bytes) -> None:
        """Send a request that is already encoded as ``line``, without the line's end."""
        self.sendLine(line)

    def pause(self) -> None:
        """Pass on no events until :meth:`resume`."""
        if not self._is_paused:
            self._is_paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Pass on events again."""
        if self._is_paused:
            self._is_paused = False
            self._heard = self._clock.seconds()
            if self._waits_for_welcome:
                self._look_in(HELLO_TIMEOUT)
            self._deliver()
            if not self._is_paused and self._reason is None and self.connected:
                self.transport.resumeProducing()

    def close(self, reason: str | None = None) -> None:
        """Close at once; the receiver gets ``reason``, unless an earlier call has given one."""
        self._reason = self._reason or reason
        self.transport.abortConnection()

    # -- for Twisted --------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self._heard = self._clock.seconds()
        self._receiver.connected(self)

    def dataReceived(self, data: bytes) -> None:
        # Unlike the base class, this splits in linear time, however small the pieces are.
        self._heard = self._clock.seconds()
        self._has_heard = True
        first, *others = data.split(b"\n")
        self._rest += first
        if others:
            self._lines.append(bytes(self._rest))
            self._lines.extend(others[:-1])
            self._rest = bytearray(others[-1])
        self._deliver()
        if self._reason is not None:
            return
        if not self._is_chat and not self._passed_over and self._rest.startswith(_ALERT):
            self.close(SPEAKS_TLS)
        elif not self._is_chat and self._strange > GREETING_LIMIT:
            self.close(NOT_A_CHAT)
        elif len(self._rest) > self.MAX_LENGTH:
            self.close(LINE_TOO_LONG)

    def lineReceived(self, line: bytes) -> None:
        self.size = len(line)
        if len(line) > self.MAX_LENGTH:
            self.close(LINE_TOO_LONG)
            return
        if not self._is_chat and not line.startswith(b"{"):
            self._passed_over += len(line) + 1
            return
        try:
            event = decode(line)
        except NotUnderstood:
            self.close(NOT_UNDERSTOOD if self._is_chat else NOT_A_CHAT)
            return
        self._is_chat = True
        if isinstance(event, Welcomed):
            if not self._waits_for_welcome:
                self.close(NOT_UNDERSTOOD)  # a faulty server could repeat it for ever
                return
            self._ask()
        if isinstance(event, (Welcomed, Refused)):
            self._waits_for_welcome = False
        if isinstance(event, Pong) and event.id is None and self._asked is not None:
            self.delay = self._clock.seconds() - self._asked
            self._asked = None
        elif event is not None:
            self._receiver.received(self, event)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connected = 0
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        self._is_paused = False
        self._deliver()
        self._receiver.lost(self, self._why(reason))

    def _deliver(self) -> None:
        if self._is_delivering:  # the receiver has called resume() from received()
            return
        self._is_delivering = True
        try:
            while self._lines and not self._is_paused and self._reason is None:
                self.lineReceived(self._lines.popleft().removesuffix(b"\r"))
        finally:
            self._is_delivering = False

    def _why(self, reason: Failure) -> str:
        if self._reason is not None:
            return self._reason
        if not self._is_chat and self._strange:
            return NOT_A_CHAT
        if not reason.check(ConnectionDone):
            return BROKEN
        return SAID_NOTHING if self._waits_for_welcome and not self._has_heard else CLOSED

    # -- signs of life ------------------------------------------------------------------------

    @property
    def _strange(self) -> int:
        """Bytes received before the first line of JSON that do not belong to one."""
        is_begun = self._rest.startswith(b"{")
        return self._passed_over + (0 if is_begun else len(self._rest))

    def _ask(self) -> None:
        self._asked = self._clock.seconds()
        self.send(Ping())

    def _look_in(self, seconds: float) -> None:
        if self._watch is not None and self._watch.active():
            self._watch.cancel()
        self._watch = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        """Close the connection if the server is silent, or else measure the delay."""
        if not self._is_paused:  # while paused, nothing can be heard from the server
            if self._waits_for_welcome:
                self.close(NOT_A_CHAT if not self._is_chat and self._strange else SILENT)
                return
            if self._clock.seconds() - self._heard > PING_TIMEOUT:
                self.close(SILENT)
                return
            if self._asked is None:
                self._ask()
        self._look_in(PING_AFTER)

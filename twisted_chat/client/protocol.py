"""One connection to a chat server: requests out, events in.

It reads lines into events and notices when the other side is silent. It must not
know what is asked, what becomes of the events, nor that there was or will be another connection.
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

#: Seconds in which the server must answer hello.
HELLO_TIMEOUT = 10.0

#: Seconds of silence after which the server is asked whether it is there, and in which some
#: sign of life must come then. The answer tells the delay, so it is asked in any case.
PING_AFTER = 15.0
PING_TIMEOUT = 30.0

#: Bytes of the longest line that is read: a page of history is the longest there is.
LINE_LIMIT = 1 << 20

#: Bytes before the first line of JSON that are passed over: a slow connection is greeted as a
#: person would be, before our first line arrives.
GREETING_LIMIT = 4096

# Why a connection ended.
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

#: How an alert of TLS begins (RFC 8446, section 5.1): what it answers to us.
_ALERT = b"\x15\x03"


class Receiver(Protocol):
    """Who is told of one connection. Called on the reactor's thread."""

    def connected(self, connection: ChatClientProtocol) -> None:
        """There is a connection: the server expects :meth:`ChatClientProtocol.hello`."""

    def received(self, connection: ChatClientProtocol, event: Event) -> None:
        """Something was sent to us; :class:`.Welcomed` is the first, or a refusal."""

    def lost(self, connection: ChatClientProtocol, reason: str) -> None:
        """The connection is gone."""


class ChatClientProtocol(LineReceiver):
    """Speaks JSON Lines with a server, and tells ``receiver`` what comes.

    It is paused with :meth:`pause`, and gives no events then; the server keeps them.
    """

    delimiter = b"\n"
    MAX_LENGTH = LINE_LIMIT

    transport: Any  # Twisted types it without what every stream transport has

    def __init__(self, clock: Any, receiver: Receiver) -> None:
        """``clock`` provides IReactorTime."""
        #: Seconds between the last question and its answer, if there was one.
        self.delay: float | None = None
        #: Bytes of the line that is being told.
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
        """Introduce oneself: the server has to answer soon."""
        self._waits_for_welcome = True
        self.send(hello)
        self._look_in(HELLO_TIMEOUT)

    def send(self, request: Request) -> None:
        """Send a request.

        :raises ControlCharacter: it cannot be encoded.
        """
        self.send_line(encode(request))

    def send_line(self, line: bytes) -> None:
        """Send a request that was made into a line before."""
        self.sendLine(line)

    def pause(self) -> None:
        """Give no events until :meth:`resume`."""
        if not self._is_paused:
            self._is_paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Give events again."""
        if self._is_paused:
            self._is_paused = False
            self._heard = self._clock.seconds()
            if self._waits_for_welcome:
                self._look_in(HELLO_TIMEOUT)
            self._deliver()
            if not self._is_paused and self._reason is None and self.connected:
                self.transport.resumeProducing()

    def close(self, reason: str | None = None) -> None:
        """Close at once; ``reason`` is told, if it is not the other side's doing."""
        self._reason = self._reason or reason
        self.transport.abortConnection()

    # -- for Twisted --------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self._heard = self._clock.seconds()
        self._receiver.connected(self)

    def dataReceived(self, data: bytes) -> None:
        # In linear time, unlike the base class, however small the pieces are.
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
                self.close(NOT_UNDERSTOOD)  # it could go on like this for ever
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
        if self._is_delivering:  # whoever is told something has resumed us
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

    # -- whether there is somebody ------------------------------------------------------------

    @property
    def _strange(self) -> int:
        """Bytes that came and were no JSON Lines, as long as none were."""
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
        """Look whether the server is still there, and how far away it is."""
        if not self._is_paused:  # else it may have said anything
            if self._waits_for_welcome:
                self.close(NOT_A_CHAT if not self._is_chat and self._strange else SILENT)
                return
            if self._clock.seconds() - self._heard > PING_TIMEOUT:
                self.close(SILENT)
                return
            if self._asked is None:
                self._ask()
        self._look_in(PING_AFTER)

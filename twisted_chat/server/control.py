"""The operator's socket: ``twisted-chat account`` and ``announce`` ask the running server.

A connection has one request, a line of JSON (:class:`.operator_requests.Asked`); the server answers
with lines of JSON, and the last line is :class:`.operator_requests.Done` or
:class:`.operator_requests.Declined`, and closes. The size of the request, the time and the number
of connections are bounded, as a command can hang, too. This module must not know what a request
does.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.interfaces import IAddress, IReadDescriptor
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat.core.errors import CannotStart, InternalError, Refusal
from twisted_chat.core.operator_requests import (
    Asked,
    Declined,
    Done,
    OperatorAnswer,
    OperatorRequest,
)
from twisted_chat.i18n.language import N_, match
from twisted_chat.server.control_socket import Socket, may_connect

#: Bytes of a request, at most.
REQUEST_LIMIT = 2**16

#: Connections at once, at most.
CONNECTIONS = 8

#: Seconds from the start of a connection to the end of its request, and from there to its end.
REQUEST_TIMEOUT = 5.0
ANSWER_TIMEOUT = 30.0

#: Seconds in which nobody is accepted after no file descriptor was free.
PAUSE = 1.0

#: Called with the answer to a request, or with the reason why it is refused.
Reply = Callable[[Sequence[OperatorAnswer] | Refusal], None]

#: Carries out a request, and calls the second argument once, then or later.
Handle = Callable[[OperatorRequest, Reply], None]


class ControlUnavailable(CannotStart):
    code = "control-unavailable"
    template = N_("Operators cannot reach this server: {path}: {reason}")


class OperatorRequestInvalid(Refusal):
    code = "bad-request"
    template = N_("The server does not know this request: is its version another one?")


class OperatorSocketBusy(Refusal):
    code = "too-busy"
    template = N_("Too many operators' commands run at the moment. Please try again.")


class Control(Factory):
    """Answers operators at a socket.

    :param reactor: a Twisted reactor.
    :param handle: carries out a request.
    """

    noisy = False

    def __init__(self, reactor: Any, handle: Handle) -> None:
        self.reactor = reactor
        self.handle = handle
        self.connections: set[Conversation] = set()
        self._listener: _Listener | None = None

    def start(self, path: str) -> None:
        """Listen at ``path``.

        :raises ControlUnavailable: that is impossible.
        """
        try:
            opened = Socket(path)
        except OSError as error:
            reason = error.strerror or error
            raise ControlUnavailable(path=path, reason=reason) from error
        self._listener = _Listener(self.reactor, opened, self)

    def stop(self) -> None:
        """Listen no more; connections that wait for an answer get it, or end by their timeout."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def end(self) -> None:
        """Close all connections."""
        for connection in tuple(self.connections):
            connection.transport.abortConnection()

    def buildProtocol(self, addr: IAddress | None) -> Conversation:
        return Conversation(self)


class Conversation(LineOnlyReceiver):
    """One request and its answer."""

    delimiter = b"\n"
    MAX_LENGTH = REQUEST_LIMIT
    transport: Any  # Twisted's type lacks methods that every stream transport has

    def __init__(self, control: Control) -> None:
        self._control = control
        self._asked = False
        self._language = "en"

    def connectionMade(self) -> None:
        self._timer = self._control.reactor.callLater(REQUEST_TIMEOUT, self._too_late)
        self._control.connections.add(self)
        if len(self._control.connections) > CONNECTIONS:
            self._asked = True
            self._answer(OperatorSocketBusy())

    def lineReceived(self, line: bytes) -> None:
        """Carry out the request; anything after it is ignored."""
        if self._asked:
            return
        self._asked = True
        self._timer.reset(ANSWER_TIMEOUT)
        self.transport.pauseProducing()
        try:
            asked = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._answer(OperatorRequestInvalid())
            return
        self._language = match(asked.language) or "en"
        try:
            self._control.handle(asked.request, self._answer)
        except Refusal as refusal:
            self._answer(refusal)
        except Exception:
            _log.failure("internal error: an operator's request was not carried out")
            self._answer(InternalError())

    def lineLengthExceeded(self, line: bytes) -> None:
        if not self._asked:
            self._asked = True
            self._answer(OperatorRequestInvalid())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._control.connections.discard(self)
        if self._timer.active():
            self._timer.cancel()

    def _answer(self, result: Sequence[OperatorAnswer] | Refusal) -> None:
        if isinstance(result, Refusal):
            result = (Declined(result.code, result.sentence(self._language)),)
        elif not result or not isinstance(result[-1], Done):
            result = (*result, Done())
        self.transport.write(b"".join(_encode(line) + b"\n" for line in result))
        self.transport.loseConnection()

    def _too_late(self) -> None:
        self.transport.abortConnection()


@implementer(IReadDescriptor)
class _Listener:
    """Accepts connections of this user and of root.

    Twisted's own listener is not used: it makes the file writable for everybody for a moment.
    """

    def __init__(self, reactor: Any, opened: Socket, control: Control) -> None:
        self._reactor = reactor
        self._socket = opened
        self._control = control
        self._closed = False
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.listener.fileno()

    def logPrefix(self) -> str:
        return "control"

    def doRead(self) -> None:
        try:
            connection, _ = self._socket.listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._reactor.removeReader(self)
                self._reactor.callLater(PAUSE, self._start_again)
            return
        with connection:
            if may_connect(connection):
                connection.setblocking(False)
                # Twisted has its own copy of the descriptor.
                self._reactor.adoptStreamConnection(
                    connection.fileno(), socket.AF_UNIX, self._control
                )

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops."""
        self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._reactor.removeReader(self)
            self._socket.close()

    def _start_again(self) -> None:
        if not self._closed:
            self._reactor.addReader(self)


_log = Logger()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Asked).decode

"""One request to the running server, over its operator's socket.

This module must not know what the requests do, nor what is printed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, Refusal
from twisted_chat.core.operator_requests import (
    Asked,
    Declined,
    Done,
    OperatorAnswer,
    OperatorRequest,
)
from twisted_chat.i18n.language import N_
from twisted_chat.server.control_socket import connect

#: Seconds that the server may take for each part of its answer: more than it takes to give up.
TIMEOUT = 40.0


class NoServer(Exception):
    """No server listens at the socket."""


class OperatorSocketUnusable(CannotStart):
    code = "control-unusable"
    template = N_("cannot reach the server at {path}: {reason}")


class OperatorNotAllowed(CannotStart):
    code = "operator-not-allowed"
    template = N_("{path} belongs to another user: run this as the server's user, or as root")


class ServerDidNotAnswer(CannotStart):
    code = "server-did-not-answer"
    template = N_("The server did not answer; it may have carried out the request all the same.")


class RefusedByServer(Refusal):
    """A refusal that the server has put into words."""

    code = "refused"

    def sentence(self, language: str) -> str:
        return str(self.details["text"])


def ask(path: str, request: OperatorRequest, language: str) -> Sequence[OperatorAnswer]:
    """The answer of the server that listens at ``path``, without its last line.

    :raises NoServer: nobody listens there.
    :raises RefusedByServer: the server refused the request.
    :raises CannotStart: there is no answer.
    """
    try:
        connection = connect(path, TIMEOUT)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoServer from error
    except PermissionError as error:
        raise OperatorNotAllowed(path=visible(path)) from error
    except OSError as error:
        reason = error.strerror or error
        raise OperatorSocketUnusable(path=visible(path), reason=reason) from error
    received = bytearray()
    with connection:
        try:
            connection.sendall(_encode(Asked(request, language)) + b"\n")
            while data := connection.recv(65536):
                received += data
        except OSError as error:  # one of them says that it took too long
            if not received.endswith(b"\n"):
                raise ServerDidNotAnswer() from error
    try:
        answers = [_decode(line) for line in received.splitlines()]
    except msgspec.DecodeError as error:
        raise ServerDidNotAnswer() from error
    last = answers.pop() if answers else None
    if isinstance(last, Declined):
        raise RefusedByServer(text=visible(last.text))
    if not isinstance(last, Done):
        raise ServerDidNotAnswer()
    return [*answers, last]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(OperatorAnswer).decode

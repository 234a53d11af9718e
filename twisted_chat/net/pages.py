"""A few pages over HTTP, for programs that monitor the server: one answer for each connection.

A request is GET or HEAD without a body (RFC 9110, RFC 9112). Only its head is kept, which is
bounded in size and time. When all connections are in use, a new one replaces the oldest that has
no answer yet, so that a client that sends its request at once gets an answer. This module must
not know the content of the pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

#: Bytes of a request's head, at most.
HEAD_LIMIT = 8192

#: Seconds from the start of the connection to the end of the request's head, and from the answer
#: to the end of the connection.
HEAD_TIMEOUT = 5.0
ANSWER_TIMEOUT = 5.0

#: Open connections, at most. More would take time and file descriptors from the chat.
HTTP_CONNECTIONS = 16

#: Bytes after an answered head that are read and dropped, so that the client can read the answer.
DISCARD_LIMIT = 2**18

#: A page: the status, the media type and the text.
Content = tuple[int, str, bytes]

TEXT = "text/plain; charset=utf-8"


#: A line may end with LF alone (RFC 9112, 2.2): netcat sends lines like that.
_LINE_END = re.compile(rb"\r?\n")
_END = re.compile(rb"\r?\n\r?\n")


class _Refused(Exception):
    """The request is not answered with a page; ``status`` says why."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


class _Request(Protocol):
    """One connection and its only request."""

    factory: Pages
    transport: Any  # Twisted's type lacks methods that every stream transport has

    def __init__(self) -> None:
        self._head = b""
        self._discarded = 0
        self.answered = False
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.factory.enter(self)
        self._set_deadline(HEAD_TIMEOUT)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._set_deadline(None)
        self.factory.leave(self)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
        if seconds is not None:
            abort = self.transport.abortConnection
            self._deadline = self.factory.reactor.callLater(seconds, abort)

    def dataReceived(self, data: bytes) -> None:
        if self.answered:
            self._discarded += len(data)
            if self._discarded > DISCARD_LIMIT:
                self.transport.abortConnection()
            return
        searched = max(0, len(self._head) - 3)
        self._head += data
        found = _END.search(self._head, searched)
        end = found.start() if found else -1
        if end < 0 and len(self._head) <= HEAD_LIMIT:
            return
        try:
            if end < 0 or end > HEAD_LIMIT:
                raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            method, content = self._understand(self._head[:end])
        except _Refused as refused:
            text = f"{refused.status.phrase}\n".encode()
            self._answer(refused.status, TEXT, text, refused=True)
        else:
            status, kind, text = content
            self._answer(status, kind, text, body=method == b"GET")

    def _understand(self, head: bytes) -> tuple[bytes, Content]:
        """The method and the requested page.

        :raises _Refused: the request is malformed, has a body, or names no page.
        """
        line, *fields = _LINE_END.split(head)
        parts = line.split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            raise _Refused(HTTPStatus.BAD_REQUEST)
        for field in fields:
            name, colon, value = field.partition(b":")
            if not colon:
                raise _Refused(HTTPStatus.BAD_REQUEST)
            name = name.strip().lower()
            if name == b"transfer-encoding" or (
                name == b"content-length" and value.strip() != b"0"
            ):
                raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        method, target, _ = parts
        if method not in (b"GET", b"HEAD"):
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED)
        page = self.factory.pages.get(target.partition(b"?")[0])
        if page is None:
            raise _Refused(HTTPStatus.NOT_FOUND)
        return method, page()

    def _answer(
        self, status: int, kind: str, text: bytes, *, body: bool = True, refused: bool = False
    ) -> None:
        self.answered = True
        self._head = b""
        self._set_deadline(ANSWER_TIMEOUT)
        fields = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(text)}",
            "Cache-Control: no-store",
            "Connection: close",
        ]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            fields.append("Allow: GET, HEAD")
        head = "".join(f"{field}\r\n" for field in fields).encode()
        self.transport.write(head + b"\r\n" + (text if body else b""))
        # A full close resets the connection of a client that still sends, and it would never see
        # the reason (RFC 9112, 9.6).
        half_close = getattr(self.transport, "loseWriteConnection", None) if refused else None
        (half_close or self.transport.loseConnection)()


class Pages(Factory):
    """Serves pages over HTTP.

    :param reactor: provides IReactorTime.
    :param pages: for each path, the function that makes the page's content.
    """

    protocol: Any = _Request
    noisy = False

    def __init__(self, reactor: Any, pages: Mapping[bytes, Callable[[], Content]]) -> None:
        self.reactor = reactor
        self.pages = pages
        #: The open connections, the oldest first.
        self._requests: dict[_Request, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if len(self._requests) >= HTTP_CONNECTIONS:
            silent = (request for request in self._requests if not request.answered)
            oldest = next(silent, next(iter(self._requests)))
            self.leave(oldest)
            oldest.transport.abortConnection()
        request = _Request()
        request.factory = self
        return request

    def enter(self, request: _Request) -> None:
        """Add the connection of ``request``, which is open."""
        self._requests[request] = None

    def leave(self, request: _Request) -> None:
        """Remove the connection of ``request``, which is gone or replaced."""
        self._requests.pop(request, None)

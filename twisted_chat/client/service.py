"""The client as a service: connects when started, leaves when stopped.

One connection for each start; it must not know what a program does with what arrives.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.application.service import Service
from twisted.internet import defer, error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, clientFromString, connectProtocol
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure

from twisted_chat.characters import visible
from twisted_chat.client.protocol import ChatClientProtocol, Receiver
from twisted_chat.language import N_

#: Seconds until a connection must be there.
CONNECT_TIMEOUT = 10.0

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (error.ConnectionRefusedError, N_("connection refused")),
    (error.DNSLookupError, N_("unknown host")),
    (error.UnknownHostError, N_("unknown host")),
    (error.NoRouteError, N_("no route to host")),
    (error.TimeoutError, N_("no answer")),
    (defer.TimeoutError, N_("no answer")),
)


def host_endpoint(reactor: Any, host: str, port: int) -> IStreamClientEndpoint:
    """Where a server is: ``host`` is a name, an IPv4 or an IPv6 address."""
    return HostnameEndpoint(reactor, host, port, timeout=CONNECT_TIMEOUT)


class ChatClientService(Service):
    """Keeps one connection to a server and tells ``receiver`` what arrives.

    A connection that cannot be made is told too: ``receiver.disconnected`` is called without
    ``receiver.connected`` having been.
    """

    def __init__(
        self, reactor: Any, endpoint: IStreamClientEndpoint | str, receiver: Receiver
    ) -> None:
        """``endpoint`` may be a description: ``tcp:example.org:50000``, ``unix:chat.socket``.

        :raises ValueError: the description is not one of an endpoint.
        """
        if isinstance(endpoint, str):
            endpoint = clientFromString(reactor, endpoint)
        self._reactor = reactor
        self._endpoint = endpoint
        self._receiver = receiver
        self._ended = False
        self._waiting: list[Deferred[None]] = []
        self._client: ChatClientProtocol | None = None
        self._connecting: Deferred[Any] | None = None

    def startService(self) -> None:
        """Connect."""
        super().startService()
        self._ended = False
        self._client = ChatClientProtocol(self._reactor, self._receiver)
        self._client.ended.addCallback(self._end)
        self._connecting = connectProtocol(self._endpoint, self._client)
        self._connecting.addTimeout(CONNECT_TIMEOUT, self._reactor)
        self._connecting.addErrback(self._failed)

    def stopService(self) -> Deferred[None]:
        """Leave, or give up connecting. The Deferred fires when it has ended."""
        super().stopService()
        if self._client is None or self._connecting is None:
            return succeed(None)
        if self._client.connected:
            self._client.leave()
        else:
            self._connecting.cancel()
        return self.when_ended()

    def when_ended(self) -> Deferred[None]:
        """Fires when the connection is gone, or could not be made."""
        if self._ended:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _failed(self, failure: Failure) -> None:
        self._receiver.disconnected(_reason(failure), clean=not self.running)
        self._end(None)

    def _end(self, _: None) -> None:
        self._ended = True
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


def _reason(failure: Failure) -> str:
    """Why a connection could not be made, in a few words."""
    for kind, reason in _REASONS:
        if failure.check(kind):
            return reason
    number = getattr(failure.value, "osError", None)
    return os.strerror(number) if isinstance(number, int) else visible(str(failure.value))

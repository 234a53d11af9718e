"""Where a server is, as an endpoint of Twisted, and why no connection could be made to it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

from twisted.internet import defer, error
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat.client.address import TLS, Address, WrongAddress, parse_address
from twisted_chat.client.trust import Trust
from twisted_chat.console.programs import program
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import Refusal, TLSMissing
from twisted_chat.i18n.language import N_

#: Seconds until a connection must be there.
CONNECT_TIMEOUT = 10.0

# Why there is no connection.
REASONS: tuple[tuple[type[Exception], str], ...] = (
    (error.ConnectionRefusedError, N_("connection refused")),
    (error.DNSLookupError, N_("unknown host")),
    (error.UnknownHostError, N_("unknown host")),
    (error.NoRouteError, N_("no route to host")),
    (error.TimeoutError, N_("no answer")),
    (defer.TimeoutError, N_("no answer")),
)


def server_endpoint(
    reactor: Any, address: Address, trust: Trust | None = None, language: str = "en"
) -> IStreamClientEndpoint:
    """Where a server is; over TLS, only if ``trust`` lets it, by default the system's authorities.

    ``language`` is that of why it does not.

    :raises TLSMissing: that needs packages that are not installed.
    """
    host, port, is_secure = address
    endpoint = HostnameEndpoint(reactor, host, port, timeout=CONNECT_TIMEOUT)
    if not is_secure:
        return endpoint
    try:
        from twisted_chat.client.tls import tls_endpoint
    except ImportError as error:
        if (error.name or "").startswith("twisted"):
            raise
        raise TLSMissing(pip=program("pip")) from error
    return tls_endpoint(reactor, address, trust or Trust(), endpoint, language)


def described_endpoint(
    reactor: Any, description: str, trust: Trust | None, language: str | None
) -> IStreamClientEndpoint:
    """The endpoint that ``description`` tells, as for :class:`.ChatClient`.

    :raises ValueError: it is none, or is not over TLS although ``trust`` is given.
    """
    if description.startswith(TLS):
        # With more than a host and a port, it is one of Twisted's own.
        with contextlib.suppress(WrongAddress):
            address = parse_address(description)
            return server_endpoint(reactor, address, trust, language or "en")
    if trust is not None:
        raise ValueError(f"{description} is not tls:HOST:PORT")
    endpoint: IStreamClientEndpoint = clientFromString(reactor, description)
    return endpoint


@implementer(IStreamClientEndpoint)
class NotingEndpoint:
    """An endpoint that tells why a connection could not be made."""

    def __init__(self, endpoint: IStreamClientEndpoint, failed: Callable[[Failure], None]) -> None:
        self._endpoint = endpoint
        self._failed = failed

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[IProtocol]
        connecting = defer.maybeDeferred(self._endpoint.connect, protocolFactory)
        return connecting.addErrback(self._note)

    def _note(self, failure: Failure) -> Failure:
        self._failed(failure)
        return failure


def reason_of(failure: Failure, language: str = "en") -> str:
    """Why a connection could not be made, in a few words.

    In English, but for what is refused here.
    """
    if isinstance(failure.value, Refusal):
        return failure.value.sentence(language)
    for kind, reason in REASONS:
        if failure.check(kind):
            return reason
    short = getattr(failure.value, "reason", None)  # what the handshake of TLS says
    if isinstance(short, str):
        return short
    number = getattr(failure.value, "osError", None)
    return os.strerror(number) if isinstance(number, int) else visible(str(failure.value))

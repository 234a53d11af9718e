"""Twisted's endpoint of a server, and the reason why a connection to it failed."""

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

#: Seconds within which a connection must be made.
CONNECT_TIMEOUT = 10.0

#: The reasons why a connection failed, by exception.
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
    """The endpoint of the server at ``address``.

    :param reactor: Twisted's reactor.
    :param address: the server's address.
    :param trust: which certificates are trusted; by default, those of the system's authorities.
    :param language: the language of the reason why a certificate is not trusted.
    :raises TLSMissing: the address needs TLS, and its packages are not installed.
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
    """The endpoint of a description, as for :class:`.ChatClient`.

    :raises ValueError: ``description`` is invalid, or has no TLS although ``trust`` is given.
    """
    if description.startswith(TLS):
        # With more than a host and a port, it is a description for Twisted.
        with contextlib.suppress(WrongAddress):
            address = parse_address(description)
            return server_endpoint(reactor, address, trust, language or "en")
    if trust is not None:
        raise ValueError(f"{description} is not tls:HOST:PORT")
    endpoint: IStreamClientEndpoint = clientFromString(reactor, description)
    return endpoint


@implementer(IStreamClientEndpoint)
class NotingEndpoint:
    """An endpoint that calls ``failed`` with the reason if a connection cannot be made."""

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

    :param failure: the failure of the endpoint.
    :param language: the language of a :class:`.Refusal`; all other reasons are in English.
    """
    if isinstance(failure.value, Refusal):
        return failure.value.sentence(language)
    for kind, reason in REASONS:
        if failure.check(kind):
            return reason
    short = getattr(failure.value, "reason", None)  # set by a failed TLS handshake
    if isinstance(short, str):
        return short
    number = getattr(failure.value, "osError", None)
    return os.strerror(number) if isinstance(number, int) else visible(str(failure.value))

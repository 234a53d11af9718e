"""The PROXY protocol: a proxy sends the client's address in a header before the client's bytes.

Twisted's own ``haproxy:`` endpoints connect the protocol before they have the header, so that the
chat would greet, count and log the proxy. This module makes the protocol after the header. It must
not know the chat.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

#: Seconds that the proxy has to send the header.
HEADER_TIMEOUT = 5.0

#: Bytes that every header has, except for _UNKNOWN, which a proxy sends for its own connections.
SHORTEST = 16
_UNKNOWN = b"PROXY UNKNOWN\r\n"


class _Rest(Protocol):
    """Keeps the bytes that arrive together with the header and follow it."""

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


@implementer(IHalfCloseableProtocol)
class _Proxied(HAProxyProtocolWrapper):
    """One proxied connection: the transport of a protocol that it makes after the header."""

    factory: Any
    transport: Any
    wrappedProtocol: Any

    def __init__(self, factory: ProxiedFactory) -> None:
        self._rest = _Rest()
        #: The first bytes, until they are enough to show the version of the header.
        self._header = b""
        #: Whether Twisted's parser has been given the first bytes.
        self._is_begun = False
        self._served = False
        self._deadline: IDelayedCall | None = None
        super().__init__(factory, self._rest)  # type: ignore[arg-type]  # a WrappingFactory

    def connectionMade(self) -> None:
        self._deadline = self.factory.reactor.callLater(HEADER_TIMEOUT, self._give_up)

    def dataReceived(self, data: bytes) -> None:
        if self._served:
            self.wrappedProtocol.dataReceived(data)
            return
        if not self._is_begun:
            self._header += data
            if len(self._header) < SHORTEST and not self._header.endswith(_UNKNOWN):
                return  # Twisted reads the version from the first piece only
            data, self._header, self._is_begun = self._header, b"", True
            if data.startswith(_UNKNOWN):  # Twisted refuses it without a space
                data = data.replace(b"UNKNOWN", b"UNKNOWN ", 1)
        try:
            super().dataReceived(data)
        except (ValueError, LookupError, struct.error):  # malformed, such as a port of letters
            self.loseConnection()
            return
        if self._proxyInfo is not None:  # set once the header is complete
            self._serve()

    def _serve(self) -> None:
        self._cancel()
        peer = self.getPeer()
        protocol = None
        if _is_known(peer):
            protocol = self.factory.wrappedFactory.buildProtocol(peer)
        if protocol is None:
            self.loseConnection()
            return
        self._served = True
        self.wrappedProtocol = protocol
        protocol.makeConnection(self)
        if self._rest.data:
            protocol.dataReceived(self._rest.data)

    def readConnectionLost(self) -> None:
        if self._served and IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.readConnectionLost()
        else:
            self.loseConnection()

    def writeConnectionLost(self) -> None:
        if self._served and IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            self.wrappedProtocol.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel()
        super().connectionLost(reason)

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.abortConnection()

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _is_known(peer: IAddress) -> bool:
    """Whether ``peer`` has a valid IP address, or needs none; Twisted accepts any word as one."""
    if isinstance(peer, (IPv4Address, IPv6Address)):
        try:
            ip_address(peer.host)
        except ValueError:
            return False
    return True


class ProxiedFactory(WrappingFactory):
    """Makes the protocols of another factory for connections that come through a proxy.

    :param reactor: provides IReactorTime.
    :param factory: makes the protocol of each connection.
    """

    noisy = False

    def __init__(self, reactor: Any, factory: Any) -> None:
        super().__init__(factory)
        self.reactor = reactor

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return _Proxied(self)

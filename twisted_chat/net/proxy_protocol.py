"""Behind a proxy that says, before all else, whose connection it is: the PROXY protocol.

Twisted's own ``haproxy:`` endpoints connect the protocol before they know that, so that it would
greet, count and log the proxy. Here it is not made before.
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

#: Seconds in which the proxy must have said it.
HEADER_TIMEOUT = 5.0

#: Bytes that each header has, but for the one that a proxy sends for a connection of its own.
SHORTEST = 16
_UNKNOWN = b"PROXY UNKNOWN\r\n"


class _Rest(Protocol):
    """Keeps what comes after the header, at first."""

    def __init__(self) -> None:
        self.data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


@implementer(IHalfCloseableProtocol)
class _Proxied(HAProxyProtocolWrapper):
    """One connection: transport of the protocol that is made once its address is known."""

    factory: Any
    transport: Any
    wrappedProtocol: Any

    def __init__(self, factory: ProxiedFactory) -> None:
        self._rest = _Rest()
        #: What came, until it tells which version it is; and whether that was.
        self._header = b""
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
                return  # Twisted tells by the first bytes that it gets which version it is
            data, self._header, self._is_begun = self._header, b"", True
            if data.startswith(_UNKNOWN):  # or else it takes that for an error
                data = data.replace(b"UNKNOWN", b"UNKNOWN ", 1)
        try:
            super().dataReceived(data)
        except (ValueError, LookupError, struct.error):  # a port that is no number, and the like
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
    """Whether it is an address; Twisted takes any word for one."""
    if isinstance(peer, (IPv4Address, IPv6Address)):
        try:
            ip_address(peer.host)
        except ValueError:
            return False
    return True


class ProxiedFactory(WrappingFactory):
    """Serves connections that a proxy makes with the protocols of ``factory``."""

    noisy = False

    def __init__(self, reactor: Any, factory: Any) -> None:
        super().__init__(factory)
        self.reactor = reactor

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return _Proxied(self)

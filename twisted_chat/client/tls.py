"""TLS connections to servers whose certificate is trusted.

The protocol gets the connection after the handshake and the check of the certificate. If either
fails, the attempt to connect fails with the reason, and nothing was sent. This module must not know
the protocol above TLS. It needs the packages of ``pip install 'twisted-chat[tls]'``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from typing import Any

import idna
import service_identity
from OpenSSL import SSL
from service_identity import pyopenssl as identity
from twisted.internet import error
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorThreads,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThreadPool
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat.client.address import Address, format_address
from twisted_chat.client.trust import (
    AuthoritiesUnreadable,
    CertificateChanged,
    CertificateUnknown,
    Trust,
    parse_fingerprint,
)
from twisted_chat.core.characters import visible
from twisted_chat.i18n.language import N_, catalogue

#: Seconds that the handshake may take.
HANDSHAKE_TIMEOUT = 10.0

#: Why a certificate is not trusted, by the numbers of OpenSSL (``openssl/x509_vfy.h``).
_UNKNOWN_SIGNER = N_("it is not signed by a trusted authority")
_REASONS = {
    9: N_("it is not valid yet"),
    10: N_("it has expired"),
    18: N_("it is self-signed"),
    19: _UNKNOWN_SIGNER,
    20: _UNKNOWN_SIGNER,
    21: _UNKNOWN_SIGNER,
    23: N_("it has been revoked"),
}
_OTHER_REASON = N_("it is not valid (error {number} of OpenSSL)")
_OTHER_NAME = N_("it is for another name")
NOT_TLS = N_("the server and the client have no TLS version or cipher in common")

#: Parts of OpenSSL's messages about an answer that is not TLS.
_NOT_TLS = (
    *("wrong version number", "packet length too long", "http request", "record layer"),
    "handshake failure",  # the answer of our server on a listener without TLS
)


def tls_endpoint(
    reactor: Any,
    address: Address,
    trust: Trust,
    endpoint: IStreamClientEndpoint,
    language: str = "en",
) -> IStreamClientEndpoint:
    """An endpoint that connects over TLS to a trusted server.

    A connection fails with :class:`.NotTrusted`, with :class:`.AuthoritiesUnreadable`, or as
    ``endpoint`` does.

    :param reactor: provides IReactorThreads and IReactorTime.
    :param address: the server's address.
    :param trust: which certificates are trusted.
    :param endpoint: connects to the server without TLS.
    :param language: the language of the reasons for :class:`.NotTrusted`.
    """
    return _Endpoint(reactor, address, trust, endpoint, language)


def _context(trust: Trust) -> SSL.Context:
    """OpenSSL's context with the authorities of ``trust``. Blocks: it reads files.

    :raises AuthoritiesUnreadable: the file of ``trust`` cannot be used.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    # Every fault of a certificate is noted, and all are judged together after the handshake.
    context.set_verify(SSL.VERIFY_PEER, _note)
    if trust.pin is None and trust.ca is None:
        context.set_default_verify_paths()
    elif trust.ca is not None:
        path = os.fspath(trust.ca)
        try:
            with open(path, "rb"):
                pass
            context.load_verify_locations(path)
        except OSError as error:
            reason = error.strerror
            raise AuthoritiesUnreadable(path=visible(path), reason=reason) from error
        except SSL.Error as error:
            raise AuthoritiesUnreadable(path=visible(path), reason="no PEM") from error
    return context


class _Connection(SSL.Connection):  # type: ignore[misc,unused-ignore]
    """A connection that remembers the faults of the server's certificates."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        #: OpenSSL's numbers of the faults, in the order in which it found them.
        self.wrong: list[int] = []


def _note(connection: SSL.Connection, _: object, number: int, depth: int, is_good: int) -> bool:
    """Note a fault. OpenSSL calls this for each certificate of the chain, and for each fault."""
    assert isinstance(connection, _Connection)
    if not is_good:
        connection.wrong.append(number)
    return True


@implementer(IOpenSSLClientConnectionCreator)
class _Connecting:
    """Makes OpenSSL's side of one connection."""

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._host = host

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        connection = _Connection(self._context, None)
        if not _is_ip(self._host):  # RFC 6066, section 3: names only
            connection.set_tlsext_host_name(_ascii(self._host))
        return connection


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ascii(host: str) -> bytes:
    """A host name in the form of certificates (RFC 5891)."""
    try:
        return idna.encode(host.rstrip("."), uts46=True)
    except idna.IDNAError:  # such as a name with an underscore
        return host.encode("ascii", "replace")


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """The endpoint of one server over TLS; it reads the authorities once."""

    def __init__(
        self,
        reactor: Any,
        address: Address,
        trust: Trust,
        endpoint: IStreamClientEndpoint,
        language: str,
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._trust = trust
        self._endpoint = endpoint
        self._language = language
        self._context: SSL.Context | None = None

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        prepared = self._in_thread() if self._context is None else succeed(self._context)
        connecting: Deferred[Any] = prepared.addCallback(self._connect, protocolFactory)
        return connecting

    def _in_thread(self) -> Deferred[SSL.Context]:
        if not IReactorThreads.providedBy(self._reactor):  # the clock of a test
            return maybeDeferred(_context, self._trust)
        pool = self._reactor.getThreadPool()
        return deferToThreadPool(self._reactor, pool, _context, self._trust)

    def _connect(self, context: SSL.Context, factory: IProtocolFactory) -> Deferred[IProtocol]:
        self._context = context
        creator = _Connecting(context, self._address.host)
        # The protocol above is made when the certificate has been judged.
        shaking = Factory.forProtocol(lambda: _Handshake(self._reactor, factory, self._judge))
        secured = TLSMemoryBIOFactory(creator, True, shaking, self._reactor)
        connecting: Deferred[Any] = self._endpoint.connect(secured)
        return connecting.addCallback(lambda protocol: protocol.wrappedProtocol.done)

    def _judge(self, connection: _Connection) -> None:
        """:raises NotTrusted: the server's certificate is not trusted."""
        certificate = connection.get_peer_certificate(as_cryptography=True)
        assert certificate is not None, "a server without one cannot be asked for"
        der = certificate.public_bytes(_der())
        fingerprint = parse_fingerprint(hashlib.sha256(der).hexdigest())
        shown = {"address": format_address(*self._address), "fingerprint": fingerprint}
        if self._trust.pin is not None:
            if fingerprint != self._trust.pin:
                raise CertificateChanged(pinned=self._trust.pin, **shown)
            return
        reason = self._wrong(connection)
        if reason:
            raise CertificateUnknown(reason=reason, **shown)

    def _wrong(self, connection: _Connection) -> str:
        """Why the server's certificate is not trusted; empty if it is."""
        translate = catalogue(self._language).gettext
        for number in connection.wrong:
            return translate(_REASONS.get(number, _OTHER_REASON)).format(number=number)
        host = self._address.host
        try:
            if _is_ip(host):
                identity.verify_ip_address(connection, host)
            else:
                identity.verify_hostname(connection, _ascii(host).decode())
        except (service_identity.VerificationError, service_identity.CertificateError):
            return translate(_OTHER_NAME)
        except ValueError:  # the host is a name that no certificate can have
            return translate(_OTHER_NAME)
        return ""


def _der() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER


class NotTLS(error.ConnectError):
    """The server does not speak TLS."""

    def __init__(self, reason: str) -> None:
        super().__init__(string=reason)
        self.reason = reason


@implementer(IHandshakeListener)
class _Handshake(Protocol):
    """Stands for a protocol until the server is trusted, and then passes everything on to it."""

    transport: Any

    def __init__(self, clock: Any, factory: IProtocolFactory, judge: Any) -> None:
        #: Fires with the protocol, or fails with the reason why there is none.
        self.done: Deferred[IProtocol] = Deferred(lambda _: self.transport.abortConnection())
        self._clock = clock
        self._factory = factory
        self._judge = judge
        self._protocol: Any = None
        self._timeout: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._timeout = self._clock.callLater(HANDSHAKE_TIMEOUT, self._timed_out)

    def _timed_out(self) -> None:
        self._fail(Failure(error.TimeoutError()))

    def handshakeCompleted(self) -> None:
        if self.done.called:
            return
        try:
            self._judge(self.transport.getHandle())
        except Exception:
            self._fail(Failure())
            return
        self._stop_timeout()
        self._protocol = self._factory.buildProtocol(self.transport.getPeer())
        self._protocol.makeConnection(self.transport)
        self.done.callback(self._protocol)

    def dataReceived(self, data: bytes) -> None:
        if self._protocol is not None:
            self._protocol.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_timeout()
        if self._protocol is not None:
            self._protocol.connectionLost(reason)
        elif not self.done.called:
            self.done.errback(_of_handshake(reason))

    def _fail(self, why: Failure) -> None:
        self._stop_timeout()
        self.done.errback(why)
        self.transport.abortConnection()

    def _stop_timeout(self) -> None:
        if self._timeout is not None and self._timeout.active():
            self._timeout.cancel()


def _of_handshake(reason: Failure) -> Failure:
    """Why a handshake failed, in a few words."""
    if not reason.check(SSL.Error):
        return Failure(NotTLS(NOT_TLS)) if reason.check(error.ConnectionDone) else reason
    # OpenSSL's error is a list of tuples, and the last item of each is a sentence.
    reasons = [str(part[-1]) for part in (getattr(reason.value, "args", None) or ([],))[0]]
    text = reasons[0] if reasons else ""
    if not text or any(sign in text for sign in _NOT_TLS):
        return Failure(NotTLS(NOT_TLS))
    return Failure(NotTLS(visible(text)))

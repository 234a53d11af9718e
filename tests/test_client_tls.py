"""Which servers the client speaks to over TLS, and what it says of the others."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.support.certificates import Certificate, certificate
from tests.support.processes import PATIENCE, Server, environment, free_port
from twisted_chat.client import ChatClient, Disconnected, Event
from twisted_chat.client.address import Address
from twisted_chat.client.protocol import ChatClientProtocol
from twisted_chat.client.trust import (
    AuthoritiesUnreadable,
    CertificateChanged,
    CertificateUnknown,
    NotTrusted,
    Trust,
    WrongFingerprint,
    parse_fingerprint,
)
from twisted_chat.core.errors import Refusal
from twisted_chat.core.requests import Hello
from twisted_chat.terminal.config import Config, keep_pin, pin_path, read_pin
from twisted_chat.terminal.run import Security, find_place
from twisted_chat.testing import ChatServer

pytest.importorskip("OpenSSL")
pytest.importorskip("service_identity")

from twisted.internet.ssl import CertificateOptions, KeyPair, PrivateCertificate

from twisted_chat.client.tls import HANDSHAKE_TIMEOUT, tls_endpoint

HERE = Address("localhost", 50001, tls=True)


def options(made: Certificate) -> CertificateOptions:
    """What a server needs."""
    key = KeyPair.load(made.key.read_bytes(), 1)
    owned = PrivateCertificate.fromCertificateAndKeyPair(
        PrivateCertificate.loadPEM(made.certificate.read_bytes() + made.key.read_bytes()), key
    )
    context: CertificateOptions = owned.options()
    return context


class Visitor:
    """A client of ``server`` at ``address``, who trusts ``trust``."""

    def __init__(self, server: ChatServer, trust: Trust, address: Address = HERE) -> None:
        self.events: list[Event] = []
        endpoint = tls_endpoint(server.clock, address, trust, server.endpoint())
        self.client = ChatClient(server.clock, endpoint, "Ana", insist=False)
        self.client.listen(self.events.append)
        self.saying: list[object] = []
        self.client.say("oi").addBoth(self.saying.append)
        self.client.startService()
        server.clock.advance(5)

    @property
    def refusal(self) -> Refusal:
        """Why it did not connect, for good."""
        assert not self.client.is_in
        (end,) = self.events
        assert isinstance(end, Disconnected)
        assert end.retry is None
        assert end.refusal is self.client.failure
        (failure,) = self.saying
        assert isinstance(failure, Failure)
        assert failure.value is end.refusal
        assert isinstance(end.refusal, Refusal)
        assert end.reason == end.refusal.sentence("en")
        return end.refusal


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("authority"), "authority", hosts=())


@pytest.fixture
def signed(tmp_path: Path, authority: Certificate) -> Certificate:
    return certificate(tmp_path, signer=authority)


# -- trusted ----------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1"])
def test_a_server_that_the_authority_vouches_for(
    host: str, signed: Certificate, authority: Certificate
) -> None:
    server = ChatServer(tls=options(signed))
    visitor = Visitor(server, Trust(ca=authority.certificate), Address(host, 1, tls=True))
    assert visitor.client.is_in
    assert [entry.text for entry in server.log("lobby")] == ["oi"]


def test_a_pinned_certificate_is_trusted_whatever_its_names_and_dates(tmp_path: Path) -> None:
    made = certificate(tmp_path, hosts=("example.org",), days=-1)
    server = ChatServer(tls=options(made))
    assert Visitor(server, Trust(pin=made.fingerprint)).client.is_in


def test_a_connection_that_is_lost_comes_back(signed: Certificate) -> None:
    server = ChatServer(tls=options(signed))
    visitor = Visitor(server, Trust(pin=signed.fingerprint))
    server.cut("Ana")
    assert not visitor.client.is_in
    visitor.client.say("again")
    server.clock.advance(5)
    assert [entry.text for entry in server.log("lobby")] == ["oi", "again"]


# -- not trusted ------------------------------------------------------------------------------


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    refusal = Visitor(ChatServer(tls=options(made)), Trust()).refusal
    assert isinstance(refusal, CertificateUnknown)
    assert refusal.sentence("en") == (
        "the certificate of tls:localhost:50001 is not trusted: it is self-signed. Its SHA-256 "
        f"fingerprint is {made.fingerprint}. If the server's operator confirms it, "
        f"connect with --pin {made.fingerprint}"
    )


@pytest.mark.parametrize(
    ("hosts", "days", "host", "reason"),
    [
        (("localhost",), -1, "localhost", "it has expired"),
        (("example.org",), 30, "localhost", "it is for another name"),
        (("localhost",), 30, "127.0.0.1", "it is for another name"),
        (("127.0.0.1",), 30, "127.0.0.2", "it is for another name"),
        (("a_b",), 30, "not_a_name.example", "it is for another name"),
    ],
)
def test_what_an_authority_signed_must_fit(
    hosts: tuple[str, ...],
    days: int,
    host: str,
    reason: str,
    tmp_path: Path,
    authority: Certificate,
) -> None:
    made = certificate(tmp_path, hosts=hosts, days=days, signer=authority)
    server = ChatServer(tls=options(made))
    trust = Trust(ca=authority.certificate)
    refusal = Visitor(server, trust, Address(host, 1, tls=True)).refusal
    assert isinstance(refusal, CertificateUnknown)
    assert refusal.details["reason"] == reason
    assert server.people == ()


def test_an_authority_vouches_for_its_own_only(signed: Certificate, tmp_path: Path) -> None:
    other = certificate(tmp_path, "other", hosts=())
    server = ChatServer(tls=options(signed))
    refusal = Visitor(server, Trust(ca=other.certificate)).refusal
    assert refusal.details["reason"] == "it is not signed by a trusted authority"


def test_another_certificate_than_the_pinned_one(
    signed: Certificate, authority: Certificate
) -> None:
    trust = Trust(pin=authority.fingerprint)
    refusal = Visitor(ChatServer(tls=options(signed)), trust).refusal
    assert isinstance(refusal, CertificateChanged)
    assert "WARNING" in refusal.sentence("en")
    assert f"--pin {signed.fingerprint}" in refusal.sentence("en")


def test_a_certificate_that_changes_later_is_told_and_tried_again(
    signed: Certificate, tmp_path: Path
) -> None:
    """The operator may put it right; nothing is sent meanwhile."""
    server = ChatServer(tls=options(signed))
    visitor = Visitor(server, Trust(pin=signed.fingerprint))
    (tmp_path / "other").mkdir()
    server._tls = options(certificate(tmp_path / "other"))
    server.cut("Ana")
    server.clock.advance(20)
    assert not visitor.client.is_in
    lost = [event for event in visitor.events if isinstance(event, Disconnected)]
    assert len(lost) > 2
    assert isinstance(lost[-1].refusal, CertificateChanged)
    assert lost[-1].retry is not None
    server._tls = options(signed)
    server.clock.advance(30)
    assert visitor.client.is_in


# -- no TLS at all ----------------------------------------------------------------------------


def reason_there(server: ChatServer, trust: Trust | None = None) -> str:
    visitor = Visitor(server, trust or Trust())
    lost = [event for event in visitor.events if isinstance(event, Disconnected)]
    return lost[0].reason


def test_a_server_without_tls() -> None:
    assert (
        reason_there(ChatServer())
        == "the server and the client have no TLS version or cipher in common"
    )


@pytest.mark.parametrize("sends", [b"\x15\x03\x03\x00\x02\x02\x46", b""])
def test_a_server_with_tls_is_asked_without(sends: bytes) -> None:
    """Most send an alert; OpenSSL closes."""
    reasons: list[str] = []
    receiver = Nobody(reasons)
    protocol = ChatClientProtocol(Clock(), receiver)
    protocol.makeConnection(StringTransport())
    protocol.hello(Hello("Ana"))
    if sends:
        protocol.dataReceived(sends)
    protocol.connectionLost(Failure(ConnectionDone()))
    assert "put tls: in front" in reasons[0]


class Nobody:
    """Who hears why a connection is lost."""

    def __init__(self, reasons: list[str]) -> None:
        self._reasons = reasons

    def connected(self, connection: ChatClientProtocol) -> None: ...

    def received(self, connection: ChatClientProtocol, event: Event) -> None: ...

    def lost(self, connection: ChatClientProtocol, reason: str) -> None:
        self._reasons.append(reason)


def test_silence() -> None:
    """Whoever accepts and says nothing is not waited for longer than that."""
    server = ChatServer()
    failures: list[object] = []
    server._life.factory.buildProtocol = lambda _: Protocol()  # type: ignore[union-attr,method-assign]
    endpoint = tls_endpoint(server.clock, HERE, Trust(), server.endpoint())
    endpoint.connect(Factory.forProtocol(Protocol)).addErrback(
        lambda failure: failures.append(type(failure.value).__name__)
    )
    server.clock.advance(HANDSHAKE_TIMEOUT + 1)
    assert failures == ["TimeoutError"]


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no certificate")
    server = ChatServer()
    for name in ("none", "text"):
        refusal = Visitor(server, Trust(ca=tmp_path / name)).refusal
        assert isinstance(refusal, AuthoritiesUnreadable)
        assert name in refusal.sentence("en")


# -- fingerprints and pins --------------------------------------------------------------------

DIGITS = "0123456789abcdef" * 4
SHOWN = ":".join(DIGITS.upper()[at : at + 2] for at in range(0, 64, 2))


@pytest.mark.parametrize(
    "typed",
    [DIGITS, SHOWN, f"sha256 Fingerprint={SHOWN}", f"SHA256:{DIGITS}", f"SHA-256: {SHOWN}\n"],
)
def test_a_fingerprint(typed: str) -> None:
    assert parse_fingerprint(typed) == SHOWN


@pytest.mark.parametrize("typed", ["", "AB", DIGITS + "0", DIGITS[:-1] + "g", DIGITS[:-1] + "٣"])
def test_not_a_fingerprint(typed: str) -> None:
    with pytest.raises(WrongFingerprint):
        parse_fingerprint(typed)


def test_a_pin_is_kept_by_server_for_its_owner_alone(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    path = pin_path(environ, "example.org", 1)
    assert read_pin(path) is None
    keep_pin(path, SHOWN)
    assert read_pin(path) == SHOWN
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_pin(pin_path(environ, "example.org", 2)) is None
    path.write_text("broken")
    with pytest.raises(Refusal):
        read_pin(path)


def test_what_counts_most(tmp_path: Path) -> None:
    """Now given, then configured, then pinned, then the system's authorities."""
    environ = {"HOME": str(tmp_path)}
    server = Address("example.org", 1, tls=True)

    def trust(security: Security | None = None, ca: str | None = None) -> Trust:
        return find_place(server, security or Security(), None, Config(ca=ca), environ).trust

    assert trust() == Trust()
    keep_pin(pin_path(environ, "example.org", 1), SHOWN)
    assert trust() == Trust(pin=SHOWN)
    assert trust(ca="file") == Trust(ca="file")
    assert trust(Security(ca="other"), ca="file") == Trust(ca="other")
    assert trust(Security(pin="x", ca="other")) == Trust(pin="x")


@pytest.mark.parametrize("security", [Security(tls=True), Security(ca="x"), Security(pin="x")])
def test_each_option_asks_for_tls(security: Security, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    place = find_place(Address("example.org", 1), security, None, Config(), environ)
    assert place.address == "tls:example.org:1"


@pytest.mark.parametrize(
    "make",
    [
        lambda clock: ChatClient(clock, "tcp:localhost:1", "Ana", tls=Trust()),
        lambda clock: ChatClient(clock, ChatServer().endpoint(), "Ana", tls=Trust()),
    ],
)
def test_what_is_not_over_tls_takes_no_trust(make: Callable[[Any], ChatClient]) -> None:
    with pytest.raises(ValueError, match="tls"):
        make(ChatServer().clock)


def test_not_trusted_is_one_kind() -> None:
    assert issubclass(CertificateUnknown, NotTrusted)
    assert issubclass(CertificateChanged, NotTrusted)


# -- as programs ------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.slow
def test_scripts_over_tls(tmp_path: Path, authority: Certificate) -> None:
    """One clear line for a certificate that is not trusted, at once; else it works."""
    made = certificate(tmp_path, signer=authority)
    port = free_port()
    home = tmp_path / "home"
    home.mkdir()

    def run(*arguments: str) -> tuple[int, str]:
        ended = subprocess.run(
            [sys.executable, "-m", "twisted_chat.cli", *arguments],
            env=environment(home=home),
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return ended.returncode, ended.stderr

    with Server(tmp_path, "--listen", made.endpoint(port)):
        send = ("send", "--nick=Ana", "--server", f"tls:127.0.0.1:{port}")
        for command in ((*send, "oi"), ("tail", *send[1:]), ("connect", send[3], send[1])):
            status, said = run(*command)
            assert status != 0
            assert said.count("\n") == 1
            assert made.fingerprint in said
        assert run(*send, "--ca", os.fspath(authority.certificate), "oi") == (0, "")
        assert run(*send, "--pin", made.fingerprint, "oi") == (0, "")
        status, said = run(*send, "--pin", authority.fingerprint, "oi")
        assert (status, "WARNING" in said) == (1, True)

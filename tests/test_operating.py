"""Operating a server: its end, new settings while it runs, systemd, proxies, what is shipped."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.testing import MemoryReactorClock, StringTransport

from tests.support.processes import PATIENCE, Server, free_port
from tests.support.protocol import TestReactor
from twisted_chat.net.proxy_protocol import HEADER_TIMEOUT, ProxiedFactory
from twisted_chat.net.sockets import KEEPALIVE
from twisted_chat.server.service import ChatService
from twisted_chat.server.settings import load
from twisted_chat.server.systemd import ALIVE, READY, Notifier
from twisted_chat.server.tap import Options, makeService

ROOT = Path(__file__).parent.parent

#: Seconds in which a server has to end after SIGTERM.
LONGEST_END = 10.0


class Peer:
    """A connection, and the lines that it got."""

    def __init__(self, port: int, first: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.sendall(first)
        self._received = b""

    def lines(self) -> list[str]:
        """All lines, when the connection has ended."""
        with suppress(ConnectionResetError):
            while data := self.socket.recv(65536):
                self._received += data
        return self._received.decode().splitlines()

    def wait_for(self, text: str) -> None:
        while text.encode() not in self._received:
            data = self.socket.recv(65536)
            assert data, f"ended without {text!r}: {self._received!r}"
            self._received += data

    def close(self) -> None:
        self.socket.close()


def program(port: int, nickname: str = "bot") -> Peer:
    peer = Peer(port, json.dumps({"type": "hello", "nickname": nickname}).encode() + b"\n")
    peer.wait_for('"entered"')
    return peer


def says(count: int) -> bytes:
    lines = (json.dumps({"type": "say", "text": f"line {n}", "id": str(n)}) for n in range(count))
    return "".join(f"{line}\n" for line in lines).encode()


def kinds(peer: Peer) -> list[str]:
    return [json.loads(line)["type"] for line in peer.lines()]


def stored(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM entry").fetchone()
        return int(count)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


# -- SIGTERM ----------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize(
    "locked",
    [
        0.0,
        pytest.param(1.0, marks=pytest.mark.slow),
        pytest.param(LONGEST_END, marks=pytest.mark.slow),
    ],
)
def test_what_is_queued_at_the_end_is_saved_and_acknowledged(tmp_path: Path, locked: float) -> None:
    """100 writes wait when SIGTERM comes; another process keeps the database ``locked`` so long."""
    database = tmp_path / "chat.db"
    with Server(tmp_path, "--rate=off") as server:
        peer = program(server.port)
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            if locked:
                other.execute("BEGIN IMMEDIATE")
            peer.socket.sendall(says(100) + b'{"type":"ping","id":"done"}\n')
            peer.wait_for('"pong"')  # all of it has been read
            start = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not takes_connections(server.port))
            closed = time.monotonic() - start
            if 0 < locked < LONGEST_END:
                time.sleep(locked)
                other.execute("ROLLBACK")
            server.process.wait(PATIENCE)
            took = time.monotonic() - start
        told = kinds(peer)
        log = server.log()
    acknowledged = told.count("ack")
    print(
        f"row 4: locked for {locked:g} s: stored {stored(database)}, acknowledged {acknowledged}, "
        f"port closed after {closed:.2f} s, ended after {took:.2f} s"
    )
    assert stored(database) == acknowledged == (100 if locked < LONGEST_END else 0)
    assert told.count("error") == 100 - acknowledged, "who was not heard is told so"
    assert told[-1] == "stopping"
    assert took <= LONGEST_END
    assert not [line for line in log if "Traceback" in line]


@pytest.mark.slow
@pytest.mark.process
def test_the_end_does_not_wait_for_who_does_not_read(tmp_path: Path) -> None:
    with Server(tmp_path, "--rate=off") as server:
        deaf = program(server.port, "deaf")
        peer = program(server.port)
        lines = says(2000).replace(b"line", b"line " * 800)  # 8 MB
        threading.Thread(target=peer.socket.sendall, args=[lines], daemon=True).start()
        peer.wait_for('"ack","id":"1999"')
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        ending = kinds(peer)
        server.process.wait(PATIENCE)
        took = time.monotonic() - start
        deaf.close()
    print(f"row 4: a client that does not read: ended after {took:.2f} s")
    assert ending[-1] == "stopping"
    assert took <= LONGEST_END


@pytest.mark.process
def test_a_file_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """And a second signal is neither needed nor a defect."""
    config, motd = tmp_path / "chat.toml", tmp_path / "motd.txt"
    motd.write_text("before\n")
    config.write_text('motd = "motd.txt"\n')
    with Server(tmp_path, f"--config={config}") as server:
        peer = program(server.port)
        motd.unlink()
        os.mkfifo(motd)  # whoever opens it waits until somebody writes
        server.process.send_signal(signal.SIGHUP)
        peer.socket.sendall(b'{"type":"ping"}\n')
        peer.wait_for("pong")
        with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            peer.socket.sendall(says(1))
            for _ in range(3):
                time.sleep(0.1)
                server.process.send_signal(signal.SIGTERM)
        server.process.wait(LONGEST_END)
        log = server.log()
    assert kinds(peer)[-1] == "stopping"
    assert not [line for line in log if "Traceback" in line or "critical" in line]


# -- SIGHUP -----------------------------------------------------------------------------------


def reloaded(reactor: TestReactor, before: dict[str, str], after: dict[str, str]) -> ChatService:
    """A service with the settings ``before`` that has read those ``after``; it is not started."""
    service = ChatService(reactor, load(before, None), read_again=lambda: load(after, None))
    service.reload()
    for thread in threading.enumerate():
        if thread.name == "settings":
            thread.join()
    reactor.run_calls()
    return service


def test_a_new_greeting_delay_holds_for_the_next_connection() -> None:
    reactor = TestReactor()
    service = reloaded(reactor, {"greeting-delay": "5"}, {"greeting-delay": "1"})
    transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.1", 1))
    protocol = service.factory.buildProtocol(transport.getPeer())
    assert protocol is not None
    protocol.makeConnection(transport)
    reactor.advance(0.99)
    assert transport.value() == b""
    reactor.advance(0.02)
    assert transport.value().startswith(b"Welcome!")


def test_new_settings_reach_the_connections_and_the_log() -> None:
    after = {"reconnect-grace": "7", "trusted-networks": "192.0.2.0/24", "max-database": "500M"}
    after["clock-confirmed"] = "2026-11-25"
    service = reloaded(TestReactor(), {}, after)
    settings = load(after, None)
    assert service.factory.reconnect_grace == 7
    assert service.factory.sources.trusted == settings.trusted_networks != ()
    assert service._journal.max_size == settings.max_database > 0
    assert service._journal.confirmed == settings.clock_confirmed > 0


@pytest.mark.process
def test_settings_are_read_again_and_nobody_is_dropped(tmp_path: Path) -> None:
    """MOTD, limits and language; what cannot change is named."""
    config, motd = tmp_path / "chat.toml", tmp_path / "motd.txt"
    motd.write_text("before\n")
    config.write_text('motd = "motd.txt"\nlanguage = "en"\nrooms-per-person = 20\n')
    with Server(tmp_path, f"--config={config}") as server:
        ana = Peer(server.port, b"Ana\n")
        ana.wait_for("before")
        ana.wait_for("You are Ana")
        motd.write_text("after\n")
        config.write_text(
            'motd = "motd.txt"\nlanguage = "pt_BR"\nrooms-per-person = 1\ndatabase = "other.db"\n'
            'reserved-names = ["Ana", "Rui"]\n'
        )
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("database")
        bia = Peer(server.port, b"r.u.i\nBia\n")
        bia.wait_for("O nome r.u.i é reservado")
        bia.wait_for("after")
        bia.wait_for("você é Bia")
        ana.socket.sendall(b"/join cinema\n")
        ana.wait_for(
            "You are already in 1 rooms"
        )  # the limit holds for who was there before, in their language
        ana.close()
        bia.close()
        assert server.stop() in (0, -signal.SIGTERM)
    assert not (tmp_path / "other.db").exists()


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize(
    "broken",
    ["motd = 5", "rate = 'fast'", "no-such = 1", "= =", "motd = 'no such file'", None],
)
def test_a_broken_file_is_one_line_and_changes_nothing(tmp_path: Path, broken: str | None) -> None:
    config = tmp_path / "chat.toml"
    (tmp_path / "motd.txt").write_text("before\n")
    config.write_text("motd = 'motd.txt'\n")
    with Server(tmp_path, f"--config={config}") as server:
        before = len(server.log())
        if broken is None:
            config.unlink()
        else:
            config.write_text(broken)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("settings stay as they are")
        peer = Peer(server.port, b"Ana\nsair\n")
        assert "before" in peer.lines()
        log = server.log()[before:]
        assert len([line for line in log if "settings" in line]) == 1
        assert not [line for line in log if "Traceback" in line]


# -- the clock --------------------------------------------------------------------------------


def test_timers_go_on_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twisted's follow the wall clock; those of this process do not."""

    def fires(reactor: Any) -> bool:
        with monkeypatch.context() as patch:
            fired: list[bool] = []
            reactor.callLater(0.01, fired.append, True)
            patch.setattr(EPollReactor, "seconds", staticmethod(lambda: time.time() - 3600))
            deadline = time.monotonic() + 0.2
            while not fired and time.monotonic() < deadline:
                reactor.iterate(0.01)
            return bool(fired)

    assert not fires(EPollReactor())
    steady = EPollReactor()
    options = Options()
    options.parseOptions(["--database=:memory:"])
    makeService(options, steady)
    assert fires(steady)


# -- systemd ----------------------------------------------------------------------------------


@contextmanager
def service_manager(address: str) -> Iterator[Callable[[], str]]:
    """What listens where systemd would; gives the next datagram."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.settimeout(PATIENCE)
        yield lambda: receiver.recv(4096).decode()


def test_systemd_is_told_over_a_path_or_an_abstract_socket(tmp_path: Path) -> None:
    for bound, named in [
        (str(tmp_path / "notify"), str(tmp_path / "notify")),
        (f"\0twisted-chat-{os.getpid()}", f"@twisted-chat-{os.getpid()}"),
    ]:
        with service_manager(bound) as told:
            Notifier({"NOTIFY_SOCKET": named}).tell(READY)
            assert told() == "READY=1"


def test_nobody_is_told_where_nobody_asks() -> None:
    Notifier({}).tell(READY)
    assert Notifier({"WATCHDOG_USEC": "1000000"}).interval is None


def test_a_manager_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.tell(ALIVE)
    notifier.tell(ALIVE)


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_how_often_systemd_wants_to_hear(
    environment: dict[str, str], interval: float | None
) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/x", **environment}).interval == interval


@pytest.mark.process
def test_a_server_says_that_it_is_ready_alive_and_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    with service_manager(address) as told:
        port = free_port()
        start = time.monotonic()
        with Server(tmp_path, port=port) as server:
            assert told() == "READY=1"
            assert takes_connections(port)
            print(f"ready after {time.monotonic() - start:.2f} s")
            assert [told() for _ in range(3)] == ["WATCHDOG=1"] * 3
            server.stop()
            heard = []
            while "STOPPING=1" not in heard:
                heard.append(told())


# -- behind a proxy ---------------------------------------------------------------------------


class _Echo:
    """A factory of protocols that remember."""

    def __init__(self) -> None:
        self.made: list[tuple[Any, list[str]]] = []

    def doStart(self) -> None: ...

    def doStop(self) -> None: ...

    def buildProtocol(self, address: Any) -> Any:
        from twisted.internet.protocol import Protocol

        happened: list[str] = []
        self.made.append((address, happened))

        class Remembers(Protocol):
            def connectionMade(self) -> None:
                happened.append(f"made {self.transport.getPeer().host}")  # type: ignore[union-attr]

            def dataReceived(self, data: bytes) -> None:
                happened.append(data.decode())

            def connectionLost(self, reason: object = None) -> None:
                happened.append("lost")

        return Remembers()


V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([203, 0, 113, 7, 10, 0, 0, 1, 0x15, 0xB3, 0, 80])


HEADERS = [
    (b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 50000\r\n", "203.0.113.7"),
    (b"PROXY TCP6 2001:db8::7 ::1 5555 50000\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "192.168.1.1"),
    (V2, "203.0.113.7"),
]


@pytest.mark.parametrize(("header", "host"), HEADERS)
@pytest.mark.parametrize("at_once", [True, False])
def test_nobody_is_there_before_it_is_known_who(header: bytes, host: str, at_once: bool) -> None:
    """Also of those who wait to be spoken to."""
    served = _Echo()
    clock = MemoryReactorClock()
    connection = ProxiedFactory(clock, served).buildProtocol(None)
    transport = StringTransport()
    connection.makeConnection(transport)
    connection.dataReceived(header[:10])
    assert served.made == []
    if at_once:
        connection.dataReceived(header[10:] + b"oi")
    else:
        connection.dataReceived(header[10:])
        assert served.made[0][1] == [f"made {host}"]
        connection.dataReceived(b"oi")
    clock.advance(HEADER_TIMEOUT + 1)
    assert served.made[0][0].host == host
    assert not transport.disconnecting
    connection.connectionLost(None)
    assert served.made[0][1] == [f"made {host}", "oi", "lost"]


@pytest.mark.parametrize(("header", "host"), HEADERS)
def test_the_header_may_come_in_pieces_of_any_size(header: bytes, host: str) -> None:
    served = _Echo()
    connection = ProxiedFactory(MemoryReactorClock(), served).buildProtocol(None)
    connection.makeConnection(StringTransport())
    for byte in header + b"oi":
        connection.dataReceived(bytes((byte,)))
    assert served.made[0][1] == [f"made {host}", "o", "i"]
    connection.connectionLost(None)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"PROXY TCP4 203",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 many 50000\r\n",
        b"PROXY TCP4 a\x1b[2Jb 10.0.0.1 1 50000\r\n",
        b"PROXY TCP6 ::x ::1 1 50000\r\n",
        b"GET / HTTP/1.1\r\n",
        b"x" * 200,
    ],
)
def test_who_does_not_say_it_is_closed(sent: bytes) -> None:
    served = _Echo()
    clock = MemoryReactorClock()
    connection = ProxiedFactory(clock, served).buildProtocol(None)
    transport = StringTransport()
    connection.makeConnection(transport)
    if sent:
        connection.dataReceived(sent)
    clock.advance(HEADER_TIMEOUT + 1)
    assert transport.disconnecting or transport.disconnected
    connection.connectionLost(None)
    assert served.made == []


@pytest.mark.process
def test_the_address_behind_a_proxy_is_in_the_log_and_in_the_limits(tmp_path: Path) -> None:
    port = free_port()
    options = [f"--listen=haproxy:tcp:{port}:interface=127.0.0.1", "--connections-per-address=2"]
    with Server(tmp_path, *options) as server:
        header = b"PROXY TCP4 203.0.113.7 10.0.0.1 5555 50000\r\n"
        people = [Peer(port, header) for _ in range(2)]
        for peer in people:
            peer.wait_for("username")
        refused = Peer(port, header).lines()
        assert len(refused) == 1
        assert "2" in refused[0]
        other = Peer(port, header.replace(b"113.7", b"113.8") + b"Bia\noi\n")
        other.socket.shutdown(socket.SHUT_WR)  # its answers come all the same
        assert any("Bia" in line for line in other.lines())
        log = server.log()
        assert any("'203.0.113.7', 5555" in line for line in log)
        assert not any("CONNECTION] ('127.0.0.1'" in line for line in log)


# -- what is shipped --------------------------------------------------------------------------


def unit(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(ROOT / "contrib" / "systemd" / name)
    return parser


def test_the_options_of_the_unit_exist() -> None:
    """The server understands the command that systemd will run."""
    command = unit("twisted-chat.service")["Service"]["ExecStart"].replace("\\\n", " ").split()
    options = Options()
    options.parseOptions(command[command.index("chat") + 1 :])
    assert options.settings.listen == ("systemd:domain=INET:index=0",)


def test_the_unit_waits_watches_and_reloads() -> None:
    service = unit("twisted-chat.service")["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert int(service["TimeoutStopSec"]) > LONGEST_END
    assert service["ExecReload"].endswith("-HUP $MAINPID")


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_the_unit_is_hardened() -> None:
    path = ROOT / "contrib" / "systemd" / "twisted-chat.service"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    found = re.search(r"Overall exposure level[^:]*: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot tell: {done.stderr}")
    print(f"exposure level {found[1]}")
    assert float(found[1]) <= 2.0


def test_the_proxy_finds_clients_that_are_gone() -> None:
    """As the server does where it has their connections itself: it only sees the proxy."""
    words = (ROOT / "contrib/haproxy.cfg").read_text().split()
    told = {word: words[words.index(word) + 1] for word in words if word.startswith("clitcpka-")}
    assert "clitcpka" in words
    assert told == {
        "clitcpka-idle": f"{KEEPALIVE['TCP_KEEPIDLE']}s",
        "clitcpka-intvl": f"{KEEPALIVE['TCP_KEEPINTVL']}s",
        "clitcpka-cnt": f"{KEEPALIVE['TCP_KEEPCNT']}",
    }


def instructions(text: str) -> dict[str, list[str]]:
    """The instructions of the last image of a Dockerfile, continued lines joined."""
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    found: dict[str, list[str]] = {}
    for line in filter(None, lines):
        name, _, arguments = line.partition(" ")
        if name == "FROM":
            found = {}
        found.setdefault(name, []).append(arguments.strip())
    return found


def test_the_container() -> None:
    """Not as root, with its data in a volume, with a check; and the server takes its options."""
    found = instructions((ROOT / "contrib/docker/Dockerfile").read_text())
    assert found["USER"][-1] not in ("root", "0")
    assert found["VOLUME"] == ["/var/lib/twisted-chat"]
    assert found["STOPSIGNAL"] == ["SIGTERM"]
    command = json.loads(found["ENTRYPOINT"][0])
    options = Options()
    options.parseOptions(command[command.index("chat") + 1 :])
    assert options.settings.database.startswith("/var/lib/twisted-chat/")
    check = found["HEALTHCHECK"][0]
    port = options.settings.metrics.split(":")[1]
    assert f"http://127.0.0.1:{port}/readyz" in check
    compile(json.loads(check[check.index("[") :])[2], "HEALTHCHECK", "exec")
    assert options.settings.metrics.endswith(":interface=127.0.0.1"), "with --network host, too"
    assert found["EXPOSE"] == [options.settings.listen[0].split(":")[1]]


def test_what_the_container_is_built_from_is_sent_to_the_builder() -> None:
    """And nothing else of the checkout."""
    sent = (ROOT / "contrib/docker/Dockerfile.dockerignore").read_text().splitlines()
    assert sent[0] == "**"
    kept = {line[1:] for line in sent if line.startswith("!")}
    assert {"setup.cfg", "pyproject.toml", "README.rst", "twisted_chat", "twisted"} <= kept
    assert {name for name in kept if not (ROOT / name).exists()} == set()

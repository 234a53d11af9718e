"""Who had which name from where can be found, under noise too; and it is not kept for ever."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.support.faults import show
from tests.support.processes import Server, free_port
from tests.support.protocol import Client, House
from tests.support.reactors import Reactor
from twisted_chat.core.limits import Limits
from twisted_chat.net.addresses import Address
from twisted_chat.net.peer import describe
from twisted_chat.server import audit
from twisted_chat.server.audit import AuditLog, DailyFile
from twisted_chat.server.service import ChatService, StartupFailure
from twisted_chat.server.settings import load

#: Noon of a day, UTC: seconds since 1970.
NOON = 1_764_072_000.0
DAY = 86_400.0


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Kept:
    """An audit log whose time is set by hand."""

    def __init__(self, path: Path, days: float = 30) -> None:
        self.path = path
        self.now = NOON
        self.log = AuditLog(str(path), days, "en", lambda: self.now)

    def lines(self) -> list[dict[str, Any]]:
        return read(self.path)


def at(host: str, port: int = 1) -> Address:
    return describe(IPv4Address("TCP", host, port))


# -- what is told -----------------------------------------------------------------------------


class Audited:
    """A chat in memory, and what its audit is told."""

    def __init__(self) -> None:
        self.house = House(limits=Limits(rate=None, connections_per_address=2))
        self.told: list[tuple[str, str, int | None, str | None, dict[str, str]]] = []
        self.house.world.chat.audit = self

    def __call__(
        self, what: str, address: str, nickname: str | None = None, **details: str
    ) -> None:
        assert isinstance(address, Address)
        self.told.append((what, address.host, address.port, nickname, details))

    def connect(self, host: str, port: int) -> Client:
        return self.house.connect(IPv4Address("TCP", host, port))


def test_each_name_is_told_with_its_address() -> None:
    audited = Audited()
    ana = audited.connect("192.0.2.1", 11)
    ana.send(b"Ana\na secret text\n/nick Bia\n/msg Bia a secret\n/quit\n")
    ana.protocol.connectionLost(Failure(ConnectionDone()))
    bot = audited.connect("192.0.2.2", 22)
    client = "ab" * 16
    bot.send(json.dumps({"type": "hello", "nickname": "bot", "client": client}).encode() + b"\n")
    assert [(*line[:4], line[4]) for line in audited.told] == [
        ("connected", "192.0.2.1", 11, None, {}),
        ("named", "192.0.2.1", 11, "Ana", {}),
        ("renamed", "192.0.2.1", 11, "Bia", {"before": "Ana"}),
        ("left", "192.0.2.1", 11, "Bia", {}),
        ("disconnected", "192.0.2.1", 11, None, {}),
        ("connected", "192.0.2.2", 22, None, {}),
        ("named", "192.0.2.2", 22, "bot", {}),
    ]


def test_who_comes_back_does_so_from_an_address() -> None:
    """And who guesses codes does so too; the codes are not told."""
    audited = Audited()
    ana = audited.connect("192.0.2.1", 11)
    ana.send(b"Ana\n")
    code = ana.protocol.session.code
    ana.protocol.connectionLost(Failure(ConnectionDone()))
    again = audited.connect("192.0.2.2", 22)
    again.send(b"/resume aaaa-bbbb\n")
    again.send(b"/resume " + code.encode() + b"\n")
    told = [line for line in audited.told if line[1] == "192.0.2.2"]
    assert ("wrong-code", "192.0.2.2", 22, None, {}) in told
    assert told[-1][:4] == ("resumed", "192.0.2.2", 22, "Ana")
    assert code not in repr(audited.told)
    assert "aaaa" not in repr(audited.told)


def test_who_is_there_when_the_server_stops_is_told_to_leave() -> None:
    audited = Audited()
    ana = audited.connect("192.0.2.1", 11)
    ana.send(b"Ana\n")
    audited.house.world.chat.stop(lambda: None)
    audited.house.world.journal.run()
    assert audited.told[-1][:4] == ("left", "192.0.2.1", 11, "Ana")


def test_each_guess_of_a_code_is_told() -> None:
    audited = Audited()
    for port in range(4):
        guessing = audited.connect("192.0.2.1", port)
        for _ in range(10):
            guessing.send(b"/resume aaaa-bbbb\n")
        guessing.protocol.connectionLost(Failure(ConnectionDone()))
    what = [line[0] for line in audited.told if line[0].endswith("-code")]
    assert {"wrong-code", "refused-code"} == set(what)


def test_who_is_turned_away_is_told_too() -> None:
    audited = Audited()
    for port in range(3):
        audited.connect("192.0.2.1", port)
    assert audited.told[-1] == ("turned-away", "192.0.2.1", 2, None, {"reason": "address"})


# -- how it is written ------------------------------------------------------------------------


def test_a_line_has_its_parts(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "audit")
    kept.log("named", at("192.0.2.1", 7), "Zé")
    address = describe(IPv6Address("TCP", "fe80::1%\x1b[2J", 9))
    kept.log("renamed", address, "Zoë", before="Zé")
    kept.log("connected", Address.of("unix", None, "(unix)"))
    assert (tmp_path / "audit").read_text(encoding="utf-8").replace("\n", "").isprintable()
    assert kept.lines() == [
        {
            "time": "2025-11-25T12:00:00.000+00:00",
            "what": "named",
            "nickname": "Zé",
            "address": "192.0.2.1",
            "port": 7,
        },
        {
            "time": "2025-11-25T12:00:00.000+00:00",
            "what": "renamed",
            "nickname": "Zoë",
            "address": "fe80::1%\x1b[2J",
            "port": 9,
            "before": "Zé",
        },
        {
            "time": "2025-11-25T12:00:00.000+00:00",
            "what": "connected",
            "nickname": None,
            "address": "unix",
            "port": None,
        },
    ]


def test_an_address_of_ipv4_is_found_as_such_also_on_a_port_of_ipv6() -> None:
    address = describe(IPv6Address("TCP", "::ffff:192.0.2.7", 9))
    assert (address.host, address.port, str(address)) == ("192.0.2.7", 9, "('192.0.2.7', 9)")


def test_noise_without_names_is_counted_and_hides_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "NAMELESS_LIMIT", 100)
    monkeypatch.setattr(audit, "SOURCES_LIMIT", 50)
    kept = Kept(tmp_path / "audit")
    for n in range(20):
        for port in range(500):
            kept.log("connected", at("203.0.113.1", port))
            kept.log("connected", at(f"10.0.{port // 256}.{port % 256}", port))
        kept.log("connected", at(f"192.0.2.{n}"))
        kept.log("named", at(f"192.0.2.{n}"), f"visitor{n}")
    named = {line["nickname"]: line["address"] for line in kept.lines() if line["what"] == "named"}
    assert named == {f"visitor{n}": f"192.0.2.{n}" for n in range(20)}
    before = len(kept.lines())
    assert before < 50 * 100
    kept.now += 3600
    kept.log("connected", at("203.0.113.1"))
    *counted, last = kept.lines()[before:]
    assert last["what"] == "connected"
    assert {"address": "203.0.113.1", "count": 9900}.items() <= counted[0].items()
    assert all(line["what"] == "left-out" for line in counted)


def test_a_file_is_its_owners_and_of_one_day(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    path.write_bytes(b"")
    path.chmod(0o644)
    kept = Kept(path, days=2)
    (tmp_path / "audit.other").write_text("not ours")
    for day in range(5):
        kept.now = NOON + day * DAY
        kept.log("named", at("192.0.2.1"), f"day{day}")
    assert {file.name: file.read_text()[:1] for file in tmp_path.iterdir()} == {
        "audit": "{",
        "audit.2025-11-27": "{",
        "audit.2025-11-28": "{",
        "audit.other": "n",
    }
    assert [line["nickname"] for line in kept.lines()] == ["day4"]
    (tmp_path / "audit.other").unlink()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_a_server_that_starts_on_another_day_begins_another_file(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    path.write_text("before\n")
    later = path.stat().st_mtime + 2 * DAY
    file = DailyFile(str(path), 0, lambda: later)
    file.write(b"after\n")
    assert path.read_text() == "after\n"
    (old,) = tmp_path.glob("audit.*")
    assert old.read_text() == "before\n"
    os.utime(path, (later, later))
    again = DailyFile(str(path), 1, lambda: later)
    assert not old.exists()
    again.write(b"more\n")
    assert path.read_text() == "after\nmore\n"


def test_a_clock_that_goes_back_overwrites_nothing(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "audit", days=0)
    for day in (0, 1, 0, 1, 0):
        kept.now = NOON + day * DAY
        kept.log("named", at("192.0.2.1"), "Ana")
    assert sum(len(read(file)) for file in tmp_path.iterdir()) == 5


def test_what_cannot_be_written_is_counted_and_the_log_says_so(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "audit")
    kept.log.start()
    file = kept.log._file
    write = file.write
    full = threading.Event()
    full.set()

    def failing(data: bytes) -> int:
        if full.is_set():
            raise OSError(28, "No space left on device")
        return write(data)

    file.write = failing  # type: ignore[method-assign]
    for n in range(3):
        kept.log("named", at("192.0.2.1"), f"lost{n}")
    kept.log._writer.flush(5)
    full.clear()
    kept.log("named", at("192.0.2.1"), "Ana")
    kept.log.close()
    what = [line["what"] for line in kept.lines()]
    assert "not-written" in what
    assert {line.get("nickname") for line in kept.lines()} >= {"Ana"}
    kept.log("named", at("192.0.2.1"), "late")
    assert [line["what"] for line in kept.lines()] == what, "nothing comes after the end"


def test_a_file_that_cannot_be_opened_is_said_before_anybody_comes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "missing" / "audit"
    given = {"listen": "tcp:0", "audit-log": str(path), "database": str(tmp_path / "chat.db")}
    service = ChatService(Reactor(), load(given, None))
    with pytest.raises(StartupFailure):
        service.startService()
    assert f"--audit-log: cannot write {path}: No such file" in capfd.readouterr().err
    assert not (tmp_path / "chat.db").exists()


# -- row 42 -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.process
def test_visitors_are_found_under_noise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """20 of them from addresses of their own, while another connects all the time."""
    port = free_port()
    path = tmp_path / "audit.jsonl"
    options = [f"--listen=haproxy:tcp:{port}:interface=127.0.0.1", f"--audit-log={path}"]
    with Server(tmp_path, "--log-format=json", *options) as server:
        stop = threading.Event()

        def come(host: str, line: bytes) -> None:
            with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as peer:
                peer.sendall(b"PROXY TCP4 %b 10.0.0.1 5555 50000\r\n" % host.encode() + line)
                if line:
                    while peer.recv(65536):
                        pass

        noise = 0

        def make_noise() -> None:
            nonlocal noise
            while not stop.is_set():
                come("203.0.113.1", b"")
                noise += 1

        making = threading.Thread(target=make_noise)
        making.start()
        for n in range(20):
            time.sleep(0.1)
            come(f"198.51.100.{n + 1}", b"visitor%d\n/quit\n" % n)
        stop.set()
        making.join()
        server.stop()
        log = [json.loads(line) for line in server.log()]
    hosts = {f"198.51.100.{n + 1}" for n in range(20)}
    in_log = {line["fields"].get("address") for line in log if line["event"] == "connected"} & hosts
    lines = read(path)
    named = {(line["nickname"], line["address"]) for line in lines if line["what"] == "named"}
    found = named & {(f"visitor{n}", f"198.51.100.{n + 1}") for n in range(20)}
    show(
        capsys,
        42,
        f"20 visitors among {noise} connections of another: {len(in_log)} addresses in the log of "
        f"{len(log)} lines; {len(found)} names with their addresses in the audit log of "
        f"{len(lines)} lines",
    )
    assert len(in_log) == len(found) == 20
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

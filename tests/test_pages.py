"""The port of ``--metrics`` answers who asks, keeps nothing, and has room for who asks next."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.support.faults import MEGABYTE, Subject, show, verdict
from tests.support.processes import free_port
from twisted_chat.net.pages import (
    ANSWER_TIMEOUT,
    DISCARD_LIMIT,
    HEAD_LIMIT,
    HEAD_TIMEOUT,
    HTTP_CONNECTIONS,
    Pages,
)


class Port:
    """What listens, in memory."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pages = Pages(self.clock, {b"/page": lambda: (200, "text/plain", b"text\n")})

    def connect(self) -> Peer:
        return Peer(self)


class Peer:
    def __init__(self, port: Port) -> None:
        self.transport = StringTransport()
        self.protocol = port.pages.buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def asks(self, *data: bytes) -> bytes:
        for part in data:
            self.protocol.dataReceived(part)
        answer: bytes = self.transport.value()
        return answer

    @property
    def closed(self) -> bool:
        return self.transport.disconnecting or self.transport.disconnected

    def leaves(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


def test_a_page_and_its_head() -> None:
    for method, body in ((b"GET", b"text\n"), (b"HEAD", b"")):
        for version in (b"HTTP/1.1", b"HTTP/1.0"):
            peer = Port().connect()
            answer = peer.asks(method + b" /page?x=1 " + version + b"\r\nHost: x\r\n\r\n")
            head, _, text = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\nContent-Length: 5\r\n" in head
            assert b"\r\nConnection: close" in head
            assert text == body
            assert peer.closed


def test_a_request_may_come_in_pieces() -> None:
    request = b"GET /page HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    peer = Port().connect()
    assert b" 200 " in peer.asks(*(bytes([byte]) for byte in request))


def test_lines_may_end_with_lf_alone() -> None:
    for request in (b"GET /page HTTP/1.0\n\n", b"HEAD /page HTTP/1.1\nHost: x\n\r\n"):
        peer = Port().connect()
        assert b" 200 " in peer.asks(*(bytes([byte]) for byte in request))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /page HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET /page HTTP/1.1\r\ncontent-length : 1000000000\r\n\r\n", 413),
        (b"GET /page HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"POST /page HTTP/1.1\r\n\r\n", 405),
        (b"DELETE /page HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"get /page HTTP/1.1\r\n\r\n", 405),
        (b"GET /other HTTP/1.1\r\n\r\n", 404),
        (b"GET /page\r\n\r\n", 400),
        (b"GET /page HTTP/2.0\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /page HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /page HTTP/1.1\r\nX: " + b"x" * HEAD_LIMIT + b"\r\n\r\n", 431),
        (b"x" * (HEAD_LIMIT + 1), 431),
    ],
)
def test_what_is_no_simple_question_is_refused(request_: bytes, status: int) -> None:
    peer = Port().connect()
    assert peer.asks(request_).startswith(b"HTTP/1.1 %d " % status)
    assert peer.closed


def test_what_comes_after_a_refusal_is_not_kept() -> None:
    peer = Port().connect()
    peer.asks(b"POST /page HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n")
    answered = peer.transport.value()
    for _ in range(DISCARD_LIMIT // 65536 + 1):
        peer.asks(b"x" * 65536)
    assert peer.transport.value() == answered
    assert peer.transport.disconnected


def test_a_head_has_its_time_however_it_comes() -> None:
    port = Port()
    peer = port.connect()
    for _ in range(int(HEAD_TIMEOUT)):
        assert not peer.closed
        peer.asks(b"x")
        port.clock.advance(1)
    assert peer.closed


def test_an_answer_that_nobody_takes_is_not_kept_for_long() -> None:
    port = Port()
    peer = port.connect()
    peer.asks(b"GET /page HTTP/1.1\r\n\r\n")
    port.clock.advance(ANSWER_TIMEOUT)
    assert peer.transport.disconnected
    peer.leaves()
    assert port.clock.getDelayedCalls() == []


def test_who_is_silent_makes_room() -> None:
    """The one that came first; and who is being answered only where nobody is silent."""
    port = Port()
    answered = port.connect()
    answered.asks(b"GET /page HTTP/1.1\r\n\r\n")
    silent = [port.connect() for _ in range(HTTP_CONNECTIONS - 1)]
    newcomer = port.connect()
    assert silent[0].transport.disconnected
    assert not any(peer.closed for peer in silent[1:])
    assert not answered.transport.disconnected
    silent[0].leaves()
    assert b" 200 " in newcomer.asks(b"GET /page HTTP/1.1\r\n\r\n")
    for peer in silent[1:]:
        peer.asks(b"GET /page HTTP/1.1\r\n\r\n")
    port.connect()
    assert answered.transport.disconnected


# -- row 41 -----------------------------------------------------------------------------------


def get(port: int, path: str) -> tuple[bytes, float]:
    start = time.monotonic()
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as asking:
        asking.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b""
        with suppress(ConnectionResetError):
            while data := asking.recv(65536):
                answer += data
    return answer, time.monotonic() - start


def nameless_files(process: int) -> int:
    """Bytes of files without a name that a process has open."""
    size = 0
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            if os.readlink(descriptor).endswith("(deleted)"):
                size += descriptor.stat().st_size
    return size


@pytest.mark.slow
@pytest.mark.process
def test_bodies_and_silence_cost_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight programs send bodies for four seconds; others are silent."""
    port = free_port()
    with Subject(tmp_path, f"--metrics=tcp:{port}:interface=127.0.0.1") as server:
        assert b"\r\n\r\nready" in get(port, "/readyz")[0]
        before = server.memory()
        server.forget_peak()
        end = time.monotonic() + 4
        sent = [0] * 8

        def send(number: int) -> None:
            head = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"
            while time.monotonic() < end:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as sending:
                    sending.sendall(head)
                    while time.monotonic() < end:
                        sent[number] += sending.send(b"x" * 65536)

        senders = [threading.Thread(target=send, args=[number]) for number in range(8)]
        for sender in senders:
            sender.start()
        files, answers = 0, []
        while time.monotonic() < end:
            files = max(files, nameless_files(server.process.pid))
            answers.append(get(port, "/readyz"))
            time.sleep(0.1)
        for sender in senders:
            sender.join()
        grew = server.peak() - before
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(HTTP_CONNECTIONS)]
        with_silent = [get(port, "/readyz") for _ in range(HTTP_CONNECTIONS)]
        for peer in silent:
            peer.close()
    ready = sum(b"\r\n\r\nready" in answer for answer, _ in answers)
    ready_with_silent = sum(b"\r\n\r\nready" in answer for answer, _ in with_silent)
    slowest = max(seconds for _, seconds in answers + with_silent)
    show(
        capsys,
        41,
        f"{sum(sent) / MEGABYTE:.0f} MB sent in 4 s: {files} bytes in files, "
        f"+{grew / MEGABYTE:.2f} MB of memory; /readyz meanwhile {ready} of {len(answers)}, with "
        f"{HTTP_CONNECTIONS} silent connections {ready_with_silent} of {HTTP_CONNECTIONS}, after "
        f"{slowest * 1000:.0f} ms at most, {verdict(slowest, 1)}",
    )
    assert files == 0
    assert ready == len(answers)
    assert ready_with_silent == HTTP_CONNECTIONS

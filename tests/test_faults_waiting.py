"""Telnet commands without end, browsers, and lines that wait when something ends: rows 35 and 40 of
the table in ``docs/reliability.rst``, and what has no row. Each prints its figure.
"""

from __future__ import annotations

import re
import shutil
import signal
import socket
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from tests.support.faults import (
    MEGABYTE,
    RESET,
    Bot,
    Subject,
    connect,
    enter,
    meanwhile,
    percentile,
    read_until,
    show,
    stored,
    verdict,
)
from tests.support.processes import PATIENCE, Terminal

pytestmark = [pytest.mark.slow, pytest.mark.process]


class Visitor(Bot):
    """A program from an address of its own, so that what others send is not counted for it."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(port, f"Visitor{number}", source=f"127.0.1.{number}")


def pings(visitors: list[Visitor], seconds: float) -> list[float]:
    """How many seconds each answer took."""
    delays: list[float] = []
    end = time.monotonic() + seconds
    while (start := time.monotonic()) < end:
        visitors[len(delays) % len(visitors)].ask(type="ping", id=str(start))
        delays.append(time.monotonic() - start)
        time.sleep(0.02)
    return delays


COMMANDS = {"NOP": b"\xff\xf1", "TM": b"\xff\xfd\x06", "mix": b"\xff\xf1\xff\xfd\x01\xff\xf6"}


@pytest.mark.parametrize("count", [1, 16])
@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_but_telnet_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int, name: str
) -> None:
    """Without a nickname; others come from other addresses."""
    seconds = 3.0
    with Subject(tmp_path) as server, ExitStack() as stack:
        visitors = [
            stack.enter_context(closing(Visitor(server.port, number))) for number in range(1, 21)
        ]
        floods = [
            stack.enter_context(closing(connect(server.port, source="127.0.0.9")))
            for _ in range(count)
        ]
        for flood in floods:
            flood.setblocking(False)

        def send() -> None:
            for flood in floods:
                with suppress(BlockingIOError, ConnectionError):
                    flood.send(COMMANDS[name] * 30_000)

        memory, cpu = server.memory(), server.cpu()
        with meanwhile(send, 0.001):
            delays = pings(visitors, seconds)
        used = (server.cpu() - cpu) / seconds
        p99 = 1000 * percentile(delays, 0.99)
        grown = (server.memory() - memory) / MEGABYTE
    show(
        capsys,
        35,
        f"{count} connections, {name}: others' p99 {p99:.1f} ms ({verdict(p99, 50)}), "
        f"CPU {100 * used:.0f} %, memory {grown:+.1f} MB ({verdict(grown, 10)})",
    )
    assert grown < 50


def test_a_browsers_post(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = b"Mallory\r\nbought a car\r\n/topic mine\r\n"
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with Subject(tmp_path) as server:
        answers = []
        for greeted in (0.0, 0.4):
            with closing(connect(server.port)) as browser:
                time.sleep(greeted)
                browser.sendall(post)
                answer = b""
                while piece := browser.recv(65536):
                    answer += piece
                answers.append(answer)
        said = stored(tmp_path / "chat.db")
    show(capsys, 40, f"{sum(b'400 Bad' in a for a in answers)} of 2 answered 400, {len(said)} said")
    assert said == []
    assert all(b"HTTP/1.1 400 Bad Request" in answer for answer in answers)


def test_sigterm_while_lines_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Subject(tmp_path) as server, closing(enter(server.port, "Ana")) as ana:
        ana.sendall(b"".join(b"%d\n" % number for number in range(100)))
        time.sleep(2)
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        told = read_until(ana, b"Goodbye!\n")
        ana.close()
        server.process.wait(PATIENCE)
        took = time.monotonic() - start
        texts = [text for _, _, text, _ in stored(tmp_path / "chat.db")]
    show(
        capsys, "lines that wait at SIGTERM", f"{len(texts)} of 100 saved, {took:.2f} s to the end"
    )
    assert texts == [str(number) for number in range(100)]
    assert b"not sent" not in told


PASTE = b"".join(b"line %d of what was pasted, %s\n" % (n, b"x" * 30) for n in range(2000))


def test_a_reset_after_a_paste(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Subject(tmp_path) as server, closing(Bot(server.port, "Bia")) as bia:
        ana = enter(server.port, "Ana")
        ana.sendall(PASTE)
        time.sleep(1)
        said = len(stored(tmp_path / "chat.db"))
        ana.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        ana.close()
        start = time.monotonic()
        bia.wait_for("left", nickname="Ana")
        took = time.monotonic() - start
        time.sleep(2)
        more = len(stored(tmp_path / "chat.db")) - said
    show(
        capsys,
        "a reset after a paste of 2000 lines",
        f"{more} more lines said, gone after {took:.2f} s ({verdict(took, 1)})",
    )
    assert more < 10


@pytest.mark.parametrize(
    "command", [b"/cancel\r\n", b"\xff\xf4\xff\xfd\x06"], ids=["cancel", "Ctrl-C"]
)
def test_a_wrong_paste_is_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: bytes
) -> None:
    with Subject(tmp_path) as server, closing(enter(server.port, "Ana")) as ana:
        ana.sendall(PASTE)
        time.sleep(1)
        ana.sendall(command)
        start = time.monotonic()
        told = b""
        while (found := re.search(rb"not sent: (\d+)\.", told)) is None:
            told += ana.recv(65536)
        took, count = time.monotonic() - start, int(found[1])
        time.sleep(1)
        said = len(stored(tmp_path / "chat.db"))
    show(capsys, "a paste is dropped", f"after {took:.2f} s; {said} said, {count} not, of 2000")
    assert said + count == 2000


@pytest.mark.skipif(shutil.which("nc") is None, reason="nc is not installed")
@pytest.mark.parametrize("word", ["/quit", "sair"])
def test_netcat_says_goodbye_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    with Subject(tmp_path) as server:
        ana = Terminal("nc", "127.0.0.1", str(server.port))
        ana.wait_for("type your username")
        ana.type("Ana")
        ana.wait_for("in #lobby")
        start = time.monotonic()
        ana.type(word)
        ana.wait_for("Goodbye!")
        ana.process.wait(PATIENCE)
    show(capsys, f"nc after {word}", f"ends {time.monotonic() - start:.2f} s later, without Enter")

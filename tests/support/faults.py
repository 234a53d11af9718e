"""What the tests of the table in ``docs/reliability.rst`` share: servers with faults built in, a
bot that waits for its answers, memory and delays, and how a figure is shown.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.delivery import usage
from tests.support.faulty_server import VARIABLE
from tests.support.processes import PATIENCE, Server, environment, free_port

MEGABYTE = 1_000_000


def show(capsys: pytest.CaptureFixture[str], row: int | str, figure: str) -> None:
    """Print the figure of a row, or of something that is none, also where output is captured."""
    with capsys.disabled():
        print(f"\n{'row ' if isinstance(row, int) else ''}{row}: {figure}", flush=True)


def verdict(figure: float, most: float) -> str:
    """What is to be held, for a figure that depends on the machine and fails no test."""
    return f"to hold: ≤ {most:g}" + ("" if figure <= most else ", NOT HELD")


class Subject(Server):
    """A server to which something is going to happen, with ``faults`` built in.

    See :mod:`tests.support.faulty_server`. ``prefix`` is a command that runs it, such as strace.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        faults: dict[str, object] | None = None,
        interface: str = "127.0.0.1",
        port: int | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.port = port or free_port()
        self._log = folder / "server.log"
        self._gauge = folder / "gauge"
        run = "from tests.support.faulty_server import run; run()"
        command = [*prefix, sys.executable, "-c", run]
        command += ["-n", "--pidfile=", "chat"]
        command += [f"--listen=tcp:{self.port}:interface={interface}:backlog=1024", *options]
        built_in = json.dumps({"gauge": str(self._gauge), **(faults or {})})
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**environment(), VARIABLE: built_in},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.wait_for_log(re.escape(f"{interface}:{self.port}"))

    def __enter__(self) -> Subject:
        return self

    def memory(self) -> int:
        """Bytes of resident memory."""
        return usage.memory(self.process.pid).now

    def peak(self) -> int:
        """Bytes of resident memory at most, since :meth:`forget_peak`."""
        return usage.memory(self.process.pid).peak

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")  # proc(5)

    def descriptors(self) -> int:
        """How many files and connections it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu(self) -> float:
        """Seconds of CPU time until now."""
        return usage.cpu(self.process.pid)

    def longest_stall(self, since: float) -> float:
        """Seconds that the reactor's loop was busy with one thing, at most, ``since`` then."""
        lines = [line.split() for line in self._gauge.read_text().splitlines()]
        return max((float(late) for when, late in lines if float(when) >= since), default=0.0)

    def raw_log(self) -> str:
        return self._log.read_text(encoding="utf-8")


class Bot:
    """A program that does one thing after the other."""

    _answered = False

    def __init__(
        self,
        port: int,
        nickname: str,
        *,
        client: str | None = None,
        host: str = "127.0.0.1",
        source: str = "",
    ) -> None:
        self.nickname = nickname
        self.socket = connect(port, host, source)
        self._file = self.socket.makefile("rb")
        hello = {"type": "hello", "nickname": nickname}
        self.send(hello if client is None else hello | {"client": client})
        self.wait_for("entered")

    def send(self, *requests: dict[str, Any]) -> None:
        self.socket.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in requests))

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request, and wait for what has its id."""
        self.send(request)
        while True:
            answer = self.read()
            assert answer is not None, f"closed without an answer to {request}"
            if answer.get("id") == request["id"] and answer["type"] != "said":
                return answer

    def read(self) -> dict[str, Any] | None:
        """The next line; None at the end."""
        line = self._file.readline()
        while line and not self._answered and not line.startswith(b"{"):
            line = self._file.readline()  # it was late, and is greeted as a person
        self._answered = True
        message: dict[str, Any] | None = json.loads(line) if line else None
        return message

    def wait_for(self, type: str, **fields: object) -> dict[str, Any]:
        while True:
            message = self.read()
            assert message is not None, f"closed without {type}"
            if message["type"] == type and fields.items() <= message.items():
                return message

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Bot:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def connect(port: int, host: str = "127.0.0.1", source: str = "") -> socket.socket:
    """A connection from the address ``source``, if given."""
    return socket.create_connection((host, port), PATIENCE, (source, 0) if source else None)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """What comes up to and with ``end``."""
    received = bytearray()
    while end not in received[-len(end) - 65536 :]:
        piece = connection.recv(65536)
        assert piece, bytes(received[-300:])
        received += piece
    return bytes(received)


def enter(port: int, name: str) -> socket.socket:
    """A person who has come in."""
    person = connect(port)
    person.sendall(name.encode() + b"\n")
    read_until(person, b"kept for 365 days.\n")
    return person


def in_threads(works: list[Callable[[], None]]) -> None:
    """Do all of it at once; the first exception is raised here."""
    failures: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Wait until ``condition`` holds; returns after how many seconds it did."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not after {seconds} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - start


def stored(database: Path, room: str = "lobby") -> list[tuple[int, str, str, str | None]]:
    """The entries of a room: number, nickname, text, message id."""
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
        rows = connection.execute(
            "SELECT number, nickname, text, message_id FROM entry"
            " WHERE room = (SELECT id FROM room WHERE name = ?) ORDER BY number",
            (room,),
        )
        return rows.fetchall()


def verify(database: Path) -> str:
    """What ``twisted-chat verify`` says of a database in which all is well."""
    result = subprocess.run(
        [sys.executable, "-m", "twisted_chat.cli", "verify", str(database)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def is_root() -> bool:
    return os.geteuid() == 0


#: Ends a connection with a reset (socket(7), SO_LINGER).
RESET = struct.pack("ii", 1, 0)


@contextmanager
def meanwhile(work: Callable[[], object], pause: float = 0.0) -> Iterator[None]:
    """Do ``work`` again and again on a thread of its own."""
    over = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            while not over.wait(pause):
                work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]

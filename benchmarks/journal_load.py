"""Acknowledged messages per second: a server process on one core, and its senders on another."""

from __future__ import annotations

import json
import os
import selectors
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.processes import PATIENCE, free_port, start_twistd
from twisted_chat.core.changes import Draft
from twisted_chat.journal.sqlite.opening import Durability
from twisted_chat.journal.sqlite.store import Store

TEXT = "x" * 64
ACK = b'"type":"ack"'
SAID = b'"type":"said"'
PONG = b'"type":"pong"'

#: Seconds between two pings.
PING_INTERVAL = 0.005

Row = dict[str, Any]

#: The cores that this process may use.
CORES = sorted(os.sched_getaffinity(0))


# -- a server, and raw connections to it ------------------------------------------------------


class Server:
    """A server process, on the first core if there are several."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        listen = f"--listen=tcp:{self.port}:interface=127.0.0.1:backlog=1024"
        self.process = start_twistd(
            folder, "--rate=off", listen, *options, output=folder / "server.log"
        )
        if len(CORES) > 1:
            os.sched_setaffinity(self.process.pid, {CORES[0]})  # its threads inherit it
        deadline = time.monotonic() + 6 * PATIENCE
        while True:
            try:
                self.connect("Probe").close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise SystemExit((folder / "server.log").read_text()) from None
                time.sleep(0.02)

    def connect(self, nickname: str, room: str | None = None) -> socket.socket:
        """A connection of a client that has entered the chat; ``room`` becomes its current room."""
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request(connection, {"type": "hello", "nickname": nickname}, b'"type":"entered"')
        if room is not None:
            request(connection, {"type": "join", "room": room}, b'"type":"entered"')
        return connection

    def cpu_seconds(self) -> float:
        """Seconds of CPU time that the server has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def request(connection: socket.socket, message: dict[str, Any], answer: bytes) -> bytes:
    """Send ``message``; returns the received lines, up to one that contains ``answer``."""
    connection.sendall(json.dumps(message).encode() + b"\n")
    received = b""
    while not (answer in received and received.endswith(b"\n")):
        data = connection.recv(1 << 20)
        if not data:
            raise ConnectionError("the server closed the connection")
        received += data
    return received


class Pinger:
    """Pings a server every :data:`PING_INTERVAL`, and keeps the longest delay of an answer."""

    def __init__(self, server: Server) -> None:
        self.longest = 0.0
        self._connection = server.connect("Pinger", "pings")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(PING_INTERVAL):
            start = time.perf_counter()
            request(self._connection, {"type": "ping"}, PONG)
            self.longest = max(self.longest, time.perf_counter() - start)

    def take(self) -> float:
        """The longest delay since the last call, in milliseconds."""
        longest, self.longest = self.longest, 0.0
        return longest * 1000

    def __enter__(self) -> Pinger:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)
        self._connection.close()


# -- acknowledged messages per second ---------------------------------------------------------


class Lines:
    """Blocks of ``say`` lines, shared by all senders; ids continue from block to block."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._blocks: list[bytes] = []

    def __getitem__(self, index: int) -> bytes:
        while index >= len(self._blocks):
            first = len(self._blocks) * self.size
            self._blocks.append(
                b"".join(
                    b'{"type":"say","text":"%s","id":"%d"}\n' % (TEXT.encode(), first + n)
                    for n in range(self.size)
                )
            )
        return self._blocks[index]


class Counter:
    """Counts the occurrences of a pattern in a stream of bytes."""

    __slots__ = ("count", "overlap", "pattern", "tail")

    def __init__(self, pattern: bytes) -> None:
        self.pattern = pattern
        self.overlap = len(pattern) - 1
        self.tail = b""
        self.count = 0

    def feed(self, buffer: bytearray, size: int) -> None:
        """Count in the first ``size`` bytes of ``buffer``, the next ones of the stream."""
        self.count += buffer.count(self.pattern, 0, size)
        # The pattern may begin in one piece and end in the next.
        self.count += (self.tail + buffer[: min(size, self.overlap)]).count(self.pattern)
        last = bytes(buffer[max(0, size - self.overlap) : size])
        self.tail = (self.tail + last)[-self.overlap :]


class Sender:
    """One connection that keeps ``window`` messages unacknowledged. It decodes no JSON."""

    __slots__ = ("_lines", "_sent", "_window", "acknowledged", "connection", "delivered", "pending")

    def __init__(self, connection: socket.socket, lines: Lines, window: int) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.acknowledged = Counter(ACK)
        self.delivered = Counter(SAID)
        self.pending = memoryview(b"")
        self._lines = lines
        self._window = window
        self._sent = 0

    def receive(self, buffer: bytearray) -> int:
        """Receive and count lines; returns the number of bytes."""
        size = self.connection.recv_into(buffer)
        if not size:
            raise ConnectionError("the server closed the connection")
        self.acknowledged.feed(buffer, size)
        self.delivered.feed(buffer, size)
        return size

    def send(self) -> None:
        """Send as many blocks as the window and the socket allow."""
        size = self._lines.size
        while self.pending or self._sent + size - self.acknowledged.count <= self._window:
            if not self.pending:
                self.pending = memoryview(self._lines[self._sent // size])
                self._sent += size
            try:
                self.pending = self.pending[self.connection.send(self.pending) :]
            except BlockingIOError:
                return


def acknowledged_rate(
    senders: int, durability: Durability, shared: bool, seconds: float, in_flight: int
) -> Row:
    """Measure the acknowledged messages per second of all senders together.

    :param senders: the number of senders.
    :param durability: the server's ``--durability``.
    :param shared: whether all senders are in one room.
    :param seconds: the duration of the measurement.
    :param in_flight: unacknowledged messages of all senders together, at most.
    """
    window = max(8, min(1000, in_flight // senders))
    with (
        tempfile.TemporaryDirectory() as name,
        Server(Path(name), f"--durability={durability}") as server,
        Pinger(server) as pinger,
    ):
        lines = Lines(max(1, window // 4))
        crowd = [
            Sender(server.connect(f"Bot{n}", "hall" if shared else f"own{n}"), lines, window)
            for n in range(senders)
        ]
        _load(crowd, min(1.0, seconds / 2))
        pinger.take()
        acknowledged, delivered = _counts(crowd)
        used, own = server.cpu_seconds(), time.process_time()
        elapsed, received = _load(crowd, seconds)
        used, own = server.cpu_seconds() - used, time.process_time() - own
        acknowledged_now, delivered_now = _counts(crowd)
        stored = _stored(Path(name) / "chat.db")
        if stored < acknowledged_now:
            raise SystemExit(f"{acknowledged_now} acknowledged and {stored} stored")
        for sender in crowd:
            sender.connection.close()
        return {
            "senders": senders,
            "durability": durability,
            "rooms": "one shared" if shared else "own",
            "window": window,
            "acknowledged_per_second": round((acknowledged_now - acknowledged) / elapsed),
            "delivered_per_second": round((delivered_now - delivered) / elapsed),
            "megabytes_per_second": round(received / elapsed / 1e6, 1),
            "longest_pong_ms": round(pinger.take(), 1),
            "server_cpu": round(used / elapsed, 2),
            "server_us_per_message": round(used * 1e6 / max(1, acknowledged_now - acknowledged), 1),
            "load_cpu": round(own / elapsed, 2),
        }


def _counts(senders: Sequence[Sender]) -> tuple[int, int]:
    """The messages acknowledged to all senders, and the lines delivered to them."""
    return sum(s.acknowledged.count for s in senders), sum(s.delivered.count for s in senders)


def _load(senders: Sequence[Sender], seconds: float) -> tuple[float, int]:
    """Keep the senders busy; returns the exact seconds and the received bytes."""
    received = 0
    buffer = bytearray(1 << 20)
    with selectors.EpollSelector() as selector:
        for sender in senders:
            selector.register(sender.connection, selectors.EVENT_READ, sender)
            sender.send()
        start = now = time.perf_counter()
        while now < start + seconds:
            for key, events in selector.select(0.1):
                if events & selectors.EVENT_READ:
                    received += key.data.receive(buffer)
                key.data.send()
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if key.data.pending else 0)
                if wanted != key.events:
                    selector.modify(key.fileobj, wanted, key.data)
            now = time.perf_counter()
    return now - start, received


def _stored(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM entry").fetchone()
    assert isinstance(count, int)
    return count


def one_commit_each(seconds: float) -> float:
    """The baseline: messages per second with a commit for each, at ``full``, without a server."""
    with tempfile.TemporaryDirectory() as name:
        store = Store(f"{name}/chat.db", "full")
        start = now = time.perf_counter()
        count = 0
        while now < start + seconds:
            store.commit([draft("lobby", count, TEXT)])
            count += 1
            now = time.perf_counter()
        store.close()
        return count / (now - start)


def draft(room: str, count: int, text: str) -> Draft:
    return Draft(
        room,
        time.time_ns() // 1000,
        "say",
        "Bot",
        text,
        -3,
        str(count),
    )

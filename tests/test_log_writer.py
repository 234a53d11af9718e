"""The log never keeps the reactor waiting, and no signal finds it locked."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogLevel

from tests.support.logs import emitted
from twisted_chat.server.ending import LastResort, end_in_time, wait_for_reactor
from twisted_chat.server.log_writer import File, LogWriter, Stream
from twisted_chat.server.logs import Lines, Throttle, as_text

#: Seconds after which something hangs.
PATIENCE = 10.0


class Slow:
    """An output that writes when it is let."""

    def __init__(self) -> None:
        self.written = b""
        self.fails: int | None = None  # after so many bytes
        self.open = threading.Event()
        self.open.set()

    def write(self, data: bytes) -> int:
        self.open.wait()
        if self.fails is not None:
            data = data[: self.fails]
            if not data:
                raise OSError(28, "No space left on device")
            self.fails -= len(data)
        self.written += data
        return len(data)

    def reopen(self) -> None: ...


def lost(count: int) -> bytes:
    return b"%d lost\n" % count


def started(output: Any, limit: int = 100) -> LogWriter:
    writer = LogWriter(output, lost, limit)
    writer.start()
    return writer


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """What is within ends, or else the test fails: a lock that is never released hangs."""

    def give_up(number: int, frame: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# -- signals ----------------------------------------------------------------------------------


class Interrupted:
    """A clock in whose reading a signal comes, whose handler logs: as Twisted's of SIGTERM does."""

    def __init__(self) -> None:
        self.throttle: Throttle | None = None
        self.signals = 0

    def __call__(self) -> float:
        if self.throttle is not None and self.signals == 0:
            self.signals += 1
            os.kill(os.getpid(), signal.SIGUSR2)
            for _ in range(100):
                pass  # the handler runs here
        return 0.0


@pytest.fixture
def handler() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Has a function called when SIGUSR2 comes."""
    before = signal.getsignal(signal.SIGUSR2)

    def use(function: Callable[[], object]) -> None:
        signal.signal(signal.SIGUSR2, lambda number, frame: function())

    yield use
    signal.signal(signal.SIGUSR2, before)


def test_a_signal_in_a_log_call_may_log(handler: Callable[[Callable[[], object]], None]) -> None:
    """The handler runs on the thread that is inside the throttle, under its lock."""
    output, clock = Slow(), Interrupted()
    throttle = Throttle(Lines(LogWriter(output, lost), as_text), "en", clock)
    handler(lambda: throttle(emitted("from the handler", event="signal")))
    clock.throttle = throttle
    with in_time():
        throttle(emitted("from the program", event="call"))
    assert clock.signals == 1
    assert output.written.count(b"from the handler") == 1
    assert output.written.count(b"from the program") == 1


class Reentered(LogWriter):
    """A writer in the middle of which another line is put on the same thread."""

    nested = b""

    def _admit(self, line: bytes, critical: bool) -> None:
        nested, self.nested = self.nested, b""
        if nested:
            self.put(nested)
        super()._admit(line, critical)


@pytest.mark.parametrize("running", [True, False])
def test_a_line_within_a_line_comes_after_it(running: bool) -> None:
    output = Slow()
    writer = Reentered(output, lost)
    if running:
        writer.start()
    writer.nested = b"inner\n"
    with in_time():
        writer.put(b"outer\n")
    assert writer.flush(PATIENCE)
    assert output.written == b"outer\ninner\n"


def test_signals_at_any_moment_lose_no_line(
    handler: Callable[[Callable[[], object]], None],
) -> None:
    output = Slow()
    writer = started(output, 10**9)
    from_handler = 0

    def put() -> None:
        nonlocal from_handler
        from_handler += 1
        writer.put(b"handler\n")

    handler(put)
    stop = threading.Event()

    def shoot() -> None:
        while not stop.wait(0.0001):
            os.kill(os.getpid(), signal.SIGUSR2)

    shooting = threading.Thread(target=shoot)
    with in_time():
        shooting.start()
        for number in range(20_000):
            writer.put(b"%d\n" % number)
        stop.set()
        shooting.join()
    assert writer.flush(PATIENCE)
    lines = output.written.splitlines()
    assert [line for line in lines if line != b"handler"] == [b"%d" % n for n in range(20_000)]
    assert lines.count(b"handler") == from_handler > 0
    assert writer._waiting == 0


# -- a log that nobody takes ------------------------------------------------------------------


def test_what_nobody_takes_keeps_nobody_waiting_and_is_counted() -> None:
    """And what is critical is kept rather than the rest."""
    output = Slow()
    writer = started(output)
    output.open.clear()
    with in_time():
        for number in range(1000):
            writer.put(b"line %03d\n" % number)
        writer.put(b"critical\n", critical=True)
        writer.put(b"late\n")
        assert not writer.flush(0.01)
    output.open.set()
    assert writer.flush(PATIENCE)
    writer.put(b"again\n")
    assert writer.flush(PATIENCE)
    lines = output.written.decode().splitlines()
    kept = lines.index("critical")
    assert lines[:kept] == [f"line {n:03}" for n in range(kept)], "in order, the first ones"
    assert 0 < kept <= 12
    assert lines[kept + 1 :] == [f"{1001 - kept} lost", "again"]
    assert len(output.written) < 300


def test_no_critical_line_makes_the_queue_endless() -> None:
    output = Slow()
    writer = started(output)
    output.open.clear()
    for _ in range(1000):
        writer.put(b"critical\n", critical=True)
    output.open.set()
    assert writer.flush(PATIENCE)
    assert len(output.written) < 300
    assert b"lost" in output.written


def test_a_full_disk_is_told_once_there_is_room() -> None:
    """A line that was cut off does not swallow the next one."""
    output = Slow()
    writer = started(output)
    output.fails = 8
    for line in (b"first\n", b"second\n", b"third\n"):
        writer.put(line)
        assert writer.flush(PATIENCE)
    assert output.written == b"first\nse"
    output.fails = None
    writer.put(b"fourth\n")
    assert writer.flush(PATIENCE)
    assert output.written == b"first\nse\nfourth\n2 lost\n"


def test_at_the_end_each_line_waits_to_be_written() -> None:
    output = Slow()
    writer = started(output)
    writer.finish()
    writer.put(b"shut down\n")
    assert output.written == b"shut down\n"


def test_the_end_waits_for_nobody_for_long() -> None:
    output = Slow()
    writer = started(output)
    output.open.clear()
    writer.put(b"line\n")
    start = time.monotonic()
    writer.finish(0.05)
    for _ in range(10):
        writer.put(b"more\n")
    assert time.monotonic() - start < 5
    output.open.set()


def test_a_pipe_that_nobody_reads() -> None:
    """A real one; also where another process has made it non-blocking."""
    for blocking in (True, False):
        reading, writing = os.pipe()
        os.set_blocking(writing, blocking)
        writer = started(Stream(writing), 10_000)
        with in_time():
            for _ in range(3000):
                writer.put(b"x" * 99 + b"\n")
        received = b""
        while b"lost" not in received:
            received += os.read(reading, 65536)
        told = int(received.splitlines()[-1].split()[0])
        assert received.count(b"x" * 99) + told == 3000
        os.close(reading)


# -- files ------------------------------------------------------------------------------------


def test_a_file_that_was_cut_short_has_no_hole(tmp_path: Path) -> None:
    """As by ``copytruncate`` of logrotate; standard output may be a file too."""
    path = tmp_path / "log"
    with path.open("wb") as redirected:  # as ``>`` of a shell
        for output in (File(str(path)), Stream(redirected.fileno())):
            output.write(b"before\n")
            os.truncate(path, 0)
            output.write(b"after\n")
            assert path.read_bytes() == b"after\n"
            os.truncate(path, 0)


def test_a_file_that_was_renamed_is_opened_again_by_its_name(tmp_path: Path) -> None:
    path, old = tmp_path / "log", tmp_path / "log.1"
    for begin in (File.reopen, File.rotate):
        for create in (False, True):  # as ``nocreate`` and ``create`` of logrotate
            output = File(str(path))
            output.write(b"before\n")
            path.rename(old)
            if create:
                path.touch()
            begin(output)
            output.write(b"after\n")
            assert (old.read_bytes(), path.read_bytes()) == (b"before\n", b"after\n")
            assert not (tmp_path / "log.2").exists()
            path.unlink()
            old.unlink()


def test_a_file_that_is_still_there_goes_on_or_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    output = File(str(path), old_files=2)
    for number in range(4):
        output.write(b"%d\n" % number)
        output.reopen()
        output.write(b"same\n")
        output.rotate()
    assert path.read_bytes() == b""
    assert {p.name: p.read_bytes() for p in tmp_path.glob("log.*")} == {
        "log.1": b"3\nsame\n",
        "log.2": b"2\nsame\n",
    }


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_to_a_file_stays_where_it_is(tmp_path: Path, exists: bool) -> None:
    """Such as /dev/stdout."""
    (tmp_path / "disk").mkdir()
    link, file = tmp_path / "link", tmp_path / "disk" / "log"
    link.symlink_to(file)
    if exists:
        file.touch()
    output = File(str(link))
    output.write(b"one\n")
    output.rotate()
    output.write(b"two\n")
    assert link.is_symlink()
    assert file.read_bytes() == b"two\n"
    assert (tmp_path / "disk" / "log.1").read_bytes() == b"one\n"


def test_a_file_does_not_grow_without_end(tmp_path: Path) -> None:
    output = File(str(tmp_path / "log"), limit=100, old_files=3)
    for _ in range(1000):
        output.write(b"x" * 9 + b"\n")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 400


def test_where_no_file_can_be_opened_the_old_one_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    output = File(str(folder / "log"))
    folder.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        output.reopen()
    output.write(b"still\n")
    assert (tmp_path / "away" / "log").read_bytes() == b"still\n"


# -- the last resort --------------------------------------------------------------------------


def test_the_last_resort_is_armed_in_the_signals_handler() -> None:
    """Though the reactor never comes to stop anything; a second signal is ignored."""
    ended: list[int] = []
    told: list[str] = []
    happened = threading.Event()

    def end(status: int) -> None:
        ended.append(status)
        happened.set()

    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
        end_in_time(LastResort(lambda: told.append("killed"), 0.15, end))
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
        with in_time():
            assert happened.wait(PATIENCE)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (ended, told) == ([1], ["killed"])


def test_a_signal_before_the_reactor_runs_stops_it_when_it_does() -> None:
    class Reactor:
        def callWhenRunning(self, function: Callable[..., object], *arguments: object) -> None:
            when_running.append(partial(function, *arguments))

        def sigTerm(self, number: int) -> None:
            ended.append(number)

    when_running: list[Callable[[], object]] = []
    ended: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        wait_for_reactor(Reactor())
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    (end,) = when_running
    assert ended == []
    end()
    assert ended == [signal.SIGTERM]


def test_the_last_resort_does_not_wait_for_its_last_words() -> None:
    happened = threading.Event()
    never = threading.Event()
    LastResort(never.wait, 0.12, lambda status: happened.set()).arm()
    assert happened.wait(PATIENCE)
    never.set()


def test_critical_lines_are_told_to_the_writer() -> None:
    output = Slow()
    writer = started(output)
    output.open.clear()
    lines = Lines(writer, as_text)
    for _ in range(100):
        lines(emitted("ordinary"))
    lines(emitted("broken", LogLevel.critical))
    output.open.set()
    writer.flush(PATIENCE)
    assert b"broken" in output.written


def test_addresses_have_their_parts_in_json() -> None:
    from twisted.internet.address import IPv4Address

    from twisted_chat.net.peer import describe
    from twisted_chat.server.logs import as_json

    peer = describe(IPv4Address("TCP", "127.0.0.1", 48136))
    event = emitted("[NEW CONNECTION] {peer} connected.", event="connected", peer=peer)
    told = json.loads(as_json(event))
    assert told["text"] == "[NEW CONNECTION] ('127.0.0.1', 48136) connected."
    assert told["fields"] == {"address": "127.0.0.1", "port": 48136}

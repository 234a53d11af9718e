"""The log of a real server: rotation, a pipe that nobody reads, and the end at any moment."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.faults import show, verdict
from tests.support.processes import PATIENCE, Server, environment, free_port

ROOT = Path(__file__).parent.parent

#: Seconds in which a server ends.
LONGEST_END = 10.0

#: How often a server is started and ended.
CYCLES = int(os.environ.get("TWISTED_CHAT_SIGTERM_CYCLES", "25"))

TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")


@contextmanager
def logging_to(folder: Path, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server that logs to the file ``log``, as with ``--logfile``; and its port."""
    port = free_port()
    listen = f"--listen=tcp:{port}:interface=127.0.0.1"
    process = subprocess.Popen(
        [*TWISTD, "-n", "--pidfile=", f"--logfile={log}", "chat", listen],
        cwd=folder,
        env=environment(),
    )
    try:
        wait_for(log, f"127.0.0.1:{port}")
        yield process, port
    finally:
        process.kill()
        process.wait(PATIENCE)


def wait_for(log: Path, text: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while not (log.exists() and text in (told := log.read_text(encoding="utf-8"))):
        assert time.monotonic() < deadline, f"no {text!r} in {log}"
        time.sleep(0.01)
    return told


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        with suppress(ConnectionRefusedError):
            visit(port)
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)
    raise AssertionError(f"it ended with status {process.returncode}")


def visit(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()


@pytest.mark.process
def test_a_log_is_rotated_in_each_way(tmp_path: Path) -> None:
    """Renamed, with and without a new file, then SIGUSR1 or SIGHUP; cut short; or not touched."""
    log, old = tmp_path / "chat.log", tmp_path / "old"
    with logging_to(tmp_path, log) as (process, port):
        for number, create in ((signal.SIGUSR1, False), (signal.SIGUSR1, True), (signal.SIGHUP, 0)):
            log.rename(old)
            if create:
                log.touch()
            process.send_signal(number)
            deadline = time.monotonic() + PATIENCE
            while not log.exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(0.05)
            size = old.stat().st_size
            visit(port)
            wait_for(log, "[NEW CONNECTION]")
            assert old.stat().st_size == size, "the renamed file is left alone"
        shutil.copy(log, old)
        os.truncate(log, 0)
        visit(port)
        wait_for(log, "[CONNECTION CLOSED]")
        assert b"\0" not in log.read_bytes()
        process.send_signal(signal.SIGUSR1)
        wait_for(tmp_path / "chat.log.1", "[CONNECTION CLOSED]")
        process.send_signal(signal.SIGTERM)
        process.wait(LONGEST_END)
        wait_for(log, "Server Shut Down")


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("logrotate"), reason="logrotate is not here")
@pytest.mark.parametrize("way", ["as shipped", "copytruncate"])
def test_logrotate(tmp_path: Path, way: str) -> None:
    """The configuration that is shipped, with its folders exchanged."""
    log = tmp_path / "twistd.log"
    shipped = (ROOT / "contrib/logrotate/twisted-chat").read_text()
    assert "/var/log/twisted-chat" in shipped
    text = shipped.replace("/var/log/twisted-chat", str(tmp_path))
    text = text.replace("/var/run/twisted-chat", str(tmp_path))
    if way == "copytruncate":
        text = text.replace("nocreate", "copytruncate")
    (tmp_path / "rotate").write_text(text.replace("    compress\n", ""))
    (tmp_path / "rotate").chmod(0o644)
    tmp_path.chmod(0o755)
    with logging_to(tmp_path, log) as (process, port):
        (tmp_path / "twistd.pid").write_text(f"{process.pid}\n")
        visit(port)
        wait_for(log, "[CONNECTION CLOSED]")
        command = ["logrotate", "-f", "-s", str(tmp_path / "state"), str(tmp_path / "rotate")]
        subprocess.run([shutil.which("logrotate") or "", *command[1:]], check=True)
        old = wait_for(tmp_path / "twistd.log.1", "[CONNECTION CLOSED]")
        visit(port)
        new = wait_for(log, "[CONNECTION CLOSED]")
        assert "LISTENING" in old
        assert "LISTENING" not in new
        assert "\0" not in new


@pytest.mark.process
def test_a_log_that_nobody_reads_holds_nobody_up(tmp_path: Path) -> None:
    """It was full before the server began; nor does it hold up the end."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    os.set_blocking(writing, True)
    port = free_port()
    options = ["--log-messages", "--rate=off", "--history-lines=0"]
    process = subprocess.Popen(
        [*TWISTD, "-n", "--pidfile=", "chat", f"--listen=tcp:{port}:interface=127.0.0.1", *options],
        cwd=tmp_path,
        env=environment(),
        stdout=writing,
        stderr=writing,
    )
    os.close(writing)
    try:
        wait_until_it_listens(process, port)
        start = time.monotonic()
        for n in range(50):
            with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as ana:
                ana.sendall(b"Ana%d\n" % n + b"x" * 2000 + b"\n/quit\n")
                while ana.recv(65536):
                    pass
        assert time.monotonic() - start < PATIENCE
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(LONGEST_END)
        assert time.monotonic() - start < 5
    finally:
        process.kill()
        process.wait(PATIENCE)
        os.close(reading)


@pytest.mark.process
def test_a_server_without_standard_output_runs(tmp_path: Path) -> None:
    port = free_port()
    command = [*TWISTD, "-n", "--pidfile=", "chat", f"--listen=tcp:{port}:interface=127.0.0.1"]
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", *command],
        cwd=tmp_path,
        env=environment(),
    )
    try:
        wait_until_it_listens(process, port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_END) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait(PATIENCE)


# -- row 49 -----------------------------------------------------------------------------------


def cycle(folder: Path) -> float:
    """Start, talk and end at a moment at which the log is written; the seconds of the end."""
    with Server(folder, "--rate=off", "--log-messages") as server:
        stop = threading.Event()

        def talk(name: bytes) -> None:
            while not stop.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", server.port), timeout=1) as peer:
                        peer.sendall(name + b"\none\ntwo\nthree\nsair\n")
                        while peer.recv(65536):
                            pass
                except OSError:
                    time.sleep(0.01)

        talking = [threading.Thread(target=talk, args=[b"Ana%d" % n]) for n in range(3)]
        for thread in talking:
            thread.start()
        time.sleep(0.1)
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        try:
            server.process.wait(LONGEST_END)
            took = time.monotonic() - start
        except subprocess.TimeoutExpired:
            took = float("inf")
        stop.set()
        for thread in talking:
            thread.join()
        return took if server.process.poll() == -signal.SIGTERM else float("inf")


@pytest.mark.slow
@pytest.mark.process
def test_a_server_ends_at_any_moment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``TWISTED_CHAT_SIGTERM_CYCLES=500`` for more of it."""
    folders = [tmp_path / str(n) for n in range(CYCLES)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(4) as pool:
        took = list(pool.map(cycle, folders))
    hung = sum(seconds == float("inf") for seconds in took)
    longest = max(took)
    show(
        capsys,
        49,
        f"{CYCLES} cycles of start, talk, SIGTERM: {hung} hung; ended after {longest:.2f} s at "
        f"most, {verdict(longest, LONGEST_END)}",
    )
    assert hung == 0

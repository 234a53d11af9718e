"""What a program prints is written, all of it, or its status says that it is not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, Server, environment
from twisted_chat import cli
from twisted_chat.console import output
from twisted_chat.core.changes import Draft
from twisted_chat.journal.sqlite.store import Store
from twisted_chat.terminal import run


def slow_pipe(received: bytearray) -> tuple[int, threading.Thread]:
    """The writing end of a full-sized pipe in non-blocking mode, which is read with delays."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def read() -> None:
        while piece := os.read(reading, 16384):
            received.extend(piece)
            if len(received) < 400_000:
                time.sleep(0.002)
        os.close(reading)

    reader = threading.Thread(target=read)
    reader.start()
    return writing, reader


def test_nothing_is_lost_where_the_descriptor_does_not_wait() -> None:
    received = bytearray()
    writing, reader = slow_pipe(received)
    with closing(io.TextIOWrapper(io.FileIO(writing, "w"), encoding="utf-8")) as plain:
        stream = output.patient(plain)
        assert stream is not None
        text = "".join(f"line {n} é\n" for n in range(100_000))
        for start in range(0, len(text), 1000):
            stream.write(text[start : start + 1000])
        stream.flush()
    reader.join(PATIENCE)
    assert received.decode() == text


@pytest.mark.parametrize("complain", [run.complain, cli._complain])
def test_complaints_that_cannot_be_written_change_no_exit_status(
    monkeypatch: pytest.MonkeyPatch, complain: Callable[[str], None]
) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        stream = io.TextIOWrapper(full, write_through=True)
        monkeypatch.setattr(sys, "stderr", stream)
        complain("wrong")
        stream.detach()


def test_what_is_no_terminal_is_written_in_utf_8(tmp_path: Path) -> None:
    """Whatever the locale: who reads it later may have another one."""
    with (tmp_path / "out").open("w", encoding="ascii") as plain:
        stream = output.patient(plain)
        assert stream is not None
        stream.write("é")
        stream.flush()
    assert (tmp_path / "out").read_bytes() == "é".encode()


def test_what_is_not_buffered_is_written_line_by_line(tmp_path: Path) -> None:
    """As standard error always is, and all with PYTHONUNBUFFERED."""
    with (tmp_path / "out").open("wb", buffering=0) as raw:
        plain = io.TextIOWrapper(raw, write_through=True)
        stream = output.patient(plain)
        assert stream is not None
        stream.write("a line\n")
        assert (tmp_path / "out").read_bytes() == b"a line\n"


def test_a_stream_in_memory_stays_as_it_is() -> None:
    stream = io.StringIO()
    assert output.patient(stream) is stream
    assert output.patient(None) is None
    memory = io.TextIOWrapper(io.BytesIO())
    assert output.patient(memory) is memory


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("output") / "chat.db"
    with closing(Store(str(path))) as store:
        line = "é" * 500
        store.commit([Draft("lobby", 1, "say", "Ana", line, 0, None)] * 2000)
    return path


@pytest.mark.parametrize(
    "command", [["history", "DB", "lobby"], ["export", "DB", "--format", "jsonl"]]
)
def test_a_slow_reader_of_a_pipe_that_does_not_wait_gets_all(
    database: Path, command: list[str]
) -> None:
    received = bytearray()
    writing, reader = slow_pipe(received)
    arguments = [str(database) if part == "DB" else part for part in command]
    done = subprocess.run(
        [sys.executable, "-m", "twisted_chat.cli", *arguments],
        env={**environment(), "LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    os.close(writing)
    reader.join(PATIENCE)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = received.decode().splitlines()
    assert len(lines) == 2000
    assert all("é" * 500 in line for line in lines)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["verify", "DB"]])
def test_what_cannot_be_written_is_told(database: Path, arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "twisted_chat.cli"),
                *(str(database) if part == "DB" else part for part in arguments),
            ],
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 2
    assert b"cannot write stdout: No space left on device" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments", [["history", "DB", "lobby"], ["export", "DB", "--format=csv"], ["tail"]]
)
def test_an_output_that_is_closed_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert cli._run(arguments) == 2
    assert "cannot write stdout: Bad file descriptor" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.process
def test_tail_loses_nothing_and_says_so_when_it_cannot_print(tmp_path: Path) -> None:
    with closing(Store(str(tmp_path / "chat.db"))) as store:
        line = "é" * 500
        store.commit([Draft("lobby", 1, "say", "Ana", line, 0, None)] * 1000)
    with Server(tmp_path, "--keep=0") as server:
        command = [sys.executable, "-m", "twisted_chat.cli", "tail", "lobby", "--since=0"]
        command += [f"--server=127.0.0.1:{server.port}"]
        received = bytearray()
        writing, reader = slow_pipe(received)
        program = subprocess.Popen(
            command, stdout=writing, env={**environment(), "PYTHONIOENCODING": "ascii"}
        )
        try:
            os.close(writing)
            end = time.monotonic() + PATIENCE
            while received.count(b"\n") < 1000 and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            program.terminate()
            program.wait(PATIENCE)
        reader.join(PATIENCE)
        assert received.count(("é" * 500).encode()) == 1000
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                command,
                stdout=full,
                stderr=subprocess.PIPE,
                env=environment(),
                timeout=PATIENCE,
                check=False,
            )
        assert done.returncode == 2
        assert done.stderr == b"twisted-chat: cannot write stdout: No space left on device\n"

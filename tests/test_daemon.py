"""In the background, a server that cannot start says why on the terminal, in one whole line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, environment, free_port

TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")


def twistd(folder: Path, *options: str, language: str = "en") -> subprocess.CompletedProcess[bytes]:
    """``twistd`` with ``options``; ends when nobody has its terminal open any more."""
    return subprocess.run(
        [*TWISTD, *options],
        cwd=folder,
        env=environment(language),
        capture_output=True,
        timeout=PATIENCE,
    )


@pytest.mark.process
def test_why_a_daemon_does_not_start_is_told_whole_and_in_words(tmp_path: Path) -> None:
    """With a path that is long and not ASCII, in the operator's language; the log has it too."""
    deep = tmp_path / ("praça-" * 20) / ("日本-" * 20)
    for language, words in (("en", "cannot open the database"), ("pt_BR", "não foi possível")):
        done = twistd(
            tmp_path,
            *("--pidfile=", "chat", "--listen=tcp:0:interface=127.0.0.1"),
            f"--database={deep}/chat.db",
            language=language,
        )
        line = done.stderr.decode()
        assert done.returncode == 1
        assert done.stdout == b""
        assert line.startswith("twistd chat: ")
        assert line.count("\n") == 1
        assert words in line
        assert f"{deep}/chat.db" in line
        assert line.removeprefix("twistd chat: ").strip() in (tmp_path / "twistd.log").read_text()


@pytest.mark.process
def test_a_daemon_that_starts_leaves_the_terminal(tmp_path: Path) -> None:
    """Nothing of it is kept open, so that ssh, or who reads the output, does not wait."""
    port = free_port()
    done = twistd(tmp_path, "chat", f"--listen=tcp:{port}:interface=127.0.0.1")
    try:
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    finally:
        process = int((tmp_path / "twistd.pid").read_text())
        os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while (tmp_path / "twistd.pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "Server Shut Down" in (tmp_path / "twistd.log").read_text()


@pytest.mark.process
@pytest.mark.parametrize("daemon", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "option", ["--pidfile=no/such/folder/x.pid", "--rundir=no/such", "--logfile=no/such/log"]
)
def test_files_of_twistd_that_cannot_be_used(tmp_path: Path, option: str, daemon: bool) -> None:
    name, _, path = option.partition("=")
    options = ["--pidfile=", "--logfile=log", option] + ([] if daemon else ["-n"])
    done = twistd(tmp_path, *options, "chat", "--listen=tcp:0:interface=127.0.0.1")
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert done.stderr.decode().startswith(f"twistd chat: {name}: cannot write ")
    assert path in done.stderr.decode()

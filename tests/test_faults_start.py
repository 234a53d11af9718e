"""The clock steps back; and what keeps a server from starting is said in one line: rows 28 to 31 of
the table in ``docs/reliability.rst``. Each prints its figure.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.faults import Bot, Subject, connect, enter, read_until, show, stored, verdict
from tests.support.processes import PATIENCE, environment, fails

pytestmark = [pytest.mark.slow, pytest.mark.process]

LISTEN = "--listen=tcp:0:interface=127.0.0.1"

#: From <linux/prctl.h> and <linux/capability.h>.
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


def test_a_clock_that_steps_back_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By an hour: who is slowed goes on, newcomers are greeted, the order is by number."""
    hour = 3600
    options = ("--rate=2:10", "--reconnect-grace=4", "--greeting-delay=0.5")
    with Subject(tmp_path, *options, faults={"clock": -hour}) as server:
        with (
            Bot(server.port, "Bia") as bia,
            closing(enter(server.port, "Ana")) as ana,
            Bot(server.port, "Caio", client="ab" * 16) as caio,
            closing(connect(server.port)) as waiting,  # for the greeting
        ):
            ana.sendall(b"".join(b"%d\n" % n for n in range(20)))  # flood control holds them
            caio.close()  # and a grace period has begun
            bia.wait_for("said", text="5")
            server.process.send_signal(signal.SIGUSR1)
            start = time.monotonic()
            for n in range(6, 20):
                bia.wait_for("said", text=f"{n}")
            went_on = time.monotonic() - start
            read_until(waiting, b"\n")
            with closing(connect(server.port)) as newcomer:
                asked = time.monotonic()
                assert newcomer.recv(100).startswith(b"Welcome")
                greeted = time.monotonic() - asked
            bia.wait_for("left", nickname="Caio")
            gone = time.monotonic() - start
            page = bia.ask(type="history", limit=100, id="h")["entries"]
        server.stop()
    times = [entry["time"] for entry in page]
    step = max(a - b for a, b in pairwise(times))
    show(
        capsys,
        28,
        f"an hour back: the slowed lines went on and were all there after {went_on:.2f} s, a "
        f"newcomer was greeted after {greeted:.2f} s, a grace period of 4 s ended after "
        f"{gone:.2f} s; {len(page)} lines in the order of their numbers",
    )
    assert [entry["seq"] for entry in page] == list(range(1, 21))
    assert [text for _, _, text, _ in stored(tmp_path / "chat.db")] == [f"{n}" for n in range(20)]
    assert step > (hour - 100) * 1e6  # the clock did step back


def timed(folder: Path, *options: str) -> tuple[str, float]:
    """The line with which a server does not start, and the seconds that it took."""
    start = time.monotonic()
    line = fails(folder, *options)
    return line, time.monotonic() - start


def test_a_port_that_is_taken_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Subject(tmp_path) as server:
        folder = tmp_path / "other"
        folder.mkdir()
        endpoint = f"tcp:{server.port}:interface=127.0.0.1"
        line, seconds = timed(folder, "--listen", endpoint)
        assert endpoint in line
        assert not (folder / "chat.db").exists()
        with Bot(server.port, "Ana") as ana:
            assert ana.ask(type="ping", id="p")["type"] == "pong"
    show(capsys, 29, f"refused after {seconds:.2f} s, {verdict(seconds, 2)}: {line!r}")


def test_a_second_server_on_one_database_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Subject(tmp_path) as server:
        line, seconds = timed(tmp_path, LISTEN)
        assert "chat.db" in line
        assert str(server.process.pid) in line
        with Bot(server.port, "Ana") as ana:
            assert ana.ask(type="say", text="oi", id="1")["type"] == "ack"
    named = line.replace(str(server.process.pid), "PID")
    show(capsys, 30, f"refused after {seconds:.2f} s, {verdict(seconds, 2)}: {named!r}")


WRONG = (
    *(["--rate=fast"], ["--keep=-1"], ["--room=a b"], ["--motd=missing"], ["--config=missing"]),
    *(["--listen=carrier:pigeon"], ["--listen=tcp:99999999"], ["--no-such-option"], ["argument"]),
    *(["--database=no/such/folder/chat.db"], ["--database=/"], ["--database=/proc/chat.db"]),
    *(["--greeting-delay=soon"], ["--durability=some"], ["--language=tlh"], ["--config=."]),
)


def test_wrong_options_and_folders_are_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """(``test_acceptance.py`` and ``test_settings.py`` have more of them.)"""
    slowest = 0.0
    for options in WRONG:
        line, seconds = timed(tmp_path, LISTEN, *options)
        assert line.startswith("twistd chat: ")
        slowest = max(slowest, seconds)
    assert [path.name for path in tmp_path.iterdir()] == []
    count = len(WRONG) + forbidden(tmp_path)
    show(
        capsys,
        31,
        f"{count} wrong options and folders: one line each, no traceback, after {slowest:.2f} s "
        f"at most, {verdict(slowest, 2)}",
    )


def forbidden(folder: Path) -> int:
    """Folders that may not be read, or not be written."""
    places = {"unreadable": 0o000, "unwritable": 0o555}
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    for name, mode in places.items():
        place = folder / name
        place.mkdir()
        place.chmod(mode)
        result = subprocess.run(
            [*command, "-n", "--pidfile=", "chat", LISTEN, f"--database={place}/chat.db"],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            preexec_fn=obey_permissions,
        )
        place.chmod(0o755)
        assert result.returncode not in (0, None)
        assert "Traceback" not in result.stdout + result.stderr
        (line,) = result.stderr.splitlines()
        assert f"{place}/chat.db" in line
    return len(places)


def obey_permissions() -> None:
    """Let this process be root, if it is, without being allowed everything (capabilities(7))."""
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)

"""``kill -9`` between "kept" and the arrival of a private message: it is shown again."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.mail_process import TEXT
from tests.support.processes import PATIENCE, Server

ROOT = Path(__file__).parent.parent


def run(database: Path, what: str) -> list[str]:
    """The lines of a process until it has done what it was told; then it is killed."""
    arguments = [sys.executable, "-m", "tests.support.mail_process", str(database), what]
    lines: list[str] = []
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if what != "come-and-confirm" and lines[-1] in ("kept", "shown"):
                process.kill()
        status = process.wait(10)
    assert status == (0 if what == "come-and-confirm" else -9)
    return lines


def talk(port: int, lines: str, until: str) -> str:
    """What somebody is shown who types ``lines``, up to ``until``."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.settimeout(PATIENCE)
        client.sendall(lines.encode())
        shown = b""
        while until.encode() not in shown:
            data = client.recv(4096)
            assert data, shown
            shown += data
        return shown.decode()


@pytest.mark.process
def test_a_server_that_is_killed_shows_what_it_has_kept(tmp_path: Path) -> None:
    """And once that has arrived, no file has a byte of it."""
    text = "the word is marmalade"
    secret = "correct horse battery"
    hello = f"Ana:{secret}\n"
    with Server(tmp_path, "--database=chat.db") as server:
        talk(server.port, f"Ana\n/register {secret}\n", "is yours now")
        talk(server.port, f"Bia\n/msg Ana {text}\n", "Kept for Ana, who is away.")
        assert "marmalade" not in "".join(server.log())
        server.stop(signal.SIGKILL)
    with Server(tmp_path, "--database=chat.db") as server:
        assert f"[Bia, in private]: {text}" in talk(server.port, hello, "marmalade")
        deadline = time.monotonic() + PATIENCE
        while "marmalade" in talk(server.port, f"{hello}/limits\n", "A line has up to"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "marmalade" not in "".join(server.log())
        server.stop()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in files if b"marmalade" in path.read_bytes()] == []


@pytest.mark.slow
def test_what_was_kept_survives_kill_9_until_it_has_arrived(tmp_path: Path) -> None:
    database = tmp_path / "chat.db"
    both = [f"Bia {TEXT} {number}" for number in range(2)]
    assert run(database, "tell") == ["kept"]
    assert run(database, "come") == [*both, "shown"]
    assert run(database, "come") == [*both, "shown"]
    assert run(database, "come-and-confirm") == [*both, "shown"]
    assert run(database, "come-and-confirm") == ["shown"]

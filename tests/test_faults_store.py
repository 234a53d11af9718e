"""The store withstands other users, old copies, wrong clocks and ceilings: rows 36 and 46 to 48 of
the table in ``docs/reliability.rst``. Each prints its figure.
"""

from __future__ import annotations

import secrets
import signal
from pathlib import Path

import pytest

from tests.faults import Bot, Subject, show, verify

pytestmark = [pytest.mark.slow, pytest.mark.process]


def stop(server: Subject) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(10)


# -- row 46: another user of the machine reads the files ------------------------------------------


def test_another_user_of_the_machine_finds_nothing_in_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the server runs and after it, also where history was read."""
    clients = [secrets.token_hex(16) for _ in range(20)]
    modes: set[str] = set()
    found = 0
    with Subject(tmp_path, "--rate=off") as server:
        for number, client in enumerate(clients):
            bot = Bot(server.port, f"bot{number}", client=client)
            bot.send({"type": "say", "text": "the text of a line", "id": "1"})
            bot.wait_for("ack")
            bot.send({"type": "history"}, {"type": "search", "words": "text"})
            bot.wait_for("found")
            bot.socket.close()
        running = sorted(tmp_path.glob("chat.db*"))
        for file in running:
            modes.add(oct(file.stat().st_mode & 0o777))
            content = file.read_bytes()
            found += sum(client.encode() in content for client in clients)
            found += sum(bytes.fromhex(client) in content for client in clients)
        stop(server)
    left = sorted(file.name for file in tmp_path.glob("chat.db*"))
    verify(tmp_path / "chat.db")
    show(
        capsys,
        46,
        f"{len(running)} files while it runs, rights {', '.join(sorted(modes))}; {found} of "
        f"{len(clients)} client ids in them; after the stop: {', '.join(left)}",
    )
    assert (modes, found, left) == ({"0o600"}, 0, ["chat.db"])

"""The client as people use it: in tmux, with a real server; what stands on the screen."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, Server, environment
from tests.support.tmux import Tmux, needs_tmux

pytestmark = [pytest.mark.process, needs_tmux]

HALF = "half a line"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, "--rate", "off") as server:
        yield server


def client(port: int, home: Path, *options: str, rows: int = 24, columns: int = 80) -> Tmux:
    """Somebody at the client, whose files are in ``home``."""
    home.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "twisted_chat.cli", "connect", f"127.0.0.1:{port}", *options]
    return Tmux(command, environment=environment(home=home), rows=rows, columns=columns)


def say(port: int, text: str, nick: str = "Bia", room: str = "lobby") -> None:
    """Somebody else says something."""
    command = [sys.executable, "-m", "twisted_chat.cli", "send", f"--server=127.0.0.1:{port}"]
    command += [f"--nick={nick}", f"--room={room}", text]
    subprocess.run(command, env=environment(), check=True, timeout=PATIENCE)


def said(rows: list[str]) -> list[str]:
    """What people said, without the times."""
    return [row[6:].rstrip() for row in rows if re.match(r"\d\d:\d\d [\[*]", row)]


def input_line(rows: list[str]) -> str:
    """What stands at the prompt."""
    return next(row for row in reversed(rows) if "> " in row or row.endswith(">"))


def test_first_contact(server: Server, tmp_path: Path) -> None:
    """A name is asked for, once; the next time the client knows it."""
    home = tmp_path / "ana"
    with client(server.port, home) as ana:
        ana.wait_for("Welcome! Please type your username:")
        ana.enter("a b")
        ana.press("Enter")
        ana.wait_for("cannot be used")
        ana.enter("Ana")
        ana.press("Enter")
        ana.wait_for("#lobby>")
        ana.enter("oi")
        ana.press("Enter")
        assert said(ana.wait_for("[Ana]: oi")) == ["[Ana]: oi"]
        ana.enter("sair")
        ana.press("Enter")
        assert ana.wait_for_end() == 0
    with client(server.port, home) as ana:
        rows = ana.wait_for("#lobby>")
        ana.wait_for("[Ana]: oi")
        assert not any("username" in row for row in rows)


@pytest.mark.slow
def test_a_half_typed_line_survives(server: Server, tmp_path: Path) -> None:
    """Messages, completion (with a space behind it), a resize, Ctrl-C, Ctrl-D, and the server's
    restart.
    """
    with (
        client(server.port, tmp_path / "ana", "--nick", "Ana") as ana,
        socket.create_connection(("127.0.0.1", server.port)) as bia,
    ):
        ana.wait_for("#lobby>")
        ana.enter(HALF)
        bia.sendall(b"Bia\none\n")
        assert HALF in input_line(ana.wait_for("[Bia]: one"))
        ana.enter(" to Bi")
        ana.press("Tab")
        ana.wait_for(f"#lobby> {HALF} to Bia")
        ana.resize(50, 15)
        ana.wait_for(f"#lobby> {HALF} to Bia")
        ana.press("C-c")
        ana.wait_for(f"#lobby> {HALF} to Bia")
        ana.press("C-d")
        bia.sendall(b"two\n")
        ana.wait_for("[Bia]: two")
        server.stop(signal.SIGKILL)
        ana.wait_for("Connection lost")
        assert HALF in input_line(ana.screen())
        ana.enter("!")
        with Server(tmp_path, "--rate", "off", port=server.port) as again:
            ana.wait_for("[Connected again.]")
            ana.wait_for(f"#lobby> {HALF} to Bia !")
            ana.press("Enter")
            rows = ana.wait_for("[Ana]: half a line to Bia !")
            assert said(rows)[-3:] == ["[Bia]: one", "[Bia]: two", f"[Ana]: {HALF} to Bia !"]
            say(again.port, "three")
            ana.wait_for("[Bia]: three")
        assert [row for row in ana.scrollback() if "[Bia]: one" in row] != []


@pytest.mark.slow
def test_what_was_half_typed_is_there_the_next_time(server: Server, tmp_path: Path) -> None:
    home = tmp_path / "ana"
    with client(server.port, home, "--nick", "Ana") as ana:
        ana.wait_for("#lobby>")
        ana.enter(HALF)
        ana.wait_for(HALF)
        ana.press("C-c")
        ana.press("C-c")
        assert ana.wait_for_end() == 0
    with client(server.port, home, "--nick", "Ana") as ana:
        ana.wait_for(f"#lobby> {HALF}")


@pytest.mark.slow
def test_what_is_typed_offline_waits_and_outlives_the_client(
    server: Server, tmp_path: Path
) -> None:
    """Shown as waiting; said once, in order, after client and server were killed and started."""
    home = tmp_path / "ana"
    with client(server.port, home, "--nick", "Ana") as ana:
        ana.wait_for("#lobby>")
        ana.enter("before")
        ana.press("Enter")
        ana.wait_for("[Ana]: before")
        server.stop(signal.SIGKILL)
        ana.wait_for("Connection lost")
        for text in ("first", "second"):
            ana.enter(text)
            ana.press("Enter")
        rows = ana.wait_for("… second")
        assert any("… first" in row for row in rows)
        kill_program(ana)
    with client(server.port, home, "--nick", "Ana") as ana:
        ana.wait_for("… second")  # and there is no server yet
        with Server(tmp_path, "--rate", "off", port=server.port) as again:
            ana.wait_for("[Ana]: second")
            ana.wait_until_gone("… second")
            log = history(again.port)
    assert log == ["before", "first", "second"]


def kill_program(terminal: Tmux) -> None:
    """As ``kill -9``."""
    process = int(terminal._tmux("display", "-p", "#{pane_pid}"))
    subprocess.run(["kill", "-9", str(process)], check=True)
    terminal.wait(lambda _: not Path(f"/proc/{process}/cmdline").exists()
                  or not Path(f"/proc/{process}/cmdline").read_bytes(), "the end")  # fmt: skip


def history(port: int, room: str = "lobby") -> list[str]:
    """The texts of a room's log."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b'{"type":"hello","nickname":"historian"}\n')
        request = {"type": "history", "room": room, "limit": 100}
        connection.sendall(json.dumps(request).encode() + b"\n")
        for line in connection.makefile("rb"):
            answer = json.loads(line)
            if answer["type"] == "history":
                return [entry["text"] for entry in answer["entries"]]
    raise AssertionError("no history")


@pytest.mark.slow
def test_rooms_are_switched_and_count_what_is_new(server: Server, tmp_path: Path) -> None:
    with client(server.port, tmp_path / "ana", "--nick", "Ana", columns=100) as ana:
        ana.wait_for("#lobby>")
        ana.enter("/join cinema")
        ana.press("Enter")
        ana.wait_for("#cinema>")
        say(server.port, "hello")
        say(server.port, "Ana, are you there?")
        ana.wait_for("1:#lobby 2!")
        assert not any("are you there" in row for row in ana.screen())
        ana.press("M-a")
        rows = ana.wait_for("Ana, are you there?")
        assert said(rows)[-2:] == ["[Bia]: hello", "[Bia]: Ana, are you there?"]
        assert input_line(rows).startswith("#lobby>")
        ana.press("M-2")
        ana.wait_for("#cinema>")


@pytest.mark.slow
def test_an_unread_mark(server: Server, tmp_path: Path) -> None:
    """What was said while one was away stands below a line across the screen."""
    home = tmp_path / "ana"
    with client(server.port, home, "--nick", "Ana") as ana:
        ana.wait_for("#lobby>")
        say(server.port, "old")
        ana.wait_for("[Bia]: old")
        ana.press("C-d")
        assert ana.wait_for_end() == 0
    say(server.port, "fresh")
    with client(server.port, home, "--nick", "Ana") as ana:
        rows = ana.wait_for("[Bia]: fresh")
        (mark,) = [at for at, row in enumerate(rows) if re.search(r"─ new ─", row)]
        assert "[Bia]: old" in rows[mark - 1]
        assert "[Bia]: fresh" in rows[mark + 1]


@pytest.mark.slow
def test_search_and_history_by_pages(server: Server, tmp_path: Path) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as bia:
        bia.sendall(b"Bia\n" + b"".join(b"word %d\n" % number for number in range(1, 121)))
        time.sleep(0.1)
        with client(server.port, tmp_path / "ana", "--nick", "Ana", rows=40) as ana:
            ana.wait_for("[Bia]: word 120")
            ana.enter("/history 20")
            ana.press("Enter")
            ana.wait_for("   101 ")
            ana.enter("/more")
            ana.press("Enter")
            ana.wait_for("    81 ")
            ana.enter("/search word")
            ana.press("Enter")
            ana.wait_for("#lobby 111 ")
            ana.enter("/more")
            ana.press("Enter")
            ana.wait_for("#lobby 101 ")


@pytest.mark.slow
def test_ten_thousand_lines_at_once_leave_the_keys_alive(server: Server, tmp_path: Path) -> None:
    """And all of them come, in order. (How fast is measured elsewhere.)"""
    with client(server.port, tmp_path / "ana", "--nick", "Ana") as ana:
        ana.wait_for("#lobby>")
        with socket.create_connection(("127.0.0.1", server.port)) as bia:
            bia.sendall(b"Bia\n" + b"".join(b"flood %d\n" % number for number in range(10_000)))
            ana.wait_for("flood")
            ana.enter(HALF)
            ana.wait_for(f"#lobby> {HALF}")
            ana.wait_for("[Bia]: flood 9999")
        numbers = [int(n) for n in re.findall(r"flood (\d+)", "\n".join(ana.scrollback()))]
        assert numbers == list(range(10_000))


@pytest.mark.parametrize(
    "sends",
    [
        b'{"type":"welcome","nickname":"\\u001b[2JAna","client":"' + b"0" * 32
        + b'","resumed":false,"rooms":{"lobby":0},"motd":["\\u001b]0;owned\\u0007 hi \\u202e"]}\n'
        b'{"type":"entered","room":"lobby","topic":"\\u001b[31m","people":["\\u001b[2J"],"count":1,'
        b'"last":0}\n{"type":"said","room":"lobby","seq":1,"time":0,"nickname":"\\u009b2J",'
        b'"text":"\\u001b[H\\r\\u0008 boo"}\n',
    ],
)  # fmt: skip
def test_nothing_dangerous_reaches_the_terminal(sends: bytes, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hostile:
        port = hostile.getsockname()[1]
        with client(port, tmp_path / "ana", "--nick", "Ana") as ana:
            connection, _ = hostile.accept()
            wait_for_hello(connection)
            connection.sendall(sends)
            rows = ana.wait_for("boo")
            assert any("␛" in row for row in rows)
            assert ana._tmux("display", "-p", "#{pane_title}").strip() != "owned"
            connection.sendall(b"\x1b[2J not JSON\n")
            ana.wait_for("the server sent something that this client does not")
            connection.close()


@pytest.mark.slow
def test_a_server_that_renames_changes_no_configuration(tmp_path: Path) -> None:
    """The name that was typed is remembered, for this server."""
    home = tmp_path / "ana"
    with socket.create_server(("127.0.0.1", 0)) as hostile:
        port = hostile.getsockname()[1]
        with client(port, home) as ana:
            connection, _ = hostile.accept()
            ana.wait_for("username")
            ana.enter("Ana")
            ana.press("Enter")
            wait_for_hello(connection)
            connection.sendall(
                b'{"type":"welcome","nickname":"Mallory","client":"' + b"0" * 32
                + b'","resumed":false,"rooms":{"lobby":0}}\n'
            )  # fmt: skip
            ana.wait_for("You are Mallory now")
            ana.press("C-d")
            ana.wait_for_end()
            connection.close()
    written = (home / ".config/twisted-chat/client.toml").read_text()
    assert written == f'[nicknames]\n"127.0.0.1:{port}" = "Ana"\n'


def wait_for_hello(connection: socket.socket) -> None:
    """Wait until something comes; read and forget what comes after it."""
    connection.settimeout(PATIENCE)
    assert connection.recv(65536)
    threading.Thread(target=drain, args=(connection,), daemon=True).start()


def drain(connection: socket.socket) -> None:
    """Read and forget."""
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass

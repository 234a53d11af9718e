"""A password typed at the real telnet, netcat and client, against a real server."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Server, environment
from tests.support.tmux import Tmux, needs_tmux

pytestmark = [
    pytest.mark.process,
    needs_tmux,
    pytest.mark.skipif(shutil.which("telnet") is None, reason="telnet is not installed"),
]

PASSWORD = "correct horse"
HIDDEN = "Ana has an account. Password, or an empty line for another name:"
VISIBLE = "Ana has an account. Password (visible while you type), or an empty line"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, "--rate", "off") as server:
        with at("nc", server) as nc:
            nc.wait_for("username:")
            enter(nc, "Ana")
            nc.wait_for("You are Ana now")
            enter(nc, f"/register {PASSWORD}")
            nc.wait_for("is yours now")
            enter(nc, "/quit")
            nc.wait_for_end()
        yield server


def at(program: str, server: Server, *more: str) -> Tmux:
    """Somebody at ``program``, whose terminal's echo is shown at the end."""
    command = f"{program} 127.0.0.1 {server.port}; stty -a | grep -o -- '-*echo '"
    return Tmux(["sh", "-c", command, *more], columns=120)


def enter(somebody: Tmux, line: str) -> None:
    somebody.enter(line)
    somebody.press("Enter")


def test_telnet_hides_the_password_and_nothing_else(server: Server) -> None:
    with at("telnet", server) as ana:
        ana.wait_for("username:")
        enter(ana, "Ana")
        ana.wait_for(HIDDEN)
        enter(ana, "wrong horse")
        ana.wait_for("[SERVER]: That password or code is not right.")
        ana.wait(lambda rows: sum(HIDDEN in row for row in rows) == 2, "asked again")
        ana.enter("correct house")
        ana.press("BSpace", "BSpace", "BSpace")
        enter(ana, "rse")
        ana.wait_for("You are Ana now")
        ana.enter("seen while typed")
        rows = ana.wait_for("seen while typed")
        assert not any("horse" in row for row in rows)
        assert [row for row in rows if row == "Ana"] == ["Ana"]


@pytest.mark.parametrize(
    "keys",
    [
        ["Enter"],
        pytest.param(["C-c", "Enter"], marks=pytest.mark.slow),
        pytest.param(["x", "C-u", "Enter"], marks=pytest.mark.slow),
    ],
)
def test_after_a_blank_line_the_name_is_seen(server: Server, keys: list[str]) -> None:
    with at("telnet", server) as ana:
        ana.wait_for("username:")
        enter(ana, "Ana")
        ana.wait_for(HIDDEN)
        for key in keys:
            ana.press(key)
            if key == "C-c":  # the password is asked for again, and not seen
                ana.wait(lambda rows: sum(HIDDEN in row for row in rows) == 2, "asked again")
        ana.wait_for("[SERVER]: Please type a name.")
        ana.enter("Bia")
        ana.wait_for("Bia")
        ana.press("Enter")
        ana.wait_for("You are Bia now")


@pytest.mark.slow
def test_the_echo_is_back_after_the_server_has_stopped(server: Server) -> None:
    with at("telnet", server) as ana:
        ana.wait_for("username:")
        enter(ana, "Ana")
        ana.wait_for(HIDDEN)
        server.stop()
        ana.wait_for("Connection closed by foreign host.")
        assert ana.wait_for_end() == 0
        assert "echo" in [row.strip() for row in ana.screen()]


@pytest.mark.parametrize("program", ["nc", pytest.param("nc -C", marks=pytest.mark.slow)])
def test_netcat_is_told_that_the_password_is_seen(server: Server, program: str) -> None:
    with at(program, server) as ana:
        ana.wait_for("username:")
        enter(ana, "Ana")
        ana.wait_for(VISIBLE)
        enter(ana, PASSWORD)
        ana.wait_for("You are Ana now")


@pytest.mark.slow
def test_the_client_asks_once_and_keeps_a_token(server: Server, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-m", "twisted_chat.cli", "connect", f"127.0.0.1:{server.port}"]
    command += ["--nick", "Ana"]
    for options, rest in ((("--plain",), "plain"), ((), "window")):
        with Tmux([*command, *options], environment=environment(home=home), columns=120) as ana:
            if options:
                ana.wait_for(HIDDEN)
                enter(ana, PASSWORD)
            ana.wait_for("You are Ana now")
            enter(ana, rest)
            ana.wait_for(f"[Ana]: {rest}" if not options else rest)
            assert not any("horse" in row for row in ana.scrollback())
            enter(ana, "/quit")
            assert ana.wait_for_end() == 0
    for path in home.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()
    (token,) = home.rglob("*.token")
    assert token.stat().st_mode & 0o777 == 0o600

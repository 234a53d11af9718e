"""``twisted-chat send`` and ``tail`` as real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from tests.support.processes import PATIENCE, Server, environment, free_port
from twisted_chat.client import TokenMade
from twisted_chat.client.state import Kept, MemoryState
from twisted_chat.dialects.jsonl import ID_LIMIT
from twisted_chat.terminal import scripts
from twisted_chat.terminal.conversation import LEFT, NO_CONNECTION, SOMETHING_REFUSED
from twisted_chat.terminal.scripts import Sending, numbered
from twisted_chat.testing import ChatServer

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), "--rate", "off") as server:
        yield server


def run(
    command: str, port: int, *arguments: str, home: Path | None = None, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        line_of(command, port, *arguments),
        input=given,
        capture_output=True,
        env=environment(home=home),
        timeout=PATIENCE,
        check=False,
    )


def line_of(command: str, port: int, *arguments: str) -> list[str]:
    program = [sys.executable, "-m", "twisted_chat.cli", command, f"--server=127.0.0.1:{port}"]
    return [*program, *arguments]


def tail(port: int, count: int, *arguments: str) -> list[str]:
    """The first so many lines that ``tail`` prints; it is interrupted then."""
    with subprocess.Popen(
        line_of("tail", port, *arguments), stdout=subprocess.PIPE, env=environment()
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().decode().rstrip("\n") for _ in range(count)]
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    return lines


def test_what_is_sent_is_saved(server: Server) -> None:
    """Silently; several words are one message, and each line of the input is."""
    assert run("send", server.port, "--nick=Bot", "--room=one", "hello", "world").stderr == b""
    result = run("send", server.port, "--nick=Bot", "--room=one", "-", given=b"a\n\nb\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    shown = tail(server.port, 3, "one", "--since=0")
    assert shown == ["[Bot]: hello world", "[Bot]: a", "[Bot]: b"]


@pytest.mark.slow
def test_what_has_an_id_is_said_once(server: Server, tmp_path: Path) -> None:
    """However often it is sent, as by a script that was interrupted."""
    for _ in range(2):
        result = run("send", server.port, "--nick=Bot", "--room=ids", "--id=x", "oi", home=tmp_path)
        assert result.returncode == 0
    run("send", server.port, "--nick=Bot", "--room=ids", "end", home=tmp_path)
    assert tail(server.port, 2, "ids", "--since=0") == ["[Bot]: oi", "[Bot]: end"]
    result = run("send", server.port, "--nick=Bot", "--room=ids", "--id=x", "other", home=tmp_path)
    assert result.returncode == 1
    assert "already used" in result.stderr.decode()


@pytest.mark.slow
def test_two_at_once_as_one_person(server: Server, tmp_path: Path) -> None:
    """One waits for the other; neither takes the other's connection."""
    processes = [
        subprocess.Popen(
            line_of("send", server.port, "--nick=Bot", "--room=both", text),
            env=environment(home=tmp_path),
        )
        for text in ("one", "two")
    ]
    assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    assert sorted(tail(server.port, 2, "both", "--since=0")) == ["[Bot]: one", "[Bot]: two"]


@pytest.mark.slow
def test_tail_goes_on_after_a_number(server: Server) -> None:
    """And shows several rooms, each with its name."""
    for room in ("cinema", "kitchen"):
        for number in (1, 2):
            run("send", server.port, "--nick=Bot", f"--room={room}", f"{room} {number}")
    objects = [json.loads(line) for line in tail(server.port, 1, "cinema", "--since=1", "--json")]
    assert [(each["seq"], each["text"]) for each in objects] == [(2, "cinema 2")]
    shown = tail(server.port, 2, "cinema", "kitchen", "--since=1")
    assert sorted(shown) == ["#cinema [Bot]: cinema 2", "#kitchen [Bot]: kitchen 2"]


@pytest.mark.parametrize("command", [("send", "--timeout=1", "oi"), ("tail",)])
def test_nobody_listens(command: tuple[str, ...]) -> None:
    port = free_port()
    result = run(command[0], port, "--nick=Bot", *command[1:])
    (line,) = result.stderr.decode().splitlines()
    assert line == f"twisted-chat: cannot connect to 127.0.0.1:{port}: connection refused"
    assert (result.returncode, result.stdout) == (3, b"")


@pytest.mark.slow
def test_what_cannot_be_said_is_refused(server: Server) -> None:
    for command in (("send", "oi"), ("tail",)):
        result = run(command[0], server.port, "--nick=root", *command[1:])
        assert result.returncode == 1
        (line,) = result.stderr.decode().splitlines()
        assert line.startswith("twisted-chat: The name root is reserved")
        result = run(command[0], server.port, "--nick=a b", *command[1:])
        assert result.returncode == 2
        assert b"That name cannot be used" in result.stderr
    result = run("send", server.port, "--nick=Bot", "x" * 5000)
    assert result.returncode == 1
    assert "too long" in result.stderr.decode()


@pytest.mark.slow
def test_nobody_reads_the_tail_any_more(server: Server) -> None:
    """As for ``| head -1``: it ends, and without a word. (More than a pipe takes is said.)"""
    text = b"x" * 4000
    run("send", server.port, "--nick=Bot", "--room=head", "-", given=(text + b"\n") * 40)
    result = subprocess.run(
        ["sh", "-c", '"$@" | head -1', "sh", *line_of("tail", server.port, "head", "--since=0")],
        capture_output=True,
        env=environment(),
        timeout=PATIENCE,
        check=False,
    )
    assert (result.stdout, result.stderr) == (b"[Bot]: " + text + b"\n", b"")


@pytest.mark.slow
def test_lines_are_said_as_they_come(server: Server) -> None:
    """The input need not end first, and only LF ends a line."""
    with subprocess.Popen(
        line_of("send", server.port, "--nick=Bot", "--room=live", "-"),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(b"first\n\n")
            process.stdin.flush()
            assert tail(server.port, 1, "live", "--since=0") == ["[Bot]: first"]
            process.stdin.write("one\u2029still\n".encode())
            process.stdin.close()
            assert process.wait(PATIENCE) == 1
            assert "U+2029" in process.stderr.read().decode()
        finally:
            process.kill()


@pytest.mark.slow
def test_each_line_under_an_id_is_said_once(server: Server, tmp_path: Path) -> None:
    arguments = ("send", server.port, "--nick=Bot", "--room=retry", "--id=b")
    for _ in range(2):
        assert run(*arguments, "-", home=tmp_path, given=b"one\n\ntwo\n").returncode == 0
        assert run(*arguments, "one\ntwo\r\n", home=tmp_path).returncode == 0
    run("send", server.port, "--nick=Bot", "--room=retry", "end", home=tmp_path)
    shown = tail(server.port, 3, "retry", "--since=0")
    assert shown == ["[Bot]: one", "[Bot]: two", "[Bot]: end"]


@pytest.mark.slow
def test_a_folder_that_cannot_be_written(server: Server) -> None:
    """Nothing needs to be kept; but an id means nothing without a lasting client id."""
    home = Path("/dev/null")
    result = run("send", server.port, "--nick=Bot", "--room=bare", "oi", home=home)
    assert (result.returncode, result.stderr) == (0, b"")
    result = run("send", server.port, "--nick=Bot", "--id=x", "oi", home=home)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("interrupts", [1, 3])
def test_ctrl_c_while_the_server_is_silent(interrupts: int) -> None:
    """It ends in one line at once; and without a traceback however often it is pressed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            line_of("send", silent.getsockname()[1], "--nick=Bot", "oi"),
            stderr=subprocess.PIPE,
            env=environment(),
        )
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(100)  # the program is up
            for _ in range(interrupts):
                process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=5)
    assert b"Traceback" not in complaint
    if interrupts == 1:
        assert process.returncode == 130
        assert complaint == b"twisted-chat: interrupted: oi may or may not be saved\n"
    else:
        assert process.returncode in (130, -signal.SIGINT)


@pytest.mark.slow
def test_what_is_not_utf8_is_not_said(server: Server) -> None:
    """Neither by ``send`` nor by ``connect`` between pipes; what comes before it is."""
    given = b"good\ncaf\xe9\n"
    for command in (["send", "-"], ["connect"]):
        line = line_of(command[0], server.port, "--nick=Bot", *command[1:])
        if command[0] == "connect":
            line.remove(f"--server=127.0.0.1:{server.port}")
            line.append(f"127.0.0.1:{server.port}")
        result = subprocess.run(
            line,
            input=given,
            capture_output=True,
            env=environment(),
            timeout=PATIENCE,
            check=False,
        )
        assert result.returncode == 1, result
        said = result.stdout.decode() + result.stderr.decode()
        assert "byte 4 of it is not valid UTF-8" in said
    result = run("send", server.port, "--nick=Bot", os.fsdecode(b"caf\xe9"))
    assert result.returncode == 1
    assert "not valid UTF-8" in result.stderr.decode()


@pytest.mark.parametrize(
    ("user", "name"), [("ana", "ana"), ("root", "script"), ("www data", "script")]
)
def test_a_script_has_the_name_of_its_user_if_a_server_gives_it(
    monkeypatch: pytest.MonkeyPatch, user: str, name: str
) -> None:
    """Also that of root, from cron."""
    monkeypatch.setenv("LOGNAME", user)
    assert scripts._user() == name


def test_further_lines_have_ids_of_their_own() -> None:
    long = "x" * ID_LIMIT
    ids = [numbered(id, number) for id in ("b", long) for number in (1, 2, 3)]
    assert ids[:4] == ["b", "b.2", "b.3", long]
    assert len(set(ids)) == 6
    assert all(len(id) <= ID_LIMIT for id in ids)


# -- the state that send holds -----------------------------------------------------------------


class Held(MemoryState):
    """A state that says whether it is open."""

    is_open = False

    def open(self) -> Deferred[Kept]:
        self.is_open = True
        return super().open()

    def close(self) -> Deferred[None]:
        self.is_open = False
        return super().close()


@pytest.mark.parametrize(
    ("text", "status"),
    [("oi", LEFT), ("x" * 5000, SOMETHING_REFUSED), ("unanswered", NO_CONNECTION)],
)
def test_send_lets_go_of_the_state_however_it_ends(
    text: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else another process could not speak as the same person."""
    server = ChatServer()
    server.commits_at_once = text != "unanswered"
    held = Held()
    monkeypatch.setattr(scripts, "FileState", lambda reactor, path: held)
    monkeypatch.setattr(scripts, "server_endpoint", lambda *arguments: server.endpoint())
    sending = Sending(texts=[text], nick="Bot", timeout=5)
    environment = {"HOME": str(tmp_path)}
    ended: list[int] = []
    main = scripts._send(server.clock, sending, "en", environment)
    Deferred.fromCoroutine(main).addCallback(ended.append)
    assert held.is_open
    server.clock.advance(30)
    assert ended == [status]
    assert not held.is_open


# -- a token ----------------------------------------------------------------------------------


def sent_with(token: str, server: ChatServer, home: Path) -> list[int]:
    """The exit status of ``send`` as Ana, with ``token`` in the environment."""
    sending = Sending(texts=["oi"], nick="Ana", timeout=5)
    environment = {"HOME": str(home), "TWISTED_CHAT_TOKEN": token}
    ended: list[int] = []
    main = scripts._send(server.clock, sending, "en", environment)
    Deferred.fromCoroutine(main).addCallback(ended.append)
    server.clock.advance(30)
    return ended


def test_with_a_token_send_is_one_more_connection_of_the_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no state, which the person's client may be using."""
    server = ChatServer()
    monkeypatch.setattr(scripts, "FileState", None)
    monkeypatch.setattr(scripts, "server_endpoint", lambda *arguments: server.endpoint())
    ana = server.enter("Ana")
    ana.register("correct horse")
    server.settle()
    made: list[TokenMade] = []
    ana.new_token("script").addCallback(made.append)
    server.settle()
    assert sent_with(made[0].token, server, tmp_path) == [LEFT]
    assert [(entry.nickname, entry.author) for entry in server.log("lobby")] == [("Ana", 1)]
    assert ana.is_in


def test_a_wrong_token_is_one_line_and_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ChatServer()
    monkeypatch.setattr(scripts, "server_endpoint", lambda *arguments: server.endpoint())
    ana = server.enter("Ana")
    ana.register("correct horse")
    server.settle()
    assert sent_with("tchat_x", server, tmp_path) == [SOMETHING_REFUSED]
    written = capsys.readouterr().err
    assert written == "twisted-chat: the server does not accept this token for Ana\n"

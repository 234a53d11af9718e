"""The command line: what it takes and refuses, and the client on real terminals and pipes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import twisted_chat
from tests.support.processes import (
    PATIENCE,
    Server,
    Terminal,
    client_command,
    environment,
    free_port,
    terminals,
)
from twisted_chat import cli
from twisted_chat.client.address import WrongAddress, format_address, parse_address

GREETING = "Welcome! Please type your username:"
CLOSING = "[Closing the connection...]"
LOST = "[Connection lost. Press Enter to leave.]"


# -- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("example.org", ("example.org", 50000)),
        ("example.org:1", ("example.org", 1)),
        ("127.0.0.1:65535", ("127.0.0.1", 65535)),
        ("[::1]:50001", ("::1", 50001)),
        ("[::1]", ("::1", 50000)),
        ("::1", ("::1", 50000)),
        ("tls:example.org:1", ("example.org", 1, True)),
        ("tls:example.org", ("example.org", 50000, True)),
        ("tls:[::1]:50001", ("::1", 50001, True)),
        ("tls:::1", ("::1", 50000, True)),
        ("tcp:example.org:1", ("example.org", 1)),
        ("tls", ("tls", 50000)),
        ("tls:50001", ("tls", 50001)),
    ],
)
def test_an_address(typed: str, address: tuple[object, ...]) -> None:
    """It is read, and what is shown of it is read as the same."""
    read = parse_address(typed)
    assert read == (*address, False)[:3]
    assert parse_address(format_address(*read)) == read


@pytest.mark.parametrize(
    "typed",
    [
        *["", ":", ":1", "a:", "a:0", "a:65536", "a:x", "a:-1", "a:¹", "a:" + "9" * 5000],
        *["a:1:2", "a b", "a\x1b", "[::1", "[::1]x", "[::1]:", "[a]:1", "[]"],
        *["tls:", "tls:a:0", "tls:a b", "tls:tls:a:1", "tls:[::1", "ssl:a:1"],
    ],
)
def test_not_an_address(typed: str) -> None:
    with pytest.raises(WrongAddress):
        parse_address(typed)


# -- arguments --------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The line with which wrong arguments end, with status 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["connect", "host:port"], "host:port"),
        (["connect", "\x1b[2J:1"], "\u241b[2J:1"),
        (["connect", "a", "b"], "b"),
        (["connect", "--nick", "/quit"], "--nick"),
        (["connect", "--nick", "sair"], "--nick"),
        (["connect", "--nick", "a\x1b"], "U+001B"),
        (["connect", "--nick", "\udcff"], "UTF-8"),
        (["connect", "--nick", "a b"], "cannot be used"),
        (["connect", "--nick", "Ana:secret"], "the character"),
        (["dance"], "dance"),
        (["verify"], "DB"),
        (["verify", "chat.db", "lobby"], "lobby"),
        (["history", "chat.db"], "ROOM"),
        (["history", "chat.db", "lobby", "--last", "0"], "0 is not a number of entries"),
        (["history", "chat.db", "lobby", "--last", "-1"], "--last"),
        (["history", "chat.db", "lobby", "--last", "\u0663"], "\u0663"),
        (["history", "chat.db", "lobby", "--last", "9" * 19], "999"),
        (["export", "chat.db"], "--format"),
        (["export", "chat.db", "--format", "xml"], "xml"),
    ],
)
def test_wrong_arguments_end_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    line = refused(capsys, *arguments)
    assert line.startswith("twisted-chat")
    assert named in line


@pytest.mark.parametrize("command", [("connect",), ("send", "oi"), ("tail",)])
def test_no_file_is_named_after_a_secret(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: tuple[str, ...],
) -> None:
    for variable in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert "secret" not in refused(capsys, *command, "--nick", "Ana:secret")
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_are_told_in_the_persons_language(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "from_environment", lambda: "pt_BR")
    assert "não é um endereço" in refused(capsys, "connect", "a:b")


def test_without_a_command_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    told = capsys.readouterr().out
    assert all(command in told for command in ("connect", "verify", "history", "export"))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"twisted-chat {twisted_chat.__version__}\n"


def test_the_command_line_alone_installs_no_reactor() -> None:
    script = "import sys, twisted_chat.cli; sys.exit('twisted.internet.reactor' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], env=environment(), check=True)


# -- on a terminal ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    # A client that was killed is gone at once, so that the next test can have its name.
    with Server(folder, "--database", ":memory:", "--reconnect-grace=0") as server:
        yield server


def press(terminal: Terminal, key: bytes) -> None:
    """A key without Enter."""
    os.write(terminal._master, key)


@pytest.mark.process
@pytest.mark.parametrize(
    ("language", "greeting", "closing"),
    [
        ("en", GREETING, CLOSING),
        (
            "pt_BR",
            "Bem-vindo! Por favor, digite seu nome de usuário:",
            "[Encerrando a conexão...]",
        ),
    ],
)
def test_the_papers_screen(tmp_path: Path, language: str, greeting: str, closing: str) -> None:
    """The name stands on the greeting's line; sair says so and ends with status 0."""
    with (
        Server(tmp_path, "--database", ":memory:", language=language) as server,
        terminals(language, client_command(server.port)) as (ana,),
    ):
        ana.wait_for(greeting + " ")
        ana.type("Ana")
        ana.wait_for("#lobby")
        ana.type("sair")
        assert ana.wait_for_end() == 0
        lines = ana.screen.splitlines()
        assert lines[0] == f"{greeting} Ana"
        assert lines[-2:] == ["sair", closing]


@pytest.mark.slow
@pytest.mark.process
def test_who_says_who_they_are_is_not_asked(server: Server) -> None:
    with terminals("en", client_command(server.port, "--nick", "Ana")) as (ana,):
        ana.wait_for("#lobby")
        assert ana.screen.startswith("[SERVER]: You are Ana now.")
        ana.type("/quit")
        assert ana.wait_for_end() == 0


@pytest.mark.process
def test_a_name_that_is_refused_can_be_typed_again(server: Server) -> None:
    with terminals("en", client_command(server.port, "--nick", "root")) as (ana,):
        ana.wait_for("is reserved")
        ana.type("Ana")
        ana.wait_for("#lobby")


@pytest.mark.slow
@pytest.mark.process
def test_enter_leaves_after_a_lost_connection(tmp_path: Path) -> None:
    with (
        Server(tmp_path, "--database", ":memory:") as server,
        terminals("en", client_command(server.port, "--nick", "Ana")) as (ana,),
    ):
        ana.wait_for("#lobby")
        server.stop(signal.SIGKILL)
        ana.wait_for(f"{LOST}\n")
        assert ana.process.poll() is None
        ana.type("")
        assert ana.wait_for_end() == 0


@pytest.mark.slow
@pytest.mark.process
def test_a_lost_connection_comes_back(tmp_path: Path) -> None:
    """What was typed meanwhile is said, and what others say is shown."""
    with (
        Server(tmp_path) as server,
        terminals("en", client_command(server.port, "--nick", "Ana")) as (ana,),
    ):
        ana.wait_for("#lobby")
        server.stop(signal.SIGKILL)
        ana.wait_for(LOST)
        ana.type("typed while away")
        ana.wait_for("[Not connected: your lines are kept")
        with Server(tmp_path, port=server.port) as again:
            ana.wait_for("[Connected again.]")
            result = piped(again.port, b"/history\n", "--nick", "Bia")
            assert "[Ana]: typed while away" in result.stdout.decode()
            ana.wait_for("[SERVER]: Bia joined the chat.")


@pytest.mark.process
@pytest.mark.parametrize("name", [None, "Ana"])
def test_ctrl_c_leaves(server: Server, name: str | None) -> None:
    """Before there is a name as well."""
    with terminals("en", client_command(server.port)) as (ana,):
        ana.wait_for(GREETING + " ")
        if name is not None:
            ana.type(name)
            ana.wait_for("#lobby")
        press(ana, b"\x03")
        assert ana.wait_for_end() == 0
        assert ana.screen.endswith(f"^C\n{CLOSING}\n")


@pytest.mark.process
def test_ctrl_d_leaves(server: Server) -> None:
    with terminals("en", client_command(server.port, "--nick", "Ana")) as (ana,):
        ana.wait_for("#lobby")
        press(ana, b"\x04")
        assert ana.wait_for_end() == 0
        assert LOST not in ana.screen


# -- on pipes ---------------------------------------------------------------------------------


def piped(
    port: int, given: bytes, *options: str, **settings: str
) -> subprocess.CompletedProcess[bytes]:
    """The client between two pipes."""
    return subprocess.run(
        client_command(port, *options),
        input=given,
        capture_output=True,
        env={**environment(), **settings},
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.process
def test_a_script_says_something_and_leaves(server: Server) -> None:
    """What it said arrives; nothing but its lines stands in its output."""
    with terminals("en", client_command(server.port, "--nick", "Ana")) as (ana,):
        ana.wait_for("#lobby")
        result = piped(server.port, b"oi\nsair\n", "--nick", "Bot")
        assert (result.returncode, result.stderr) == (0, b"")
        lines = result.stdout.decode().splitlines()
        assert lines[0].startswith("[SERVER]: You are Bot now.")
        assert lines[-1] == CLOSING
        ana.wait_for("[Bot]: oi")
        ana.wait_for("[SERVER]: Bot left the chat.")


@pytest.mark.slow
@pytest.mark.process
def test_answers_come_after_the_end_of_the_input(server: Server) -> None:
    """The last line needs no line break."""
    result = piped(server.port, b"Bot\n/who")
    assert result.returncode == 0
    lines = result.stdout.decode().splitlines()
    assert lines[0] == GREETING
    assert "[SERVER]: In #lobby (1): Bot." in lines
    assert LOST not in lines


@pytest.mark.slow
@pytest.mark.process
def test_what_flood_control_holds_back_is_not_lost(tmp_path: Path) -> None:
    """Lines before sair that the server takes 4 s to read, longer than leaving may take."""
    said = [f"line {number}" for number in range(40)]
    with Server(tmp_path, "--database", ":memory:", "--rate", "20:5") as server:
        result = piped(server.port, "\n".join(["Bot", *said, "sair", ""]).encode())
        assert result.returncode == 0
        after = piped(server.port, b"Ana\n/history lobby 40\n").stdout.decode()
        assert all(f"[Bot]: {line}\n" in after for line in said)


@pytest.mark.slow
@pytest.mark.process
def test_output_that_nobody_reads_any_more(server: Server) -> None:
    """As for ``| head -1``: it ends, and without a word."""
    client = subprocess.Popen(
        client_command(server.port, "--nick", "Bot"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment(), "PYTHONUNBUFFERED": ""},  # as people start it
    )
    assert client.stdin is not None
    assert client.stdout is not None
    assert client.stderr is not None
    try:
        client.stdout.readline()
        client.stdout.close()
        client.stdin.write(b"/who\n")
        client.stdin.flush()
        assert client.wait(PATIENCE) == 0
        assert client.stderr.read() == b""
    finally:
        client.kill()
        client.wait()
        client.stdin.close()
        client.stderr.close()


@pytest.mark.slow
@pytest.mark.process
def test_an_output_that_is_no_terminal_is_utf_8_in_any_locale(server: Server) -> None:
    result = piped(server.port, b"Bot\n/olh\xc3\xa1 \xe2\x82\xac\n", PYTHONIOENCODING="ascii")
    assert result.returncode == 1  # there is no such command
    assert result.stderr == b""
    assert "/olhá" in result.stdout.decode()


@pytest.mark.slow
@pytest.mark.process
def test_no_input_and_no_output_at_all(server: Server) -> None:
    """Closed, as ``<&- >&-`` does."""
    command = ["sh", "-c", '"$@" <&- >&-', "sh", *client_command(server.port, "--nick", "Bot")]
    result = subprocess.run(
        command, env=environment(), stderr=subprocess.PIPE, timeout=PATIENCE, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.slow
@pytest.mark.process
def test_a_script_waits_for_the_server_to_come_back(tmp_path: Path) -> None:
    """What it has to say is said, in order and once, and then it ends."""
    with (
        Server(tmp_path) as server,
        subprocess.Popen(
            client_command(server.port, "--nick", "Bot"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        ) as client,
    ):
        try:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(b"one\n")
            client.stdin.flush()
            client.stdout.readline()
            server.stop(signal.SIGKILL)
            client.stdin.write(b"two\nthree\n")
            client.stdin.close()
            with Server(tmp_path, port=server.port) as again:
                assert client.wait(PATIENCE) == 0
                said = piped(again.port, b"/history\n", "--nick", "Bia").stdout.decode()
        finally:
            client.kill()
    assert re.findall(r"\[Bot\]: (\w+)", said) == ["one", "two", "three"]


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize(
    ("language", "expected"), [("en", "cannot connect to"), ("pt_BR", "não foi possível conectar")]
)
def test_nobody_listens(language: str, expected: str) -> None:
    """One line on standard error, in the person's language, at once."""
    port = free_port()
    started = time.monotonic()
    result = piped(port, b"", LANG=f"{language}.UTF-8")
    assert (result.returncode, result.stdout) == (3, b"")
    (line,) = result.stderr.decode().splitlines()
    assert expected in line
    assert f"127.0.0.1:{port}" in line
    assert time.monotonic() - started < 5


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize(
    ("sends", "told"),
    [
        pytest.param(b"", "the server does not answer", marks=pytest.mark.slow),
        pytest.param(
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "this is not a twisted-chat server",
            marks=pytest.mark.slow,
        ),
        (b"\x1b[2J" * 2000, "this is not a twisted-chat server"),
        (b"{" + b"x" * 2_000_000, "the server sent a line that is too long"),
        (b'{"type":"welcome"}\n', "this is not a twisted-chat server"),
    ],
)
def test_a_server_that_is_none(sends: bytes, told: str) -> None:
    """One clear line, and nothing of what it sent."""
    with socket.create_server(("127.0.0.1", 0)) as strange:
        client = subprocess.Popen(
            client_command(strange.getsockname()[1], "--nick", "Ana"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        try:
            connection, _ = strange.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.sendall(sends)
                output, errors = client.communicate(timeout=PATIENCE)
        finally:
            client.kill()
    assert (client.returncode, output) == (3, b"")
    assert errors.decode().splitlines() == [
        f"twisted-chat: cannot connect to 127.0.0.1:{strange_port(errors)}: {told}"
    ]


def strange_port(errors: bytes) -> str:
    """The port that was complained of."""
    return re.sub(r".*127\.0\.0\.1:(\d+).*", r"\1", errors.decode(), flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux shows signals so")
def test_ctrl_c_while_connecting() -> None:
    """A full queue of connections leaves the client waiting for its own."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        client = subprocess.Popen(
            client_command(full.getsockname()[1]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        started = time.monotonic()
        while not catches(client.pid, signal.SIGTERM):
            assert time.monotonic() - started < PATIENCE
            time.sleep(0.01)
        started = time.monotonic()
        client.send_signal(signal.SIGINT)
        try:
            output, errors = client.communicate(timeout=PATIENCE)
        finally:
            client.kill()
        assert (client.returncode, output.decode(), errors) == (0, f"{CLOSING}\n", b"")
        assert time.monotonic() - started < 5


def catches(process: int, number: signal.Signals) -> bool:
    """Whether a process does something of its own on a signal."""
    status = Path(f"/proc/{process}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1]
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("where", ["| head -1", ">&-", ">/dev/full"])
def test_an_output_that_fails_ends_it_with_a_line_unless_nobody_reads_it(
    server: Server, where: str, options: list[str]
) -> None:
    command = client_command(server.port, "--nick", "Bot", *options)
    script = f'(echo one; sleep 1; echo two; sleep 1) | "$@" {where}'
    result = subprocess.run(
        ["sh", "-c", script, "sh", *command],
        capture_output=True,
        env=environment(),
        timeout=PATIENCE,
        check=False,
    )
    full = b"twisted-chat: cannot write stdout: No space left on device\n"
    assert result.stderr == (full if "full" in where else b"")

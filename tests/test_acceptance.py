"""The paper's figures, played against a real server with three real clients; and the ways in
which a server does not start.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.processes import (
    PATIENCE,
    Server,
    Terminal,
    client_command,
    fails,
    free_port,
    talk,
    terminals,
)

pytestmark = pytest.mark.process

KEPT = "As mensagens daqui ficam guardadas por 365 dias."
GREETING = "Bem-vindo! Por favor, digite seu nome de usuário: "


def welcome(name: str) -> str:
    return (
        f"[SERVIDOR]: Agora você é {name}. /ajuda mostra os comandos; digite sair para ir embora."
    )


def log_in(terminal: Terminal, name: str) -> None:
    terminal.wait_for(GREETING)
    terminal.type(name)
    terminal.wait_for(" em #lobby")


def screen_lines(terminal: Terminal) -> list[str]:
    """The lines on the screen that are not empty, with CODE for the code to come back with."""
    lines = [line.rstrip() for line in terminal.screen.splitlines() if line.strip()]
    return [re.sub(r"\b\w{4}-\w{4}\b", "CODE", line) for line in lines]


def test_the_papers_figures_2_to_7(tmp_path: Path) -> None:
    """Line by line what the paper shows, on the server's terminal and on the three clients'.

    Our own welcome (two lines for each person) stands between the greeting and the talk.
    """
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            Server(tmp_path, "--log-messages", "--reconnect-grace=0.1", language="pt_BR")
        )

        def come(name: str) -> Terminal:
            (terminal,) = stack.enter_context(terminals("pt_BR", client_command(server.port)))
            log_in(terminal, name)
            return terminal

        bernardo, rodrigo, silvio = come("Bernardo"), come("Rodrigo"), come("Silvio")
        for terminal in (bernardo, rodrigo):
            terminal.wait_for("[SERVIDOR]: Silvio entrou no chat.")

        bernardo.type("Olá pessoal, me chamo Bernardo")
        for terminal in (rodrigo, silvio):
            terminal.wait_for("[Bernardo]: Olá pessoal, me chamo Bernardo")

        silvio.type("Até mais, vou me ausentar.")
        rodrigo.wait_for("[Silvio]: Até mais, vou me ausentar.")
        silvio.type("sair")
        assert silvio.wait_for_end() == 0
        rodrigo.wait_for("[SERVIDOR]: Silvio saiu do chat.")

        # Figures 4 and 6.
        assert screen_lines(rodrigo) == [
            GREETING + "Rodrigo",
            welcome("Rodrigo"),
            "[SERVIDOR]: Também em #lobby: Bernardo. " + KEPT,
            "[SERVIDOR]: Silvio entrou no chat.",
            "[Bernardo]: Olá pessoal, me chamo Bernardo",
            "[Silvio]: Até mais, vou me ausentar.",
            "[SERVIDOR]: Silvio saiu do chat.",
        ]
        # Figures 5 and 7. (The paper's client goes on to say that the connection was lost;
        # ours does so only when it was not told to leave.)
        assert screen_lines(silvio) == [
            GREETING + "Silvio",
            welcome("Silvio"),
            "[SERVIDOR]: Também em #lobby: Bernardo, Rodrigo. " + KEPT,
            "[Bernardo]: Olá pessoal, me chamo Bernardo",
            "Até mais, vou me ausentar.",
            "sair",
            "[Encerrando a conexão...]",
        ]

        # An abrupt end: Bernardo's window is closed.
        bernardo.process.kill()
        rodrigo.wait_for("[SERVIDOR]: Bernardo saiu do chat.")

        # The connection is lost: the server is gone.
        server.wait_for_log(r"\[CONEXÕES ATIVAS\] 1$")
        log = server.log()
        server.stop(signal.SIGKILL)
        rodrigo.wait_for("[Conexão perdida. Pressione Enter para sair.]")
        rodrigo.type("")
        assert rodrigo.wait_for_end() == 0

    # Figure 2.
    events = [re.sub(r"\('127.0.0.1', \d+\)", "(ADDRESS)", x) for x in log if x[0] in "[M"]
    assert events[:7] == [
        f"[ESCUTANDO] Servidor está escutando em 127.0.0.1:{server.port}",
        "[NOVA CONEXÃO] (ADDRESS) conectado.",
        "[CONEXÕES ATIVAS] 1",
        "[NOVA CONEXÃO] (ADDRESS) conectado.",
        "[CONEXÕES ATIVAS] 2",
        "[NOVA CONEXÃO] (ADDRESS) conectado.",
        "[CONEXÕES ATIVAS] 3",
    ]
    assert events[7] == (
        "Mensagem recebida de (ADDRESS): [Bernardo]: Olá pessoal, me chamo Bernardo"
    )
    assert events.count("[CONEXÃO ENCERRADA] (ADDRESS) desconectado.") == 2


def test_what_was_said_is_there_after_a_restart(tmp_path: Path) -> None:
    """Also after kill -9."""
    for how, text in ((signal.SIGTERM, "one"), (signal.SIGKILL, "two")):
        with (
            Server(tmp_path) as server,
            terminals("en", client_command(server.port, "--nick", "Ana")) as (ana,),
        ):
            ana.wait_for("You are alone in #lobby")
            ana.type(text)
            ana.type("/history")
            ana.wait_for(f"[Ana]: {text}")
            server.stop(how)
    with (
        Server(tmp_path) as server,
        terminals("en", client_command(server.port, "--nick", "Bia")) as (bia,),
    ):
        bia.wait_for("Said before you joined")
        bia.wait_for("[Ana]: two")
        assert "[Ana]: one" in bia.screen


def test_messages_are_not_logged_unless_asked(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        talk(server.port, b"Ana\na secret\n/msg Ana psst\n/nick a\xff\nBAD \x1b\n")
        server.wait_for_log(r"\[ACTIVE CONNECTIONS\] 0$")
        assert not any("secret" in line or "psst" in line for line in server.log())


def test_no_input_makes_a_traceback(tmp_path: Path) -> None:
    """Random bytes, telnet commands and commands with odd arguments, as fast as it goes."""
    words = [b"/" + w for w in b"join leave rooms who topic msg reply nick me ignore".split()]
    words += [b"/" + w for w in b"unignore history lang timestamps help quit sair".split()]
    odd = [b"", b" ", b"\t", b"x" * 500, b"-1", b"\xf0\x9f\x98\x80", b"a b c", b"#", b"before"]
    with Server(tmp_path, "--rate", "off") as server:
        talk(server.port, os.urandom(200_000))
        lines = [word + b" " + arguments for word in words[:-2] for arguments in odd]
        replies = talk(server.port, b"Ana\n" + b"\r\n".join(lines) + b"\n/who\n")
        assert b"alone in #" in replies
        server.wait_for_log(r"\[ACTIVE CONNECTIONS\] 0$")
        assert not any("Traceback" in line or "failed" in line for line in server.log())


def test_half_close_over_a_real_connection(tmp_path: Path) -> None:
    """printf 'Ana\\noi' | nc -N: the line is said, and the replies arrive."""
    with (
        Server(tmp_path) as server,
        terminals("en", client_command(server.port, "--nick", "Bia")) as (bia,),
    ):
        bia.wait_for("You are alone in #lobby")
        assert b"You are Ana now" in talk(server.port, b"Ana\noi")
        bia.wait_for("[SERVER]: Ana left the chat.")
        assert screen_lines(bia)[-3:] == [
            "[SERVER]: Ana joined the chat.",
            "[Ana]: oi",
            "[SERVER]: Ana left the chat.",
        ]


@pytest.mark.skipif(shutil.which("nc") is None, reason="netcat is not installed")
def test_netcat(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        result = subprocess.run(
            ["nc", "-N", "127.0.0.1", str(server.port)],
            input=b"Ana\noi",
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
        assert b"You are Ana now" in result.stdout


@pytest.mark.skipif(shutil.which("telnet") is None, reason="telnet is not installed")
def test_telnet(tmp_path: Path) -> None:
    """Ctrl-C in telnet does not freeze it."""
    with (
        Server(tmp_path) as server,
        terminals("en", ["telnet", "127.0.0.1", str(server.port)]) as (ana,),
    ):
        ana.wait_for("Please type your username:")
        ana.type("Ana")
        ana.wait_for("You are alone in #lobby")
        ana.type("half a li\x03")
        ana.wait_for("To leave, type /quit and press Enter.")
        ana.type("/who")
        ana.wait_for("In #lobby (1): Ana.")
        ana.type("sair")
        ana.wait_for("Connection closed by foreign host.")


def test_resume_while_the_old_connection_is_still_there_but_takes_nothing(tmp_path: Path) -> None:
    """What the old connection's other side did not take is shown on the new one: no gap."""
    count = 3000
    with Server(tmp_path, "--rate", "off") as server:
        old = socket.socket()
        old.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        old.settimeout(PATIENCE)
        old.connect(("127.0.0.1", server.port))
        old.sendall(b"Ana\n")
        received = receive_until(old, b"kept for 365 days.\n")
        found = re.search(rb"/resume (\S+) ", received)
        assert found
        talk(server.port, b"Bia\n" + b"".join(b"%06d %s\n" % (n, b"x" * 90) for n in range(count)))
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as new:
            new.sendall(b"/resume " + found.group(1) + b"\n")
            resumed = receive_until(new, b"%06d %s\n" % (count - 1, b"x" * 90))
        with contextlib.suppress(ConnectionResetError):
            while piece := old.recv(65536):
                received += piece
        old.close()
    line = re.compile(rb"\[Bia\]: (\d{6}) x{90}\n")
    on_old, on_new = ([int(n) for n in line.findall(text)] for text in (received, resumed))
    assert on_new == list(range(on_new[0], count))
    assert on_old == list(range(len(on_old)))
    assert 0 < on_new[0] <= len(on_old)


def receive_until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while not received.endswith(end):
        piece = connection.recv(65536)
        assert piece, received[-300:]
        received += piece
    return received


# -- not starting -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--rate", "fast"], "--rate: fast"),
        (["--rate", "0:5"], "--rate: 0:5"),
        (["--greeting-delay", "-1"], "--greeting-delay: -1"),
        (["--history-lines", "many"], "--history-lines: many"),
        (["--durability", "some"], "--durability: some"),
        (["--language", "tlh"], "--language: tlh"),
        (["--room", "a b"], "--room: a b"),
        (["--motd", "missing.txt"], "missing.txt"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--database", "no/such/folder/chat.db"], "no/such/folder/chat.db"),
        (["--database", "/"], "/"),
        (["--listen", "carrier:pigeon"], "carrier:pigeon"),
        (["--listen", "tcp:no"], "tcp:no"),
        (["--listen", "tcp"], "tcp"),
        (["--listen", "systemd:domain=INET:index=0"], "systemd:domain=INET:index=0"),
        (["--database", "."], "."),
        (["--no-such-option"], "no-such-option"),
        (["argument"], "argument"),
    ],
)
def test_wrong_values_end_in_one_line(tmp_path: Path, options: list[str], named: str) -> None:
    if "--listen" not in options:  # or else the port may be somebody else's
        options = [*options, f"--listen=tcp:{free_port()}:interface=127.0.0.1"]
    line = fails(tmp_path, *options)
    assert line.startswith("twistd chat: ")
    assert named in line


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        line = fails(tmp_path, "--listen", endpoint, language="pt_BR")
    assert endpoint in line
    assert not (tmp_path / "chat.db").exists()


def test_a_second_server_on_the_same_database(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        line = fails(tmp_path, "--listen", "tcp:0:interface=127.0.0.1")
        assert "chat.db" in line
        assert str(server.process.pid) in line


def test_a_database_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"dear diary, " * 100)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE diary (text)")
    other.close()
    for name in ("notes.txt", "other.db"):
        before = (tmp_path / name).read_bytes()
        assert name in fails(tmp_path, "--listen", "tcp:0:interface=127.0.0.1", "--database", name)
        assert (tmp_path / name).read_bytes() == before


def test_who_speaks_and_goes_at_once_is_heard(tmp_path: Path) -> None:
    """Even if they do not wait for an answer, and reset the connection when it comes."""
    with Server(tmp_path) as server:
        for n in range(10):
            with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as person:
                person.sendall(b"p%d\nhello %d\n" % (n, n))
        heard: list[bytes] = []
        deadline = time.monotonic() + PATIENCE
        while len(heard) < 10 and time.monotonic() < deadline:
            heard = re.findall(rb"hello \d", talk(server.port, b"Ana\n/history\n"))
        assert sorted({*heard}) == [b"hello %d" % n for n in range(10)]

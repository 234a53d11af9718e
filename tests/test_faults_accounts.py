"""Many logins at once, and secrets in the files of a real server. Each prints its figure."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.support.faults import MEGABYTE, Bot, Subject, connect, percentile, show, verdict
from tests.support.processes import Server
from twisted_chat.core.account_errors import TooManyWrongSecrets, WrongSecret

pytestmark = [pytest.mark.process]

PASSWORD, WRONG = "correct horse battery", "a wrong guess at it"

LOGINS = 200

#: Accounts, each of which is logged into by as many clients.
ACCOUNTS = 8

#: The memory of one hash, by the second profile of RFC 9106, in bytes.
HASH = 64 * 2**20


class Login(threading.Thread):
    """Comes in with a password from an address of its own, and stays."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(daemon=True)
        source = f"127.0.{2 + number // 250}.{1 + number % 250}"
        self.socket = connect(port, source=source)
        self.socket.settimeout(200)
        self._name = f"Owner{number % ACCOUNTS}"
        self.answer = ""

    def run(self) -> None:
        hello = {"type": "hello", "nickname": self._name, "password": PASSWORD}
        self.socket.sendall(json.dumps(hello).encode() + b"\n")
        line = b"\n"
        while line and not line.startswith(b"{"):
            line = self._read_line()
        self.answer = json.loads(line)["type"] if line else "closed"

    def _read_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            data = self.socket.recv(1)
            if not data:
                return b""
            line += data
        return line


@pytest.mark.slow
def test_many_logins_at_once_delay_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Subject(tmp_path) as server, ExitStack() as stack:
        for number in range(ACCOUNTS):
            owner = Bot(server.port, f"Owner{number}", source=f"127.0.1.{100 + number}")
            assert owner.ask(type="register", password=PASSWORD, id="r")["type"] == "registered"
            owner.socket.close()
        visitors = [
            stack.enter_context(closing(Bot(server.port, f"V{n}", source=f"127.0.1.{n}")))
            for n in range(1, 11)
        ]
        logins = [Login(server.port, number) for number in range(LOGINS)]
        memory = server.memory()
        server.forget_peak()
        began = time.monotonic()
        for login in logins:
            login.start()
        delays: list[float] = []
        while any(login.is_alive() for login in logins) and time.monotonic() < began + 200:
            start = time.monotonic()
            visitors[len(delays) % len(visitors)].ask(type="ping", id=str(start))
            delays.append(time.monotonic() - start)
            time.sleep(0.02)
        seconds = time.monotonic() - began
        grown = server.peak() - memory
    p99 = 1000 * percentile(delays, 0.99)
    show(
        capsys,
        f"{LOGINS} logins at once",
        f"others' ping p99 {p99:.1f} ms ({verdict(p99, 50)}), all in after {seconds:.1f} s, "
        f"memory {grown / MEGABYTE:+.0f} MB at most",
    )
    assert [login.answer for login in logins] == ["welcome"] * LOGINS
    assert grown < 4 * HASH  # two at a time, and the clients


def test_no_secret_is_in_a_file_of_the_server(tmp_path: Path) -> None:
    """Neither in its database, nor in its logs, nor in what the system shows of the process."""
    options = ("--audit-log", "audit.jsonl", "--log-messages")
    secrets = [PASSWORD, WRONG, "1f" * 16]
    with Server(tmp_path, *options) as server:
        owner = Bot(server.port, "Ana", client="1f" * 16)
        owner.ask(type="register", password=PASSWORD, id="r")
        secrets.append(owner.ask(type="token-new", label="ci", id="t")["token"])
        secrets.append(owner.ask(type="device-add", id="d")["code"])
        owner.ask(type="say", room="lobby", text="a line that is stored", id="s")
        for line in (f"Ana:{WRONG}", f"Ana\n{WRONG}", f"Ana:{PASSWORD}\n/quit"):
            with closing(connect(server.port)) as person:
                person.sendall(f"{line}\n".encode())
                person.shutdown(1)
                while person.recv(4096):
                    pass
        command = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        environment = Path(f"/proc/{server.process.pid}/environ").read_bytes()
        server.wait_for_log(r"\[WRONG SECRET\].*Ana")
        files = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert any(b"a line that is stored" in data for data in files.values())
        server.stop()
    files |= {f"{path.name} after": path.read_bytes() for path in tmp_path.rglob("*.*")}
    files |= {"command": command, "environment": environment}
    for secret in secrets:
        assert [name for name, data in files.items() if secret.encode() in data] == []
    assert b'"logged-in"' in files["audit.jsonl after"]


@pytest.mark.slow
def test_a_program_of_the_operator_lets_people_in(tmp_path: Path) -> None:
    program = tmp_path / "check"
    program.write_text(
        "#!/bin/sh\nread -r line\n"
        'case "$line" in\n'
        f"*'\"{PASSWORD}\"'*) echo '{{\"ok\": true}}' ;;\n"
        "*crash*) exit 1 ;;\n"
        "*) echo '{\"ok\": false}' ;;\n"
        "esac\n"
    )
    program.chmod(0o700)
    options = ("--guests", "off", "--auth-command", str(program), "--registration", "off")
    with Server(tmp_path, *options) as server:
        for number in range(2):  # the first time makes the account
            ana = connect(server.port)
            ana.sendall(_hello("Ana", PASSWORD))
            answer = json.loads(ana.makefile("rb").readline())
            assert (answer["type"], answer["account"]) == ("welcome", 1), number
            ana.close()
        for secret, code in ((WRONG, WrongSecret.code), ("crash!", "directory-failed")):
            with closing(connect(server.port)) as other:
                other.sendall(_hello("Bia", secret))
                assert json.loads(other.makefile("rb").readline())["code"] == code
        server.wait_for_log(r"\[DIRECTORY\] .*it ended without an answer")
        assert "crash" not in "\n".join(server.log())
        server.stop()


@pytest.mark.slow
def test_guesses_wait_over_new_connections(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        codes = []
        for _ in range(4):
            with closing(connect(server.port)) as guesser:
                guesser.sendall(_hello("Ana", WRONG))
                codes.append(json.loads(guesser.makefile("rb").readline())["code"])
        assert codes == [WrongSecret.code] * 3 + [TooManyWrongSecrets.code]


def _hello(name: str, password: str) -> bytes:
    hello = {"type": "hello", "nickname": name, "password": password}
    return json.dumps(hello).encode() + b"\n"

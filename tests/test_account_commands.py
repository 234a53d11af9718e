"""``twisted-chat account``, with a server and without one: what it prints, and no secret more."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, Server, environment, talk
from twisted_chat import cli
from twisted_chat.core.changes import Draft
from twisted_chat.core.mailboxes import StoredMessage
from twisted_chat.core.room_rules import RoomRules
from twisted_chat.journal.group_commit import STOP_TIMEOUT
from twisted_chat.journal.sqlite.files import Lock
from twisted_chat.journal.sqlite.store import Store
from twisted_chat.operator import desk, offline

#: A code alone on its line.
CODE = re.compile(r"([a-z0-9]{4}-){4}[a-z0-9]{4}\n")

TIME = 1_795_463_820_000_000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The database of a stopped server."""
    path = tmp_path / "chat.db"
    with closing(Store(str(path))):
        pass
    return path


class Shell:
    """Runs the commands for one database."""

    def __init__(self, database: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._database = database
        self._capsys = capsys

    def __call__(self, action: str, *arguments: str) -> tuple[int, str, str]:
        """The exit status, the output and the errors of ``account ACTION``."""
        return self.run("account", action, "--database", str(self._database), *arguments)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The exit status, the output and the errors of the program."""
        try:
            status = cli.main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        captured = self._capsys.readouterr()
        return status, captured.out, captured.err


@pytest.fixture
def account(database: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(database, capsys)


@pytest.fixture(params=["with a server", "without one"])
def either(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """The commands with a running server, and without one."""
    shell = Shell(tmp_path / "chat.db", capsys)
    if request.param == "with a server":
        with Server(tmp_path):
            yield shell
    else:
        request.getfixturevalue("database")
        yield shell


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en.UTF-8")


@pytest.mark.process
def test_the_life_of_an_account(either: Shell) -> None:
    status, code, told = either("create", "Ana")
    assert (status, bool(CODE.fullmatch(code))) == (0, True)
    assert re.fullmatch(
        r"The account Ana is made\. This code lets its person in once, until \S+ \S+ UTC\.\n", told
    )
    status, second, _ = either("invite", "ana")
    assert (status, bool(CODE.fullmatch(second)), second != code) == (0, True, True)
    assert either("list") == (
        0,
        f"1 Ana: active, made on {time.strftime('%Y-%m-%d', time.gmtime())}; 2 codes\n",
        "",
    )
    status, third, told = either("reset", "Ana")
    assert (status, bool(CODE.fullmatch(third))) == (0, True)
    assert "dropped" in told
    assert either("disable", "Ana") == (
        0,
        "The account Ana is disabled, and its connections are closed.\n",
        "",
    )
    assert either("reset", "Ana") == (
        1,
        "",
        "twisted-chat account reset: The account Ana is disabled; enable it first.\n",
    )
    assert either("enable", "Ana")[0] == 0
    assert either("rename", "Ana", "Anna") == (
        0,
        "Ana is called Anna now. Nobody else can have the old name.\n",
        "",
    )
    assert either("create", "Ana")[0] == 1
    status, told, _ = either("erase", "Anna")
    assert status == 0
    assert "Its messages in rooms stay." in told
    ((_, listed, _),) = (either("list", "--json"),)
    shown = json.loads(listed)
    assert (shown["name"], shown["status"], shown["former"]) == ("Anna", "closed", ["Ana"])
    assert shown["credentials"] == []


@pytest.mark.process
@pytest.mark.slow
def test_what_was_done_lasts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over a server, over its kill, and over the database alone."""
    account = Shell(tmp_path / "chat.db", capsys)
    with Server(tmp_path) as server:
        assert account("create", "Ana")[0] == 0
        server.stop(signal.SIGKILL)
    assert account("create", "Bia")[0] == 0
    with Server(tmp_path) as server:
        assert account("create", "Carla")[0] == 0
        server.stop()
    assert [line.split(":")[0] for line in account("list")[1].splitlines()] == [
        *("1 Ana", "2 Bia", "3 Carla")
    ]


class Person:
    """A program that chats over a connection of its own."""

    def __init__(self, server: Server, nickname: str = "Ana", **secret: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        self._received = self._socket.makefile()
        hello = {"type": "hello", "nickname": nickname, **secret}
        self._socket.sendall(json.dumps(hello).encode() + b"\n")

    def outcome(self) -> str:
        """``entered``, or the code of the next refusal."""
        for line in self._received:
            event = json.loads(line)
            if event["type"] == "entered":
                return "entered"
            if event["type"] == "error":
                return str(event["code"])
        return "closed"

    def close(self) -> None:
        self._socket.close()


@pytest.mark.process
def test_a_code_lets_its_person_in_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], database: Path
) -> None:
    """Whether it was made over the server or over the database; a reset ends what was before."""
    account = Shell(database, capsys)
    code = account("create", "Ana")[1].strip()
    with Server(tmp_path) as server, contextlib.ExitStack() as stack:

        def comes(**secret: str) -> Person:
            return stack.enter_context(closing(Person(server, **secret)))

        assert comes().outcome() == "name-reserved"
        ana = comes(code=code)
        assert ana.outcome() == "entered"
        assert comes(code=code).outcome() == "wrong-secret"
        unused = account("invite", "Ana")[1].strip()
        code = account("reset", "Ana")[1].strip()
        assert ana.outcome() == "logged-out"
        assert ana.outcome() == "closed"
        assert comes(code=unused).outcome() == "wrong-secret"
        account("disable", "Ana")
        assert comes(code=code).outcome() == "account-disabled"
        account("enable", "Ana")
        ana = comes(code=code)
        assert ana.outcome() == "entered"
        account("erase", "Ana")
        assert ana.outcome() == "logged-out"
        assert ana.outcome() == "closed"


@pytest.mark.process
def test_a_closed_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the README describes it: only people with a code come in, also under a reserved name."""
    account = Shell(tmp_path / "chat.db", capsys)
    options = ("--guests=off", "--registration=invite", "--reserved-names=Boss")
    with Server(tmp_path, *options) as server:
        code = account("create", "Boss")[1].strip()
        with (
            closing(Person(server, nickname="Boss", code=code)) as boss,
            closing(Person(server, nickname="Bia")) as guest,
        ):
            assert boss.outcome() == "entered"
            assert guest.outcome() == "no-guests"


@pytest.mark.process
@pytest.mark.parametrize("action", ["reset", "disable", "erase"])
@pytest.mark.slow
def test_nobody_comes_back_with_a_code_of_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    """The server was killed, so it would let people come back for a while: not after this."""
    account = Shell(tmp_path / "chat.db", capsys)
    with Server(tmp_path) as server:
        code = account("create", "Ana")[1].strip()
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as ana:
            ana.sendall(f"Ana:{code}\n".encode())
            for line in ana.makefile():
                if found := re.search("/resume (\\S+)", line):
                    break
            time.sleep(1.5)  # its record is written within a second
            server.stop(signal.SIGKILL)
    assert found is not None
    assert account(action, "Ana")[0] == 0
    if action == "disable":
        assert account("enable", "Ana")[0] == 0
    for _ in range(2):  # the second start reads what the first one left
        with Server(tmp_path) as server:
            told = talk(server.port, f"/resume {found[1]}\n".encode()).decode()
            assert "Ana" not in told
            server.stop()


@pytest.mark.process
def test_no_code_is_in_an_argument_a_log_or_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account = Shell(tmp_path / "chat.db", capsys)
    with Server(tmp_path, "--audit-log", "audit.jsonl") as server:
        codes = [account("create", "Ana")[1].strip(), account("reset", "Ana")[1].strip()]
        told = account("export", "Ana")[1] + account("list", "--json")[1]
        assert "[OPERATOR] reset Ana" in server.log()
        server.stop(signal.SIGKILL)  # the write-ahead log stays
    account("invite", "Ana")
    audit = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    actions = [(line["nickname"], line["action"]) for line in audit if line["what"] == "operator"]
    assert actions == [("Ana", "create"), ("Ana", "reset"), ("Ana", "export")]
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    for code in codes:
        for form in (code, code.replace("-", "")):
            assert form.encode() not in written
            assert form not in told


def test_no_action_takes_a_secret_as_an_argument(account: Shell) -> None:
    """Other users see the arguments of a process."""
    for action in ("create", "invite", "reset"):
        assert account(action, "Ana", "a-secret")[0] == 2


@pytest.mark.process
def test_a_room_gets_an_owner(either: Shell, tmp_path: Path) -> None:
    """Over the server and over the database; it lasts."""
    either("create", "Ana")
    path = str(tmp_path / "chat.db")
    if not (tmp_path / "chat.db.control").exists():
        assert either.run("room", "owner", "zoo", "Ana", "--database", path)[0] == 1
        with closing(Store(path)) as store:
            store.commit([Draft("zoo", TIME, "say", "Bia", "oi", -5, None)])
        expected = (0, "Ana owns #zoo now.\n", "")
        assert either.run("room", "owner", "#zoo", "Ana", "--database", path) == expected
        with closing(Store(path)) as store:
            assert [r.owner for r in store.records() if isinstance(r, RoomRules)] == [1]
    else:
        assert either.run("room", "owner", "lobby", "Ana", "--database", path)[0] in (0, 1)


def test_an_export_has_the_account_and_its_messages_and_no_others(
    account: Shell, database: Path
) -> None:
    assert account("create", "Ana")[0] == 0
    with closing(Store(str(database))) as store:
        for author, text in [(1, "mine"), (-5, "a guest's"), (1, "\x1b[2Jmine"), (2, "of Bia")]:
            store.commit([Draft("lobby", TIME, "say", "Ana", text, author, None)])
        store.commit([Draft("zoo", TIME, "say", "Ana", "there", 1, None)])
        for recipient, text in [(1, "\x1b[2Jpsst"), (1, ""), (10, "to another")]:
            who = recipient, TIME, -5, 0, 10 + len(text), "Bia"
            store.store([StoredMessage(*who, text, TIME)])
    status, told, _ = account("export", "Ana")
    assert status == 0
    first, kept, *entries = map(json.loads, told.splitlines())
    assert (first["type"], first["name"], first["number"]) == ("account", "Ana", 1)
    assert first["made"].endswith("Z")
    assert [credential["kind"] for credential in first["credentials"]] == ["code"]
    assert not any("hash" in credential for credential in first["credentials"])
    assert (kept["type"], kept["sender"], kept["text"]) == ("message", "Bia", "\x1b[2Jpsst")
    texts = [(entry["room"], entry["text"]) for entry in entries]
    assert texts == [("lobby", "mine"), ("lobby", "\x1b[2Jmine"), ("zoo", "there")]
    assert "\x1b" not in told


def test_what_is_kept_for_an_account_is_erased_with_it(account: Shell, database: Path) -> None:
    account("create", "Ana")
    with closing(Store(str(database))) as store:
        store.store([StoredMessage(1, TIME, -5, 0, 130, "Bia", "psst", TIME)])
    assert account("disable", "Ana")[0] == 0
    with closing(Store(str(database))) as store:
        assert len(store.record_keys("message")) == 1
    assert account("erase", "Ana")[0] == 0
    with closing(Store(str(database))) as store:
        assert store.record_keys("message") == []


def test_a_database_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    """A wrong path must not become a database that no server reads."""
    assert cli.main(["account", "create", "Ana", "--database", str(tmp_path / "x.db")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_database_is_found_by_the_server_s_file_of_options(
    tmp_path: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings that are valid for the server only, such as the number of clients, do not matter."""
    config = tmp_path / "chat.toml"
    config.write_text(f'database = "{database}"\nmax-clients = 999999\nmotd = "/nowhere"\n')
    assert cli.main(["account", "create", "Ana", "--config", str(config)]) == 0
    config.write_text('database = ":memory:"\n')
    capsys.readouterr()
    assert cli.main(["account", "list", "--config", str(config)]) == 2
    assert "in memory" in capsys.readouterr().err
    config.write_text("databas = 1\n")
    assert cli.main(["account", "list", "--config", str(config)]) == 2


def test_an_older_database_is_not_upgraded_by_a_command(account: Shell, database: Path) -> None:
    """The server upgrades it, makes a copy, and says so in its log."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 2")
    before = database.read_bytes()
    status, _, told = account("create", "Ana")
    assert status == 2
    assert "older version" in told
    assert database.read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work for another user")
def test_files_that_root_leaves_belong_to_the_owner_of_the_database(database: Path) -> None:
    """A server that may not open them would not start."""
    os.chown(database, 65534, 65534)
    with offline.opened(str(database)):
        owners = {path.name: path.stat().st_uid for path in database.parent.iterdir()}
    assert owners == dict.fromkeys(owners, 65534)
    assert "chat.db.lock" in owners


def test_nothing_is_left_beside_the_database(account: Shell, database: Path) -> None:
    assert account("create", "Ana")[0] == 0
    assert account("create", "Ana")[0] == 1
    assert [path.name for path in database.parent.iterdir()] == ["chat.db"]
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_a_process_that_has_the_database_and_no_socket_is_named(
    account: Shell, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "INTERVAL", 0.001)
    lock = Lock(str(database))
    status, _, told = account("create", "Ana")
    lock.release()
    assert status == 2
    assert f"process {os.getpid()} has the database" in told
    assert told.count("\n") == 1


def test_a_command_waits_for_a_server_that_is_stopping(account: Shell, database: Path) -> None:
    lock = Lock(str(database))
    threading.Timer(0.5, lock.release).start()
    assert account("create", "Ana")[0] == 0


@pytest.mark.process
@pytest.mark.slow
def test_a_server_that_stops_answers_no_further_operator(tmp_path: Path) -> None:
    """Its last writes wait, as another program has locked the database."""
    with Server(tmp_path) as server:
        with (
            closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other,
            socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client,
        ):
            other.execute("BEGIN IMMEDIATE")
            client.sendall(b'{"type":"hello","nickname":"Bia"}\n{"type":"say","text":"oi"}\n')
            client.sendall(b'{"type":"ping","id":"1"}\n')
            received = client.makefile()
            while '"pong"' not in received.readline():
                pass
            server.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT - 1  # until then, it waits for the lock
            while (tmp_path / "chat.db.control").exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert server.process.poll() is None
        server.process.wait(PATIENCE)


@pytest.mark.process
@pytest.mark.slow
def test_two_commands_at_once_are_both_done(tmp_path: Path, database: Path) -> None:
    """Without a server, one of them waits for the other."""
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "twisted_chat.cli", "account", "create", name],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("Ana", "Bia")
    ]
    codes = [command.communicate(timeout=PATIENCE)[0] for command in commands]
    assert [command.returncode for command in commands] == [0, 0]
    assert all(CODE.fullmatch(code) for code in codes)


@pytest.mark.parametrize("name", ["", " ", "a b", "/quit", "\x1b[2J", "\udcff", "x" * 100_000])
@pytest.mark.parametrize("action", ["create", "invite", "reset", "disable", "erase", "export"])
def test_a_wrong_name_is_refused_in_one_line(account: Shell, action: str, name: str) -> None:
    status, told, errors = account(action, "--", name)
    assert (status, told) == (1, "")
    assert errors.count("\n") == 1
    assert "\x1b" not in errors


@pytest.mark.process
def test_a_wrong_name_is_refused_by_a_server_too(either: Shell) -> None:
    for name in ("", "a b", "\x1b[2J", "\udcff", "x" * 100_000):
        for arguments in (["create"], ["disable"], ["export"], ["rename", "Ana"]):
            status, _, errors = either(*arguments, "--", name)
            assert (status, errors.count("\n")) == (1, 1)


def test_without_an_action_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["account"]) == 2
    assert "erase" in capsys.readouterr().out


@pytest.mark.process
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
def test_a_code_that_cannot_be_written_is_told(tmp_path: Path, database: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "twisted_chat.cli", "account", "create", "Ana"],
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
        )
    assert done.returncode == 2
    assert "cannot write stdout" in done.stderr
    assert "Traceback" not in done.stderr

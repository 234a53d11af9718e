"""The bots in ``examples/bots``, as processes on real servers, also when all of it is killed."""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import twisted_chat.client
from tests.support.mortal_server import MortalServer
from tests.support.processes import PATIENCE, environment
from twisted_chat.client import ChatClient, Event
from twisted_chat.client.protocol import Receiver
from twisted_chat.client.requests import Requests

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
BOTS = ROOT / "examples/bots"

#: A text as long as one can be.
LONGEST = "€" * 1365


class Bot:
    """A program of ``examples/bots`` that is killed and started again; it runs in ``folder``."""

    def __init__(self, folder: Path, name: str, *arguments: str | Path) -> None:
        self._folder = folder
        self._command = [sys.executable, BOTS / f"{name}.py", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "bot.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=environment(), stdout=output, stderr=output
            )

    def end(self, how: signal.Signals) -> int:
        """End it if it runs; returns its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        """Until it has ended; returns its exit status."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def kill_and_start(self) -> None:
        assert self.end(signal.SIGKILL) == -signal.SIGKILL, self.output()
        self.start()

    def output(self) -> str:
        return (self._folder / "bot.log").read_text(encoding="utf-8")


class Person:
    """Somebody in ``room`` who says one line after the other, each until it is saved."""

    def __init__(self, server: MortalServer, nickname: str, room: str = "lobby") -> None:
        self._port = server.port
        self._room = room
        self._hello = {
            "type": "hello",
            "nickname": nickname,
            "client": secrets.token_hex(16),
            "resume": {room: 0},
        }
        self._requests = 0
        self._connect()

    def say(self, text: str, kind: str = "say") -> None:
        self._ask("ack", {"type": "say", "room": self._room, "text": text, "kind": kind})

    def tell(self, name: str, text: str) -> None:
        self._ask("delivered", {"type": "tell", "name": name, "text": text})

    def wait_for(self, name: str) -> None:
        """Until somebody of that name is in the room."""
        until(lambda: name in self._ask("people", {"type": "who", "room": self._room})["people"])

    def hear(self, kind: str) -> Mapping[str, Any]:
        """The next line of that type."""
        while True:
            line: dict[str, Any] = json.loads(self._lines.readline())
            if line["type"] == kind:
                return line

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _connect(self) -> None:
        def connect() -> bool:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
            except OSError:
                return False
            return True

        until(connect)
        self._lines = self._socket.makefile("rb")
        self._send(self._hello)

    def _send(self, request: Mapping[str, object]) -> None:
        self._socket.sendall(json.dumps(request).encode() + b"\n")

    def _ask(self, answer: str, request: dict[str, object]) -> Mapping[str, Any]:
        """Ask until there is an answer, over as many connections as it takes."""
        self._requests += 1
        request["id"] = str(self._requests)
        while True:
            try:
                self._send(request)
                while data := self._lines.readline():
                    line: dict[str, Any] = json.loads(data)
                    assert line["type"] != "error", line
                    if line["type"] == answer and line["id"] == request["id"]:
                        return line
            except OSError:
                pass  # it broke off
            self.close()
            self._connect()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "nothing more happens"
        time.sleep(0.02)


@contextmanager
def server_in(folder: Path) -> Iterator[MortalServer]:
    folder.mkdir(exist_ok=True)
    server = MortalServer(folder)
    try:
        asyncio.run(server.start())
        yield server
    finally:
        asyncio.run(server.stop())


@contextmanager
def bot_in(folder: Path, name: str, *arguments: str | Path) -> Iterator[Bot]:
    bot = Bot(folder, name, *arguments)
    bot.start()
    try:
        yield bot
        assert "Traceback" not in bot.output(), bot.output()
    finally:
        bot.end(signal.SIGKILL)


def address(server: MortalServer) -> str:
    return f"tcp:127.0.0.1:{server.port}"


def log(server: MortalServer, room: str) -> list[dict[str, Any]]:
    """What is in the room's log, as the logger writes it."""
    columns = "number, time, kind, nickname, text"
    with closing(sqlite3.connect(server.database)) as connection:
        rows = connection.execute(
            f"SELECT {columns} FROM entry JOIN room ON room.id = entry.room"
            " WHERE room.name = ? ORDER BY number",
            (room,),
        ).fetchall()
    return [dict(zip(columns.split(", "), row, strict=True)) for row in rows]


def said_by(server: MortalServer, room: str, nickname: str) -> list[str]:
    return [entry["text"] for entry in log(server, room) if entry["nickname"] == nickname]


def until_said(server: MortalServer, room: str, text: str) -> None:
    until(lambda: any(entry["text"] == text for entry in log(server, room)))


def kill_and_start(server: MortalServer, meanwhile: Callable[[], None]) -> None:
    server.kill()
    meanwhile()
    asyncio.run(server.start())


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    given = request.config.getoption("--seed")
    seed = secrets.randbits(32) if given is None else given
    print(f"--seed {seed}")  # pytest shows it when the test fails
    return random.Random(seed)


# -- echo ---------------------------------------------------------------------------------------


def test_echo_answers_each_line_once_and_itself_never(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(server_in(tmp_path))
        options = (address(server), "--room", "cinema")
        bot = stack.enter_context(bot_in(tmp_path, "echo", *options))
        another = stack.enter_context(
            bot_in(tmp_path, "echo", *options, "--nick=Echo2", "--state=2.state")
        )
        person = stack.enter_context(closing(Person(server, "Ana", "cinema")))
        person.wait_for("Echo")
        person.wait_for("Echo2")
        person.say("oi")
        person.say("waves", "act")
        person.tell("Echo", "psst")
        assert person.hear("told")["text"] == "psst"
        until(lambda: len(log(server, "cinema")) == 6)
        bot.end(signal.SIGKILL)
        person.say("missed")
        bot.start()
        until(lambda: said_by(server, "cinema", "Echo") == ["oi", "waves", "missed"])
        until(lambda: said_by(server, "cinema", "Echo2") == ["oi", "waves", "missed"])
        person.say("last")
        until(lambda: len(log(server, "cinema")) == 12)
        assert (bot.end(signal.SIGTERM), another.end(signal.SIGTERM)) == (0, 0)
        assert len(log(server, "cinema")) == 12
        acts = [entry["text"] for entry in log(server, "cinema") if entry["kind"] == "act"]
        assert acts == ["waves"] * 3
        assert log(server, "lobby") == []


# -- bridge -------------------------------------------------------------------------------------


def bridge(stack: ExitStack, folder: Path) -> tuple[MortalServer, MortalServer, Bot]:
    one = stack.enter_context(server_in(folder / "one"))
    other = stack.enter_context(server_in(folder / "other"))
    arguments = (address(one), "lobby", address(other), "cinema", "--state", folder / "bridge")
    return one, other, stack.enter_context(bot_in(folder, "bridge", *arguments))


@pytest.mark.slow
def test_bridge_carries_lines_both_ways_and_no_further(tmp_path: Path) -> None:
    """Also what is too long with its author's name before it: nothing of it is lost."""
    with ExitStack() as stack:
        one, other, bot = bridge(stack, tmp_path)
        ana = stack.enter_context(closing(Person(one, "Ana")))
        bia = stack.enter_context(closing(Person(other, "Bia", "cinema")))
        ana.wait_for("Bridge")
        bia.wait_for("Bridge")
        ana.say("oi")
        until(lambda: said_by(other, "cinema", "Bridge") == ["<Ana> oi"])
        bia.say("waves", "act")
        until(lambda: said_by(one, "lobby", "Bridge") == ["* Bia waves"])
        ana.say(LONGEST)
        ana.say("end")
        until(lambda: said_by(other, "cinema", "Bridge")[-1] == "<Ana> end")
        assert bot.end(signal.SIGTERM) == 0, bot.output()
        _, *parts, _ = said_by(other, "cinema", "Bridge")
        assert "".join(part.removeprefix("<Ana> ") for part in parts) == LONGEST
        assert said_by(one, "lobby", "Bridge") == ["* Bia waves"]
        assert said_by(one, "cinema", "Bridge") == said_by(other, "lobby", "Bridge") == []


@pytest.mark.slow
def test_bridge_loses_and_doubles_nothing_when_any_part_is_killed(
    tmp_path: Path, chance: random.Random
) -> None:
    with ExitStack() as stack:
        one, other, bot = bridge(stack, tmp_path)
        ana = stack.enter_context(closing(Person(one, "Ana")))
        bia = stack.enter_context(closing(Person(other, "Bia", "cinema")))
        ana.wait_for("Bridge")
        bia.wait_for("Bridge")
        said: list[str] = []

        def speak(*people: Person) -> None:
            for _ in range(chance.randrange(1, 20)):
                said.append(str(len(said)))
                for person in people:
                    person.say(said[-1])

        both = (ana, bia)
        kills: list[Callable[[], None]] = [
            bot.kill_and_start,
            lambda: kill_and_start(one, lambda: None),
            lambda: kill_and_start(other, lambda: None),
        ]
        chance.shuffle(kills)
        for kill in (*kills, bot.kill_and_start):
            speak(*both)
            kill()
        speak(*both)
        bot.end(signal.SIGKILL)
        speak(*both)  # nobody carries it yet
        bot.start()
        wanted = {
            (other, "cinema"): [f"<Ana> {text}" for text in said],
            (one, "lobby"): [f"<Bia> {text}" for text in said],
        }
        for (server, room), texts in wanted.items():
            until_said(server, room, texts[-1])
        assert bot.end(signal.SIGTERM) == 0, bot.output()
        for (server, room), texts in wanted.items():
            assert said_by(server, room, "Bridge") == texts


# -- logger -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_logger_writes_each_entry_once_when_it_is_killed(
    tmp_path: Path, chance: random.Random
) -> None:
    """Also after a line of which only a part was written; what is there already is not touched."""
    file = tmp_path / "room.jsonl"

    def written() -> list[dict[str, Any]]:
        lines = file.read_bytes().rpartition(b"\n")[0].splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    with ExitStack() as stack:
        server = stack.enter_context(server_in(tmp_path))
        person = stack.enter_context(closing(Person(server, "Ana")))
        person.say("before")
        bot = stack.enter_context(bot_in(tmp_path, "logger", address(server), "lobby", file))
        until(lambda: len(written()) == 1)
        for _ in range(4):
            for _ in range(chance.randrange(1, 40)):
                person.say(f'{chance.choice("aé文")} \\ "')
            bot.end(signal.SIGKILL)
            before = written()
            with file.open("ab") as end:
                end.write(b'{"number": 7, "ti'[: chance.randrange(17)])
            person.say("meanwhile")
            bot.start()
            until(lambda: len(written()) == len(log(server, "lobby")))
            assert written()[: len(before)] == before
        kill_and_start(server, lambda: None)
        person.say("last")
        until(lambda: len(written()) == len(log(server, "lobby")))
        assert bot.end(signal.SIGTERM) == 0, bot.output()
        assert written() == log(server, "lobby")
        assert bot.output() == ""


@pytest.mark.slow
def test_two_loggers_do_not_write_one_file(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(server_in(tmp_path))
        arguments = (address(server), "lobby", tmp_path / "room.jsonl")
        stack.enter_context(bot_in(tmp_path, "logger", *arguments))
        person = stack.enter_context(closing(Person(server, "Ana")))
        person.wait_for("Logger")
        second = stack.enter_context(bot_in(tmp_path, "logger", *arguments))
        assert second.wait() == 1
        assert "is being written by another process" in second.output()


# -- the document -------------------------------------------------------------------------------


def test_every_event_every_method_and_every_bot_is_documented() -> None:
    text = (ROOT / "docs/bots.rst").read_text(encoding="utf-8")
    exported = {name: getattr(twisted_chat.client, name) for name in twisted_chat.client.__all__}
    events = {name for name, one in exported.items() if isinstance(one, type)}
    events = {name for name in events if issubclass(exported[name], Event)} - {"Event"}
    described = set(re.findall(r"^``(\w+)`` ", text, re.MULTILINE))
    assert events - described == set()
    methods = {name for name in vars(ChatClient) | vars(Requests) if not name.startswith("_")}
    methods -= {name for name in vars(Receiver) if not name.startswith("_")}
    assert {name for name in methods if not re.search(rf"\b{name}\b.*``", text)} == set()
    for path in BOTS.glob("*.py"):
        assert f"literalinclude:: ../examples/bots/{path.name}" in text
        assert len(path.read_text(encoding="utf-8").splitlines()) < 80

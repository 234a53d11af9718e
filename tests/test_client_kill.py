"""The client's promise, while server and clients are killed: nothing is lost, nothing doubled.

*What a client is told of a room is that room's log from the moment when it joined. What it is
asked to say is in the log once, in its order, also if it is asked again after a kill.*

First in memory, for every day: Hypothesis chooses what happens. Then for real (slow): four
processes that speak, each with a :class:`FileState`, each its own cursor in the files that it
writes, and a server; ``kill -9`` at random moments. ``TWISTED_CHAT_KILL_SECONDS=300`` is more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.support.mortal_server import MortalServer
from tests.support.processes import PATIENCE, environment
from twisted_chat.client import (
    ChatClient,
    ClientStopped,
    Entered,
    Entry,
    Event,
    FileState,
    MemoryState,
    Refused,
    Welcomed,
)
from twisted_chat.testing import ChatServer

ROOMS = ("lobby", "cinema")
PEOPLE = 4

#: Messages of one client that may wait for their acknowledgement. So many are said again.
WINDOW = 20

#: Seconds that the slow test goes on killing.
SECONDS = float(os.environ.get("TWISTED_CHAT_KILL_SECONDS", "20"))


# -- in memory ----------------------------------------------------------------------------------


@implementer(IStreamClientEndpoint)
class _Mortal:
    """An endpoint of a process: when that is killed, nobody is there to connect any more."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint
        self._is_alive = True
        self._connecting: Deferred[IProtocol] = Deferred()

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self._is_alive:
            self._connecting = self._endpoint.connect(protocolFactory)
        else:
            self._connecting = Deferred()
        return self._connecting

    def kill(self) -> None:
        self._is_alive = False
        self._connecting.cancel()  # which changes nothing for a connection that there is


class Survivor:
    """Somebody whose client is killed and started again; what is on disk outlives it."""

    def __init__(self, server: ChatServer, nickname: str) -> None:
        self.nickname = nickname
        self.transcript: dict[str, list[Entry]] = {room: [] for room in ROOMS}
        self.joined: dict[str, int] = {}
        self.said: list[tuple[str, str]] = []
        self._server = server
        self._state = MemoryState()
        self._start()

    def say(self) -> None:
        """Say the next line, unless too many are waiting."""
        if len(self._client.waiting) < WINDOW:
            number = len(self.said)
            self.said.append((ROOMS[number % len(ROOMS)], f"{self.nickname} {number}"))
            self._say(number)

    def kill(self) -> None:
        self._client.listen(lambda _: None, dealt_with=False)
        self._endpoint.kill()
        self._server.cut(self.nickname)
        self._start()

    def _start(self) -> None:
        self._endpoint = _Mortal(self._server.endpoint())
        rooms = {room: self._last(room) for room in ROOMS}
        self._client = ChatClient(
            self._server.clock, self._endpoint, self.nickname, rooms=rooms, state=self._state
        )
        self._client.open()
        for room, number in self._client.rooms.items():
            if number is not None:  # it had joined, and was killed before anything was said
                self.joined.setdefault(room, number)
        for number in range(max(0, len(self.said) - WINDOW), len(self.said)):
            self._say(number)
        self._client.listen(self._heard)
        self._client.startService()

    def _last(self, room: str) -> int | None:
        entries = self.transcript[room]
        return entries[-1].number if entries else self.joined.get(room)

    def _say(self, number: int) -> None:
        room, text = self.said[number]
        self._client.say(text, room, id=str(number)).addErrback(lambda why: why.trap(ClientStopped))

    def _heard(self, event: Event) -> None:
        if isinstance(event, Entry):
            self.transcript[event.room].append(event)
        elif isinstance(event, Entered):
            self.joined.setdefault(event.room, event.last)


class House:
    """A server and the people in it, and what can happen to them."""

    def __init__(self) -> None:
        self.server = ChatServer()
        self.people = [Survivor(self.server, f"Bot{number}") for number in range(PEOPLE)]

    def say(self, person: Survivor) -> None:
        person.say()

    def kill_client(self, person: Survivor) -> None:
        person.kill()

    def cut(self, person: Survivor) -> None:
        self.server.cut(person.nickname)

    def hold(self, _: Survivor) -> None:
        self.server.commits_at_once = not self.server.commits_at_once

    def commit(self, _: Survivor) -> None:
        if self.server.is_running:
            self.server.commit()

    def kill_or_start(self, _: Survivor) -> None:
        if self.server.is_running:
            self.server.kill()
        else:
            self.server.start()

    def stop_or_start(self, _: Survivor) -> None:
        if self.server.is_running:
            self.server.stop()
        else:
            self.server.start()

    def settle(self, _: Survivor) -> None:
        self.server.settle()

    def wait_a_little(self, _: Survivor) -> None:
        self.server.clock.advance(1)

    def wait(self, _: Survivor) -> None:
        self.server.clock.advance(15)

    def finish(self) -> None:
        """All is brought up again, and has the time that it takes."""
        if not self.server.is_running:
            self.server.start()
        self.server.commits_at_once = True
        self.server.commit()
        self.server.clock.advance(120)


HAPPENINGS: tuple[Callable[[House, Survivor], None], ...] = (
    House.say,
    House.settle,
    House.wait_a_little,
    House.kill_client,
    House.cut,
    House.hold,
    House.commit,
    House.kill_or_start,
    House.stop_or_start,
    House.wait,
)


@settings(deadline=None, max_examples=2 * settings().max_examples)
@given(
    st.lists(
        st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, PEOPLE - 1), st.integers(1, 5)),
        max_size=40,
    )
)
def test_nothing_is_lost_or_doubled_whatever_happens(
    story: list[tuple[Callable[[House, Survivor], None], int, int]],
) -> None:
    house = House()
    for happening, at, times in story:
        for _ in range(times if happening is House.say else 1):
            happening(house, house.people[at])
    house.finish()
    for room in ROOMS:
        log = [(entry.number, entry.nickname, entry.text) for entry in house.server.log(room)]
        for person in house.people:
            seen = [(one.number, one.nickname, one.text) for one in person.transcript[room]]
            assert seen == log[person.joined[room] :]
            wanted = [text for place, text in person.said if place == room]
            assert [text for _, author, text in log if author == person.nickname] == wanted


# -- one client, as a process -------------------------------------------------------------------


class Lines:
    """A file of JSON objects, a line each, that is its own cursor. All of it blocks."""

    def __init__(self, path: Path) -> None:
        """Opens it; a line that was not written to its end is cut off."""
        self._file = path.open("a+b")
        self._file.seek(0)
        whole, end, _ = self._file.read().rpartition(b"\n")
        self._file.truncate(len(whole) + len(end))
        self.found: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]

    def append(self, **fields: object) -> None:
        """With the system on return, which a killed process does not matter to."""
        self._file.write(json.dumps(fields).encode() + b"\n")
        self._file.flush()
        self.found.append(fields)


async def take_part(reactor: Any, options: argparse.Namespace) -> None:
    """Be somebody who says numbered lines, and writes down all that is said."""
    files = {room: Lines(options.folder / f"{options.nick}.{room}.jsonl") for room in ROOMS}
    said = Lines(options.folder / f"{options.nick}.said.jsonl")
    comings = Lines(options.folder / f"{options.nick}.comings.jsonl")
    client = ChatClient(
        reactor,
        f"tcp:127.0.0.1:{options.port}",
        options.nick,
        rooms={room: file.found[-1]["seq"] if file.found else None for room, file in files.items()},
        state=FileState(reactor, options.folder / f"{options.nick}.state"),
    )
    reactor.addSystemEventTrigger("before", "shutdown", client.stopService)
    await client.open()
    for room, file in files.items():
        joined = client.rooms[room]
        if joined is not None and not file.found:  # it was killed before it wrote that down
            file.append(seq=joined)
    for line in said.found[-WINDOW:]:
        say(client, **line)
    events = client.events()
    client.startService()
    if not options.silent:
        speaking = ensureDeferred(speak(reactor, client, said))
        speaking.addErrback(lambda why: print(why.getTraceback(), file=sys.stderr))
    async for event in events:
        if isinstance(event, Entry):
            fields = {"nickname": event.nickname, "text": event.text, "id": event.message_id}
            await deferToThread(files[event.room].append, seq=event.number, **fields)
        elif isinstance(event, Entered) and not files[event.room].found:
            await deferToThread(files[event.room].append, seq=event.last)
        elif isinstance(event, Welcomed):
            await deferToThread(comings.append)
        elif isinstance(event, Refused):
            print(event.refusal, file=sys.stderr)


async def speak(reactor: Any, client: ChatClient, said: Lines) -> None:
    """Say one line after the other; each is in the file of what was said before it is."""
    number = len(said.found)
    while client.running:
        await deferLater(reactor, random.uniform(0, 0.03), lambda: None)
        if len(client.waiting) < WINDOW:
            line = {
                "id": str(number),
                "room": random.choice(ROOMS),
                "text": f"{random.choice(('é', '文', '—'))} {number}",
            }
            await deferToThread(said.append, **line)
            say(client, **line)
            number += 1


def say(client: ChatClient, id: str, room: str, text: str) -> None:
    client.say(text, room, id=id).addErrback(not_said)


def not_said(why: Failure) -> None:
    if not why.check(ClientStopped):
        print(why.getErrorMessage(), file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("nick")
    parser.add_argument("--silent", action="store_true")
    react(take_part, [parser.parse_args()])


# -- all of them, killed ------------------------------------------------------------------------


class Figures(msgspec.Struct):
    """What came of it."""

    messages: int = 0
    server_kills: int = 0
    client_kills: int = 0
    comings: int = 0
    violations: list[str] = msgspec.field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.messages} messages of {PEOPLE} clients, {self.client_kills} kills of a client"
            f" and {self.server_kills} of the server, {self.comings} connections,"
            f" {len(self.violations)} violations"
        )


class MortalClient:
    """A client that is killed and started again."""

    def __init__(self, folder: Path, port: int, nickname: str) -> None:
        self.nickname = nickname
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        program = f"from {__name__} import main; main()"
        arguments = [str(self._folder), str(self._port), self.nickname, *options]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, *arguments],
                env=environment(),
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        status = self._process.wait(PATIENCE)
        assert status == -signal.SIGKILL, f"it had ended by itself: {self.log.read_text()}"

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(PATIENCE)
        finally:
            self._process.kill()

    @property
    def log(self) -> Path:
        return self._folder / f"{self.nickname}.log"

    def lines(self, what: str) -> list[dict[str, Any]]:
        path = self._folder / f"{self.nickname}.{what}.jsonl"
        lines = path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]


async def kill_loop(folder: Path, seconds: float, seed: int) -> Figures:
    """Let clients talk, kill them and their server for ``seconds``, and compare what is left."""
    chance = random.Random(seed)
    figures = Figures()
    server = MortalServer(folder)
    clients = [MortalClient(folder, server.port, f"Bot{n}") for n in range(PEOPLE)]
    await server.start()
    for client in clients:
        client.start()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(chance.uniform(0.1, 1.5))
            killed = [one for one in clients if chance.random() < 0.25]
            for client in killed:
                client.kill()
            figures.client_kills += len(killed)
            if chance.random() < 0.3:
                server.kill()
                figures.server_kills += 1
                await asyncio.sleep(chance.choice((0, chance.uniform(0, 2))))
                await server.start()
            for client in killed:
                client.start()
        server.kill()
        for client in clients:
            client.kill()
        figures.server_kills += 1
        figures.client_kills += PEOPLE
        await server.start()
        for client in clients:
            client.start("--silent")
        await all_settle(server.database, clients)
        statuses = [client.stop() for client in clients]
    finally:
        for client in clients:
            client.stop()
        await server.stop()
    figures.violations = [
        f"{client.nickname} ended with {status}: {client.log.read_text()}"
        for client, status in zip(clients, statuses, strict=True)
        if status or client.log.read_text()
    ]
    logs = {room: exported(server.database, room) for room in ROOMS}
    figures.messages = sum(map(len, logs.values()))
    figures.comings = sum(len(client.lines("comings")) for client in clients)
    for client in clients:
        figures.violations += [f"{client.nickname}: {what}" for what in check(client, logs)]
    return figures


async def all_settle(database: Path, clients: list[MortalClient]) -> None:
    """Wait until all that was said is in the log, and everybody has seen all of it.

    When that does not come about, :func:`check` tells what is wrong.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        said = sum(len(client.lines("said")) for client in clients)
        logs = {room: exported(database, room) for room in ROOMS}
        if sum(map(len, logs.values())) >= said and all(
            client.lines(room)[-1]["seq"] == log[-1]["seq"]
            for client in clients
            for room, log in logs.items()
        ):
            return


def exported(database: Path, room: str) -> list[dict[str, Any]]:
    """The room's log, as ``twisted-chat export`` has it."""
    command = ["-m", "twisted_chat.cli", "export", str(database), room, "--format=jsonl"]
    output = subprocess.run(
        [sys.executable, *command], env=environment(), stdout=subprocess.PIPE, check=True
    ).stdout
    return [json.loads(line) for line in output.splitlines()]


def check(client: MortalClient, logs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What breaks the client's promise: nothing, it is hoped."""
    wrong = []
    said = client.lines("said")
    for room, log in logs.items():
        joined, *seen = client.lines(room)
        entries = [
            {name: entry[name] for name in ("seq", "nickname", "text", "id")} for entry in log
        ]
        missed = entries[joined["seq"] :]
        if seen != missed:
            at = next(
                (n for n, pair in enumerate(zip(seen, missed, strict=False)) if pair[0] != pair[1]),
                -1,
            )
            wrong.append(
                f"saw {len(seen)} entries of #{room} and not {len(missed)}; at {at}:"
                f" {seen[at : at + 3]} and not {missed[at : at + 3]}"
            )
        wanted = [(line["id"], line["text"]) for line in said if line["room"] == room]
        stored = [(one["id"], one["text"]) for one in log if one["nickname"] == client.nickname]
        if stored != wanted:
            lost = [line for line in wanted if line not in stored]
            twice = [line for n, line in enumerate(stored) if line in stored[:n]]
            wrong.append(
                f"said {len(wanted)} lines in #{room}, {len(stored)} are stored;"
                f" lost: {lost[:5]}; doubled: {twice[:5]}"
            )
    return wrong


@pytest.mark.process
@pytest.mark.slow
def test_nothing_is_lost_or_doubled_when_clients_and_server_are_killed(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """For :data:`SECONDS`."""
    option = request.config.getoption("--seed")
    seed = secrets.randbits(32) if option is None else option
    print(f"--seed {seed}")  # pytest shows it when the test fails
    figures = asyncio.run(kill_loop(tmp_path, SECONDS, seed))
    with capsys.disabled():
        print(f"\n{figures}")
    assert not figures.violations, figures.violations[:20]
    assert figures.messages

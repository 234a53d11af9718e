"""Programs that load a server and note all that they are told, and the check of what they noted.

A :class:`Program` speaks JSON Lines: it says numbered messages in its rooms, many at a time,
and comes back by itself whenever its connection is lost. :func:`check` compares what the
programs noted with the database. Here is no knowledge of how the server does it.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import msgspec

from twisted_chat.core.author import author_key, guest_number
from twisted_chat.journal.chain import SIZE, seal, starter

#: Seconds between two attempts to connect.
RETRY_DELAY = 0.005


class Message(NamedTuple):
    """What was said, or is to be."""

    room: str
    text: str


class Place(NamedTuple):
    """Where a message is stored, as its acknowledgement tells."""

    room: str
    number: int
    time: int


class Stored(NamedTuple):
    """One entry, as the database or a `said` has it."""

    number: int
    time: int
    kind: str
    nickname: str
    text: str
    message_id: str | None


class _Line(msgspec.Struct):
    """What this kit reads of the lines that a server sends."""

    type: str
    room: str = ""
    seq: int = 0
    time: int = 0
    kind: str = "say"
    nickname: str = ""
    text: str = ""
    code: str = ""
    id: str | None = None


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


class Program:
    """One client: what it says, what it saw, and what was wrong with that.

    At most ``window`` messages are not acknowledged at a time; none is said where it is 0.
    """

    def __init__(
        self, port: int, nickname: str, rooms: Sequence[str], window: int, chance: random.Random
    ) -> None:
        self.nickname = nickname
        self.client = f"{chance.getrandbits(128):032x}"
        self.said: dict[str, Message] = {}
        self.acknowledged: dict[str, Place] = {}
        self.seen: dict[str, list[Stored]] = {room: [] for room in rooms}
        self.violations: list[str] = []
        self.resent = 0
        self.connections = 0
        self._port = port
        self._window = window
        self._chance = chance
        self._waiting: dict[str, None] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._in_flight = asyncio.Semaphore(window)

    async def run(self) -> None:
        """Be there until cancelled, over as many connections as it takes."""
        try:
            while True:
                try:
                    reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                except OSError:
                    await asyncio.sleep(RETRY_DELAY)
                    continue
                self.connections += 1
                with suppress(OSError):
                    await self._converse(reader, self._writer)
                self._writer.transport.abort()
                self._writer = None
        finally:
            self.drop()

    async def speak(self) -> None:
        """Say messages until cancelled."""
        while self._window:
            await self._in_flight.acquire()
            self._say()
            if self._chance.random() < 0.02:  # let the group commits differ in size
                await asyncio.sleep(self._chance.random() * 0.01)

    def drop(self) -> None:
        """Break the connection off, whatever is on its way."""
        if self._writer is not None:
            self._writer.transport.abort()

    def saw_all(self, last: Mapping[str, int]) -> bool:
        """Whether nothing waits for its acknowledgement and all entries up to ``last`` came."""
        return not self._waiting and all(
            len(seen) >= last.get(room, 0) for room, seen in self.seen.items()
        )

    def _say(self) -> None:
        id = str(len(self.said))
        room = self._chance.choice(tuple(self.seen))
        filling = "ação 文 " * self._chance.randrange(12)
        self.said[id] = Message(room, f"{filling}{self.nickname} {id}")
        self._waiting[id] = None
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(self._line(id))

    def _line(self, id: str) -> bytes:
        message = self.said[id]
        request = {"type": "say", "room": message.room, "text": message.text, "id": id}
        return _encode(request) + b"\n"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        resume = {room: len(seen) for room, seen in self.seen.items()}
        hello = {"type": "hello", "nickname": self.nickname, "client": self.client}
        writer.write(_encode(hello | {"resume": resume}) + b"\n")
        # Without a wait for the welcome: what comes early must be handled in its turn.
        writer.write(b"".join(map(self._line, self._waiting)))
        self.resent += len(self._waiting) if self.connections > 1 else 0
        partial = b""
        answered = False
        while data := await reader.read(1 << 18):
            *lines, partial = (partial + data).split(b"\n")
            for line in lines:
                # Who was late is greeted as a person: that is passed over.
                answered = answered or line.startswith(b"{")
                if answered:
                    self._read(_decode(line))

    def _read(self, line: _Line) -> None:
        if line.type == "said":
            self._saw(line)
        elif line.type == "ack":
            self._acknowledged(line)
        elif line.type in ("error", "removed"):
            self._violation(f"was told {line}")

    def _saw(self, line: _Line) -> None:
        seen = self.seen[line.room]
        if line.seq != len(seen) + 1:
            self._violation(f"saw {line.seq} after {len(seen)} in {line.room}")
        else:
            seen.append(Stored(line.seq, line.time, line.kind, line.nickname, line.text, line.id))

    def _acknowledged(self, line: _Line) -> None:
        place = Place(line.room, line.seq, line.time)
        if line.id not in self.said:
            self._violation(f"{line.id} was acknowledged and never said")
            return
        if self.acknowledged.setdefault(line.id, place) != place:
            self._violation(f"{line.id} is at {place} and at {self.acknowledged[line.id]}")
        if line.id in self._waiting:
            del self._waiting[line.id]
            self._in_flight.release()

    def _violation(self, what: str) -> None:
        self.violations.append(f"{self.nickname}: {what}")


async def until_all_is_seen(programs: Sequence[Program], seconds: float) -> bool:
    """Wait until each of ``programs`` has all acknowledgements and saw what any was told of.

    Returns whether it came to that.
    """
    deadline = monotonic() + seconds
    while True:
        last: defaultdict[str, int] = defaultdict(int)
        for program in programs:
            for room, number, _ in program.acknowledged.values():
                last[room] = max(last[room], number)
        if all(program.saw_all(last) for program in programs):
            return True
        if monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)


def check(database: Path, programs: Iterable[Program]) -> list[str]:
    """What in ``database`` breaks the journal's promise to ``programs``: nothing, it is hoped."""
    with closing(sqlite3.connect(database)) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
        violations = [] if integrity == "ok" else [f"the database: {integrity}"]
        rows = connection.execute(
            "SELECT room.name, number, time, kind, nickname, text, author, message_id, seal,"
            " base_hash FROM entry JOIN room ON room.id = entry.room ORDER BY room.id, number"
        ).fetchall()
        ((secret,),) = connection.execute("SELECT secret FROM log")
        ends = dict(connection.execute("SELECT name, last FROM room"))
    log: defaultdict[str, list[Stored]] = defaultdict(list)
    by_id: defaultdict[tuple[int, str], list[Stored]] = defaultdict(list)
    hashes: dict[str, bytes] = {}
    rooms: dict[tuple[int, str], str] = {}
    for room, number, time, kind, nickname, text, author, id, sealed, base_hash in rows:
        entry = Stored(number, time, kind, nickname, text, id or None)
        log[room].append(entry)
        by_id[author, id].append(entry)
        rooms[author, id] = room
        if number != len(log[room]):
            violations.append(f"{room}: {number} is the entry {len(log[room])}")
        content = (number, time, kind, nickname, text, author, id)
        salt, hash = sealed[:-SIZE], sealed[-SIZE:]
        if seal(starter(room), hashes.get(room, base_hash), salt, *content) != hash:
            violations.append(f"{room}: the chain breaks at {number}")
        hashes[room] = hash
    violations += [
        f"{room}: the last is not {end}" for room, end in ends.items() if end != len(log[room])
    ]
    authors = set()
    for program in programs:
        author = author_of(program, secret)
        violations += program.violations
        violations += _check_program(program, author, log, by_id, rooms)
        authors.add(author)
    violations += [f"nobody said {key}" for key in by_id if key[0] not in authors]
    return violations


def author_of(program: Program, secret: bytes) -> int:
    """The author of what ``program`` says, in the log with this ``secret``."""
    return guest_number(author_key(bytes.fromhex(program.client)), secret)


def _check_program(
    program: Program,
    author: int,
    log: Mapping[str, Sequence[Stored]],
    by_id: Mapping[tuple[int, str], Sequence[Stored]],
    rooms: Mapping[tuple[int, str], str],
) -> list[str]:
    """Acknowledged is stored, stored is said, each once, in its own order; and the view."""
    wrong = []
    last: dict[str, int] = {}
    for id, (room, text) in program.said.items():  # in the order in which it was said
        stored = by_id.get((author, id), ())
        if len(stored) > 1:
            wrong.append(f"{id} is stored {len(stored)} times")
        for entry in stored:
            if (rooms[author, id], entry.text) != (room, text):
                wrong.append(f"{id} was altered: {entry}")
            if entry.number <= last.get(room, 0):
                wrong.append(f"{id} is {entry.number} in {room}, before what was said earlier")
            last[room] = max(last.get(room, 0), entry.number)
        place = program.acknowledged.get(id)
        if place and not any((place.number, place.time) == entry[:2] for entry in stored):
            wrong.append(f"{id} was acknowledged at {place} and is not there")
    stored_ids = {id for key, id in by_id if key == author}
    wrong += [f"{id} is stored and was not said" for id in stored_ids - program.said.keys()]
    wrong += [
        f"what it saw in {room} is not the log's beginning"
        for room, seen in program.seen.items()
        if list(log.get(room, ()))[: len(seen)] != seen
    ]
    return [f"{program.nickname}: {what}" for what in wrong]


@asynccontextmanager
async def running(*programs: Program) -> AsyncIterator[None]:
    """``programs`` are there; a defect in one of them is raised in the end."""
    tasks = [asyncio.create_task(program.run()) for program in programs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                raise RuntimeError("a program ended by itself") from result


@asynccontextmanager
async def speaking(programs: list[Program]) -> AsyncIterator[None]:
    """``programs`` say one message after the other."""
    tasks = [asyncio.create_task(program.speak()) for program in programs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

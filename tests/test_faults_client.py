"""What a hostile server can make the client keep: row 45 of the table in ``docs/reliability.rst``.

It prints its figure.
"""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.support.faults import show, verdict
from tests.support.screen import Screen
from twisted_chat.client import ChatClient, MemoryState, event_stream
from twisted_chat.client.client import TOO_MANY_ROOMS, TOO_MUCH
from twisted_chat.client.positions import ROOMS
from twisted_chat.client.protocol import LINE_LIMIT, ChatClientProtocol
from twisted_chat.client.wire import MOTD_LINES
from twisted_chat.core.characters import visible
from twisted_chat.core.requests import Say, Topic
from twisted_chat.terminal.conversation import Conversation
from twisted_chat.terminal.rooms import HELD_SIZE, PEOPLE

#: What a server can do without end.
MANY = 300_000


@implementer(IStreamClientEndpoint)
class Hostile:
    """A server that says what it likes to Ana's client, over one connection after the other."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.state = MemoryState()
        self.wires: list[StringTransport] = []
        self.client = ChatClient(
            self.clock,
            self,
            "Ana",
            state=self.state,
            catch_up=False,
            insist=False,
        )
        self.talk = Conversation(self.client, self.clock, language="en", **options)
        self.screen = Screen()
        self.talk.view = self.screen

    def connect(self, protocolFactory: Any) -> Any:
        """Of an endpoint."""
        self.protocol: ChatClientProtocol = protocolFactory.buildProtocol(None)
        self.wire = StringTransport()
        self.wires[:] = [self.wire]
        self.protocol.makeConnection(self.wire)
        return succeed(self.protocol)

    def start(self) -> None:
        self.talk.start()
        self.welcome()

    def welcome(self, rooms: dict[str, int] | None = None, **fields: Any) -> None:
        self.says(
            type="welcome",
            nickname="Ana",
            client="0" * 32,
            resumed=False,
            rooms={"lobby": 0} if rooms is None else rooms,
            **fields,
        )

    def says(self, **fields: Any) -> None:
        self.protocol.dataReceived(msgspec.json.encode(fields) + b"\n")
        self.wire.clear()
        self.screen.lines.clear()

    @property
    def is_cut(self) -> bool:
        return self.wire.disconnecting or self.wire.disconnected

    def enters(self, room: str, **fields: Any) -> None:
        given = {"topic": "", "people": [], "count": 0, "last": 0, **fields}
        self.says(type="entered", room=room, **given)


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    server = Hostile()
    server.start()
    yield server
    assert len(server.client.rooms) <= ROOMS
    assert len(server.state._notes.rooms) <= ROOMS


def test_rooms_that_nobody_asked_for_are_bounded(hostile: Hostile) -> None:
    for number in range(ROOMS + 10):
        if not hostile.is_cut:
            hostile.enters(f"room{number}")
    assert hostile.is_cut
    assert hostile.protocol._reason == TOO_MANY_ROOMS


def test_a_welcome_to_too_many_rooms_ends_the_connection(hostile: Hostile) -> None:
    fresh = Hostile()
    fresh.talk.start()
    fresh.welcome({f"r{number}": 0 for number in range(ROOMS + 1)})
    assert fresh.protocol._reason == TOO_MANY_ROOMS
    assert fresh.client.rooms == {}


def test_rooms_that_were_asked_for_are_not_counted(hostile: Hostile) -> None:
    hostile.client.rooms.update({f"room{number}": None for number in range(ROOMS)})
    hostile.client.join("one-more")
    hostile.enters("one-more")
    assert not hostile.is_cut
    hostile.enters("and-another")
    assert hostile.is_cut
    hostile.client.rooms.clear()


@pytest.mark.parametrize(
    "line",
    [
        {"type": "joined", "room": "lobby", "nickname": "x" * 257, "arrived": True},
        {"type": "exited", "room": "x" * 257},
        {"type": "entered", "room": "r", "topic": "x" * 4097, "people": [], "count": 0, "last": 0},
        {"type": "crowd", "room": "r", "came": True, "chat": True, "people": ["x" * 257],
         "count": 1},
        {"type": "welcome", "nickname": "A", "client": "0" * 32, "resumed": False,
         "rooms": {"x" * 257: 0}},
        {"type": "welcome", "nickname": "A", "client": "0" * 32, "resumed": False, "rooms": {},
         "motd": [""] * (MOTD_LINES + 1)},
    ],
)  # fmt: skip
def test_what_is_longer_than_any_server_has_is_not_read(hostile: Hostile, line: Any) -> None:
    hostile.says(**line)
    assert hostile.is_cut


@pytest.mark.parametrize("room", ["", "#", "ok?", "é\u0301\u0301\u0301", "x" * 256, "😀", "\x00"])
def test_a_room_may_have_a_name_that_is_none_here(hostile: Hostile, room: str) -> None:
    hostile.enters("lobby")
    hostile.enters(room)
    assert not hostile.is_cut
    hostile.talk.switch_by(1)
    hostile.talk.typed("oi")
    (said,) = hostile.client.waiting
    assert said == Say("oi", visible(room), id=said.id)


def test_what_is_typed_after_the_welcome_is_for_the_room_that_comes(hostile: Hostile) -> None:
    """Also if the connection breaks off between the two."""
    hostile.talk.typed("oi")
    hostile.talk.typed("/topic films")
    said, topic = hostile.client.waiting
    assert isinstance(said, Say)
    assert isinstance(topic, Topic)
    assert (said.text, said.room) == ("oi", "lobby")
    assert (topic.text, topic.room) == ("films", "lobby")


def test_what_was_said_in_such_a_room_is_asked_again_by_the_next_client() -> None:
    hostile = Hostile()
    hostile.state.open()
    hostile.state.keep("a", b'{"type":"say","text":"oi","room":"ok?","id":"a"}')
    hostile.start()
    assert hostile.client.waiting == [Say("oi", "ok?", id="a")]


def test_lines_of_other_rooms_are_held_up_to_a_size(hostile: Hostile) -> None:
    for room in range(20):
        hostile.enters(f"room{room}")
        for number in range(1, 400):
            hostile.says(
                type="said", room=f"room{room}", seq=number, time=1, nickname="B", text="x" * 4000
            )
    held = sum(len(line.text) for room in hostile.talk._rooms for line in room.held)
    assert hostile.talk._rooms._held_size <= HELD_SIZE
    assert held <= HELD_SIZE
    hostile.talk.switch("room3")
    texts = hostile.screen.take()
    assert any("/history shows them" in text for text in texts)
    assert hostile.talk._rooms._held_size >= 0


def test_of_a_crowd_no_more_names_are_looked_at_than_are_kept(hostile: Hostile) -> None:
    hostile.enters("lobby")
    people = [str(number) for number in range(100_000)]
    hostile.says(type="crowd", room="lobby", came=True, chat=True, people=people, count=1)
    assert len(hostile.talk.tabs["lobby"].people) == PEOPLE


def test_events_that_are_read_while_an_answer_is_due_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream, "EVENTS_SIZE", 100_000)
    hostile = Hostile()
    events = hostile.client.events()
    hostile.client.startService()
    hostile.welcome()
    hostile.enters("lobby")
    hostile.client.say("oi")
    for number in range(1, 2000):
        if not hostile.is_cut:
            hostile.says(type="said", room="lobby", seq=number, time=1, nickname="B", text="x" * 99)
    assert hostile.protocol._reason == TOO_MUCH
    assert events._size < 200_000


def test_coming_and_going_asks_for_no_more_than_it_must(hostile: Hostile) -> None:
    for _ in range(500):
        hostile.enters("cinema", last=100)
        hostile.says(type="exited", room="cinema")
    assert len(hostile.client.waiting) <= 100


@pytest.mark.slow
def test_row_45_rooms_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    """300,000 rooms in ``welcome`` and one after the other, over as many connections as it takes,
    each with people, a topic and lines.
    """
    hostile = Hostile(backlog=0)
    hostile.start()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    told = 0
    names = iter(range(MANY))
    while (number := next(names, None)) is not None:
        if hostile.is_cut:
            hostile.protocol.connectionLost(Failure(ConnectionLost()))
            hostile.clock.advance(60)
            rooms = {f"other{told}-{n}": 0 for n in range(20_000)}
            hostile.welcome(rooms)
            told += len(rooms)
            for _ in range(len(rooms) - 1):
                next(names, None)
            continue
        room = f"room{number}"
        hostile.enters(room, people=[f"{room}-{n}" for n in range(100)], topic="x" * 300)
        hostile.says(type="said", room=room, seq=1, time=1, nickname="B", text="y" * 1000)
        told += 1
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    state = len(json.dumps(hostile.state._notes.rooms))
    assert told >= MANY
    show(capsys, 45, f"{told} rooms: {kept / 1e6:.1f} MB kept, {state / 1e3:.0f} kB in the state, "
         f"{len(hostile.client.rooms)} rooms; {verdict(kept / 1e6, 32)} MB")  # fmt: skip
    assert kept <= 32e6


def test_a_line_has_a_limit_of_its_own() -> None:
    assert LINE_LIMIT <= 2**20


def test_files_are_of_a_bounded_size(tmp_path: Path) -> None:
    """The state writes what is kept, which is bounded."""
    rooms = {("é" * 256)[:250] + f"{n:06}": 2**62 for n in range(ROOMS)}
    assert len(json.dumps(rooms)) < 2**21

"""Every answer repeats the ``id`` of its request, as ``docs/protocol.rst`` promises; and every way
in has the same limits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import Visitor, World
from twisted_chat.core.errors import BadRequest
from twisted_chat.core.events import Style
from twisted_chat.core.limits import Limits
from twisted_chat.core.requests import Ping, Say
from twisted_chat.dialects import jsonl
from twisted_chat.dialects.jsonl import DEPTH_LIMIT

Fields = dict[str, Any]

CLIENT = "0123456789abcdef" * 2
ANOTHER = "fedcba9876543210" * 2

#: For each request, ways to ask, each with the types of all its answers in their order.
ANSWERS: dict[str, list[tuple[Fields, list[str]]]] = {
    "hello": [
        ({"nickname": "Caio"}, ["welcome", "entered"]),
        ({"nickname": "Caio", "resume": {"cinema": 0}}, ["welcome", "entered", "entered"]),
        ({"nickname": "Dora", "client": CLIENT}, ["welcome", "entered", "renamed"]),
        (
            {"nickname": "Ana", "client": CLIENT, "resume": {"games": 0}},
            ["welcome", "entered", "entered"],
        ),
    ],
    "device-add": [({}, ["error"])],
    "devices": [({}, ["error"])],
    "history": [({}, ["history"]), ({"room": "nowhere"}, ["error"])],
    "ignore": [
        ({"name": "Bia"}, ["ignoring"]),
        ({}, ["ignored"]),
        ({"name": "nobody"}, ["error"]),
    ],
    "invite": [({"name": "Bia"}, ["error"]), ({"name": "nobody"}, ["error"])],
    "join": [
        ({"room": "lobby"}, ["entered"]),
        ({"room": "cinema"}, ["entered"]),
        ({"room": "?"}, ["error"]),
    ],
    "language": [({}, ["language"]), ({"language": "pt_BR"}, ["language"])],
    "leave": [({}, ["exited"]), ({"room": "cinema"}, ["error"])],
    "limits": [({}, ["limits"])],
    "logout": [({}, ["error"])],
    "mark": [({"room": "lobby", "seq": 1}, ["error"])],
    "nick": [({"name": "Anna"}, ["renamed"]), ({"name": "Bia"}, ["error"])],
    "password": [({"password": "correct horse"}, ["error"])],
    "ping": [({}, ["pong"])],
    "quit": [({}, [])],
    "register": [
        ({"password": "correct horse"}, ["registered"]),
        ({"password": "short"}, ["error"]),
    ],
    "role": [({"name": "Bia", "role": "speaker"}, ["error"])],
    "room-set": [({"slow": 5}, ["error"])],
    "rooms": [({}, ["rooms"])],
    "say": [({"text": "oi"}, ["ack"]), ({"text": " "}, ["error"])],
    "search": [({"words": "oi"}, ["found"]), ({"words": "?"}, ["error"])],
    "tell": [
        ({"name": "Bia", "text": "psst"}, ["delivered"]),
        ({"name": "nobody", "text": "psst"}, ["error"]),
    ],
    "token-new": [({"label": "bot"}, ["error"])],
    "token-revoke": [({"label": "bot"}, ["error"])],
    "topic": [({}, ["topic"]), ({"text": "Films"}, ["ack"]), ({"text": "x" * 391}, ["error"])],
    "unregister": [({"nickname": "Ana"}, ["error"])],
    "unignore": [({"name": "Bia"}, ["error"])],
    "who": [({}, ["people"]), ({"room": "nowhere"}, ["error"])],
}

#: What comes without being asked for.
UNASKED = {"said"}


def answers(visitor: Visitor) -> list[Fields]:
    data = jsonl.render(visitor.connection.events, Style("en")).data
    visitor.connection.events.clear()
    lines = [json.loads(line) for line in data.splitlines()]
    return [line for line in lines if line["type"] not in UNASKED]


def ask(visitor: Visitor, type: str, **fields: Any) -> None:
    visitor.ask(jsonl.parse(json.dumps({"type": type, **fields}).encode()))


def enter(world: World, **fields: Any) -> Visitor:
    visitor = Visitor(world, program=True)
    ask(visitor, "hello", **fields)
    visitor.connection.events.clear()
    return visitor


def test_every_request_has_a_case() -> None:
    assert ANSWERS.keys() == jsonl.REQUESTS.keys()


@pytest.mark.parametrize(
    ("type", "fields", "types"),
    [(type, *case) for type, cases in ANSWERS.items() for case in cases],
)
def test_every_answer_has_the_id_of_its_request(
    type: str, fields: Fields, types: Sequence[str]
) -> None:
    world = World()
    enter(world, nickname="Bia", client=ANOTHER)
    visitor = enter(world, nickname="Ana", client=CLIENT)
    if type == "hello":
        visitor = Visitor(world, program=True)
    ask(visitor, type, id="q1", **fields)
    assert [(line["type"], line["id"]) for line in answers(visitor)] == [
        (expected, "q1") for expected in types
    ]


@pytest.mark.parametrize("type", sorted(jsonl.REQUESTS.keys() - {"hello"}))
def test_a_refusal_before_hello_has_the_id_of_its_request(type: str) -> None:
    visitor = Visitor(World(), program=True)
    ask(visitor, type, id="q1", **ANSWERS[type][0][0])
    assert all(line["id"] == "q1" for line in answers(visitor))


def test_what_others_do_has_no_id_of_ones_own() -> None:
    world = World()
    ana, bia = enter(world, nickname="Ana"), enter(world, nickname="Bia")
    ana.connection.events.clear()
    ask(bia, "nick", name="Beatriz", id="q1")
    assert [line["id"] for line in answers(ana)] == [None]


def test_a_request_under_way_is_answered_before_another_connection_takes_over() -> None:
    world = World()
    ana = enter(world, nickname="Ana", client=CLIENT)
    ana.session.handle(jsonl.parse(b'{"type": "join", "room": "lobby", "id": "q1"}'))
    ana.session.connection_lost(ana.connection)
    again = Visitor(world, program=True)
    ask(again, "hello", nickname="Ana", client=CLIENT, id="q2")
    ids = [(line["type"], line["id"]) for line in answers(ana)]
    assert ids[-1] == ("entered", "q1")
    ids = [(line["type"], line["id"]) for line in answers(again)]
    assert ids == [("welcome", "q2"), ("entered", "q2")]


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_back", [False, True])
def test_the_length_of_a_new_room_is_limited_on_every_way_in(is_back: bool) -> None:
    world = World(limits=Limits(rate=None, room=5))
    if is_back:
        enter(world, nickname="Ana", client=CLIENT)
    visitor = Visitor(world, program=True)
    ask(visitor, "hello", nickname="Ana", client=CLIENT, resume={"cinema": 0}, id="q1")
    assert [(line["type"], line["code"]) for line in answers(visitor)] == [
        ("error", "name-too-long")
    ]
    assert "cinema" not in {
        room.room for room in world.chat.reading.list_rooms(visitor.session).rooms
    }
    ask(visitor, "hello", nickname="Ana", client=CLIENT, id="q2")
    assert [line["type"] for line in answers(visitor)] == ["welcome", "entered"]
    ask(visitor, "join", room="cinema", id="q3")
    assert [line["code"] for line in answers(visitor)] == ["name-too-long"]


def test_a_room_that_exists_may_have_a_longer_name_than_a_new_one() -> None:
    world = World()
    enter(world, nickname="Bia", resume={"cinema": 0})
    world.chat.limits = Limits(rate=None, room=5)
    visitor = Visitor(world, program=True)
    ask(visitor, "hello", nickname="Ana", resume={"cinema": 0})
    assert [line["type"] for line in answers(visitor)] == ["welcome", "entered", "entered"]


def nested(depth: int, before: str = "", after: str = "") -> bytes:
    """A ping with a value so deep that the line is ``depth`` deep."""
    value = "[" * (depth - 1) + "]" * (depth - 1)
    return f'{{{before}"type": "ping", "x": {value}{after}}}'.encode()


def test_what_is_nested_too_deeply_is_refused_by_a_bound_of_our_own() -> None:
    assert jsonl.parse(nested(DEPTH_LIMIT)) == Ping()
    for depth in (DEPTH_LIMIT + 1, 200, 5000):
        with pytest.raises(BadRequest) as caught:
            jsonl.parse(nested(depth, '"id": "q1", '))
        assert caught.value.request_id == "q1"
        assert "64" in caught.value.sentence("en")
    with pytest.raises(BadRequest):
        jsonl.parse(b'{"type": "ping", "x":' + b"[" * 16_000)
    with pytest.raises(BadRequest):
        jsonl.parse(b'{"type": "ping", "x":' + b'{"a":' * 3_000)


def test_brackets_in_a_text_or_beside_one_another_are_not_nested() -> None:
    beside = json.dumps({"type": "ping", "x": [[]] * 1000}).encode()
    assert jsonl.parse(beside) == Ping()
    text = "[{" * 1000 + '"\\'
    says = json.dumps({"type": "say", "text": text}).encode()
    assert jsonl.parse(says) == Say(text)
    assert jsonl.parse_says([says]) == []  # and the other way is taken


@given(st.binary(max_size=40).map(lambda data: b"[{" * 40 + data + b"}]" * 40))
def test_no_line_is_too_deep_for_the_decoder(data: bytes) -> None:
    with pytest.raises(BadRequest):
        jsonl.parse(b'{"type": "ping", "x": ' + data + b"}")

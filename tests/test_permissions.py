"""A room that a person may not see does not exist for that person; for all others it does.

What somebody is shown from whom a room is hidden is compared with what they are shown by a server
that does not have that room.
"""

from __future__ import annotations

import json
import re
from collections.abc import Set
from typing import Any

import pytest

from tests.fakes import Visitor, World
from tests.test_conversation import Person as PersonAtClient
from twisted_chat.core.author import author_key
from twisted_chat.core.messages import Style
from twisted_chat.core.permissions import Permissions
from twisted_chat.core.room import Member
from twisted_chat.dialects import jsonl
from twisted_chat.terminal.completion import complete
from twisted_chat.terminal.window import known
from twisted_chat.testing import ChatServer

#: The room that is hidden, its topic, who is in it alone, and what is said in it.
ROOM, TOPIC, ALONE, SAID = "vault", "plans", "Caio", "pineapple in the vault"

CLIENT = "0123456789abcdef" * 2

#: Questions about the room, or whose answers it could be in.
QUESTIONS = (
    "/rooms",
    "/rooms all",
    "/rooms va",
    "/rooms plans",
    "/rooms all VAULT",
    "/rooms after vault",
    "/rooms all after VAULT",
    "/who vault",
    "/who VAULT",
    "/who",
    "/history vault",
    "/history VAULT 5",
    "/history",
    "/search pineapple",
    "/search plans",
    "/search #vault pineapple",
    "/search #Vault pineapple",
    "/topic",
    "/leave VAULT",
    "/msg Nobody hello",
)

REQUESTS: tuple[dict[str, Any], ...] = (
    {"type": "rooms"},
    {"type": "rooms", "all": True},
    {"type": "rooms", "word": "va"},
    {"type": "rooms", "word": "plans", "all": True},
    {"type": "rooms", "after": "VAULT"},
    {"type": "who", "room": "vault"},
    {"type": "who", "room": "VAULT"},
    {"type": "who"},
    {"type": "history", "room": "vault"},
    {"type": "history", "room": "Vault", "after": 0},
    {"type": "history"},
    {"type": "search", "words": "pineapple"},
    {"type": "search", "words": "pineapple", "limit": 1},
    {"type": "search", "words": "pineapple", "room": "VAULT"},
    {"type": "topic", "room": "vault"},
    {"type": "topic"},
    {"type": "leave", "room": "Vault"},
    {"type": "say", "room": "Vault", "text": "hello"},
)


class HiddenFromAna(Permissions):
    """The room does not exist for Ana."""

    def hidden_from(self, person: Member) -> Set[str]:
        is_ana = person.name == "Ana" or person.author == author_key(bytes.fromhex(CLIENT))
        return {ROOM} if is_ana else set()


def house(*, with_room: bool) -> World:
    """Bia in the lobby; and where that room exists, she and Caio in it."""
    world = World()
    world.chat.permissions = HiddenFromAna()
    bia, caio = world.enter("Bia", ALONE)
    if with_room:
        bia.types(f"/join {ROOM}", f"/topic {TOPIC}", SAID, "/leave")
        caio.types(f"/join {ROOM}", SAID, "/leave lobby")
    else:
        caio.types("/leave lobby")
    bia.types("a pineapple for everybody")
    return world


def without_time(shown: str) -> str:
    return re.sub(r'\d\d:\d\d|"(time|log)":[^,}]*', "", shown)


def answers(visitor: Visitor, **fields: Any) -> str:
    """What a program is sent when it asks this."""
    visitor.connection.events.clear()
    visitor.ask(jsonl.parse(json.dumps(fields).encode()))
    return jsonl.render(visitor.connection.events, Style("en")).decode()


def program(world: World, **fields: Any) -> Visitor:
    visitor = Visitor(world, program=True)
    answers(visitor, type="hello", **fields)
    return visitor


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_person_finds_nothing_of_a_hidden_room(question: str) -> None:
    shown = []
    for with_room in (True, False):
        (ana,) = house(with_room=with_room).enter("Ana")
        shown.append(without_time("\n".join(ana.types(question))))
    assert shown[0] == shown[1]
    assert ALONE not in shown[0]
    assert SAID not in shown[0]


@pytest.mark.parametrize("request_", REQUESTS, ids=json.dumps)
def test_a_program_finds_nothing_of_a_hidden_room(request_: dict[str, Any]) -> None:
    shown = []
    for with_room in (True, False):
        ana = program(house(with_room=with_room), nickname="Ana", client=CLIENT)
        shown.append(without_time(answers(ana, **request_)))
    assert shown[0] == shown[1]
    assert ALONE not in shown[0]
    assert SAID not in shown[0]


@pytest.mark.parametrize("name", [ROOM, "#Vault"])
def test_who_may_not_see_a_room_cannot_go_there(name: str) -> None:
    world = house(with_room=True)
    (ana,) = world.enter("Ana")
    sentence = f"[SERVER]: There is no room #{ROOM}. /rooms lists the rooms."
    assert ana.types(f"/join {name}") == [sentence]
    assert ana.session.cursors.keys() == {"lobby"}
    ana = program(world, nickname="Other", client=CLIENT)
    answer = json.loads(answers(ana, type="join", room=name))
    assert (answer["code"], answer["text"]) == ("no-such-room", sentence.removeprefix("[SERVER]: "))


def test_who_resumes_a_room_that_is_hidden_by_now_comes_back_without_it() -> None:
    world = house(with_room=True)
    ana = Visitor(world, program=True)
    resume = {"lobby": 0, ROOM: 0}
    shown = answers(ana, type="hello", nickname="Ana", client=CLIENT, resume=resume)
    assert '"rooms":{"lobby":0}' in shown
    assert ROOM not in shown
    again = Visitor(world, program=True)
    shown = answers(again, type="hello", nickname="Ana", client=CLIENT, resume=resume)
    assert ana.connection.closed
    assert '"rooms":{"lobby":0}' in shown
    assert ROOM not in shown


def test_what_is_hidden_from_ana_all_others_see() -> None:
    (dora,) = house(with_room=True).enter("Dora")
    assert dora.types("/rooms")[1:] == ["      2  #lobby", f"      1  #{ROOM}  {TOPIC}"]
    assert dora.types("/rooms plans")[1:] == [f"      1  #{ROOM}  {TOPIC}"]
    assert dora.types("/who VAULT") == [f"[SERVER]: In #{ROOM} (1): {ALONE}."]
    assert [line.split("]: ")[-1] for line in dora.types("/history vault")[2:4]] == [SAID, SAID]
    assert len(dora.types("/search pineapple")) == 4
    assert len(dora.types("/search #vault pineapple")) == 3
    assert f"In #{ROOM} with you: {ALONE}." in dora.types("/join vault")[0]
    assert dora.types("/topic") == [f"[SERVER]: Topic, set by Bia: {TOPIC}"]


def test_a_program_from_which_nothing_is_hidden_sees_everything() -> None:
    dora = program(house(with_room=True), nickname="Dora")
    rooms = {room["room"]: room for room in json.loads(answers(dora, type="rooms"))["rooms"]}
    assert rooms[ROOM] == {"room": ROOM, "people": 1, "topic": TOPIC}
    assert json.loads(answers(dora, type="who", room="VAULT"))["people"] == [ALONE]
    assert answers(dora, type="history", room=ROOM).count(SAID) == 2
    assert answers(dora, type="search", words="pineapple").count('"type":"said"') == 3
    assert answers(dora, type="search", words="pineapple", room=ROOM).count('"type":"said"') == 2
    assert json.loads(answers(dora, type="join", room=ROOM).splitlines()[0])["topic"] == TOPIC
    assert json.loads(answers(dora, type="topic", room=ROOM))["topic"] == TOPIC


def test_a_rule_that_changes_hides_the_room_that_one_is_in() -> None:
    """It is still left, and said in, as long as one is in it; but nothing more is read."""
    world = house(with_room=True)
    world.chat.permissions = Permissions()
    (ana,) = world.enter("Ana")
    ana.types(f"/join {ROOM}")
    world.chat.permissions = HiddenFromAna()
    for question in ("/who", "/history", "/topic", "/join vault"):
        assert ana.types(question) == [
            f"[SERVER]: There is no room #{ROOM}. /rooms lists the rooms."
        ]
    assert ana.types("/leave") == [f"[SERVER]: You left #{ROOM}. What you type goes to #lobby."]


def test_rooms_that_are_many_are_hidden_from_a_search_too() -> None:
    """More names than an SQL statement can have variables."""
    world = house(with_room=True)
    names = {ROOM, *(f"room{number}" for number in range(40_000))}
    world.chat.permissions = Permissions()
    world.chat.permissions.hidden_from = lambda person: names  # type: ignore[method-assign]
    (ana,) = world.enter("Ana")
    assert len(ana.types("/search pineapple")) == 2


def test_completion_offers_nothing_of_a_hidden_room() -> None:
    server = ChatServer()
    server.enter(ALONE, ROOM)
    server.say(ROOM, ALONE, SAID)
    offered = {}
    for name in ("Ana", "Dora"):
        person = PersonAtClient(server, name)
        chat = server._running().chat  # the kit has no setting for it
        chat.permissions = HiddenFromAna()
        person.types("/rooms", "/who vault", "/search pineapple", "/join vault")
        offered[name] = complete("/join ", known(person.talk)).candidates
    assert f"#{ROOM} " not in offered["Ana"]
    assert f"#{ROOM} " in offered["Dora"]

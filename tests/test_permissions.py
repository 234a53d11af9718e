"""A room that a person may not see does not exist for that person; for all others it does.

What somebody is shown from whom a room is hidden is compared with what they are shown by a server
that does not have that room.
"""

from __future__ import annotations

import json
import re
from collections.abc import Set
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes import Visitor, World
from tests.support.screen import Screen
from tests.support.writer import Setup, draft
from twisted_chat.client import ChatClient, MemoryState
from twisted_chat.core.author import author_key
from twisted_chat.core.events import Style
from twisted_chat.core.permissions import Permissions, Viewer
from twisted_chat.dialects import jsonl
from twisted_chat.journal.sqlite.store import MEMORY
from twisted_chat.terminal.completion import complete
from twisted_chat.terminal.conversation import Conversation
from twisted_chat.terminal.editing import known
from twisted_chat.testing import ChatServer

#: A room that is hidden and is found by other spellings too; its topic, somebody who is in no other
#: room, and what is said in it. And one without people.
ROOM, TOPIC, ALONE, SAID = "straße", "plans", "Caio", "pineapple for three"
EMPTY = "straßen"

CLIENT = "0123456789abcdef" * 2

#: Questions about the room, or whose answers it could be in.
QUESTIONS = (
    "/rooms",
    "/rooms all",
    "/rooms stra",
    "/rooms plans",
    "/rooms all STRASSE",
    "/rooms after straße",
    "/rooms all after STRASSE",
    "/who straße",
    "/who STRASSE",
    "/who",
    "/history straße",
    "/history STRASSE 5",
    "/history",
    "/search pineapple",
    "/search plans",
    "/search #straße pineapple",
    "/search #Strasse pineapple",
    "/topic",
    "/leave STRASSE",
    "/msg Nobody hello",
)

REQUESTS: tuple[dict[str, Any], ...] = (
    {"type": "rooms"},
    {"type": "rooms", "all": True},
    {"type": "rooms", "word": "stra"},
    {"type": "rooms", "word": "plans", "all": True},
    {"type": "rooms", "after": "STRASSE"},
    {"type": "who", "room": "straße"},
    {"type": "who", "room": "STRASSE"},
    {"type": "who"},
    {"type": "history", "room": "straße"},
    {"type": "history", "room": "Strasse", "after": 0},
    {"type": "history"},
    {"type": "search", "words": "pineapple"},
    {"type": "search", "words": "pineapple", "limit": 1},
    {"type": "search", "words": "pineapple", "room": "STRASSE"},
    {"type": "topic", "room": "straße"},
    {"type": "topic"},
    {"type": "leave", "room": "Strasse"},
    {"type": "say", "room": "Strasse", "text": "hello"},
)


class HiddenFromAna(Permissions):
    """The rooms do not exist for Ana, whose author this is."""

    def __init__(self, ana: int) -> None:
        super().__init__()
        self.author = ana

    def hidden_from(self, person: Viewer) -> Set[str]:
        is_ana = person.name == "Ana" or person.author == self.author
        return {ROOM, EMPTY} if is_ana else set()


def house(*, with_room: bool) -> World:
    """Bia in the lobby, Eva in a room of her own; the others in the hidden room, if it exists."""
    world = World()
    world.chat.reading.permissions = HiddenFromAna(
        world.chat.guest(author_key(bytes.fromhex(CLIENT)))
    )
    bia, eva, *others = world.enter("Bia", "Eva", ALONE, "Dan", "Flo")
    eva.types("/join strasz", "/leave lobby")
    if with_room:
        bia.types(f"/join {EMPTY}", SAID, "/leave")
        bia.types(f"/join {ROOM}", f"/topic {TOPIC}", SAID, "/leave")
    for other in others:
        other.types(*([f"/join {ROOM}", SAID] if with_room else []), "/leave lobby")
    bia.types("a pineapple for everybody")
    return world


def without_time(shown: str) -> str:
    return re.sub(r'\d\d:\d\d|"(time|log)":[^,}]*', "", shown)


def answers(visitor: Visitor, **fields: Any) -> str:
    """What a program is sent when it asks this."""
    visitor.connection.events.clear()
    visitor.ask(jsonl.parse(json.dumps(fields).encode()))
    return jsonl.render(visitor.connection.events, Style("en")).data.decode()


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


@pytest.mark.parametrize(("name", "folded"), [(ROOM, ROOM), ("#Strasse", "strasse")])
def test_who_may_not_see_a_room_cannot_go_there(name: str, folded: str) -> None:
    world = house(with_room=True)
    (ana,) = world.enter("Ana")
    sentence = f"[SERVER]: You cannot join #{folded}."
    assert ana.types(f"/join {name}") == [sentence]
    assert ana.session.cursors.keys() == {"lobby"}
    ana = program(world, nickname="Other", client=CLIENT)
    answer = json.loads(answers(ana, type="join", room=name))
    assert (answer["code"], answer["text"]) == ("cannot-join", sentence.removeprefix("[SERVER]: "))


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
    assert f"      3  #{ROOM}  {TOPIC}" in dora.types("/rooms")
    assert f"      0  #{EMPTY}" in dora.types("/rooms all")
    assert dora.types("/rooms plans")[1:] == [f"      3  #{ROOM}  {TOPIC}"]
    assert dora.types("/who STRASSE") == [f"[SERVER]: In #{ROOM} (3): {ALONE}, Dan, Flo."]
    assert len([line for line in dora.types("/history straße") if line.endswith(SAID)]) == 4
    assert len(dora.types("/search pineapple")) == 1 + 6
    assert len(dora.types("/search #straße pineapple")) == 1 + 4
    assert ALONE in dora.types("/join straße")[0]
    assert dora.types("/topic") == [f"[SERVER]: Topic, set by Bia: {TOPIC}"]


def test_a_program_from_which_nothing_is_hidden_sees_everything() -> None:
    dora = program(house(with_room=True), nickname="Dora")
    rooms = {room["room"]: room for room in json.loads(answers(dora, type="rooms"))["rooms"]}
    assert rooms[ROOM] == {"room": ROOM, "people": 3, "topic": TOPIC}
    assert json.loads(answers(dora, type="who", room="STRASSE"))["people"] == [ALONE, "Dan", "Flo"]
    assert answers(dora, type="history", room=ROOM).count(SAID) == 4
    assert answers(dora, type="search", words="pineapple").count('"type":"said"') == 6
    assert answers(dora, type="search", words="pineapple", room=ROOM).count('"type":"said"') == 4
    assert json.loads(answers(dora, type="join", room=ROOM).splitlines()[0])["topic"] == TOPIC
    assert json.loads(answers(dora, type="topic", room=ROOM))["topic"] == TOPIC


def test_a_rule_that_changes_hides_the_room_that_one_is_in() -> None:
    """It is still left, and said in, as long as one is in it; but nothing more is read."""
    world = house(with_room=True)
    world.chat.reading.permissions = Permissions()
    (ana,) = world.enter("Ana")
    ana.types(f"/join {ROOM}")
    world.chat.reading.permissions = HiddenFromAna(
        world.chat.guest(author_key(bytes.fromhex(CLIENT)))
    )
    assert ana.types("/join straße") == [f"[SERVER]: You cannot join #{ROOM}."]
    for question in ("/who", "/history", "/topic"):
        assert ana.types(question) == [
            f"[SERVER]: There is no room #{ROOM}. /rooms lists the rooms."
        ]
    assert ana.types("/leave") == [f"[SERVER]: You left #{ROOM}. What you type goes to #lobby."]


def test_rooms_that_are_many_are_hidden_from_a_search_too() -> None:
    """More names than an SQL statement can have variables."""
    world = house(with_room=True)
    names = {ROOM, EMPTY, *(f"room{number}" for number in range(40_000))}
    world.chat.reading.permissions = Permissions()
    world.chat.reading.permissions.hidden_from = lambda person: names  # type: ignore[method-assign]
    (ana,) = world.enter("Ana")
    assert len(ana.types("/search pineapple")) == 2


@pytest.mark.parametrize("path", [MEMORY, "chat.db"])
def test_the_log_leaves_hidden_rooms_out_of_a_search(tmp_path: Path, path: str) -> None:
    """On disk, another thread searches than in memory."""
    setup = Setup(path if path == MEMORY else str(tmp_path / path))
    setup.say(*(draft(f"pineapple {room}", room) for room in ("one", "two", "three", "two")))
    found = ["pineapple three", "pineapple one"]
    assert setup.search("pineapple", hidden=("two", "nowhere")) == found
    assert setup.search("pineapple", "two", hidden={"two"}) == []
    assert setup.search("pineapple", limit=2, hidden={"two"}) == found
    setup.stop()


def test_completion_offers_nothing_of_a_hidden_room() -> None:
    server = ChatServer()
    server.enter(ALONE, ROOM)
    server.say(ROOM, ALONE, SAID)
    chat = server._running().chat
    ana = chat.guest(author_key(bytes.fromhex(CLIENT)))
    chat.reading.permissions = HiddenFromAna(ana)  # the kit has no setting for it
    offered = {}
    for name in ("Ana", "Dora"):
        client = ChatClient(server.clock, server.endpoint(), name, state=MemoryState())
        talk = Conversation(client, server.clock, language="en", backlog=5)
        talk.view = Screen()
        talk.start()
        server.settle()
        for line in ("/rooms", "/who straße", "/search pineapple", "/join straße"):
            talk.typed(line)
        server.settle()
        offered[name] = complete("/join ", known(talk)).candidates
    assert f"#{ROOM} " not in offered["Ana"]
    assert f"#{ROOM} " in offered["Dora"]

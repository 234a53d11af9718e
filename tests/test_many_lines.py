"""Messages of several lines: programs write them, and no line passes for somebody else's."""

from __future__ import annotations

import json
import re
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fakes import Visitor, World
from tests.support.messages import structs, subclasses
from tests.support.programs import of
from tests.support.store import commit, draft
from tests.support.terminal import Person
from twisted_chat import cli
from twisted_chat.client import wire
from twisted_chat.core.characters import find_unsafe
from twisted_chat.core.errors import ControlCharacter, Refusal, TooManyLines
from twisted_chat.core.events import Entry, Event, Replayed, Style, Told
from twisted_chat.core.limits import TEXT_LINES
from twisted_chat.core.requests import Hello, Say, Tell
from twisted_chat.dialects import jsonl, text, wording
from twisted_chat.dialects.display import CONTINUATION
from twisted_chat.journal.sqlite.store import Store
from twisted_chat.testing import ChatServer

CODE = "def f():\n\treturn 1\n\nprint(f())"
SHOWN = ["[Bot]: def f():", "  |     return 1", "  |", "  | print(f())"]


def parsed(**fields: Any) -> Any:
    return jsonl.parse(json.dumps(fields).encode())


def test_people_see_its_lines_marked_and_programs_see_it_as_it_is() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    bot, other = (Visitor(world, program=True) for _ in range(2))
    bot.ask(Hello("Bot"))
    other.ask(Hello("Other"))
    ana.sees()
    bot.ask(parsed(type="say", text=CODE, id="1"))
    assert ana.sees() == SHOWN
    assert of(other, Entry)[-1].text == CODE
    bot.ask(parsed(type="tell", name="Ana", text="one\ntwo"))
    assert ana.sees() == ["[Bot, in private]: one", "  | two"]
    (again,) = world.enter("Bia")
    _, first, *others = again.types("/history")
    assert re.fullmatch(r"     1 \d{4}-\d\d-\d\d \d\d:\d\d " + re.escape(SHOWN[0]), first)
    assert others == SHOWN[1:]
    assert bot.connection.refusals() == []


def test_search_finds_every_line_and_shows_one() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    bot = Visitor(world, program=True)
    bot.ask(Hello("Bot"))
    bot.ask(parsed(type="say", text="apples\npears\noranges"))
    ana.sees()
    *_, line = ana.types("/search pears")
    assert line.endswith("[Bot]: apples pears oranges")


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"type": "say", "text": "one\r\ntwo"}, ControlCharacter),
        ({"type": "say", "text": "one\n\x1b[2J"}, ControlCharacter),
        ({"type": "say", "text": "one\n\u2028two"}, ControlCharacter),
        ({"type": "say", "text": "one\n\u202etwo"}, ControlCharacter),
        ({"type": "say", "text": "one\ntwo", "kind": "act"}, ControlCharacter),
        ({"type": "say", "text": "one", "room": "a\nb"}, ControlCharacter),
        ({"type": "tell", "text": "one\x0btwo", "name": "Ana"}, ControlCharacter),
        ({"type": "tell", "text": "one", "name": "A\nna"}, ControlCharacter),
        ({"type": "topic", "text": "one\ntwo"}, ControlCharacter),
        ({"type": "search", "words": "one\ntwo"}, ControlCharacter),
        ({"type": "nick", "name": "one\ntwo"}, ControlCharacter),
        ({"type": "say", "text": "\n" * TEXT_LINES}, TooManyLines),
        ({"type": "tell", "text": "x" + "\n" * TEXT_LINES, "name": "Ana"}, TooManyLines),
    ],
)
def test_only_messages_have_lines_and_not_too_many(
    fields: dict[str, Any], refusal: type[Refusal]
) -> None:
    with pytest.raises(refusal):
        parsed(**fields)


def test_as_many_lines_as_are_allowed() -> None:
    text = "\n".join(map(str, range(TEXT_LINES)))
    assert parsed(type="say", text=text) == Say(text)
    assert parsed(type="tell", name="Ana", text=text) == Tell("Ana", text)


#: What a line of somebody else, or of the server, looks like.
IMITATED = (
    "[Bia]: no",
    "[SERVER]: The server stops.",
    "[SERVIDOR]: x",
    "[Bia, in private]: x",
    "* Bia waves",
    "#cinema [Bia]: x",
    "2026-11-23 19:57 [Bia]: x",
    "19:57 [Bia]: x",
    "     1 2026-11-23 19:57 [Bia]: x",
    "  #cinema 7 2026-11-23 19:57 [Bia]: x",
    "  | and more",
    "",
)


@pytest.mark.parametrize("imitated", IMITATED)
@pytest.mark.parametrize("style", [Style("en"), Style("pt_BR", timestamps=True, prefixed=True)])
@pytest.mark.parametrize("columns", [40, 80])
def test_no_line_of_a_message_is_like_another_line(
    imitated: str, style: Style, columns: int
) -> None:
    """Wherever the terminal breaks it; a message that follows is seen as one of its own."""
    told = "x" * (columns - 9) + f"\n{imitated}\n{'y' * (columns - len(CONTINUATION))}{imitated}"
    entry = Entry("lobby", 1, 0, "say", "Ana", told, 1, None, b"")
    for event in (entry, Replayed(entry), Told("Ana", "Bia", told, 0, own=False)):
        first, *others = wording.lines([event], style)
        assert len(others) == 2
        assert "x" in first
        assert all(line.startswith(CONTINUATION.rstrip()) for line in others)
        for line in others:
            pieces = [line[at : at + columns] for at in range(0, len(line), columns)]
            assert not re.match(r"\s*\[(SERVER|SERVIDOR|Bia)", pieces[-1])


ONE_LINE = [cls for cls in subclasses(Event) if cls in wording.RENDERERS]


@pytest.mark.parametrize("cls", ONE_LINE, ids=[cls.__name__ for cls in ONE_LINE])
@given(st.data())
@settings(max_examples=20, deadline=None)
def test_every_other_line_begins_in_another_way(cls: type[Event], data: st.DataObject) -> None:
    """And no text brings a line break into it; only messages have further lines."""
    event = data.draw(structs(cls))
    for style in (Style("en"), Style("pt_BR", timestamps=True, prefixed=True)):
        lines = wording.lines([event], style)
        assert all(find_unsafe(line) is None for line in lines)
        further = [line for line in lines if line.startswith(CONTINUATION.rstrip())]
        breaks = repr(event).count("\\n")
        assert len(further) <= breaks


def test_the_ends_of_events_are_known_all_the_same() -> None:
    """By them, a reader's own lines are left out, and what arrived is counted."""
    entries = [Entry("lobby", n, 0, "say", "Ana", f"{n}\nx" * n, 1, None, b"") for n in (1, 2, 3)]
    for crlf in (False, True):
        rendered = text.render(entries, Style("en", crlf=crlf))
        ends = [0, *rendered.ends]
        parts = [rendered.data[a:b] for a, b in pairwise(ends)]
        assert parts == [text.render([entry], Style("en", crlf=crlf)).data for entry in entries]
    assert len(jsonl.render(entries, Style("en")).data.splitlines()) == 3


def test_a_client_reads_the_lines_and_nothing_worse() -> None:
    line = {"type": "said", "room": "lobby", "seq": 1, "time": 2, "nickname": "A\nB"}
    read = wire.decode(json.dumps({**line, "text": "one\ntwo\r\x1b[2J"}).encode())
    assert isinstance(read, Entry)
    assert (read.nickname, read.text) == ("A␊B", "one\ntwo␍␛[2J")


def test_the_bundled_client_shows_the_lines_and_counts_one_message() -> None:
    server = ChatServer()
    ana = Person(server)
    ana.types("/join cinema")
    server.say("lobby", "Bot", CODE)
    assert ana.talk.tabs["lobby"].unread == 1
    ana.screen.take()
    shown = ana.types("/join lobby")
    at = shown.index(SHOWN[0])
    assert shown[at : at + 4] == SHOWN
    assert ana.talk.tabs["lobby"].unread == 0
    server.say("lobby", "Bot", "Ana:\n[Bia]: no")
    assert ana.screen.take() == ["[Bot]: Ana:", "  | (Bia): no"]
    again = Person(server, "Bia")
    shown = again.screen.take()
    at = shown.index(SHOWN[0])
    assert shown[at : at + 6] == [*SHOWN, "[Bot]: Ana:", "  | (Bia): no"]


def test_the_archive_shows_the_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    with closing(Store(path)) as store:
        commit(store, draft("one\n# two\n\n- three"), draft("four"))
    assert cli.main(["verify", path]) == 0
    capsys.readouterr()
    assert cli.main(["history", path, "lobby"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.endswith("[Ana]: one")
    assert others[:3] == ["  | # two", "  |", "  | - three"]
    assert others[3].startswith("2 ")
    assert cli.main(["export", path, "--format", "markdown"]) == 0
    assert r"**Ana**: one<br>\# two<br><br>- three" in capsys.readouterr().out
    assert cli.main(["export", path, "--format", "jsonl"]) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert json.loads(first)["text"] == "one\n# two\n\n- three"
    assert cli.main(["export", path, "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3

"""``docs/protocol.rst`` is true: its session is played, and it names every field there is."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.protocol import House
from twisted_chat import core
from twisted_chat.core import operator
from twisted_chat.core.account_errors import SecretMissing
from twisted_chat.core.errors import CannotStart, LogRefusal, NotInRoom, Refusal
from twisted_chat.core.events import (
    Acknowledged,
    Announced,
    CodeMade,
    Device,
    DevicesListed,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    HistoryShown,
    IgnoredListed,
    Ignoring,
    Joined,
    LanguageShown,
    Left,
    LimitsShown,
    Marked,
    MessageKept,
    NotSent,
    PasswordSet,
    PeopleListed,
    Pong,
    PresenceSummary,
    Refused,
    Registered,
    Renamed,
    Replaced,
    RoomLeft,
    RoomsListed,
    RoomSummary,
    SearchShown,
    ServerStopping,
    Slowed,
    Style,
    TokenMade,
    TokenRevoked,
    Told,
    TopicShown,
    Unregistered,
    Welcomed,
)
from twisted_chat.core.limits import Limits
from twisted_chat.core.room_events import Invited, RoleSet, RoomSettings
from twisted_chat.dialects import jsonl

DOCUMENT = (Path(__file__).parent.parent / "docs" / "protocol.rst").read_text(encoding="utf-8")
ENTRY = Entry("lobby", 1, 0, "say", "Ana", "oi", 1, None, b"")

EVENTS: list[Event] = [
    Acknowledged((ENTRY,)),
    Announced("text"),
    CodeMade("Ana", "bcdf-ghjk", 10),
    DevicesListed((Device("phone", "device", 1),)),
    Entered("lobby", (), 0, "", 0, 0),
    Entered("lobby", (), 0, "", 0, 0, until_stop=True, replaced=True, current=False),
    EntriesRemoved("lobby", 1),
    ENTRY,
    HistoryShown("lobby", (ENTRY,), 1),
    IgnoredListed(()),
    Ignoring("Ana", True),
    Joined("lobby", "Ana", True),
    PresenceSummary("lobby", True, True, ("Ana", "Bia"), 2),
    LanguageShown("en", ("en",), True),
    Left("lobby", "Ana", True),
    LimitsShown(Limits()),
    PeopleListed("lobby", (), 0),
    Marked("lobby", 1),
    PasswordSet(),
    Pong(),
    Refused(NotInRoom(room="lobby")),
    Refused(SecretMissing(name="Ana")),
    Registered("Ana", 1),
    Renamed("Ana", "Bia"),
    Replaced(),
    RoleSet("lobby", "Bia", "moderator", "Ana"),
    Invited("lobby", "Bia", "Ana"),
    Invited("lobby", "Bia", "Ana", own=True),
    RoomLeft("lobby", None),
    RoomSettings("lobby", "all", "all", False, 0, None),
    RoomSettings("lobby", "all", "all", False, 0, 7, "Ana", invited=("Bia",), changed=("join",)),
    RoomsListed((RoomSummary("lobby", 1, ""),), 1),
    SearchShown("oi", (ENTRY,), ("oi",)),
    ServerStopping(),
    ServerStopping(until_stop=True, some_unsaved=True),
    NotSent(3),
    Slowed(20, 5),
    Told("Ana", "Bia", "psst", 0),
    Told("Ana", "Bia", "psst", 0, own=True),
    TokenMade("bot", "tchat_x", ("lobby",)),
    TokenRevoked("bot"),
    Told("Ana", "Bia", "psst", 0, kept=True),
    MessageKept("Bia", 0),
    TopicShown("lobby", ""),
    Unregistered("Ana"),
    Welcomed("Ana", (), {}, bytes(16), "", False, account=1),
]


def block(caption: str) -> list[str]:
    """The lines of the code block with this caption."""
    _, _, rest = DOCUMENT.partition(f":caption: {caption}\n\n")
    lines = rest.split("\n\n", 1)[0].splitlines()
    assert lines
    return [line.strip() for line in lines]


def section(title: str) -> str:
    _, _, rest = DOCUMENT.partition(f"{title}\n~~~~")
    return re.split(r"\n~{4,}\n", rest, maxsplit=1)[0]


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        varies = {"time": 0, "log": ""}  # by what is random, too
        return {k: varies[k] if k in varies else without_times(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_times(item) for item in value]
    return value


def test_the_session_in_the_document_is_what_happens() -> None:
    house = House(keep_days=365, limits=Limits(max_clients=992))
    client = house.connect()
    client.protocol.dataReceived("\n".join([*block("What is sent"), ""]).encode())
    house.world.journal.run()
    received = [without_times(json.loads(line)) for line in client.lines()]
    assert received == [without_times(json.loads(line)) for line in block("What comes back")]


@pytest.mark.parametrize("type", jsonl.REQUESTS)
def test_every_request_and_its_fields_are_documented(type: str) -> None:
    entry = definition(section("What a client sends"), type)
    for field in jsonl.REQUESTS[type].__struct_fields__:
        assert field == "id" or f"``{field}``" in entry


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: str(event.__class__.__name__))
def test_every_event_and_its_fields_are_documented(event: Event) -> None:
    wire = json.loads(jsonl.render([event], Style("en")).data)
    entry = definition(section("What the server sends"), wire.pop("type"))
    for field in wire:
        assert f"``{field}``" in entry


def test_no_event_is_forgotten_here() -> None:
    assert {event.__class__ for event in EVENTS} == set(jsonl._RENDERERS)


def test_every_limit_is_documented() -> None:
    (shown,) = map(json.loads, jsonl.render([LimitsShown(Limits())], Style("en")).data.splitlines())
    for limit in shown["limits"]:
        assert f"``{limit}``" in section("Limits")


def refusals(of: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """All refusals of the server's core; those of :mod:`.core.operator` go to operators."""
    for each in pkgutil.iter_modules(core.__path__, f"{core.__name__}."):
        importlib.import_module(each.name)
    for kind in of.__subclasses__():
        if kind.__module__.startswith(core.__name__) and kind.__module__ != operator.__name__:
            yield kind
        yield from refusals(kind)


def test_every_code_of_an_error_is_documented_and_no_other() -> None:
    at_start = {LogRefusal, CannotStart, *refusals(CannotStart)}  # and a class without a code
    codes = {kind.code for kind in refusals() if kind not in at_start}
    listed = re.findall(r"^``([a-z0-9-]+)`` ", section("Codes of errors"), re.MULTILINE)
    assert sorted(listed) == sorted(codes)


def definition(text: str, type: str) -> str:
    """The definition of ``type``: its term (which may have others beside it) and its text."""
    for paragraph in text.split("\n\n"):
        term = paragraph.strip().split("\n    ")[0]
        if re.search(rf"(^|; ){re.escape(f'``{type}``')}(:|;|$|\n)", term):
            return paragraph
    raise AssertionError(f"{type} is not documented")

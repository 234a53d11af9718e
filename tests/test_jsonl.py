"""The JSON Lines dialect: what programs may say, and what they are told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.characters import hostile, is_safe
from tests.support.json_lines import CLIENT, FOR_PROGRAMS, REQUESTS, json_values
from tests.support.messages import EVENTS, REFUSALS, STYLES, TIME, structs
from tests.support.messages import entry as entry_of
from tests.support.messages import refused as refusals_of
from twisted_chat.core.errors import (
    BadRequest,
    ControlCharacter,
    IdReused,
    LineTooLong,
    NotSaved,
    Refusal,
    UnknownType,
)
from twisted_chat.core.events import (
    Acknowledged,
    Announced,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    HistoryShown,
    Joined,
    Kind,
    Left,
    LimitsShown,
    Pong,
    Refused,
    Renamed,
    RoomsListed,
    RoomSummary,
    SearchShown,
    Style,
    Told,
    Welcomed,
)
from twisted_chat.core.limits import TEXT_LIMIT, Limits
from twisted_chat.core.requests import Request, Say
from twisted_chat.dialects import jsonl
from twisted_chat.dialects.jsonl import FOR_PEOPLE, ID_LIMIT, parse

ENGLISH = Style("en")


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def render(events: Sequence[Event], style: Style) -> bytes:
    return jsonl.render(events, style).data


def objects(*events: Event, style: Style = ENGLISH) -> list[dict[str, Any]]:
    """``events`` as a program reads them: an object a line."""
    data = render(events, style)
    assert data == b"" or data.endswith(b"\n")
    read = [json.loads(each) for each in data.split(b"\n")[:-1]]
    assert all(isinstance(each, dict) for each in read)
    return read


def refusal_of(data: bytes) -> Refusal:
    with pytest.raises(Refusal) as refused:
        parse(data)
    return refused.value


# -- in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "request_"), REQUESTS)
def test_a_line_makes_its_request(fields: dict[str, Any], request_: Request) -> None:
    """In any order, with any spaces, with escapes or without."""
    assert parse(line(**fields)) == request_
    assert parse(json.dumps(fields, ensure_ascii=False, indent=1).encode()) == request_
    backwards = dict(reversed(fields.items()))
    assert parse(line(**backwards)) == request_


@pytest.mark.parametrize(("fields", "request_"), REQUESTS)
def test_every_request_can_have_an_id(fields: dict[str, Any], request_: Request) -> None:
    assert parse(line(**fields, id="7f")).id == "7f"
    assert parse(line(**fields, id=None)) == request_


@pytest.mark.parametrize(("fields", "request_"), REQUESTS)
def test_unknown_fields_are_ignored(fields: dict[str, Any], request_: Request) -> None:
    """So that a newer program can talk to an older server."""
    unknown = {"zz": {"text": [1, {"type": None}]}, "time": 5, "é": "\x1b"}
    assert parse(line(**unknown, **fields)) == request_


def test_each_type_of_request_is_tried() -> None:
    assert {fields["type"] for fields, _ in REQUESTS} == jsonl.REQUESTS.keys()
    assert {type(request) for _, request in REQUESTS} == set(jsonl.REQUESTS.values())


@pytest.mark.parametrize("type_", ["", "Say", "said", "resume", "\x1b[2J", "x" * 5000, "🙂"])
def test_an_unknown_type_is_refused_and_named(type_: str) -> None:
    refusal = refusal_of(line(type=type_, id="7"))
    assert isinstance(refusal, UnknownType)
    assert refusal.code == "unknown-type"
    assert refusal.request_id == "7"
    (shown,) = objects(Refused(refusal, refusal.request_id))
    assert (shown["id"], shown["code"]) == ("7", "unknown-type")
    assert len(shown["text"]) < 200


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": "oi"},
        {"type": None},
        {"type": 5},
        {"type": ["say"]},
        {"type": "hello"},
        {"type": "hello", "nickname": None},
        {"type": "hello", "nickname": "Ana", "client": "0123"},
        {"type": "hello", "nickname": "Ana", "client": CLIENT.upper()},
        {"type": "hello", "nickname": "Ana", "client": CLIENT + "00"},
        {"type": "hello", "nickname": "Ana", "client": "g" * 32},
        {"type": "hello", "nickname": "Ana", "client": 5},
        {"type": "hello", "nickname": "Ana", "resume": ["lobby"]},
        {"type": "hello", "nickname": "Ana", "resume": {"lobby": "5"}},
        {"type": "hello", "nickname": "Ana", "resume": {"lobby": None}},
        {"type": "hello", "nickname": "Ana", "resume": {"lobby": 1.5}},
        {"type": "hello", "nickname": "Ana", "resume": None},
        {"type": "nick"},
        {"type": "say"},
        {"type": "say", "text": None},
        {"type": "say", "text": 5},
        {"type": "say", "text": ["oi"]},
        {"type": "say", "text": "oi", "room": 5},
        {"type": "say", "text": "oi", "kind": "topic"},
        {"type": "say", "text": "oi", "kind": None},
        {"type": "tell", "name": "Bia"},
        {"type": "tell", "text": "oi"},
        {"type": "join"},
        {"type": "leave", "room": {}},
        {"type": "unignore"},
        {"type": "history", "limit": "5"},
        {"type": "history", "before": 1.5},
        {"type": "history", "after": True},
        {"type": "search"},
        {"type": "search", "words": 5},
    ],
)
def test_a_field_that_is_missing_or_of_another_type_is_a_bad_request(
    fields: dict[str, Any],
) -> None:
    """The answer has the id by which the program knows what it was about."""
    for id_ in ("7", "an id", "🙂"):
        refusal = refusal_of(line(**fields, id=id_))
        assert isinstance(refusal, BadRequest)
        assert refusal.request_id == id_
        assert refusal.details["reason"]
    assert refusal_of(line(**fields)).request_id is None


@pytest.mark.parametrize("id_", [5, 1.5, True, ["7"], {"id": "7"}])
def test_an_id_is_a_string(id_: object) -> None:
    refusal = refusal_of(line(type="say", text="oi", id=id_))
    assert isinstance(refusal, BadRequest)
    assert refusal.request_id is None


def test_an_id_is_not_empty_and_not_too_long() -> None:
    assert parse(line(type="ping", id="🙂" * ID_LIMIT)).id == "🙂" * ID_LIMIT
    for id_ in ("", "x" * (ID_LIMIT + 1)):
        assert isinstance(refusal_of(line(type="ping", id=id_)), BadRequest)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"5",
        b'"say"',
        b'{"type": "ping"',
        b'{"type": "ping"}}',
        b'{"type": "ping"} {"type": "ping"}',
        b'{"type": "ping",}',
        b"{'type': 'ping'}",
        b'{"type": "say", "text": "oi}',
        b'{"type": "say", "text": "\x1b"}',
        b'\xef\xbb\xbf{"type": "ping"}',
        b'{"type": "say", "text": "\xff"}',
        b'{"type": "say", "text": "\xed\xa0\x80"}',
        b'{"type": "say", "text": "oi", "id": "\xe1"}',
        b'{"type": "\xff"}',
        b'{"type": "ping", "x": ' + b"[" * 100_000,
        b'{"type": "ping", "x": ' + b"[" * 8000 + b"]" * 8000 + b"}",
        b'{"type": "history", "limit": 1e999}',
        b"\0",
        b"hello",
    ],
)
def test_what_is_no_json_object_in_utf8_is_a_bad_request(data: bytes) -> None:
    refusal = refusal_of(data)
    assert isinstance(refusal, BadRequest)
    assert refusal.code == "bad-request"
    assert is_safe(render([Refused(refusal, refusal.request_id)], ENGLISH))


#: Where a text can stand in a request.
TEXTS: list[dict[str, Any]] = [
    {"type": "hello", "nickname": ...},
    {"type": "hello", "nickname": "Ana", "language": ...},
    {"type": "hello", "nickname": "Ana", "resume": {...: 5}},
    {"type": "nick", "name": ...},
    {"type": "say", "text": ...},
    {"type": "say", "text": "oi", "room": ...},
    {"type": "say", "text": "oi", "id": ...},
    {"type": "tell", "name": ..., "text": "oi"},
    {"type": "tell", "name": "Bia", "text": ...},
    {"type": "join", "room": ...},
    {"type": "leave", "room": ...},
    {"type": "who", "room": ...},
    {"type": "topic", "text": ...},
    {"type": "ignore", "name": ...},
    {"type": "unignore", "name": ...},
    {"type": "history", "room": ...},
    {"type": "search", "words": ...},
    {"type": "search", "words": "oi", "room": ...},
    {"type": "language", "language": ...},
    {"type": "ping", "id": ...},
]


def with_text(fields: dict[Any, Any], text: str) -> dict[Any, Any]:
    return {
        text if name is ... else name: text
        if value is ...
        else with_text(value, text)
        if isinstance(value, dict)
        else value
        for name, value in fields.items()
    }


@pytest.mark.parametrize("fields", TEXTS)
@pytest.mark.parametrize(
    "character", ["\0", "\x07", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u202e"]
)
def test_a_control_character_is_refused_however_it_is_written(
    fields: dict[str, Any], character: str
) -> None:
    if character == "\n" and fields.get("text") is ... and fields["type"] != "topic":
        return  # a message can have several lines
    hostile_fields = with_text(fields, f"a{character}b")
    refusal = refusal_of(line(**hostile_fields))
    assert isinstance(refusal, ControlCharacter)
    assert refusal.details == {"character": ord(character)}
    assert is_safe(render([Refused(refusal, refusal.request_id)], ENGLISH))
    raw = json.dumps(hostile_fields, ensure_ascii=False).encode()
    assert isinstance(refusal_of(raw), ControlCharacter)


@pytest.mark.parametrize("fields", TEXTS)
@pytest.mark.parametrize("escaped", [r"\ud800", r"\udc00", r"\udfff\ud800", r"\ud800x"])
def test_a_lone_surrogate_is_refused(fields: dict[str, Any], escaped: str) -> None:
    refusal = refusal_of(line(**with_text(fields, "HERE")).replace(b"HERE", escaped.encode()))
    assert isinstance(refusal, (BadRequest, ControlCharacter))
    assert is_safe(render([Refused(refusal, refusal.request_id)], ENGLISH))


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert parse(b'{"type": "say", "text": "\\ud83d\\ude42"}') == Say("🙂")


@pytest.mark.parametrize("character", ["x", "é", "漢", "🙂"])
def test_a_text_has_a_limit_in_bytes(character: str) -> None:
    """Of the text itself, however long its line is with all its escapes."""
    width = len(character.encode())
    longest = character * (TEXT_LIMIT // width)
    assert parse(line(type="say", text=longest)) == Say(longest)
    for fields in ({"type": "say", "id": "7"}, {"type": "tell", "name": "Bia", "id": "7"}):
        refusal = refusal_of(line(**fields, text=longest + character))
        assert isinstance(refusal, LineTooLong)
        assert refusal.details == {"limit": TEXT_LIMIT}
        assert refusal.request_id == "7"


_almost_requests = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(jsonl.REQUESTS))},
    optional={
        name: st.one_of(hostile, json_values)
        for name in ("id", "text", "room", "kind", "name", "nickname", "resume", "limit", "words")
    },
)


@given(
    st.one_of(
        st.binary(),
        st.binary().map(lambda data: b'{"type":"say","text":"' + data + b'"}'),
        json_values.map(lambda value: json.dumps(value).encode()),
        _almost_requests.map(lambda value: json.dumps(value).encode()),
        _almost_requests.map(
            lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
        ),
    )
)
@example(b'{"type":"say","text":"\xff"}')
@settings(max_examples=6 * settings().max_examples, deadline=None)
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    """And what is refused can be told, with its id."""
    answer: Request | Refusal
    try:
        answer = parse(data)
    except Refusal as refusal:
        answer = refusal
    assert isinstance(answer, (Request, Refusal))
    if isinstance(answer, Refusal):
        for style in STYLES:
            assert is_safe(render([Refused(answer, answer.request_id)], style))


# -- out: every event, whatever is in it ------------------------------------------------------


def test_every_event_is_for_programs_or_for_people_only() -> None:
    assert jsonl._RENDERERS.keys() | FOR_PEOPLE == set(EVENTS)
    assert jsonl._RENDERERS.keys() & FOR_PEOPLE == set()


@pytest.mark.parametrize("cls", FOR_PROGRAMS, ids=[cls.__name__ for cls in FOR_PROGRAMS])
@given(st.data())
@settings(deadline=None)
def test_every_event_is_one_line_of_json(cls: type[Event], data: st.DataObject) -> None:
    """An object with a type, in which nothing could steer a terminal that shows it."""
    event = data.draw(structs(cls))
    rendered = render([event], ENGLISH)
    assert is_safe(rendered)
    assert b"\t" not in rendered
    shown = objects(event)
    assert len(shown) == (len(event.entries) if isinstance(event, Acknowledged) else 1)
    assert all(isinstance(each["type"], str) for each in shown)


@pytest.mark.parametrize("cls", FOR_PROGRAMS, ids=[cls.__name__ for cls in FOR_PROGRAMS])
@given(st.data())
@settings(max_examples=10, deadline=None)
def test_what_is_shared_does_not_depend_on_the_style(cls: type[Event], data: st.DataObject) -> None:
    """One rendering serves all programs in a room; only an error is worded for one of them."""
    event = data.draw(structs(cls))
    assert len({jsonl.batch_style(style) for style in STYLES}) == 1
    if cls is not Refused:
        assert len({render([event], style) for style in STYLES}) == 1


@pytest.mark.parametrize("cls", REFUSALS, ids=[cls.__name__ for cls in REFUSALS])
@given(st.data())
@settings(max_examples=10, deadline=None)
def test_every_refusal_is_an_error_with_its_code(cls: type[Refusal], data: st.DataObject) -> None:
    refusal = data.draw(refusals_of(cls))
    for style in STYLES:
        assert is_safe(render([Refused(refusal, "7")], style))
        (shown,) = objects(Refused(refusal, "7"), style=style)
        assert (shown["type"], shown["id"], shown["code"]) == ("error", "7", cls.code)
        assert shown["text"]


def test_each_type_of_line_is_one_kind_of_event() -> None:
    """A program that reads the type knows what it has; own private messages are another."""
    types: dict[str, type[Event]] = {}
    for cls in FOR_PROGRAMS:
        if cls not in (Acknowledged, Told):
            for event in _examples(cls):
                (shown,) = objects(event)
                assert types.setdefault(shown["type"], cls) is cls
    for reserved in ("ack", "told", "delivered"):
        assert reserved not in types


def _examples(cls: type[Event]) -> list[Event]:
    """Some events of a class, always the same."""
    found: list[Event] = []

    @given(structs(cls))
    @settings(max_examples=5, database=None, derandomize=True, deadline=None)
    def collect(event: Event) -> None:
        found.append(event)

    collect()
    return found


def test_no_event_is_no_bytes() -> None:
    assert render([], ENGLISH) == b""


def test_several_events_are_lines_in_order() -> None:
    shown = objects(entry_of("one"), Joined("cinema", "Bia", True), entry_of("two"))
    assert [each["type"] for each in shown] == ["said", "joined", "said"]
    assert [shown[0]["text"], shown[2]["text"]] == ["one", "two"]


# -- out: to the letter -----------------------------------------------------------------------


def saved(text: str, number: int, id_: str | None) -> Entry:
    return Entry("cinema", number, TIME, "say", "Ana", text, -3, id_, b"h" * 32)


def test_an_entry_is_said_without_what_is_the_author_s_own() -> None:
    """Whoever knew a client id could come back as its owner."""
    assert objects(saved("oi", 7, "m1")) == [
        {
            "type": "said",
            "room": "cinema",
            "seq": 7,
            "time": TIME,
            "nickname": "Ana",
            "text": "oi",
            "id": "m1",
        }
    ]


def test_an_entry_is_said_with_its_kind_and_id_only_where_they_tell_something() -> None:
    kind = cast("Kind", "".join(("s", "ay")))  # as from the disk: equal, and another object
    (plain,) = objects(entry_of("oi", kind=kind))
    (act,) = objects(entry_of("oi", kind="act"))
    assert plain.keys() == {"type", "room", "seq", "time", "nickname", "text"}
    assert act.keys() == {*plain, "kind"}


def test_hostile_text_is_said_as_visible_text() -> None:
    (shown,) = objects(entry_of("\x1b[2J\n\ud800{name}", nickname="A\x07"))
    assert (shown["nickname"], shown["text"]) == ("A␇", "␛[2J\n\ufffd{name}")


def test_each_entry_that_is_acknowledged_has_a_line_of_its_own() -> None:
    entries = (saved("one", 7, "m1"), saved("two", 8, None), saved("three", 9, "m3"))
    assert objects(Acknowledged(entries), Pong("x")) == [
        {"type": "ack", "id": "m1", "room": "cinema", "seq": 7, "time": TIME},
        {"type": "ack", "id": None, "room": "cinema", "seq": 8, "time": TIME},
        {"type": "ack", "id": "m3", "room": "cinema", "seq": 9, "time": TIME},
        {"type": "pong", "id": "x"},
    ]


def test_an_error_is_worded_in_the_language_of_who_is_told() -> None:
    refused = Refused(NotSaved(text="oi", reason="database or disk is full"), "m1")
    (english,) = objects(refused)
    (portuguese,) = objects(refused, style=Style("pt_BR"))
    assert english["code"] == portuguese["code"] == "not-saved"
    assert english["text"] != portuguese["text"]
    (reused,) = objects(Refused(IdReused(id="m1"), "m1"))
    assert (reused["id"], reused["code"]) == ("m1", "id-reused")


def test_the_welcome_has_the_version_the_limits_and_the_rooms() -> None:
    event = Welcomed("Ana", ("Be kind.",), {"lobby": 41}, bytes.fromhex(CLIENT), "bcdf-2345", True)
    (shown,) = objects(event)
    assert shown.pop("limits") == LIMITS
    assert shown == {
        "type": "welcome",
        "id": None,
        "version": 1,
        "nickname": "Ana",
        "client": CLIENT,
        "resumed": True,
        "rooms": {"lobby": 41},
        "motd": ["Be kind."],
        "log": "",
    }
    assert objects(LimitsShown(Limits(), "q")) == [{"type": "limits", "id": "q", "limits": LIMITS}]


#: What is limited, by default.
LIMITS = {
    "line": 16_384,
    "text": TEXT_LIMIT,
    "id": ID_LIMIT,
    "nickname": 32,
    "room": 64,
    "rooms": 20,
    "topic": 390,
    "page": 100,
    "rate": {"burst": 20, "per_second": 5},
    "login_deadline": 60,
    "connections_per_address": 16,
    "rooms_per_hour": 30,
    "max_clients": 0,
    "soft_waiting": 65_536,
    "lines": 50,
    "search_words": 16,
    "search_bytes": 256,
    "max_waiting": 1_048_576,
    "write_timeout": 60,
}


def test_entering_a_room_tells_its_last_number_and_how_long_it_is_kept() -> None:
    assert objects(Entered("cinema", ("Bia",), 3, "Films", 41, 365.0)) == [
        {
            "type": "entered",
            "id": None,
            "room": "cinema",
            "topic": "Films",
            "people": ["Bia"],
            "count": 3,
            "last": 41,
            "keep_days": 365.0,
        }
    ]


def test_entering_a_room_tells_a_log_in_memory_and_one_that_was_replaced() -> None:
    (shown,) = objects(Entered("cinema", (), 0, "", 4, 365.0, until_stop=True, replaced=True))
    assert (shown["until_stop"], shown["replaced"], shown["last"]) == (True, True, 4)


def test_presence() -> None:
    assert objects(
        Joined("cinema", "Bia", False), Left("cinema", "Bia", True), Renamed("Ana", "Bia", own=True)
    ) == [
        {"type": "joined", "room": "cinema", "nickname": "Bia", "arrived": False},
        {"type": "left", "room": "cinema", "nickname": "Bia", "departed": True},
        {"type": "renamed", "id": None, "old": "Ana", "new": "Bia", "own": True},
    ]


def test_a_private_message_and_its_confirmation() -> None:
    assert objects(Told("Ana", "Bia", "oi", TIME)) == [
        {"type": "told", "nickname": "Ana", "text": "oi", "time": TIME}
    ]
    assert objects(Told("Ana", "Bia", "oi", TIME, own=True, id="m1")) == [
        {"type": "delivered", "id": "m1", "name": "Bia", "time": TIME}
    ]


def test_a_page_of_history_and_what_was_removed() -> None:
    (page,) = objects(HistoryShown("cinema", (saved("oi", 7, "m1"),), 5, "q"))
    assert (page["type"], page["id"], page["room"], page["first"]) == ("history", "q", "cinema", 5)
    assert page["entries"] == objects(saved("oi", 7, "m1"))
    assert objects(EntriesRemoved("cinema", 5)) == [
        {"type": "removed", "room": "cinema", "first": 5}
    ]


def test_what_was_found_has_a_snippet_for_each_entry() -> None:
    long, short = saved("x" * 500 + " Café", 7, None), saved("cafe", 6, None)
    (found,) = objects(SearchShown("cafe", (long, short), ("…x Café", "cafe\x1b"), "q"))
    assert (found["type"], found["id"], found["words"]) == ("found", "q", "cafe")
    assert found["entries"] == objects(long, short)
    assert found["snippets"] == ["…x Café", "cafe␛"]


def test_lists_are_answers_to_a_request() -> None:
    assert objects(RoomsListed((RoomSummary("cinema", 3, "Films"),), 7, "q")) == [
        {
            "type": "rooms",
            "id": "q",
            "rooms": [{"room": "cinema", "people": 3, "topic": "Films"}],
            "count": 7,
            "more": False,
        }
    ]


def test_an_announcement_is_for_one_room_or_for_all() -> None:
    assert objects(Announced("Closing"), Announced("Closing", "cinema")) == [
        {"type": "announced", "text": "Closing", "room": None},
        {"type": "announced", "text": "Closing", "room": "cinema"},
    ]


def test_requests_and_answers_are_told_apart_by_their_type() -> None:
    """So that the log of a connection can be read: no type goes both ways but these."""
    sent = {
        shown["type"]
        for cls in FOR_PROGRAMS
        for event in _examples(cls)
        for shown in objects(event)
    }
    both = {"devices", "history", "language", "limits", "rooms", "topic"}
    assert sent & jsonl.REQUESTS.keys() <= both


@pytest.mark.parametrize(("one", "other"), [*combinations(["say", "tell", "topic"], 2)])
def test_the_last_of_two_types_counts_for_all_of_the_line(one: str, other: str) -> None:
    """A name that stands twice does not get a line past the checks of the type it is."""
    data = f'{{"type": "{one}", "text": "oi", "name": "Bia", "type": "{other}"}}'.encode()
    assert type(parse(data)) is jsonl.REQUESTS[other]


# -- lines that were sent together --------------------------------------------------------------

SAY_LINES = st.builds(
    lambda said, id, room, more: json.dumps(
        {"type": "say", "text": said} | id | room | more, ensure_ascii=False
    ).encode("utf-8", "surrogatepass"),
    st.one_of(st.text(), st.sampled_from(["oi", "", " ", "\u202e", '"type"', "x" * 1025])),
    st.sampled_from([{}, {"id": "1"}, {"id": ""}, {"id": "x" * 65}, {"id": 1}, {"id": "\x1b"}]),
    st.sampled_from([{}, {"room": "lobby"}, {"room": "a\x07"}, {"room": 3}]),
    st.sampled_from([{}, {"kind": "act"}, {"kind": "topic"}, {"unknown": {"type": "say"}}]),
)


@given(st.lists(st.one_of(SAY_LINES, st.just(b'{"type":"ping"}'), st.binary()), min_size=1))
def test_lines_at_once_are_what_each_is_alone(lines: list[bytes]) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    says = jsonl.parse_says(lines)
    if says:
        assert says == [jsonl._parse_any(line) for line in lines]
        assert all(say.text.strip() for say in says)


@pytest.mark.parametrize(
    "lines",
    [
        [b'{"type":"say","text":"oi"}', b'{"type":"say","text":"' + b"x" * 20_000 + b'"}'],
        [b'{"type":"say","text":"oi","x":', b'{"type":"say","text":"a"}}'],
        [b'{"type":"say","text":"oi"}{"text":"b"}', b'{"type":"say","text":"a"}'],
        [b'{"type":"say","text":"oi","\\u0074ype":"ping"}', b'{"type":"say","text":"a"}'],
    ],
)
def test_what_is_wrong_alone_is_not_taken_at_once(lines: list[bytes]) -> None:
    assert jsonl.parse_says(lines) == []


def test_usual_lines_are_taken_at_once() -> None:
    lines = [b'{"type":"say","text":"oi","id":"%d"}' % n for n in range(3)]
    lines.append(b'{"type": "say", "room": "lobby", "text": "ol\xc3\xa1", "kind": "act"}')
    assert [say.text for say in jsonl.parse_says(lines)] == ["oi", "oi", "oi", "olá"]

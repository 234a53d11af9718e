"""The JSON Lines dialect from the client's side: all that the server sends and takes, and all
that something else may send.
"""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.characters import hostile, is_safe
from tests.support.json_lines import CLIENT, FOR_PROGRAMS, REQUESTS, json_values
from tests.support.messages import EVENTS, STYLES, structs, values
from twisted_chat.client import wire
from twisted_chat.client.events import (
    Connected,
    Disconnected,
    LogReplaced,
    Receipt,
    RequestRefused,
)
from twisted_chat.client.wire import NotUnderstood, as_json, decode
from twisted_chat.core.account_errors import SecretMissing
from twisted_chat.core.characters import find_unsafe, visible, visible_lines
from twisted_chat.core.errors import ControlCharacter, NotSaved
from twisted_chat.core.events import (
    Acknowledged,
    Entry,
    Event,
    LanguageShown,
    Refused,
    RoomLeft,
    SearchShown,
    Style,
    Told,
    Welcomed,
)
from twisted_chat.core.requests import Request, Say
from twisted_chat.dialects import jsonl, text

ENGLISH = Style("en")


def sent(*events: Event) -> list[bytes]:
    """``events`` as the server sends them, by lines."""
    return jsonl.render(events, ENGLISH).data.split(b"\n")[:-1]


# -- what the server sends --------------------------------------------------------------------


def heard(event: Event) -> list[Event]:
    """What can be known of ``event`` at the other end."""
    if isinstance(event, Acknowledged):
        return [_safe(Receipt(e.room, e.number, e.time, e.message_id)) for e in event.entries]
    if isinstance(event, Told) and event.own:
        event = replace(event, sender="", text="", kept=False)
    elif isinstance(event, Told):
        event = replace(event, recipient="", id=None)
    elif isinstance(event, LanguageShown):
        event = replace(event, changed=False)
    elif isinstance(event, RoomLeft):
        event = replace(event, current=None)
    elif isinstance(event, Welcomed):
        event = replace(event, code="")
    elif isinstance(event, SearchShown) and len(event.snippets) != len(event.entries):
        # A server that sends no fitting snippets: the texts stand in for them.
        event = replace(event, snippets=tuple(entry.text for entry in event.entries))
    elif isinstance(event, Refused):
        told = RequestRefused(code=event.refusal.code, text=event.refusal.sentence("en"))
        if isinstance(event.refusal, SecretMissing):
            told.details["account"] = True
        event = Refused(told, event.id)
    return [_safe(event)]


def _safe(value: Any) -> Any:
    """``value`` with all that is dangerous in it made visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, tuple):
        return tuple(_safe(each) for each in value)
    if isinstance(value, dict):
        return {_safe(key): each for key, each in value.items()}
    if isinstance(value, Entry):  # the hash and the number of a guest are the server's own
        value = replace(value, author=max(0, value.author), hash=b"")
    if isinstance(value, RequestRefused):
        return RequestRefused(**{name: _safe(each) for name, each in value.details.items()})
    if isinstance(value, msgspec.Struct):
        fields = {name: _safe(getattr(value, name)) for name in value.__struct_fields__}
        if isinstance(value, Entry | Told):
            fields["text"] = visible_lines(value.text)
        return type(value)(**fields)
    return value


def comparable(event: Event | None) -> object:
    """Refusals are exceptions: two are never equal."""
    return (event.refusal.details, event.id) if isinstance(event, Refused) else event


@pytest.mark.parametrize("cls", FOR_PROGRAMS, ids=[cls.__name__ for cls in FOR_PROGRAMS])
@given(st.data())
@settings(max_examples=20, deadline=None)
def test_every_event_is_read_as_what_it_was(cls: type[Event], data: st.DataObject) -> None:
    event = data.draw(structs(cls))
    read = [decode(line) for line in sent(event)]
    assert [*map(comparable, read)] == [*map(comparable, heard(event))]


def test_a_line_that_needs_no_second_look_is_read_like_one_that_does() -> None:
    plain = b'{"type":"said","room":"lobby","seq":1,"time":2,"nickname":"Ana","text":"oi"}'
    escaped = plain.replace(b"oi", b"\\u006fi")
    assert decode(plain) == decode(escaped)
    assert isinstance(decode(plain), Entry)


def test_what_a_newer_server_says_is_passed_over() -> None:
    assert decode(b'{"type":"confetti","room":"lobby"}') is None
    read = decode(b'{"type":"pong","id":"x","colour":"blue"}')
    assert read == decode(b'{"type":"pong","id":"x"}')
    assert read is not None


def test_a_refusal_has_the_server_s_code_and_words() -> None:
    told = Refused(NotSaved(text="oi", reason="disk I/O error"), "m1")
    (line,) = jsonl.render([told], Style("pt_BR")).data.splitlines()
    read = decode(line)
    assert isinstance(read, Refused)
    assert isinstance(read.refusal, RequestRefused)
    assert (read.id, read.refusal.code) == ("m1", "not-saved")
    assert read.refusal.sentence("en") == str(read.refusal) == told.refusal.sentence("pt_BR")


# -- what something else may send -------------------------------------------------------------


def _mutated(event: Event, changes: dict[str, Any]) -> bytes:
    fields = json.loads(sent(event)[0])
    fields.update({name: value for name, value in changes.items() if name in fields})
    return json.dumps(fields, ensure_ascii=False).encode(errors="surrogatepass")


_fields = ("type", "id", "room", "seq", "time", "nickname", "text", "people", "entries", "last")
_changes = st.dictionaries(
    st.sampled_from([*_fields, "count", "rooms", "client", "first", "keep_days", "kind", "motd"]),
    st.one_of(
        json_values, st.integers(), st.just(-1), st.just(2**63), st.just(10**400), st.just(1e308)
    ),
    max_size=3,
)
_hostile_lines = st.one_of(
    st.binary(),
    st.binary().map(lambda data: b'{"type":"said",' + data + b"}"),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.builds(_mutated, st.sampled_from(FOR_PROGRAMS).flatmap(structs), _changes),
)


@given(_hostile_lines)
@example(b'{"type":"said","room":"r","seq":1,"time":1' + b"0" * 30 + b',"nickname":"","text":""}')
@example(b'{"type":"said","room":"r","seq":-1,"time":1,"nickname":"","text":""}')
@example(b'{"type":"welcome","nickname":"A","client":"xyz","resumed":false,"rooms":{}}')
@example(b'{"type":"pong","id":"\xff"}')
@example(b'{"type":"announced","text":"\\u009b31m","type":"pong"}')
@example(
    b'{"type":"found","words":"","snippets":[],"entries":'
    b'[{"room":"a","seq":1,"time":0,"nickname":"A","text":"a\\nb"}]}'
)
@example('{"type":"announced","text":"\x9b31m \u202e \u2028"}'.encode())
@example(b"[" * 100_000)
@settings(max_examples=2 * settings().max_examples, deadline=None)
def test_whatever_comes_is_an_event_or_nothing_or_not_understood(line: bytes) -> None:
    """And what is an event can be shown in every way there is, and steers no terminal."""
    event, error = _read(line)
    assert find_unsafe(error) is None
    if event is None:
        return
    assert all(find_unsafe(each) is None for each in _texts(event))
    assert is_safe(as_json(event))
    if type(event) in EVENTS:
        for style in STYLES:
            text.render([event], style)


def _read(line: bytes) -> tuple[Event | None, str]:
    try:
        return decode(line), ""
    except NotUnderstood as error:
        return None, str(error)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, (tuple, list)):
        return [found for each in value for found in _texts(each)]
    if isinstance(value, dict):
        return [found for pair in value.items() for found in _texts(pair)]
    if isinstance(value, RequestRefused):
        return _texts(value.details)
    if isinstance(value, (Entry, Told)) and "\n" in value.text:
        # The text of a message, and only that, can have several lines.
        return [*value.text.split("\n"), *_texts(msgspec.structs.replace(value, text=""))]
    if isinstance(value, msgspec.Struct):
        return [found for name in value.__struct_fields__ for found in _texts(getattr(value, name))]
    return []


# -- what the client sends --------------------------------------------------------------------

_safe_text = st.text(max_size=40).filter(lambda each: find_unsafe(each) is None)


def _requests(cls: type[Request]) -> st.SearchStrategy[Any]:
    strategies: dict[str, st.SearchStrategy[Any]] = {}
    for name, hint in get_type_hints(cls).items():
        if name == "ignored":
            people = st.dictionaries(_safe_text, _safe_text, max_size=3)
            strategies[name] = st.one_of(st.none(), people)
        elif name == "resume":
            strategies[name] = st.dictionaries(_safe_text, st.integers(0, 10_000), max_size=3)
        elif name == "client":
            strategies[name] = st.sampled_from([None, CLIENT])
        elif hint is str:
            strategies[name] = _safe_text
        elif hint == tuple[str, ...]:
            strategies[name] = st.lists(_safe_text, max_size=3).map(tuple)
        elif hint == (str | None):
            strategies[name] = st.one_of(st.none(), _safe_text)
        else:
            strategies[name] = values(hint)
    ids = _safe_text.filter(lambda each: 0 < len(each) <= jsonl.ID_LIMIT)
    return st.builds(cls, **{**strategies, "id": st.one_of(st.none(), ids)})


@pytest.mark.parametrize("cls", jsonl.REQUESTS.values(), ids=jsonl.REQUESTS)
@given(st.data())
@settings(max_examples=15, deadline=None)
def test_every_request_arrives_as_what_it_was(cls: type[Request], data: st.DataObject) -> None:
    request = data.draw(_requests(cls))
    line = wire.encode(request)
    assert b"\n" not in line
    assert jsonl.parse(line) == request


@pytest.mark.parametrize("request_", [request for _, request in REQUESTS])
def test_what_is_not_told_is_not_sent(request_: Request) -> None:
    assert b"null" not in wire.encode(request_)


def test_what_is_no_character_is_refused() -> None:
    with pytest.raises(ControlCharacter) as refused:
        wire.encode(Say("a\udcffb"))
    assert refused.value.details == {"character": 0xDCFF}


# -- for programs that read what a client prints ----------------------------------------------


@given(st.sampled_from(FOR_PROGRAMS).flatmap(structs))
@settings(max_examples=150, deadline=None)
def test_an_event_is_printed_as_it_came(event: Event) -> None:
    """But for the secret, which nobody else is to know."""
    for line in sent(event):
        read = decode(line)
        assert read is not None
        printed = as_json(read)
        again = decode(printed.removesuffix(b"\n"))
        if isinstance(read, Welcomed):
            read = replace(read, client_id=b"")
        assert comparable(again) == comparable(read)


@given(hostile, hostile)
def test_what_only_a_client_is_told_is_printed_too(room: str, reason: str) -> None:
    assert as_json(Connected()) == b'{"type":"connected"}\n'
    for event, type in (
        (Disconnected(visible(reason), 1.5), "disconnected"),
        (Disconnected("", None), "disconnected"),
        (LogReplaced(visible(room)), "log-replaced"),
        (Receipt(visible(room), 1, 2, "x"), "ack"),
    ):
        printed = as_json(event)
        assert is_safe(printed)
        assert json.loads(printed)["type"] == type

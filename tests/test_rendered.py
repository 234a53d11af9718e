"""Where events end in their bytes: each dialect says so, and nothing else looks for it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.messages import EVENTS, STYLES, entry, structs
from twisted_chat.core import rendered as rendered_module
from twisted_chat.core.events import Acknowledged, Entry, Event, Joined, Replayed, Style
from twisted_chat.core.rendered import Rendered, first_missing
from twisted_chat.dialects import jsonl, text
from twisted_chat.dialects.base import Dialect
from twisted_chat.dialects.jsonl import JSONL
from twisted_chat.dialects.text import TEXT

FOR_BOTH = [cls for cls in EVENTS if cls not in jsonl.FOR_PEOPLE]
ALL_STYLES = [*STYLES, Style("en", crlf=True), Style("pt_BR", prefixed=True, crlf=True)]

DIALECTS = pytest.mark.parametrize("dialect", [TEXT, JSONL], ids=["text", "jsonl"])
some_events = st.lists(st.sampled_from(FOR_BOTH).flatmap(structs), max_size=4)


@DIALECTS
@given(some_events, st.sampled_from(ALL_STYLES))
@settings(max_examples=40, deadline=None)
def test_each_event_ends_where_its_own_bytes_end(
    dialect: Dialect, events: list[Event], style: Style
) -> None:
    rendered = dialect.render(events, style)
    alone = [dialect.render([event], style).data for event in events]
    assert b"".join(alone) == rendered.data
    assert list(rendered.ends) == list(accumulate(map(len, alone)))
    assert list(rendered.events) == events


@DIALECTS
@given(some_events, st.sampled_from(ALL_STYLES), st.data())
@settings(max_examples=40, deadline=None)
def test_without_some_events_it_is_the_rendering_of_the_others(
    dialect: Dialect, events: list[Event], style: Style, data: st.DataObject
) -> None:
    places = st.sets(st.integers(0, len(events) - 1)) if events else st.just(set[int]())
    left_out = sorted(data.draw(places))
    others = [event for at, event in enumerate(events) if at not in left_out]
    part, expected = dialect.render(events, style).without(left_out), dialect.render(others, style)
    assert part.data == expected.data
    assert list(part.ends) == list(expected.ends)
    assert list(part.events) == others


def test_a_line_of_several_acknowledgements_is_one_event() -> None:
    saved = Acknowledged((entry("one"), entry("two")))
    rendered = jsonl.render([saved, Joined("cinema", "Bia", True)], Style("en"))
    first, second, third = (at + 1 for at, byte in enumerate(rendered.data) if byte == ord("\n"))
    assert second > first
    assert list(rendered.ends) == [second, third]


def test_the_ends_are_looked_for_once_and_only_when_they_are_needed() -> None:
    calls = []

    def find_ends(data: bytes, events: Sequence[Event]) -> Sequence[int]:
        calls.append(data)
        return [3, 6]

    rendered = Rendered(b"abcdef", (entry("abc", number=1), entry("def", number=2)), find_ends)
    assert rendered.room == "cinema"
    assert calls == []
    assert rendered.first_missing(5) == 2
    assert rendered.without([0]).data == b"def"
    assert calls == [b"abcdef"]


def test_the_first_entry_that_is_not_whole_is_missing() -> None:
    entries: list[Entry | Replayed] = [entry("one", number=7), Replayed(entry("two", number=8))]
    rendered = text.render(entries, Style("en"))
    first, second = rendered.ends
    sizes = (0, first - 1, first, second - 1, second)
    assert [rendered.first_missing(size) for size in sizes] == [7, 7, 8, 8, None]


def test_of_several_deliveries_the_first_missing_entry_of_each_room_counts() -> None:
    def delivery(room: str, *numbers: int) -> Rendered:
        return text.render([entry("oi", room=room, number=n) for n in numbers], Style("en"))

    whole, part = delivery("lobby", 1, 2), delivery("lobby", 3, 4)
    deliveries = [(whole, len(whole.data)), (part, part.ends[0]), (delivery("den", 7), 0)]
    later = [(delivery("lobby", 5), 0), (delivery("den", 8), 0), (Rendered(b"oi"), 0)]
    assert first_missing(deliveries + later) == {"lobby": 4, "den": 7}


def test_what_holds_no_entries_is_of_no_room_and_misses_nothing() -> None:
    rendered = text.render([Joined("cinema", "Bia", True)], Style("en"))
    assert rendered.room is None
    assert rendered.first_missing(0) is None
    assert Rendered(b"bytes").first_missing(0) is None


#: Other protocols than the chat's, whose lines are looked for in their own modules.
OTHER_PROTOCOLS = ("net/pages.py", "net/proxy_protocol.py", "net/sniff.py")


def line_breaks(source: str) -> list[int]:
    """The lines of ``source`` with a literal of bytes in which there is a line break."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return [n.lineno for n in nodes if isinstance(n.value, bytes) and b"\n" in n.value]


@pytest.mark.parametrize("folder", ["core", "net"])
def test_no_module_outside_a_dialect_looks_for_line_breaks(folder: str) -> None:
    """But for the delimiter of ``LineReceiver``, of which nothing is done here."""
    package = Path(rendered_module.__file__).parent.parent
    found = {
        str(path.relative_to(package)): lines
        for path in (package / folder).rglob("*.py")
        if (lines := line_breaks(path.read_text(encoding="utf-8")))
    }
    kept = {name: lines for name, lines in found.items() if name not in OTHER_PROTOCOLS}
    assert {name: len(lines) for name, lines in kept.items()} == (
        {"net/connection.py": 1} if folder == "net" else {}
    )


def test_a_line_break_is_found() -> None:
    assert line_breaks('data.split(b"\\n")\nx = "\\n"') == [1]

"""Values of every class of event and refusal, made of hostile texts."""

from __future__ import annotations

import string
from collections.abc import Iterator
from itertools import product
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from tests.support.characters import hostile
from twisted_chat.core import room_events
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Acknowledged, Entry, Event, Kind, Style
from twisted_chat.i18n.language import LANGUAGES

STYLES = [
    Style(language, timestamps, prefixed)
    for language, timestamps, prefixed in product(LANGUAGES, (False, True), (False, True))
]


#: 2026-11-23 19:57:08.123456 UTC.
TIME = 1_795_463_828_123_456


def entry(
    text: str,
    kind: Kind = "say",
    *,
    room: str = "cinema",
    number: int = 7,
    nickname: str = "Ana",
    time: int = TIME,
) -> Entry:
    return Entry(room, number, time, kind, nickname, text, 0, None, b"")


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values for a field of an event, of the type ``hint``."""
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    if get_origin(hint) is dict:
        return st.dictionaries(*(values(choice) for choice in get_args(hint)), max_size=3)
    if get_args(hint):
        return st.one_of(*(values(choice) for choice in get_args(hint)))
    if hint is Refusal:
        return st.sampled_from(REFUSALS).flatmap(refused)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return structs(hint)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: hostile,
        bytes: st.binary(min_size=16, max_size=32),
        bool: st.booleans(),
        float: st.floats(0, 1e6),
        int: st.integers(0, 10_000),
        type(None): st.none(),
    }
    return simple[hint]


def structs(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Values of a class of messages, made of hostile texts."""
    fields = {name: values(hint) for name, hint in get_type_hints(cls).items()}
    if "time" in fields:
        fields["time"] = st.integers(0, 2**52)
    if cls is Acknowledged:  # of nothing, there is none
        fields["entries"] = fields["entries"].filter(bool)
    return st.builds(cls, **fields)


def subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for below in cls.__subclasses__():
        yield below
        yield from subclasses(below)


#: Every class of refusal that says something of its own.
REFUSALS: list[type[Refusal]] = sorted(
    {cls for cls in subclasses(Refusal) if "template" in vars(cls)}, key=lambda cls: cls.__name__
)


def refused(cls: type[Refusal]) -> st.SearchStrategy[Refusal]:
    """Refusals of one class, with hostile details."""
    fields = {
        field: st.integers(0, 0x10FFFF) if format_ else hostile
        for _, field, format_, _ in string.Formatter().parse(cls.template)
        if field is not None
    }
    return st.fixed_dictionaries(fields).map(lambda details: cls(**details))


#: Every class of event that the vocabulary has: a new one is here by itself.
EVENTS: list[type[Event]] = sorted(
    {
        cls
        for cls in subclasses(Event)
        if cls.__module__ in (Event.__module__, room_events.__name__)
    },
    key=lambda cls: cls.__name__,
)

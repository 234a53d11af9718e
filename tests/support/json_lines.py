"""What programs send: a line for each request, and JSON that is none."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.characters import hostile
from tests.support.messages import EVENTS
from twisted_chat.core.requests import (
    ChooseName,
    Hello,
    Ignore,
    Join,
    Leave,
    ListLimits,
    ListPeople,
    ListRooms,
    Ping,
    Quit,
    ReadHistory,
    Request,
    Say,
    Search,
    SetLanguage,
    Tell,
    Topic,
    Unignore,
)
from twisted_chat.dialects import jsonl
from twisted_chat.dialects.jsonl import FOR_PEOPLE

CLIENT = "0123456789abcdef0123456789abcdef"


#: Every event that a program can be shown.
FOR_PROGRAMS = [cls for cls in EVENTS if cls not in FOR_PEOPLE]


REQUESTS: list[tuple[dict[str, Any], Request]] = [
    ({"type": "hello", "nickname": "Ana"}, Hello("Ana")),
    (
        {
            "type": "hello",
            "nickname": "Ana",
            "client": CLIENT,
            "language": "pt_BR",
            "resume": {"lobby": 1841, "cinema": 0},
        },
        Hello("Ana", CLIENT, "pt_BR", {"lobby": 1841, "cinema": 0}),
    ),
    ({"type": "nick", "name": "Bia"}, ChooseName("Bia")),
    ({"type": "say", "text": "oi"}, Say("oi")),
    (
        {"type": "say", "text": "waves", "room": "cinema", "kind": "act"},
        Say("waves", "cinema", "act"),
    ),
    ({"type": "say", "text": "/join x"}, Say("/join x")),
    ({"type": "say", "text": "a\tb 李雷 🙂"}, Say("a\tb 李雷 🙂")),
    ({"type": "tell", "name": "Bia", "text": "oi"}, Tell("Bia", "oi")),
    ({"type": "join", "room": "cinema"}, Join("cinema")),
    ({"type": "leave"}, Leave()),
    ({"type": "leave", "room": "cinema"}, Leave("cinema")),
    ({"type": "rooms"}, ListRooms()),
    ({"type": "who"}, ListPeople()),
    ({"type": "who", "room": "cinema"}, ListPeople("cinema")),
    ({"type": "topic"}, Topic()),
    ({"type": "topic", "text": "Films", "room": "cinema"}, Topic("Films", "cinema")),
    ({"type": "ignore"}, Ignore()),
    ({"type": "ignore", "name": "Bia"}, Ignore("Bia")),
    ({"type": "unignore", "name": "Bia"}, Unignore("Bia")),
    ({"type": "history"}, ReadHistory()),
    (
        {"type": "history", "room": "cinema", "limit": 5, "before": 9, "after": 2},
        ReadHistory("cinema", 5, 9, 2),
    ),
    ({"type": "search", "words": "old films"}, Search("old films")),
    (
        {"type": "search", "words": "films", "room": "cinema", "limit": 5},
        Search("films", "cinema", 5),
    ),
    ({"type": "language", "language": "en"}, SetLanguage("en")),
    ({"type": "language"}, SetLanguage()),
    ({"type": "limits"}, ListLimits()),
    ({"type": "ping"}, Ping()),
    ({"type": "quit"}, Quit()),
]


json_names = st.sampled_from(
    ["type", "id", "text", "room", "kind", "name", "nickname", "client", "resume", "limit", "words"]
)


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        hostile,
        st.sampled_from([*jsonl.REQUESTS, CLIENT, "act", "lobby"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(json_names, hostile), inner, max_size=5),
    ),
    max_leaves=8,
)

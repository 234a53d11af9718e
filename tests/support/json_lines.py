"""What programs send: a line for each request, and JSON that is none."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.characters import hostile
from tests.support.messages import EVENTS
from twisted_chat.core.requests import (
    AddDevice,
    ChangeRoom,
    ChooseName,
    GiveRole,
    Hello,
    Ignore,
    InvitePerson,
    Join,
    Leave,
    ListDevices,
    ListLimits,
    ListPeople,
    ListRooms,
    LogOut,
    Mark,
    NewToken,
    Ping,
    Quit,
    ReadHistory,
    Register,
    Request,
    RevokeToken,
    Say,
    Search,
    SetLanguage,
    SetPassword,
    Tell,
    Topic,
    Unignore,
    Unregister,
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
    ({"type": "hello", "nickname": "Ana", "password": "x"}, Hello("Ana", password="x")),
    ({"type": "hello", "nickname": "Ana", "token": "x"}, Hello("Ana", token="x")),
    ({"type": "hello", "nickname": "Ana", "code": "x"}, Hello("Ana", code="x")),
    ({"type": "register", "password": "x"}, Register("x")),
    ({"type": "password", "password": "x"}, SetPassword("x")),
    ({"type": "devices"}, ListDevices()),
    ({"type": "device-add"}, AddDevice()),
    ({"type": "token-new", "label": "ci"}, NewToken("ci")),
    (
        {"type": "token-new", "label": "ci", "rooms": ["lobby", "ci"], "device": True},
        NewToken("ci", ("lobby", "ci"), device=True),
    ),
    ({"type": "token-revoke", "label": "ci"}, RevokeToken("ci")),
    ({"type": "logout"}, LogOut()),
    ({"type": "logout", "everywhere": True}, LogOut(everywhere=True)),
    ({"type": "unregister", "nickname": "Ana"}, Unregister("Ana")),
    ({"type": "mark", "room": "lobby", "seq": 12}, Mark("lobby", 12)),
    ({"type": "room-set", "room": "den", "slow": 5}, ChangeRoom("den", slow=5)),
    ({"type": "role", "name": "Bia", "role": "owner"}, GiveRole("Bia", "owner")),
    ({"type": "invite", "name": "Bia", "room": "den"}, InvitePerson("Bia", "den")),
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

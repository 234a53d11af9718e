"""A model of rooms, their owners, roles and rules, against two nodes on one log."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.fakes import Visitor
from tests.support.logs import InternalErrors
from tests.support.nodes import Nodes
from twisted_chat.core.accounts import Credential
from twisted_chat.core.events import Entry, HistoryShown, PeopleListed, Refused, RoomsListed
from twisted_chat.core.names import nickname
from twisted_chat.core.proofs import Proof
from twisted_chat.core.requests import (
    ChangeRoom,
    GiveRole,
    InvitePerson,
    Join,
    Leave,
    ListPeople,
    ListRooms,
    ReadHistory,
    Request,
    Say,
)

ACCOUNTS = ("Ana", "Bia", "Caio")
GUESTS = ("Gil", "Guga")
PEOPLE = (*ACCOUNTS, *GUESTS)
ROOMS = ("lobby", "den", "cave")

people = st.sampled_from(PEOPLE)
#: A person, or the owner of the room, of whose requests more are granted.
askers = st.sampled_from((*PEOPLE, *["owner"] * 10))
rooms = st.sampled_from(("den", "cave", "lobby"))
values: st.SearchStrategy[tuple[str, Any]] = st.sampled_from(
    [
        *(("speak", value) for value in ("all", "registered", "speakers")),
        *(("join", value) for value in ("all", "registered", "invited")),
        ("hidden", True),
        ("hidden", False),
    ]
)


class Room:
    """What the model knows of a room. ``entries`` are the texts that were said in it."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.members: set[str] = set()
        self.roles: dict[str, str] = {}
        self.invited: set[str] = set()
        self.rules: dict[str, Any] = {"speak": "all", "join": "all", "hidden": False}

    @property
    def exists(self) -> bool:
        return bool(self.members or self.entries)

    @property
    def is_plain(self) -> bool:
        """Whether nobody but its founder has a role, and no rule was set."""
        rules = {"speak": "all", "join": "all", "hidden": False}
        no_account_is_invited = not self.invited & {*ACCOUNTS}
        return (
            self.rules == rules and set(self.roles.values()) <= {"owner"} and no_account_is_invited
        )

    def may_join(self, name: str) -> bool:
        if name in self.roles or name in self.invited:
            return True
        join = self.rules["join"]
        return bool(join == "all" or (join == "registered" and name in ACCOUNTS))

    def may_see(self, name: str) -> bool:
        if name in self.members or name in self.roles or name in self.invited:
            return True
        return self.may_join(name) and not self.rules["hidden"]

    def may_speak(self, name: str) -> bool:
        speak = self.rules["speak"]
        return bool(
            speak == "all" or name in self.roles or (speak == "registered" and name in ACCOUNTS)
        )


class RoomsMachine(RuleBasedStateMachine):
    """Each rule does one thing as one person, and compares the answer with the model's."""

    @initialize()
    def start(self) -> None:
        self.errors = InternalErrors()
        self.nodes = Nodes()
        self.rooms = {name: Room() for name in ROOMS}
        self.visitors: dict[str, Visitor] = {}
        self.said = Counter[str]()
        for name in ACCOUNTS:
            secret = Credential("c", "password", "x")
            self.nodes[0].chat.desk.make(0, nickname(name), (secret,), lambda _: None)
            self.nodes.settle()
        for name in PEOPLE:
            self.come(name)
        self.join("Ana", "den")
        self.join("Bia", "cave")
        self.join("Gil", "cave")

    def teardown(self) -> None:
        if hasattr(self, "nodes"):
            self.errors.check()

    # -- helpers --------------------------------------------------------------------------------

    def ask(self, name: str, request: Request) -> tuple[str, list[Any]]:
        """Ask as this person; returns the code of the refusal, or "", and what else was shown."""
        connection = self.visitors[name].connection
        connection.events.clear()
        self.visitors[name].ask(request)
        self.nodes.settle()
        refused = [e.refusal.code for e in connection.events if isinstance(e, Refused)]
        assert len(refused) <= 1
        return (refused or [""])[0], [e for e in connection.events if not isinstance(e, Refused)]

    def asker(self, name: str, room: str) -> str:
        """The person who asks; for ``owner``, the one who owns ``room``."""
        roles = self.rooms[room].roles
        return (
            next((who for who in roles if roles[who] == name), "Ana") if name == "owner" else name
        )

    def tidy(self, room: Room) -> None:
        """A room that nobody needs is forgotten, with the rules that nobody has set."""
        if not room.exists and room.is_plain:
            room.roles.clear()
            room.invited.clear()

    def gone(self, name: str) -> None:
        del self.visitors[name]
        for room in self.rooms.values():
            if name in GUESTS:
                room.invited.discard(name)
            if name in room.members:
                room.members.discard(name)
                self.tidy(room)

    # -- coming, going, talking -----------------------------------------------------------------

    @rule(name=people)
    def come(self, name: str) -> None:
        if name in self.visitors:
            return
        number = PEOPLE.index(name)
        visitor = self.visitors[name] = Visitor(self.nodes[number % 2])
        account = self.nodes[number % 2].chat.accounts.named(nickname(name))
        if account is None:
            visitor.types(name)
        else:
            visitor.enter_as(Proof(account.number, account.nickname, "c", "password"))
        self.nodes.settle()
        if self.rooms["lobby"].may_join(name):
            self.rooms["lobby"].members.add(name)

    @rule(name=people)
    def go(self, name: str) -> None:
        if name in self.visitors:
            self.visitors[name].types("/quit")
            self.nodes.settle()
            self.gone(name)

    @rule(name=people, room=rooms)
    def join(self, name: str, room: str) -> None:
        if name not in self.visitors:
            return
        code, _ = self.ask(name, Join(room))
        model = self.rooms[room]
        may = name in model.members or model.may_join(name)
        assert code == ("" if may else "cannot-join")
        if may:
            if not model.exists and not model.roles and name in ACCOUNTS and room != "lobby":
                model.roles[name] = "owner"
            model.members.add(name)

    @rule(name=people, room=rooms)
    def leave(self, name: str, room: str) -> None:
        if name not in self.visitors:
            return
        code, _ = self.ask(name, Leave(room))
        model = self.rooms[room]
        assert code == ("" if name in model.members else "not-in-room")
        model.members.discard(name)
        self.tidy(model)

    @rule(name=people, room=rooms)
    def say(self, name: str, room: str) -> None:
        if name not in self.visitors:
            return
        self.said[name] += 1
        line = f"{name} {self.said[name]}"
        code, _ = self.ask(name, Say(line, room))
        model = self.rooms[room]
        if name not in model.members:
            assert code == "not-in-room"
        elif not model.may_speak(name):
            assert code == "may-not-speak"
        else:
            assert code == ""
            model.entries.append(line)

    # -- rules ----------------------------------------------------------------------------------

    @rule(name=askers, room=rooms, value=values)
    def set_rule(self, name: str, room: str, value: tuple[str, Any]) -> None:
        name = self.asker(name, room)
        if name not in self.visitors:
            return
        model = self.rooms[room]
        rule, new = value
        code, _ = self.ask(name, ChangeRoom(room, **{rule: new}))
        allowed = {"owner", "moderator"} if rule == "speak" else {"owner"}
        if not model.exists or not model.may_see(name):
            assert code == "no-such-room"
        elif model.roles.get(name) not in allowed:
            assert code == "not-owner"
        else:
            assert code == ""
            model.rules[rule] = new

    @rule(
        name=askers,
        room=rooms,
        other=people,
        role=st.sampled_from(("owner", "moderator", "speaker", "none")),
    )
    def give_role(self, name: str, room: str, other: str, role: Any) -> None:
        name = self.asker(name, room)
        if name not in self.visitors:
            return
        model = self.rooms[room]
        code, _ = self.ask(name, GiveRole(other, role, room))
        now = model.roles.get(other)
        if not model.exists or not model.may_see(name):
            assert code == "no-such-room"
        elif other not in ACCOUNTS and other not in self.visitors:
            assert code == "no-such-person"
        elif model.roles.get(name) != "owner":
            assert code == "not-owner"
        elif role != "none" and other in GUESTS:
            assert code == "role-needs-account"
        elif role == now:
            assert code == ""
        elif now == "owner":
            assert code == "owner-stays"
        elif role == "none" and now is None and other not in model.invited:
            assert code == "no-role"
        else:
            assert code == ""
            model.invited.discard(other)
            model.roles.pop(other, None)
            if role == "owner":
                model.roles = {who: has for who, has in model.roles.items() if has != "owner"}
                model.roles[name] = "moderator"
            if role != "none":
                model.roles[other] = role

    @rule(name=askers, room=rooms, other=people)
    def invite(self, name: str, room: str, other: str) -> None:
        name = self.asker(name, room)
        if name not in self.visitors:
            return
        model = self.rooms[room]
        code, _ = self.ask(name, InvitePerson(other, room))
        if not model.exists or not model.may_see(name):
            assert code == "no-such-room"
        elif other not in ACCOUNTS and other not in self.visitors:
            assert code == "no-such-person"
        elif model.roles.get(name) not in ("owner", "moderator"):
            assert code == "not-owner"
        else:
            assert code == ""
            if other not in model.roles:
                model.invited.add(other)

    # -- what is seen ---------------------------------------------------------------------------

    @rule(name=people)
    def look(self, name: str) -> None:
        """A person sees exactly what the model says."""
        if name not in self.visitors:
            return
        _, shown = self.ask(name, ListRooms(all=True))
        (listed,) = (event for event in shown if isinstance(event, RoomsListed))
        seen = {
            room: len(model.members)
            for room, model in self.rooms.items()
            if model.exists and model.may_see(name)
        }
        assert {row.room: row.people for row in listed.rooms} == seen
        assert listed.count == len(seen)
        for room, model in self.rooms.items():
            code, shown = self.ask(name, ListPeople(room))
            found = [set(event.people) for event in shown if isinstance(event, PeopleListed)]
            assert found == ([model.members] if room in seen else [])
            assert code == ("" if room in seen else "no-such-room")
            code, shown = self.ask(name, ReadHistory(room, 100))
            pages = [event.entries for event in shown if isinstance(event, HistoryShown)]
            texts = [[entry.text for entry in page] for page in pages]
            assert texts == ([model.entries[-100:]] if room in seen else [])

    @invariant()
    def nobody_is_shown_what_is_said_elsewhere(self) -> None:
        for name, visitor in getattr(self, "visitors", {}).items():
            inside = {room for room, model in self.rooms.items() if name in model.members}
            assert visitor.session.cursors.keys() == inside
            entries = [e for e in visitor.connection.events if isinstance(e, Entry)]
            assert {entry.room for entry in entries} <= inside

    @invariant()
    def the_nodes_agree(self) -> None:
        if not hasattr(self, "nodes"):
            return
        self.nodes.settle()
        first, second = (world.chat._state.rules for world in self.nodes.worlds)
        assert sorted(first, key=lambda r: r.room) == sorted(second, key=lambda r: r.room)
        assert first._admitted == second._admitted
        for rules in first:
            model = self.rooms[rules.room]
            assert (rules.speak, rules.join, rules.hidden) == tuple(model.rules.values())
        assert {rules.room for rules in first} == {
            room for room, model in self.rooms.items() if model.roles
        }


TestRoomsMachine = RoomsMachine.TestCase
TestRoomsMachine.settings = settings(stateful_step_count=60, deadline=None)

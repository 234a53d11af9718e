"""Accounts, their connections and their rooms on two nodes, against a model.

Each rule does one thing at one node, and both nodes apply it. What they have then must agree with
each other, with the model, with what is written, and with what somebody has seen who looks on.
"""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.accounts import make_account
from tests.support.fakes import Visitor
from tests.support.logs import InternalErrors
from tests.support.nodes import Nodes
from twisted_chat.core.accounts import FORMER_LIMIT, Account, Credential
from twisted_chat.core.changes import announcement
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry, Joined, Left, PresenceSummary, Renamed
from twisted_chat.core.names import nickname
from twisted_chat.core.proofs import Proof
from twisted_chat.core.requests import ChooseName, Hello, Join, Leave, Quit, Say
from twisted_chat.core.room_changes import Invite, SetRole, SetRoom
from twisted_chat.core.room_rules import RoomRules

NAMES = ("Ana", "BIA", "Caio", "Davi", "Eli", "Fia", "Gil")
ROOMS = ("lobby", "cinema", "den")
IDS = ("password", "t1", "t2")

at = st.integers(0, 1)
names = st.sampled_from(NAMES)
rooms = st.sampled_from(ROOMS)
which = st.integers(0, 11)


class Device(NamedTuple):
    """A connection that was opened for an account, or for a guest (0)."""

    account: int
    visitor: Visitor
    credential: str
    limits: frozenset[str]

    @property
    def is_open(self) -> bool:
        return not self.visitor.connection.closed and self.visitor.connection.is_there


class Watcher:
    """Somebody in one room who believes what notices say about who is there."""

    def __init__(self, visitor: Visitor, room: str) -> None:
        self.visitor = visitor
        self.room = room
        self.people: set[str] = set()
        self._read = len(visitor.connection.events)

    def look(self) -> None:
        events = self.visitor.connection.events
        for event in events[self._read :]:
            if isinstance(event, Joined):
                assert event.nickname not in self.people, "joined twice"
                self.people.add(event.nickname)
            elif isinstance(event, Left):
                self.people.remove(event.nickname)
            elif isinstance(event, PresenceSummary) and event.joined:
                self.people |= {*event.people}
            elif isinstance(event, PresenceSummary):
                self.people -= {*event.people}
            elif isinstance(event, Renamed):
                self.people.remove(event.old)
                self.people.add(event.new)
        self._read = len(events)


class AccountsMachine(RuleBasedStateMachine):
    """The model: who owns which name, which accounts let somebody in, and how."""

    @initialize()
    def start(self) -> None:
        self.errors = InternalErrors()
        self.nodes = Nodes()
        eva, zoe = self.nodes.enter(0, "Eva") + self.nodes.enter(1, "Zoe")
        self.nodes.types(zoe, "/join cinema", "/leave lobby")
        #: By the room in which they are; in two, somebody is told of one thing only once.
        self.watchers = {"lobby": Watcher(eva, "lobby"), "cinema": Watcher(zoe, "cinema")}
        self.owners: dict[str, int] = {}
        self.called: dict[int, str] = {}
        self.former: dict[int, list[str]] = {}
        self.status: dict[int, str] = {}
        self.credentials: dict[int, dict[str, str]] = {}
        self.devices: list[Device] = []
        self.said = 0
        for number, name in enumerate(NAMES[:3], 1):
            make_account(self.nodes[number % 2], name)
            self.nodes.settle()
            self.owned(name)
        for account in (1, 1, 2, 1):
            self.come(account % 2, account, "", False)
        self.come_as_guest(0, NAMES[3])

    def teardown(self) -> None:
        if hasattr(self, "errors"):
            self.errors.check()

    # -- accounts ------------------------------------------------------------------------------

    @rule(at=at, name=names)
    def make(self, at: int, name: str) -> None:
        """An operator makes an account."""
        got = self.asked()
        self.nodes[at].chat.desk.make(0, nickname(name), (), got.append)
        self.nodes.settle()
        expected = "name-reserved" if name.lower() in self.owners else None
        assert codes(got) == [expected]
        if expected is None:
            self.owned(name)

    @rule(device=which)
    def register(self, device: int) -> None:
        """A guest registers the name that they have."""
        guest = self.device(device)
        if guest is None or guest.visitor.session.author >= 0:
            return
        session = guest.visitor.session
        got = self.asked()
        world = guest.visitor._world
        world.chat.desk.make(session.author, session.nickname, (), got.append)
        self.nodes.settle()
        assert codes(got) == [None]
        number = self.owned(session.name)
        assert session.author == number
        self.devices[self.devices.index(guest)] = guest._replace(account=number)

    def owned(self, name: str) -> int:
        number = len(self.called) + 1
        self.owners[name.lower()] = number
        self.called[number] = name
        self.former[number] = []
        self.status[number] = "active"
        self.credentials[number] = {}
        return number

    @rule(at=at, account=which, status=st.sampled_from(["active", "disabled", "closed"]))
    def set_status(self, at: int, account: int, status: str) -> None:
        account = self.account(account)
        got = self.asked()
        self.nodes[at].chat.desk.set_status(account, status, got.append)  # type: ignore[arg-type]
        self.nodes.settle()
        if self.status[account] == "closed":
            assert codes(got) == ["no-such-account"]
            return
        assert codes(got) == [None]
        self.status[account] = status
        if status == "closed":
            self.credentials[account] = {}
        if status != "active":
            assert not self.open(account)

    @rule(at=at, account=which, id=st.sampled_from(IDS), kind=st.sampled_from(["token", "code"]))
    def set_credential(self, at: int, account: int, id: str, kind: str) -> None:
        account = self.account(account)
        kind = "password" if id == "password" else kind
        got = self.asked()
        credential = Credential(id, kind, f"{account} {id}", id)  # type: ignore[arg-type]
        self.nodes[at].chat.desk.set_credential(account, credential, got.append)
        self.nodes.settle()
        active = self.status[account] == "active"
        assert codes(got) == [None if active else "no-account"]
        if active:
            self.credentials[account][id] = kind

    @rule(at=at, account=which, id=st.sampled_from(IDS), everywhere=st.booleans())
    def drop_credential(self, at: int, account: int, id: str, everywhere: bool) -> None:
        account = self.account(account)
        if self.status[account] != "active":
            return
        got = self.asked()
        self.nodes[at].chat.desk.drop_credentials(account, (id,), got.append, everywhere=everywhere)
        self.nodes.settle()
        assert codes(got) == [None]
        kept = self.credentials[account]
        self.credentials[account] = {
            one: kind
            for one, kind in kept.items()
            if one != id and not (everywhere and kind == "code")
        }
        assert all(d.credential != id and not everywhere for d in self.open(account))

    @rule(at=at, account=which, name=names)
    def rename_account(self, at: int, account: int, name: str) -> None:
        """An operator renames an account, whether it is connected or not."""
        account = self.account(account)
        got = self.asked()
        self.nodes[at].chat.desk.rename(account, nickname(name), got.append)
        self.nodes.settle()
        closed = self.status[account] == "closed"
        expected = "no-such-account" if closed else self.renamed(account, name, by_operator=True)
        assert codes(got) == [expected]

    def renamed(self, account: int, name: str, *, by_operator: bool = False) -> str | None:
        """Note that the account is to be called ``name``; returns the refusal's code."""
        if self.owners.get(name.lower(), account) != account:
            return "name-reserved"
        former = [one for one in self.former[account] if one.lower() != name.lower()]
        if self.called[account].lower() != name.lower():
            former.append(self.called[account])
        had = map(str.lower, (self.called[account], *self.former[account]))
        is_new = name.lower() not in had
        if is_new and len(former) > FORMER_LIMIT and not by_operator:
            return "too-many-names"
        self.former[account] = former
        self.called[account] = name
        self.owners[name.lower()] = account
        return None

    # -- people --------------------------------------------------------------------------------

    @rule(at=at, name=names)
    def come_as_guest(self, at: int, name: str) -> None:
        is_owned = name.lower() in self.owners
        visitor = Visitor(self.nodes[at], program=is_owned)  # a person is asked for the secret
        visitor.send(Hello(name) if is_owned else ChooseName(name))
        self.nodes.settle()
        taken = {device.visitor.session.name.lower() for device in self.open(0)}
        expected = []
        if is_owned:
            expected = ["name-reserved"]
        elif name.lower() in taken:
            expected = ["name-taken"]
        assert visitor.connection.refusals() == expected
        if not expected:
            self.devices.append(Device(0, visitor, "", frozenset()))

    @rule(at=at, account=which, id=st.sampled_from(("", "", "", *IDS)), limited=st.booleans())
    def come(self, at: int, account: int, id: str, limited: bool) -> None:
        """Somebody comes in whose secret was checked a moment ago."""
        account = self.account(account)
        visitor = Visitor(self.nodes[at])
        session = visitor.session
        found = self.nodes[at].chat.accounts.get(account)
        assert found is not None
        rooms = frozenset({"lobby"} if limited else ())
        session._enter_as(Proof(account, found.nickname, id, "", rooms), {}, None, None)
        self.nodes.settle()
        status = self.status[account]
        expected = []
        if status == "disabled":
            expected = ["account-disabled"]
        elif status == "closed" or (id and id not in self.credentials[account]):
            expected = ["wrong-secret"]
        assert visitor.connection.refusals() == expected
        if not expected:
            assert session.name == self.called[account]
            kind = self.credentials[account].get(id)
            if kind == "code":
                del self.credentials[account][id]
                id = ""  # it is used up
            self.devices.append(Device(account, visitor, id, session.token_rooms))

    @rule(device=which, name=names)
    def rename(self, device: int, name: str) -> None:
        found = self.device(device)
        if found is None:
            return
        before = len(found.visitor.connection.refusals())
        taken = {one.visitor.session.name.lower() for one in self.open(0) if one is not found}
        found.visitor.send(ChooseName(name))
        self.nodes.settle()
        expected: str | None
        if found.limits:
            expected = "token-limited"
        elif found.account:
            expected = "name-taken" if name.lower() in taken else None
            expected = self.renamed(found.account, name) if expected is None else expected
        elif name.lower() in self.owners:
            expected = "name-reserved"
        else:
            expected = "name-taken" if name.lower() in taken else None
        got = found.visitor.connection.refusals()[before:]
        assert got == ([] if expected is None else [expected])

    @rule(device=which, room=rooms)
    def join(self, device: int, room: str) -> None:
        found = self.device(device)
        if found is None:
            return
        session = found.visitor.session
        rules = self.nodes[1].chat._state.rules
        may = room in session.cursors or rules.may_join(session.author, room)
        may = may and room in (found.limits or ROOMS)
        found.visitor.send(Join(room))
        self.nodes.settle()
        assert (room in session.cursors) == may

    @rule(device=which, room=rooms)
    def leave(self, device: int, room: str) -> None:
        found = self.device(device)
        if found is not None:
            found.visitor.send(Leave(room))
            self.nodes.settle()
            assert room not in found.visitor.session.cursors

    @rule(device=which, quits=st.booleans())
    def go(self, device: int, quits: bool) -> None:
        found = self.device(device)
        if found is not None:
            if quits:
                found.visitor.send(Quit())
            else:
                found.visitor.lose()
                found.visitor.connection.closed = True
            self.nodes.settle()
            for world in self.nodes.worlds:  # the names of guests are free again
                world.clock.advance(400)
                world.chat.look()
            self.nodes.settle()

    @rule(device=which)
    def say(self, device: int) -> None:
        """What somebody says is shown once to each other connection in the room."""
        found = self.device(device)
        if found is None or found.visitor.session.current is None:
            return
        room = found.visitor.session.current.name
        self.said += 1
        text = f"line {self.said}"
        found.visitor.send(Say(text))
        self.nodes.settle()
        for other in self.devices:
            if other.is_open:
                seen = [
                    event
                    for event in other.visitor.connection.events
                    if isinstance(event, Entry) and event.text == text
                ]
                inside = room in other.visitor.session.cursors
                assert len(seen) == (inside and other is not found)

    # -- rooms ---------------------------------------------------------------------------------

    @rule(at=at, device=which, account=which, role=st.sampled_from(["moderator", "speaker", ""]))
    def set_role(self, at: int, device: int, account: int, role: str) -> None:
        found = self.device(device)
        if found is not None:
            account = self.account(account)
            author = found.visitor.session.author
            self.submit(at, SetRole(author, "x", "den", account, "y", role, 0))  # type: ignore[arg-type]

    @rule(at=at, device=which, join=st.sampled_from(["all", "registered", "invited"]))
    def set_room(self, at: int, device: int, join: str) -> None:
        found = self.device(device)
        if found is not None:
            change = SetRoom(found.visitor.session.author, "x", "den", 0, join=join)  # type: ignore[arg-type]
            before = self.nodes[0].chat._state.rules.get("den")
            self.submit(at, change)
            after = self.nodes[0].chat._state.rules.get("den")
            is_owner = before is not None and before.owner == found.account > 0
            assert is_owner or before == after

    @rule(at=at, device=which, guest=which)
    def invite(self, at: int, device: int, guest: int) -> None:
        found, invited = self.device(device), self.device(guest)
        if found is not None and invited is not None:
            author = invited.visitor.session.author
            self.submit(at, Invite(found.visitor.session.author, "x", "den", author, "y", 0))

    def submit(self, at: int, change: SetRole | SetRoom | Invite) -> None:
        self.nodes[at].journal.submit((change,))
        self.nodes.settle()

    @rule()
    @precondition(lambda self: len(self.nodes.worlds) == 2)
    def announce(self) -> None:
        self.nodes[1].journal.submit((announcement("hear", "cinema"),))
        self.nodes.settle()

    # -- what always holds ---------------------------------------------------------------------

    @invariant()
    def the_nodes_agree(self) -> None:
        if not hasattr(self, "nodes"):
            return
        first, second = self.nodes.views()
        assert first == second
        accounts = [{a.number: a for a in world.chat.accounts} for world in self.nodes.worlds]
        assert accounts[0] == accounts[1]
        rules = [set(world.chat._state.rules) for world in self.nodes.worlds]
        assert rules[0] == rules[1]
        written = self.nodes[0].journal.records()
        assert {r.number: r for r in written if isinstance(r, Account)} == accounts[0]
        assert {r for r in written if isinstance(r, RoomRules)} == rules[0]

    @invariant()
    def the_model_agrees(self) -> None:
        if not hasattr(self, "nodes"):
            return
        for account in self.nodes[1].chat.accounts:
            assert account.nickname.text == self.called[account.number]
            assert account.status == self.status[account.number]
            kinds = {one.id: one.kind for one in account.credentials}
            assert kinds == self.credentials[account.number]

    @invariant()
    def people_are_where_their_connections_are(self) -> None:
        if not hasattr(self, "nodes"):
            return
        people: dict[str, set[str]] = {room: set() for room in ROOMS}
        for device in self.devices:
            if not device.is_open:
                continue
            session = device.visitor.session
            for room in session.cursors:
                people.setdefault(room, set()).add(session.name)
            shared = [
                set(other.visitor.session.cursors)
                for other in self.open(device.account)
                if device.account and not other.limits and not device.limits
            ]
            assert all(rooms == set(session.cursors) for rooms in shared)
        first, _ = self.nodes.views()
        for room in ROOMS:
            there = [name for name, _ in first.get(room, [])]
            watcher = {"lobby": {"Eva"}, "cinema": {"Zoe"}}.get(room, set())
            assert sorted(there) == sorted(people[room] | watcher)
        for world in self.nodes.worlds:  # a source that makes many changes is told of later
            world.clock.advance(2)
        self.nodes.settle()
        for room, watching in self.watchers.items():
            watching.look()
            assert watching.people == people[room]

    # -- helpers -------------------------------------------------------------------------------

    def account(self, number: int) -> int:
        """One of the accounts that were made."""
        return number % len(self.status) + 1

    def open(self, account: int) -> list[Device]:
        return [one for one in self.devices if one.account == account and one.is_open]

    def device(self, number: int) -> Device | None:
        """One of the connections that are open."""
        found = [one for one in self.devices if one.is_open]
        return found[number % len(found)] if found else None

    def asked(self) -> list[Refusal | None]:
        return []


def codes(got: list[Refusal | None]) -> list[str | None]:
    return [None if refusal is None else refusal.code for refusal in got]


TestAccountsMachine = AccountsMachine.TestCase
TestAccountsMachine.settings = settings(stateful_step_count=50, deadline=None)

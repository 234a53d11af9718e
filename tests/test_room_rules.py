"""The rules of rooms: who owns one, who may join it, and how they change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.accounts import device
from tests.support.fakes import Visitor, World
from twisted_chat.core.changes import JoinRooms
from twisted_chat.core.errors import Refusal
from twisted_chat.core.permissions import Permissions
from twisted_chat.core.requests import Hello, Join
from twisted_chat.core.room_changes import Invite, RoomChange, SetRole, SetRoom
from twisted_chat.core.room_rules import OWNED_LIMIT, PEOPLE_LIMIT, AllRules, RoomRules
from twisted_chat.core.room_state import carry_out

ANA, BIA, CAIO, GUEST = 1, 2, 3, -7


def ruled(**rules: Any) -> AllRules:
    """The rules of one room, #den, which Ana owns."""
    found = AllRules()
    found.put(RoomRules("den", owner=ANA, **rules))
    return found


def set_room(person: int = ANA, room: str = "den", **rules: Any) -> SetRoom:
    return SetRoom(person, "Ana", room, 0, **rules)


def role(account: int, role: Any, person: int = ANA) -> SetRole:
    return SetRole(person, "Ana", "den", account, "Bia", role, 0)


def invite(guest: int, person: int = ANA) -> Invite:
    return Invite(person, "Ana", "den", guest, "Bia", 0)


def refused(change: RoomChange, rules: AllRules) -> str:
    """The code with which ``change`` is refused, which alters nothing; "" if it is not."""
    before = list(rules)
    try:
        carry_out(change, rules)
    except Refusal as refusal:
        assert list(rules) == before
        return refusal.code
    return ""


class Somebody:
    """A person without a connection."""

    def __init__(self, author: int, *rooms: str) -> None:
        self.name = "Somebody"
        self.author = author
        self.cursors = dict.fromkeys(rooms)
        self.token_rooms: frozenset[str] = frozenset()


# -- who may join, and for whom a room exists -------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "guest_sees", "guest_joins", "account_sees", "account_joins"),
    [
        ({}, True, True, True, True),
        ({"join": "registered"}, False, False, True, True),
        ({"join": "invited"}, False, False, False, False),
        ({"join": "password", "password": "x"}, False, False, False, False),
        ({"hidden": True}, False, True, False, True),
        ({"hidden": True, "join": "registered"}, False, False, False, True),
    ],
)
def test_who_may_join_and_who_sees_a_room(
    rules: Any, guest_sees: bool, guest_joins: bool, account_sees: bool, account_joins: bool
) -> None:
    """A room that somebody may not join does not exist for them; nor does a hidden one."""
    found = Permissions(ruled(**rules))
    for person, sees, joins in (
        (Somebody(GUEST), guest_sees, guest_joins),
        (Somebody(BIA), account_sees, account_joins),
        (Somebody(ANA), True, True),
        (Somebody(GUEST, "den"), True, True),
    ):
        assert found.may_see(person, "den") is sees
        assert ("den" not in found.hidden_from(person)) is sees
        assert ("den" not in set(found.hidden_from(person))) is sees
        assert len(found.hidden_from(person)) == (not sees)
        assert found.may_join(person, "den") is joins
        assert found.may_join(person, "elsewhere")


@pytest.mark.parametrize("join", ["invited", "registered", "password"])
@pytest.mark.parametrize("person", [BIA, GUEST])
def test_an_invitation_opens_every_closed_room(join: Any, person: int) -> None:
    rules = ruled(join=join, hidden=True, password="x" if join == "password" else "")
    carry_out(invite(person), rules)
    assert rules.may_join(person, "den")
    assert rules.may_see(person, "den")
    carry_out(role(person, ""), rules)
    assert not rules.may_see(person, "den")
    assert refused(role(person, ""), rules) == "no-role"


def test_the_invitation_of_a_guest_ends_with_the_guest() -> None:
    rules = ruled(join="invited")
    carry_out(invite(GUEST), rules)
    carry_out(invite(BIA), rules)
    for person in (GUEST, BIA):
        rules.gone(person)
    assert [rules.may_join(person, "den") for person in (GUEST, BIA)] == [False, True]


def test_a_guest_who_registers_keeps_the_invitation() -> None:
    rules = ruled(join="invited")
    carry_out(invite(GUEST), rules)
    rules.becomes(GUEST, CAIO)
    rules.gone(CAIO)
    assert rules.may_join(CAIO, "den")
    assert not rules.may_join(GUEST, "den")


def test_a_password_opens_until_it_is_changed() -> None:
    rules = ruled(join="password", password="old")
    for person in (BIA, GUEST):
        assert not rules.may_join(person, "den", "wrong")
        assert rules.may_join(person, "den", "old")
        rules.joined("den", person, "old")
        assert rules.may_join(person, "den")
    rules.gone(GUEST)
    rules.gone(BIA)
    assert not rules.may_join(GUEST, "den")
    assert rules.may_join(BIA, "den")
    rules.joined("den", GUEST, "old")
    carry_out(set_room(password="new"), rules)
    for person in (BIA, GUEST):
        assert not rules.may_join(person, "den")
        assert not rules.may_join(person, "den", "old")
        assert not rules.may_see(person, "den")


@pytest.mark.parametrize("person", [BIA, GUEST])
def test_a_person_whose_role_is_taken_away_needs_the_password_again(person: int) -> None:
    rules = ruled(join="password", password="old")
    rules.joined("den", person, "old")
    carry_out(role(person, ""), rules)
    assert not rules.may_join(person, "den")


@pytest.mark.parametrize("person", [BIA, GUEST])
def test_who_is_let_in_beyond_the_limit_is_let_in_as_long_as_they_are_here(person: int) -> None:
    """Records stay small: so many accounts may know a password."""
    rules = ruled(join="password", password="old", admitted=tuple(range(10, 10 + PEOPLE_LIMIT)))
    rules.joined("den", person, "old")
    assert rules.may_join(person, "den")
    (now,) = rules
    assert len(now.admitted) == PEOPLE_LIMIT
    rules.gone(person)
    assert not rules.may_join(person, "den")


def test_a_guest_who_registers_has_no_place_beyond_the_limit() -> None:
    rules = ruled(join="invited", invited=tuple(range(10, 10 + PEOPLE_LIMIT - 1)))
    carry_out(invite(GUEST), rules)
    rules.becomes(GUEST, CAIO)
    assert not rules.may_join(CAIO, "den")
    assert not rules.may_join(GUEST, "den")


def test_a_password_that_is_not_needed_any_more_is_forgotten() -> None:
    rules = ruled(join="password", password="old")
    carry_out(set_room(join="all"), rules)
    assert refused(set_room(join="password"), rules) == "password-missing"
    (now,) = rules
    assert now.password == ""


def test_for_a_token_that_is_limited_to_some_rooms_there_are_no_others() -> None:
    rules = ruled(hidden=True)
    found = Permissions(rules, ("cinema", "den", "lobby"))
    person = Somebody(ANA, "lobby")
    person.token_rooms = frozenset({"cinema", "new"})
    assert set(found.hidden_from(person)) == {"den"}
    for room, may in {"cinema": True, "new": True, "lobby": True, "den": False}.items():
        assert found.may_see(person, room) is found.may_join(person, room) is may
    assert not found.may_join(person, "another")
    # Nor is a hidden room joined by its name.
    stranger = Somebody(BIA)
    assert found.may_join(stranger, "den")
    stranger.token_rooms = frozenset({"cinema"})
    assert not found.may_join(stranger, "den")


# -- who may write ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speak", "may"),
    [
        ("all", {GUEST, BIA, CAIO, ANA}),
        ("registered", {BIA, CAIO, ANA}),
        ("speakers", {CAIO, ANA}),
    ],
)
def test_who_may_write(speak: Any, may: set[int]) -> None:
    rules = RoomRules("den", owner=ANA, speakers=(CAIO,), speak=speak)
    for person in (GUEST, BIA, CAIO, ANA):
        if person in may:
            rules.check_speaks(person)
        else:
            with pytest.raises(Refusal):
                rules.check_speaks(person)


# -- who may change the rules -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        (lambda person: set_room(person, speak="speakers"), {"operator", "owner", "moderator"}),
        (lambda person: set_room(person, slow=5), {"operator", "owner", "moderator"}),
        (lambda person: set_room(person, slow=5, join="invited"), {"operator", "owner"}),
        (lambda person: set_room(person, hidden=True), {"operator", "owner"}),
        (lambda person: set_room(person, keep=7), {"operator", "owner"}),
        (lambda person: role(9, "moderator", person), {"operator", "owner"}),
        (lambda person: role(9, "speaker", person), {"operator", "owner"}),
        (lambda person: invite(9, person), {"operator", "owner", "moderator"}),
        (lambda person: invite(GUEST, person), {"operator", "owner", "moderator"}),
    ],
)
def test_who_may_change_what(change: Any, allowed: set[str]) -> None:
    people = {"operator": 0, "owner": ANA, "moderator": BIA, "speaker": CAIO, "guest": GUEST, "": 8}
    for name, person in people.items():
        rules = ruled(moderators=(BIA,), speakers=(CAIO,))
        assert (refused(change(person), rules) == "") is (name in allowed), name


def test_nobody_changes_a_room_without_an_owner_but_the_operator_who_appoints_one() -> None:
    rules = AllRules()
    assert refused(set_room(hidden=True), rules) == "not-owner"
    assert refused(role(ANA, "owner"), rules) == "not-owner"
    assert refused(invite(BIA), rules) == "not-owner"
    carry_out(role(ANA, "owner", person=0), rules)
    carry_out(set_room(hidden=True), rules)
    assert list(rules) == [RoomRules("den", owner=ANA, hidden=True)]


def test_an_owner_who_gives_the_room_away_moderates_it() -> None:
    rules = ruled(moderators=(BIA,))
    carry_out(role(BIA, "owner"), rules)
    assert list(rules) == [RoomRules("den", owner=BIA, moderators=(ANA,))]
    assert refused(role(BIA, "speaker", person=BIA), rules) == "owner-stays"
    assert refused(role(CAIO, "owner"), rules) == "not-owner"


def test_a_person_has_one_role_and_needs_no_invitation_then() -> None:
    rules = ruled()
    for change in (invite(BIA), role(BIA, "speaker"), role(BIA, "moderator"), invite(BIA)):
        carry_out(change, rules)
    assert list(rules) == [RoomRules("den", owner=ANA, moderators=(BIA,))]
    assert refused(role(GUEST, "speaker"), rules) == "role-needs-account"


def test_the_people_of_a_room_are_limited() -> None:
    rules = ruled(invited=tuple(range(10, 10 + PEOPLE_LIMIT - 1)))
    assert refused(invite(5), rules) == refused(role(5, "speaker"), rules) == "too-many-roles"
    assert refused(invite(10), rules) == refused(role(10, "speaker"), rules) == ""
    carry_out(role(11, ""), rules)
    carry_out(invite(5), rules)


def test_the_rooms_with_rules_of_one_account_are_limited() -> None:
    """A room whose owner has set nothing does not count; what the operator does is not limited."""
    rules = AllRules()
    for number in range(OWNED_LIMIT):
        rules.put(RoomRules(f"r{number}", owner=ANA, slow=1))
    rules.put(RoomRules("den", owner=ANA))
    assert refused(set_room(slow=5), rules) == "too-many-rooms-owned"
    assert refused(set_room(room="r1", slow=5), rules) == ""
    rules.put(RoomRules("den", owner=BIA, slow=1))
    assert refused(role(ANA, "owner", person=BIA), rules) == "too-many-rooms-owned"
    assert refused(role(ANA, "owner", person=0), rules) == ""
    assert rules.owned(ANA) == OWNED_LIMIT + 1


# -- what is stored ---------------------------------------------------------------------------


def test_what_changed_is_taken_once_and_an_open_room_has_the_default() -> None:
    rules = AllRules()
    rules.start(RoomRules("old", owner=BIA))
    rules.found("den", ANA)
    rules.found("den", BIA)
    carry_out(set_room(slow=3), rules)
    assert rules.take_changed() == [RoomRules("den", owner=ANA, slow=3)]
    assert rules.forget("old")
    assert rules.take_changed() == [RoomRules("old")]
    assert rules.take_changed() == []
    assert not rules.forget("den")
    assert [found.room for found in rules] == ["den"]


# -- in the chat ------------------------------------------------------------------------------


def person(world: World, name: str, author: int) -> Visitor:
    """Somebody who has come in with this author number."""
    return device(world, author, name=name)


def rules_of(world: World, room: str) -> RoomRules | None:
    return world.chat._state.rules.get(room)


def change(world: World, *changes: RoomChange) -> None:
    world.journal.submit(changes)
    world.journal.run()


def test_a_room_belongs_to_the_account_whose_join_creates_it() -> None:
    world = World()
    guest, ana, bia = person(world, "Gil", GUEST), person(world, "Ana", ANA), person(world, "B", 2)
    guest.types("/join open")
    ana.send(Join("den"))
    bia.send(Join("den"))
    world.journal.run()
    ana.types("/join open")
    assert rules_of(world, "den") == RoomRules("den", owner=ANA)
    assert rules_of(world, "open") is None
    assert rules_of(world, "lobby") is None


def test_a_room_without_an_entry_and_rules_is_founded_again() -> None:
    world = World()
    ana, bia = person(world, "Ana", ANA), person(world, "Bia", BIA)
    ana.types("/join den", "/leave")
    bia.types("/join den")
    assert rules_of(world, "den") == RoomRules("den", owner=BIA)


def test_a_room_with_rules_stays_closed_when_it_is_empty() -> None:
    world = World()
    ana, gil = person(world, "Ana", ANA), person(world, "Gil", GUEST)
    ana.types("/join straße")
    change(world, set_room(room="straße", join="invited"))
    ana.types("/leave")
    assert gil.types("/join STRASSE") == ["[SERVER]: You cannot join #strasse."]
    assert ana.types("/join Strasse")[0].startswith("[SERVER]: You are alone in #straße.")


def test_who_loses_the_right_stays_but_cannot_return() -> None:
    world = World()
    ana, gil = person(world, "Ana", ANA), person(world, "Gil", GUEST)
    ana.types("/join den")
    gil.types("/join den")
    change(world, set_room(join="invited"))
    gil.types("still here")
    assert ana.sees()[-1].endswith("still here")
    gil.types("/leave")
    assert gil.types("/join den") == ["[SERVER]: You cannot join #den."]
    change(world, invite(GUEST))
    assert "Ana" in gil.types("/join den")[0]


def test_the_right_to_join_is_checked_at_its_place_in_the_order() -> None:
    world = World()
    ana, gil = person(world, "Ana", ANA), person(world, "Gil", GUEST)
    ana.types("/join den")
    world.journal.submit((set_room(join="invited"),))
    gil.send(Join("den"))
    world.journal.run()
    assert gil.sees()[-1] == "[SERVER]: You cannot join #den."
    assert gil.session.cursors.keys() == {"lobby"}


def test_of_several_rooms_the_closed_ones_are_left_out() -> None:
    world = World()
    ana, gil = person(world, "Ana", ANA), person(world, "Gil", GUEST)
    ana.types("/join den")
    change(world, set_room(join="invited"))
    world.journal.submit((JoinRooms(gil.session.author, ("den", "cinema"), 0),))
    world.journal.run()
    assert gil.session.cursors.keys() == {"lobby", "cinema"}


def test_a_program_comes_in_without_the_rooms_that_are_closed_to_it() -> None:
    world = World()
    person(world, "Ana", ANA).types("/join den")
    change(world, set_room(join="registered"))
    bot = Visitor(world, program=True)
    bot.ask(Hello("bot", "0f" * 16, None, {"den": 0, "lobby": 0}))
    assert bot.session.cursors.keys() == {"lobby"}


def test_a_closed_room_counts_as_a_new_one() -> None:
    """Otherwise a person could try names without end until one is refused in another way."""
    world = World()
    person(world, "Ana", ANA).types("/join den")
    change(world, set_room(join="invited"))
    gil = person(world, "Gil", GUEST)
    limit = world.chat.limits.rooms_per_hour
    for number in range(limit):
        gil.types(f"/join r{number}", "/leave")
    new, closed = gil.types("/join another"), gil.types("/join den")
    assert new == closed
    assert "limit" in closed[0]

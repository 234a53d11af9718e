"""Carries out the changes of rooms' rules, as a part of :mod:`twisted_chat.core.state`.

It is deterministic: it reads the change and the rules, never a clock, a setting, the network or
chance. This module must not know who is connected; :mod:`twisted_chat.core.ruling` shows what has
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

from msgspec import UNSET, structs

from twisted_chat.core.changes import Enter, JoinRooms
from twisted_chat.core.room_changes import Invite, RoomChange, SetRole, SetRoom
from twisted_chat.core.room_errors import (
    HasNoRole,
    NoOwner,
    NotModerator,
    NotOwner,
    OwnerStays,
    PasswordMissing,
    RoleNeedsAccount,
    TooManyRoles,
    TooManyRoomsOwned,
)
from twisted_chat.core.room_rules import OWNED_LIMIT, PEOPLE_LIMIT, AllRules, RoomRules

#: The rules that moderators may set as well as the owner.
_FOR_MODERATORS = frozenset({"speak", "slow"})

#: The fields of :class:`.SetRoom` that are rules.
SETTINGS = ("speak", "join", "hidden", "password", "slow", "keep")


def let_in(
    change: Enter | JoinRooms,
    called: Callable[[str], str],
    rules: AllRules,
    existing: Container[str],
    inside: Container[str],
) -> list[tuple[str, str]]:
    """The rooms of ``change`` that the person may join, each as it is called there and really.

    Rooms that they found are theirs from now on.

    :param called: returns the real name of a room.
    :param existing: the names of all rooms.
    :param inside: the names of the rooms that the person is in already.
    """
    person = change.person
    key = change.key if isinstance(change, JoinRooms) else ""
    joined = []
    for name in change.rooms:
        room = called(name)
        if room not in inside:
            if not rules.may_join(person, room, key):
                continue
            if name in change.founds and room not in existing:
                rules.found(room, person)
            rules.joined(room, person, key)
        joined.append((name, room))
    return joined


def carry_out(change: RoomChange, rules: AllRules) -> None:
    """Alter ``rules`` as ``change`` says.

    :raises Refusal: the person may not do this, or it cannot be done.
    """
    now = rules.get(change.room) or RoomRules(change.room)
    if isinstance(change, SetRoom):
        new = _with_settings(change, now)
        _check_owned(change, new, rules)
        rules.put(new)
    elif isinstance(change, SetRole):
        _set_role(change, now, rules)
    else:
        _invite(change, now, rules)


def settings(change: SetRoom) -> dict[str, object]:
    """The rules that ``change`` sets, by their names."""
    values = {name: getattr(change, name) for name in SETTINGS}
    return {name: value for name, value in values.items() if value is not UNSET}


def check_role(rules: RoomRules, person: int, *, moderators: bool) -> None:
    """Check that ``person`` owns the room or, with ``moderators``, moderates it; 0 is the operator.

    :raises NotOwner: they do not, or nobody does.
    """
    role = rules.role(person)
    if not person or role == "owner" or (moderators and role == "moderator"):
        return
    if not rules.owner and not rules.moderators:
        raise NoOwner(room=rules.room)
    raise NotModerator(room=rules.room) if moderators else NotOwner(room=rules.room)


def check_settings(rules: RoomRules, person: int, names: Iterable[str]) -> None:
    """Check that ``person`` may set the rules of these names; 0 is the operator.

    :raises NotOwner: they may not.
    """
    check_role(rules, person, moderators=_FOR_MODERATORS.issuperset(names))


def _check_owned(change: SetRoom | SetRole, new: RoomRules, rules: AllRules) -> None:
    """Check that the owner of ``new`` may own one more room with rules, if it is one more.

    :raises TooManyRoomsOwned: they may not; the operator is not asked for this.
    """
    now = rules.get(new.room)
    had = now is not None and now.owner == new.owner and now.is_kept_without()
    if not change.person or not new.owner or had or not new.is_kept_without():
        return
    if rules.owned(new.owner) >= OWNED_LIMIT:
        raise TooManyRoomsOwned(room=new.room, limit=OWNED_LIMIT)


def _with_settings(change: SetRoom, now: RoomRules) -> RoomRules:
    new = settings(change)
    check_settings(now, change.person, new)
    changed = structs.replace(now, **new)
    if changed.join == "password" and not changed.password:
        raise PasswordMissing(room=now.room)
    if changed.join != "password":
        changed = structs.replace(changed, password="")  # it is not needed any more
    if changed.password != now.password:
        changed = structs.replace(changed, admitted=())
    return changed


def _set_role(change: SetRole, now: RoomRules, rules: AllRules) -> None:
    check_role(now, change.person, moderators=False)
    account = change.account
    if account <= 0 and change.role:
        raise RoleNeedsAccount(name=change.nickname)
    if change.role == now.role(account) != "":
        return
    if account == now.owner and account > 0 and change.person:
        raise OwnerStays(room=now.room)
    if not change.role:
        had_one = account in now.let_in or rules.uninvite(now.room, account)
        if not had_one:
            raise HasNoRole(name=change.nickname, room=now.room)
    without = _without(now, account)
    if change.role == "owner":
        if now.owner and now.owner != account:
            without = structs.replace(without, moderators=(*without.moderators, now.owner))
        changed = structs.replace(without, owner=account)
    elif change.role == "moderator":
        changed = structs.replace(without, moderators=(*without.moderators, account))
    elif change.role == "speaker":
        changed = structs.replace(without, speakers=(*without.speakers, account))
    else:
        changed = without
    if len(changed.people) > max(PEOPLE_LIMIT, len(now.people)):
        raise TooManyRoles(room=now.room, limit=PEOPLE_LIMIT)
    _check_owned(change, changed, rules)
    rules.put(changed)


def _without(rules: RoomRules, account: int) -> RoomRules:
    """``rules`` in which ``account`` has neither a role nor an invitation."""

    def others(people: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(person for person in people if person != account)

    return structs.replace(
        rules,
        owner=0 if rules.owner == account else rules.owner,
        moderators=others(rules.moderators),
        speakers=others(rules.speakers),
        invited=others(rules.invited),
        admitted=others(rules.admitted),
    )


def _invite(change: Invite, now: RoomRules, rules: AllRules) -> None:
    check_role(now, change.person, moderators=True)
    if change.guest not in now.people and len(now.people) >= PEOPLE_LIMIT and change.guest > 0:
        raise TooManyRoles(room=now.room, limit=PEOPLE_LIMIT)
    rules.invite(now, change.guest)

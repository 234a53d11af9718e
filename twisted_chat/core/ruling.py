"""Carries out changes of rooms' rules, and tells people of them: those in the room, and those whom
a change is about.

Nobody else is told. This module must not decide whether a change may be carried out.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import structs

from twisted_chat.core.accounts import Accounts
from twisted_chat.core.people import Elsewhere, Everybody, Person
from twisted_chat.core.room import Room
from twisted_chat.core.room_changes import Invite, RoomChange, SetRole, SetRoom
from twisted_chat.core.room_events import Invited, RoleSet, RoomSettings
from twisted_chat.core.room_rules import AllRules, RoomRules
from twisted_chat.core.room_state import carry_out, settings
from twisted_chat.core.rooms import Rooms

#: The names that a :class:`.RoomSettings` has for the fields of :class:`.SetRoom`.
_SHOWN = {"keep": "keep_days"}


def settings_of(rules: RoomRules, accounts: Accounts, viewer: int = 0) -> RoomSettings:
    """``rules`` as they are shown to the person with the author number ``viewer``."""

    def name_of(number: int) -> str:
        account = accounts.get(number)
        return f"({number})" if account is None else account.nickname.text

    is_moderator = rules.role(viewer) in ("owner", "moderator")
    return RoomSettings(
        rules.room,
        rules.speak,
        rules.join,
        rules.hidden,
        rules.slow,
        rules.keep,
        name_of(rules.owner) if rules.owner else "",
        tuple(map(name_of, rules.moderators)),
        tuple(map(name_of, rules.speakers)),
        tuple(map(name_of, rules.invited)) if is_moderator else (),
    )


class Asker(Protocol):
    """The request that waits for a change: the ``person`` who made it, and its ``id``."""

    @property
    def person(self) -> Person | None: ...

    @property
    def id(self) -> str | None: ...


class Ruling:
    """Changes the rules of rooms.

    :param rules: the rules of all rooms.
    :param rooms: the existing rooms.
    :param people: the people in the chat.
    :param accounts: all accounts.
    """

    def __init__(
        self, rules: AllRules, rooms: Rooms, people: Everybody, accounts: Accounts
    ) -> None:
        self._rules = rules
        self._rooms = rooms
        self._people = people
        self._accounts = accounts

    def apply(self, change: RoomChange, waiting: Asker | None) -> None:
        """Carry out ``change``, and show it to the people of this node.

        ``waiting`` is the request of this node that waits for it.

        :raises Refusal: nothing was changed.
        """
        before = self._rules.get(change.room)
        is_invited = isinstance(change, Invite) and self._rules.is_let_in(change.guest, change.room)
        carry_out(change, self._rules)
        rules = self._rules.get(change.room) or RoomRules(change.room)
        room = self._rooms.get(change.room)
        asker = None
        if waiting is not None and waiting.person is not None:
            asker = waiting.person, waiting.id
        is_news = before != rules
        if isinstance(change, SetRoom):
            changed = tuple(_SHOWN.get(name, name) for name in settings(change))
            event = settings_of(rules, self._accounts)
            event = structs.replace(event, changed=changed, by=change.name)
            self._tell_room(event, room, asker, is_news)
        elif isinstance(change, SetRole):
            role = RoleSet(rules.room, change.nickname, change.role, change.name)
            self._tell_room(role, room, asker, is_news)
            if is_news:
                self._tell(role, change.account, room, asker)
        else:
            self._tell_invited(change, not is_invited, asker)

    def _tell_room(
        self,
        event: RoomSettings | RoleSet,
        room: Room | None,
        asker: tuple[Person, str | None] | None,
        is_news: bool,
    ) -> None:
        """Show ``event`` to the asker and, if ``is_news``, to the others in the room."""
        person = None
        if asker is not None:
            person, id = asker
            person.show(structs.replace(event, id=id))
        if is_news and room is not None:
            room.show(event, person)

    def _tell(
        self,
        event: RoleSet,
        account: int,
        room: Room | None,
        asker: tuple[Person, str | None] | None,
    ) -> None:
        """Show ``event`` to the account that it is about, where it is not in the room."""
        for connection in self._here(account):
            is_inside = room is not None and room.name in connection.cursors
            if not is_inside and (asker is None or connection is not asker[0]):
                connection.show(event)

    def _tell_invited(
        self, change: Invite, is_news: bool, asker: tuple[Person, str | None] | None
    ) -> None:
        event = Invited(change.room, change.nickname, change.name)
        if asker is not None:
            person, id = asker
            person.show(structs.replace(event, own=True, id=id))
        if is_news:
            for connection in self._here(change.guest):
                is_there = change.room in connection.cursors
                if not is_there and not connection.ignores(change.person):
                    connection.show_surely(event)

    def _here(self, author: int) -> list[Person]:
        connections = self._people.connections(author)
        return [one for one in connections if not isinstance(one, Elsewhere)]

"""Asks for changes of rooms' rules: each method submits one, and answers when it is applied.

What can be refused at once is refused before the submission; where the change has its place,
everything is checked again (:mod:`twisted_chat.core.room_state`). This module must not know
sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted_chat.core.accounts import Accounts
from twisted_chat.core.errors import Refusal
from twisted_chat.core.names import nickname
from twisted_chat.core.people import Anybody, Person
from twisted_chat.core.reading import Reading
from twisted_chat.core.room_changes import Invite, RoomChange, SetRole, SetRoom
from twisted_chat.core.room_errors import RoleNeedsAccount
from twisted_chat.core.room_events import RoomSettings
from twisted_chat.core.room_rules import AllRules, Role, RoomRules
from twisted_chat.core.room_state import check_role, check_settings
from twisted_chat.core.ruling import settings_of

#: Called with None when the change is applied, or with the reason why it is not.
Answer = Callable[[Refusal | None], None]

#: Gives the request number whose answer goes to a callback; it needs the person who asks (None: the
#: operator), and the id of their request.
Expect = Callable[[Answer, Person | None, str | None], int]


class RoomDesk:
    """Submits changes of rooms' rules.

    :param reading: finds rooms, for the person who asks.
    :param rules: the rules of all rooms.
    :param accounts: all accounts.
    :param find: finds a person in the chat by their nickname; raises :class:`.NoSuchPerson`.
    :param submit: submits a change.
    :param expect: see :data:`Expect`.
    """

    def __init__(
        self,
        reading: Reading,
        rules: AllRules,
        accounts: Accounts,
        find: Callable[[str], Anybody],
        submit: Callable[[RoomChange], None],
        expect: Expect,
    ) -> None:
        self._reading = reading
        self._rules = rules
        self._accounts = accounts
        self._find = find
        self._submit = submit
        self._expect = expect

    def rules(self, person: Person, room: str) -> RoomRules:
        """The rules of the room of this name, which has perhaps none.

        :raises NoSuchRoom: it does not exist for ``person``.
        """
        name = self._reading.room(person, room).name
        return self._rules.get(name) or RoomRules(name)

    def settings(self, person: Person, room: str) -> RoomSettings:
        """The rules of the room of this name, as ``person`` is shown them.

        :raises NoSuchRoom: it does not exist for them.
        """
        return settings_of(self.rules(person, room), self._accounts, person.author)

    def author_called(self, name: str) -> tuple[int, str]:
        """The author number and nickname of the account, or the guest in the chat, called so.

        :raises NoSuchPerson: there is none.
        """
        account = None
        with suppress(Refusal):
            account = self._accounts.named(nickname(name))
        if account is not None and account.status != "closed":
            return account.number, account.nickname.text
        person = self._find(name)
        return person.author, person.name

    def lock(self, person: Person, room: str) -> str | None:
        """The encoded hash of the password that ``person`` needs to join the room of this name.

        None if they need none. If there is no such room, or no password opens it, it is "".

        :raises Refusal: ``room`` is not a valid name.
        """
        name = self._reading.room_called(room)
        may_join = self._reading.permissions.may_join
        rules = self._rules.get(name)
        if may_join(person, name) and (rules is not None or self._reading.existing(name)):
            return None
        key = "" if rules is None or rules.join != "password" else rules.password
        return key if key and may_join(person, name, key) else ""

    def check_settings(self, person: Person, room: str, settings: dict[str, Any]) -> str:
        """Check that ``person`` may set these rules; returns the name of the room.

        :param settings: as the fields of :class:`.SetRoom`.
        :raises Refusal: they may not, or the room does not exist for them.
        """
        rules = self.rules(person, room)
        check_settings(rules, person.author, settings.keys())
        return rules.room

    def set_room(
        self,
        person: Person,
        room: str,
        settings: dict[str, Any],
        answer: Answer,
        id: str | None = None,
    ) -> None:
        """Set rules of a room; ``settings`` are as the fields of :class:`.SetRoom`.

        :raises Refusal: ``person`` may not, or the room does not exist for them.
        """
        room = self.check_settings(person, room, settings)
        request = self._expect(answer, person, id)
        self._submit(SetRoom(person.author, person.name, room, request, **settings))

    def set_role(
        self,
        person: Person,
        room: str,
        other: tuple[int, str],
        role: Role,
        answer: Answer,
        id: str | None = None,
    ) -> None:
        """Give ``other``, an author number and nickname, a role; "" takes it away.

        :raises Refusal: ``person`` may not, or the room does not exist for them.
        """
        rules = self.rules(person, room)
        check_role(rules, person.author, moderators=False)
        author, name = other
        if role and author <= 0:
            raise RoleNeedsAccount(name=name)
        request = self._expect(answer, person, id)
        asks = person.author, person.name, rules.room
        self._submit(SetRole(*asks, author, name, role, request))

    def appoint(self, room: str, owner: tuple[int, str], answer: Answer) -> None:
        """Make ``owner``, the number and nickname of an account, the owner of the room with the
        name ``room``, as the operator does.
        """
        account, name = owner
        request = self._expect(answer, None, None)
        self._submit(SetRole(0, "", room, account, name, "owner", request))

    def invite(
        self,
        person: Person,
        room: str,
        other: tuple[int, str],
        answer: Answer,
        id: str | None = None,
    ) -> None:
        """Let ``other``, an author number and nickname, join a room.

        :raises Refusal: ``person`` may not, or the room does not exist for them.
        """
        rules = self.rules(person, room)
        check_role(rules, person.author, moderators=True)
        author, name = other
        request = self._expect(answer, person, id)
        self._submit(Invite(person.author, person.name, rules.room, author, name, request))

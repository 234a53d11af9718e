"""The rules of rooms: who owns one, who may join it, who may write there, how long it is kept.

A room has rules if an account founded it, or if an operator appointed an owner. Every other room is
*open*: everybody sees it, joins it and writes there. A *role* belongs to an account and is one of
owner, moderator, speaker; an invitation belongs to an account for ever, or to a guest for as long
as they are in the chat.

For a person who is not in it, a room *exists* unless it is hidden or closed to them. For people
with a role or an invitation it always exists, and they may always join it.

:class:`AllRules` is a part of the state that all nodes share: only changes alter it
(:mod:`twisted_chat.core.room_changes`). This module must not know people other than by their
author numbers, nor who is where.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Literal

import msgspec
from msgspec import structs

from twisted_chat.core.room_errors import MayNotSpeak, MayNotSpeakAsGuest

#: Who may write in a room, and who may join it. ``registered``: people with an account.
Speak = Literal["all", "registered", "speakers"]
Join = Literal["all", "registered", "invited", "password"]

#: What a person is in a room; "" is nobody in particular.
Role = Literal["owner", "moderator", "speaker", ""]

#: People with a role or an invitation in one room, at most.
PEOPLE_LIMIT = 1000

#: Rooms with rules of their own that one account owns, at most. (A room whose owner has set nothing
#: is forgotten with its entries.)
OWNED_LIMIT = 100

#: The longest slow mode, in seconds, and the longest retention, in days.
SLOW_LIMIT = 86_400
KEEP_LIMIT = 36_500

#: The microseconds of a day.
DAY = 86_400_000_000


class RoomRules(msgspec.Struct, frozen=True):
    """The rules of one room, as they are stored. People are author numbers of accounts.

    :param room: the name of the room.
    :param owner: the owner; 0 if there is none.
    :param moderators: they may mute the room for others, invite, and set the slow mode.
    :param speakers: they may write where only speakers may.
    :param invited: they may join.
    :param admitted: they have joined with the present password, and need not give it again.
    :param speak: who else may write.
    :param join: who else may join.
    :param hidden: whether it exists only for its people, although others may join it by its name.
    :param password: the encoded hash of the password (:mod:`twisted_chat.core.passwords`), or "".
    :param slow: seconds between two lines of one person; 0: no slow mode.
    :param keep: days for which its entries are kept; 0: for ever; None: as in all other rooms.
    """

    room: str
    owner: int = 0
    moderators: tuple[int, ...] = ()
    speakers: tuple[int, ...] = ()
    invited: tuple[int, ...] = ()
    admitted: tuple[int, ...] = ()
    speak: Speak = "all"
    join: Join = "all"
    hidden: bool = False
    password: str = ""
    slow: int = 0
    keep: int | None = None

    def role(self, author: int) -> Role:
        """The role of ``author``."""
        if author <= 0:
            return ""
        if author == self.owner:
            return "owner"
        if author in self.moderators:
            return "moderator"
        return "speaker" if author in self.speakers else ""

    @property
    def people(self) -> frozenset[int]:
        """The accounts with a role or an invitation."""
        return frozenset((self.owner, *self.moderators, *self.speakers, *self.invited)) - {0}

    @property
    def let_in(self) -> frozenset[int]:
        """The accounts that may join in any case."""
        return self.people.union(self.admitted)

    @property
    def is_default(self) -> bool:
        """Whether the room is open and belongs to nobody: then there is nothing to store."""
        return self == RoomRules(self.room)

    @property
    def limits_writing(self) -> bool:
        """Whether there is a rule about who may write, or how often."""
        return self.speak != "all" or self.slow > 0

    def check_speaks(self, author: int) -> None:
        """Check that ``author`` may write there.

        :raises MayNotSpeak: they may not.
        """
        if self.speak == "all" or self.role(author):
            return
        if self.speak == "speakers":
            raise MayNotSpeak(room=self.room)
        if author <= 0:
            raise MayNotSpeakAsGuest(room=self.room)

    def is_kept_without(self) -> bool:
        """Whether the rules outlive the room's entries: not if the owner has changed nothing."""
        return self != RoomRules(self.room, self.owner)


class AllRules:
    """The rules of all rooms; a room without any is open."""

    def __init__(self) -> None:
        self._by_room: dict[str, RoomRules] = {}
        #: For each account, the rooms that it may join in any case.
        self._rooms_of: dict[int, set[str]] = {}
        #: The rooms that do not exist for guests, or for anybody, without a role or an invitation.
        self._hidden_from_guests: set[str] = set()
        self._hidden_from_all: set[str] = set()
        #: By room, the guests who were let in for as long as they are in the chat: with an
        #: invitation (""), or with this password (its encoded hash).
        self._admitted: dict[str, dict[int, str]] = {}
        self._admitted_to: dict[int, set[str]] = {}
        #: The rules that have changed since they were taken: see :meth:`take_changed`.
        self._changed: dict[str, RoomRules] = {}

    def __iter__(self) -> Iterator[RoomRules]:
        return iter(tuple(self._by_room.values()))

    def __len__(self) -> int:
        return len(self._by_room)

    def get(self, room: str) -> RoomRules | None:
        """The rules of the room of this name; None if it is open."""
        return self._by_room.get(room)

    def start(self, rules: RoomRules) -> None:
        """Begin with these rules, which were stored."""
        self.put(rules)
        self._changed.clear()

    def put(self, rules: RoomRules) -> None:
        """Let the room have ``rules``, in place of those that it had."""
        room = rules.room
        before, now = self._by_room.get(room, RoomRules(room)).let_in, rules.let_in
        for person in before - now:
            self._rooms_of[person].discard(room)
            if not self._rooms_of[person]:
                del self._rooms_of[person]
        for person in now - before:
            self._rooms_of.setdefault(person, set()).add(room)
        self._changed[room] = rules
        for names in (self._hidden_from_all, self._hidden_from_guests):
            names.discard(room)
        if rules.is_default:
            self._by_room.pop(room, None)
            self._admitted.pop(room, None)
            return
        self._by_room[room] = rules
        if rules.hidden or rules.join not in ("all", "registered"):
            self._hidden_from_all.add(room)
        elif rules.join == "registered":
            self._hidden_from_guests.add(room)

    def forget(self, room: str) -> bool:
        """Nobody is in the room, and none of its entries is kept.

        Returns whether its name can be forgotten, too: it has no rules, or only an owner who has
        set none. Then the next person who joins it founds it.
        """
        rules = self._by_room.get(room)
        if rules is None:
            self._admitted.pop(room, None)
            return True
        if rules.is_kept_without():
            return False
        self.put(RoomRules(room))
        return True

    def take_changed(self) -> list[RoomRules]:
        """The rules that have changed since the last call; those of an open room are the default.

        They must be stored.
        """
        if not self._changed:
            return []
        changed, self._changed = self._changed, {}
        return list(changed.values())

    # -- people -------------------------------------------------------------------------------

    def found(self, room: str, person: int) -> None:
        """``person`` has created the room: an account is its owner."""
        if person > 0 and room not in self._by_room:
            self.put(RoomRules(room, owner=person))

    def invite(self, rules: RoomRules, person: int) -> None:
        """Let ``person`` join the room of ``rules``: an account for ever, a guest while here."""
        if person > 0:
            if not rules.role(person) and person not in rules.invited:
                self.put(structs.replace(rules, invited=(*rules.invited, person)))
        else:
            self._admit(rules.room, person, "")

    def joined(self, room: str, person: int, key: str) -> None:
        """``person`` has joined the room with ``key``: they can come back without the password."""
        rules = self._by_room.get(room)
        if not key or rules is None or rules.join != "password" or key != rules.password:
            return
        if person > 0 and len(rules.admitted) < PEOPLE_LIMIT:
            if person not in rules.let_in:
                self.put(structs.replace(rules, admitted=(*rules.admitted, person)))
        else:
            self._admit(room, person, key)

    def _admit(self, room: str, person: int, key: str) -> None:
        self._admitted.setdefault(room, {})[person] = key
        self._admitted_to.setdefault(person, set()).add(room)

    def gone(self, person: int) -> None:
        """``person`` is in the chat no more, and cannot come back as the same guest."""
        for room in self._admitted_to.pop(person, ()):
            self.uninvite(room, person)

    def uninvite(self, room: str, person: int) -> bool:
        """Withdraw a guest's invitation or admission; returns whether they had one."""
        admitted = self._admitted.get(room, {})
        had = admitted.pop(person, None) is not None
        if not admitted:
            self._admitted.pop(room, None)
        return had

    def becomes(self, guest: int, account: int) -> None:
        """``guest`` has registered: from now on they are ``account``, with their invitations."""
        for room in sorted(self._admitted_to.get(guest, ())):
            key = self._admitted.get(room, {}).get(guest)
            rules = self._by_room.get(room)
            if key is None or rules is None:
                continue
            if key:
                self.joined(room, account, key)
            elif len(rules.people) < PEOPLE_LIMIT:
                self.invite(rules, account)
        self.gone(guest)

    # -- who may do what ----------------------------------------------------------------------

    def keep_days(self, room: str, default: float) -> float:
        """The days for which entries of the room are kept; 0 is for ever.

        ``default`` is the number for rooms without such a rule.
        """
        rules = self._by_room.get(room)
        return default if rules is None or rules.keep is None else rules.keep

    def oldest(self, now: int) -> dict[str, int]:
        """By room, the time before which no entry is kept, for rooms with a rule about that.

        Both times are in microseconds since 1970 UTC; 0 is for ever.
        """
        return {
            rules.room: now - rules.keep * DAY if rules.keep else 0
            for rules in self._by_room.values()
            if rules.keep is not None
        }

    def may_join(self, person: int, room: str, key: str = "") -> bool:
        """Whether ``person`` may join the room; ``key`` is the hash of the password they gave."""
        rules = self._by_room.get(room)
        if rules is None or rules.join == "all" or self._is_let_in(person, rules):
            return True
        if rules.join == "registered":
            return person > 0
        return rules.join == "password" and key != "" and key == rules.password

    def may_see(self, person: int, room: str) -> bool:
        """Whether the room exists for ``person``, who is not in it."""
        is_hidden = room in self._hidden_from_all or (
            person <= 0 and room in self._hidden_from_guests
        )
        return not is_hidden or self._is_let_in(person, self._by_room[room])

    @property
    def hides_any(self) -> bool:
        """Whether any room does not exist for somebody."""
        return bool(self._hidden_from_all or self._hidden_from_guests)

    def hidden_from(self, person: int) -> Set[str]:
        """The names of the rooms that do not exist for ``person``, if they are in none of them."""
        names = self._hidden_from_all
        if person <= 0:
            names = names | self._hidden_from_guests
        own = self._rooms_of.get(person, set()) | self._admitted_to.get(person, set())
        return names - {room for room in own if self.is_let_in(person, room)}

    def _is_let_in(self, person: int, rules: RoomRules) -> bool:
        """Whether ``person`` has a role in the room, or was invited or admitted."""
        if rules.room in self._rooms_of.get(person, ()):
            return True
        key = self._admitted.get(rules.room, {}).get(person)
        return key == "" or (key is not None and rules.join == "password" and key == rules.password)

    def is_let_in(self, person: int, room: str) -> bool:
        """Whether ``person`` has a role in the room, or was invited or admitted."""
        rules = self._by_room.get(room)
        return rules is not None and self._is_let_in(person, rules)

    def owned(self, person: int) -> int:
        """The number of rooms with rules of their own that ``person`` owns."""
        rooms = (self._by_room[room] for room in self._rooms_of.get(person, ()))
        return sum(rules.owner == person and rules.is_kept_without() for rules in rooms)

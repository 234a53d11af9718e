"""Which rooms a person may see and join: one rule for every request that lists, reads or joins.

A room that a person may not see does not exist for that person: it is in no list, count, page of
history or search result, its people are not listed, and a refusal contains its name only as the
person typed it. A room that they are in always exists. A hidden room that they may join is joined
by its name, and by nothing else. For a connection with a token that is limited to some rooms, no
other room exists. This module does not decide who may speak or moderate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple, Protocol

from twisted_chat.core.author import NOBODY
from twisted_chat.core.room_rules import AllRules


class Viewer(Protocol):
    """The part of a person that this module uses."""

    @property
    def name(self) -> str:
        """The nickname, in the form that is shown."""

    @property
    def author(self) -> int:
        """The author number."""

    @property
    def token_rooms(self) -> frozenset[str]:
        """The rooms to which the person's token is limited; empty: all rooms."""

    @property
    def cursors(self) -> Mapping[str, object]:
        """The rooms that the person is in, by name."""


_NONE: frozenset[str] = frozenset()


class Stranger(NamedTuple):
    """A :class:`Viewer` who is nobody in particular, and in no room."""

    name: str = ""
    author: int = NOBODY
    token_rooms: frozenset[str] = _NONE
    cursors: Mapping[str, object] = MappingProxyType({})


class Permissions:
    """The rules of the rooms, for one person at a time.

    An embedding application can use a subclass whose :meth:`hidden_from` hides more rooms.

    :param rules: the rules of all rooms.
    :param rooms: the names of all existing rooms.
    """

    def __init__(self, rules: AllRules | None = None, rooms: Iterable[str] = ()) -> None:
        self._rules = AllRules() if rules is None else rules
        self._rooms = rooms

    def hidden_from(self, person: Viewer) -> Set[str]:
        """The names of the rooms that do not exist for ``person``."""
        if not person.token_rooms and not self._rules.hides_any:
            return _NONE
        return HiddenRooms(self._rules, self._rooms, person)

    def may_see(self, person: Viewer, room: str) -> bool:
        """Whether the room of this name, if there is one, exists for ``person``."""
        return room not in self.hidden_from(person)

    def may_join(self, person: Viewer, room: str, key: str = "") -> bool:
        """Whether ``person`` may join the room of this name, or create it.

        ``key`` is the encoded hash of the password that they gave, if it was the right one.
        """
        if room in person.cursors:
            return self.may_see(person, room)
        if person.token_rooms and room not in person.token_rooms:
            return False
        if not self._rules.may_join(person.author, room, key):
            return False
        # A room that an application hides is closed; one that its rules hide is not.
        return self.may_see(person, room) or not self._rules.may_see(person.author, room)


class HiddenRooms(Set[str]):
    """The names of the rooms that do not exist for a person; none is copied."""

    __slots__ = ("_inside", "_only", "_person", "_rooms", "_rules")

    def __init__(self, rules: AllRules, rooms: Iterable[str], person: Viewer) -> None:
        self._rules = rules
        self._rooms = rooms
        self._person = person.author
        self._only = person.token_rooms
        self._inside = person.cursors

    def __contains__(self, room: object) -> bool:
        if not isinstance(room, str) or room in self._inside:
            return False
        if self._only and room not in self._only:
            return True
        return not self._rules.may_see(self._person, room)

    def __iter__(self) -> Iterator[str]:
        if self._only:
            others = set(self._rooms).difference(self._only, self._inside)  # there may be 100,000
            return chain(others, (room for room in self._only if room in self))
        return iter(self._rules.hidden_from(self._person) - self._inside.keys())

    def __len__(self) -> int:
        return sum(1 for _ in self)

"""Which rooms a person is let into, and how many: the checks before a change is submitted.

A room that is closed to a person is refused as a new one would be that they may not create, and
counts as one. Otherwise a person could try names until one is refused for another reason. That a
new room appears under a name that is free cannot be concealed. This module must not know changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from twisted_chat.core.errors import NameTooLong, TooManyRooms
from twisted_chat.core.limits import Limits
from twisted_chat.core.names import room_name
from twisted_chat.core.people import Person, Positions
from twisted_chat.core.reading import Reading
from twisted_chat.core.room_errors import CannotJoin
from twisted_chat.core.rooms import Rooms


class Joining:
    """The checks of one chat.

    :param reading: finds rooms by their names, and knows who may join them.
    :param rooms: the existing rooms.
    :param limits: returns the limits at the moment.
    :param default_room: everybody's first room, which nobody founds.
    """

    def __init__(
        self, reading: Reading, rooms: Rooms, limits: Callable[[], Limits], default_room: str
    ) -> None:
        self._reading = reading
        self._rooms = rooms
        self._limits = limits
        self.default_room = default_room

    def enter(
        self, person: Person, asked: Positions, shared: Collection[str] = ()
    ) -> tuple[Positions, list[str]]:
        """The positions in those of the rooms ``asked`` that ``person`` may join, and the names of
        the new rooms among ``asked``, closed ones included.

        :param shared: the rooms in which the person is over other connections.
        :raises Refusal: the rooms or the new rooms are too many, or a new room's name is too long.
        """
        positions = self._reading.joinable(person, asked)
        before = {*person.cursors, *shared}
        self._check_count(len(before | positions.keys()), len(before))
        if not person.profile.resumes_by_number:
            asked = positions  # the names are not the client's: the person has been there
        return positions, self._check_new(person, positions, asked)

    def join(self, person: Person, text: str, key: str = "") -> str:
        """The name of the room that ``text`` means, or the name that a new one would get.

        :param key: the encoded hash of the room's password, if the person gave the right one.
        :raises Refusal: it is not a valid name or is closed to ``person``, or they are in too many
            rooms or have created too many.
        """
        name = self._reading.room_to_join(person, text, key)
        asked = room_name(text) if name is None else name
        if name not in person.cursors:
            self._check_count(len(person.cursors) + 1)
            names = () if name is None else (name,)
            person.source.count_new_rooms(self._check_new(person, names, (asked,)))
        if name is None:
            raise CannotJoin(room=asked)
        return name

    def founded(self, person: Person, names: Iterable[str]) -> tuple[str, ...]:
        """Those of the rooms ``names`` that ``person`` owns if they create them."""
        if person.author <= 0:
            return ()
        return tuple(name for name in names if name != self.default_room)

    def _check_count(self, count: int, before: int = 0) -> None:
        """A person who is in ``before`` rooms since the limit was higher may stay in them."""
        limit = self._limits().rooms
        if count > max(limit, before):
            raise TooManyRooms(limit=limit)

    def _check_new(self, person: Person, names: Collection[str], asked: Iterable[str]) -> list[str]:
        """The rooms that ``person`` creates or that are closed to them, if they may create them.

        :param names: the rooms that they may join.
        :param asked: the rooms for which they asked.
        """
        new = [
            name
            for name in asked
            if (name not in names or name not in self._rooms) and name != self.default_room
        ]
        for name in new:
            if len(name) > self._limits().room:
                raise NameTooLong(limit=self._limits().room)
        person.source.check_new_rooms(new)
        return new

"""The places of people in rooms: which cursor is where, and which room is the current one.

This module must not know changes, nor decide who may enter a room.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted_chat.core.changes import RoomState
from twisted_chat.core.errors import Refusal
from twisted_chat.core.names import RoomNames
from twisted_chat.core.people import Anybody, Elsewhere, Person
from twisted_chat.core.room import Cursor, Room
from twisted_chat.core.room_rules import AllRules
from twisted_chat.core.rooms import Rooms


class Places:
    """All rooms, their names, and the cursors in them."""

    def __init__(self, rooms: Rooms, rules: AllRules) -> None:
        self.rooms = rooms
        self._rules = rules
        self.names = RoomNames()

    def start(self, states: Sequence[RoomState]) -> None:
        """Begin with the rooms in the log."""
        for state in states:
            self.names.add(state.name)
        self.rooms.start((s.name, s.base, s.last, s.topic, s.topic_by) for s in states)

    def room(self, name: str, state: RoomState | None = None) -> Room:
        """The room of this name, created if it does not exist; ``state`` is the log's record."""
        is_new = name not in self.rooms
        if is_new:
            self.names.add(name)
        room = self.rooms.wake(name)
        if is_new and state is not None:  # none of its entries is kept, but its numbers continue
            room.base, room.last = state.base, state.last
            room.topic, room.topic_by = state.topic, state.topic_by
        return room

    def called(self, name: str) -> str:
        """The name of the room that ``name`` means, which may be a name of an older version."""
        if name in self.rooms:
            return name
        try:
            return self.names.find(name)
        except Refusal:
            return name

    def add(self, person: Anybody, name: str, state: RoomState | None) -> tuple[Cursor, bool]:
        """Add a cursor of ``person`` in the room ``name``; ``state`` is the log's record of it.

        Returns the cursor, and whether the person has no other connection in the room.
        """
        room = self.room(name, state)
        cursor = Cursor(room, person)
        if isinstance(person, Elsewhere) or person.away:
            cursor.away = True  # senders here need not wait for this reader
            room.away += 1
        if not isinstance(person, Elsewhere):
            cursor.rendering = person.rendering(room)
        person.cursors[name] = cursor
        return cursor, room.enter(cursor)

    def close(self, cursor: Cursor) -> bool:
        """Remove ``cursor`` from its room; returns whether its person has no other one there."""
        cursor.closed = True
        if cursor.away:
            cursor.away = False
            cursor.room.away -= 1
        return cursor.room.exit(cursor)

    def restart(self, person: Person, name: str) -> Cursor:
        """Replace the cursor of ``person`` in the room ``name`` by a new one."""
        self.close(person.cursors[name])
        cursor, _ = self.add(person, name, None)
        return cursor

    def go_to(self, person: Person, room: Room | None) -> None:
        """Make ``room`` the current room of ``person``, to which plain lines go."""
        person.current = room
        self.restyle(person)

    def restyle(self, person: Person) -> None:
        """Update the cursors of ``person`` to their present outlet and renderings."""
        for cursor in person.cursors.values():
            cursor.outlet = person.outlet
            cursor.rendering = person.rendering(cursor.room)

    def tidy(self, room: Room) -> None:
        """If nobody is in ``room``, keep only its record, or forget it if no entry is kept."""
        if not self.rooms.rest(room) and self._rules.forget(room.name):
            self.names.remove(room.name)

    def removed(self, name: str, last: int) -> None:
        """Note that the entries of the room up to number ``last`` were removed from the log."""
        if not self.rooms.removed(name, last) and self._rules.forget(name):
            self.names.remove(name)

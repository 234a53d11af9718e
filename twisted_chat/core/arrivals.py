"""What somebody is shown who comes in: the welcome, each room, and what was said there before.

It shows, and moves cursors to their place. It must not decide who may come in, nor tell others.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import msgspec

from twisted_chat.core.catch_up import CatchUp, position_of
from twisted_chat.core.events import Entered, ReplayStarts, Welcomed
from twisted_chat.core.journal import Journal
from twisted_chat.core.limits import DEFAULTS, Limits
from twisted_chat.core.people import Person
from twisted_chat.core.room import Batch, Cursor, Room


class Settings(msgspec.Struct):
    """What the operator has chosen, which can be replaced; ``keep_days`` 0 keeps all for ever."""

    motd: tuple[str, ...] = ()
    history_lines: int = 20
    keep_days: float = 0
    limits: Limits = DEFAULTS


class Arrivals:
    """Shows people in."""

    def __init__(self, journal: Journal, catch_up: CatchUp, settings: Settings) -> None:
        self._journal = journal
        self._catch_up = catch_up
        self._settings = settings

    def welcome(
        self,
        person: Person,
        starts: Sequence[tuple[Room, int | None]],
        resumed: bool,
        id: str | None,
    ) -> None:
        """Show that ``person`` is in the chat, and after which number each room goes on."""
        rooms = {room.name: self.starting_point(person, room, at) for room, at in starts}
        motd = () if resumed else self._settings.motd
        client_id, code = person.client_id, person.code
        limits, log = self._settings.limits, self._journal.told
        person.show(Welcomed(person.name, motd, rooms, client_id, code, resumed, limits, id, log))

    def start(self, person: Person, cursor: Cursor, position: int | None, id: str | None) -> None:
        """Give a cursor its place: after an entry that was seen, or where anybody starts."""
        room = cursor.room
        cursor.position = self.starting_point(person, room, position)
        if position is not None and position > room.last:
            person.replaced.add(room.name)
        self.moved(person, cursor, id)
        if person.profile.wants_replay:
            cursor.replay_through = room.last
            if cursor.position < room.last and not person.away:
                starts = ReplayStarts(room.name, resumed=position is not None)
                person.receive(Batch(room, (starts,)))
        cursor.waiting = False
        self._catch_up.advance(cursor, person)

    def starting_point(self, person: Person, room: Room, position: int | None) -> int:
        """The number of the entry after which a new cursor starts: ``position``, that of an entry
        that was seen, or where anybody starts.
        """
        if position is not None and position > room.last:
            return 0  # it is of a log that is no more: nothing is known to be the same
        if position is not None:
            return max(0, position)
        lines = self._settings.history_lines if person.profile.wants_replay else 0
        return max(room.base, room.last - lines)

    def moved(self, person: Person, cursor: Cursor, id: str | None) -> None:
        """Show that the room is the current one, and after which number it goes on there."""
        room = cursor.room
        last = position_of(cursor)
        assert last is not None  # it has its place
        limits = self._settings.limits
        others = tuple(islice(room.presence.roster(room.members, person), limits.page))
        people_count = room.presence.roster_size(room.members, person)
        replaced = room.name in person.replaced
        person.replaced.discard(room.name)
        person.show(
            Entered(
                room.name,
                others,
                people_count,
                room.topic,
                last,
                self._settings.keep_days,
                id,
                not self._journal.lasts,
                replaced,
                room.topic_by,
            )
        )

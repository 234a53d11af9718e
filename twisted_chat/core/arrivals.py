"""The events that a person is shown on entering: the welcome, each room and its earlier entries.

It shows these events and sets the start of each cursor. It must not decide who may enter, nor
notify other people.
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
from twisted_chat.core.room_rules import AllRules


class Settings(msgspec.Struct):
    """The operator's settings that can change while the server runs.

    :param motd: the message of the day, by lines.
    :param history_lines: entries that a newcomer is shown in a room, at most.
    :param keep_days: days for which entries are kept; 0 keeps them for ever.
    :param limits: the limits of this server.
    """

    motd: tuple[str, ...] = ()
    history_lines: int = 20
    keep_days: float = 0
    limits: Limits = DEFAULTS


class Arrivals:
    """Welcomes people to the chat and to its rooms."""

    def __init__(
        self, journal: Journal, catch_up: CatchUp, settings: Settings, rules: AllRules
    ) -> None:
        self._journal = journal
        self._catch_up = catch_up
        self._settings = settings
        self._rules = rules

    def welcome(
        self,
        person: Person,
        starts: Sequence[tuple[Room, int | None]],
        resumed: bool,
        id: str | None,
    ) -> None:
        """Show ``person`` a :class:`.Welcomed`.

        :param starts: each room with the number of the last entry that the person saw there, or
            None for a newcomer.
        :param resumed: whether the person came back.
        :param id: the id of the request.
        """
        rooms = {room.name: self.starting_point(person, room, at) for room, at in starts}
        motd = () if resumed else self._settings.motd
        client_id, code = person.client_id, person.code
        limits, log = self._settings.limits, self._journal.told
        account = max(0, person.author)
        person.show(
            Welcomed(person.name, motd, rooms, client_id, code, resumed, limits, id, log, account)
        )

    def start(
        self,
        person: Person,
        cursor: Cursor,
        position: int | None,
        id: str | None,
        *,
        is_current: bool = True,
    ) -> None:
        """Set the start of ``cursor``, then move it towards the end of the log.

        :param position: the number of the last entry that ``person`` saw; None for a newcomer.
        :param id: the id of the request.
        :param is_current: False if the person joined over another connection.
        """
        room = cursor.room
        cursor.position = self.starting_point(person, room, position)
        if position is not None and position > room.last:
            person.replaced_logs |= {room.name}
        self.moved(person, cursor, id, is_current=is_current)
        if person.profile.wants_replay:
            cursor.replay_through = room.last
            if cursor.position < room.last and not person.away:
                starts = ReplayStarts(room.name, resumed=position is not None)
                person.receive(Batch(room, (starts,)))
        cursor.waiting = False
        self._catch_up.advance(cursor, person)

    def starting_point(self, person: Person, room: Room, position: int | None) -> int:
        """The number of the entry after which a new cursor starts.

        It is ``position``, the last entry that ``person`` saw. For a newcomer (None), it is the
        end of the log, or ``history_lines`` entries before it if the client wants a replay.
        """
        if position is not None and position > room.last:
            return 0  # the log was replaced by a shorter one: show all of it
        if position is not None:
            return max(0, position)
        lines = self._settings.history_lines if person.profile.wants_replay else 0
        return max(room.base, room.last - lines)

    def moved(
        self, person: Person, cursor: Cursor, id: str | None, *, is_current: bool = True
    ) -> None:
        """Show ``person`` an :class:`.Entered`: the cursor's room is their current room now.

        ``id`` is the id of the request.
        """
        room = cursor.room
        member = room.member(person)
        last = position_of(cursor)
        assert last is not None  # the start was set
        limits = self._settings.limits
        others = tuple(islice(room.presence.roster(room.members, member), limits.page))
        people_count = room.presence.roster_size(room.members, member)
        replaced = room.name in person.replaced_logs
        if replaced:
            person.replaced_logs -= {room.name}
        person.show(
            Entered(
                room.name,
                others,
                people_count,
                room.topic,
                last,
                self._rules.keep_days(room.name, self._settings.keep_days),
                id,
                not self._journal.lasts,
                replaced,
                room.topic_by,
                is_current,
            )
        )

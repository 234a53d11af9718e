"""Lists, counts and pages of the rooms, their people and the log, for the person who asks.

A room that the person may not see is left out (:mod:`twisted_chat.core.permissions`). This module
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Hashable, Mapping, Sequence
from functools import partial
from itertools import islice

from twisted_chat.core.errors import NoSuchRoom, NotInRoom, Refusal
from twisted_chat.core.events import (
    Entry,
    HistoryShown,
    PeopleListed,
    RoomsListed,
    SearchShown,
    TopicShown,
)
from twisted_chat.core.journal import Found, Journal
from twisted_chat.core.limits import PAGE_TEXT, Limits
from twisted_chat.core.names import RoomNames, room_name
from twisted_chat.core.people import Person, Positions
from twisted_chat.core.permissions import Permissions, Stranger
from twisted_chat.core.room import Room
from twisted_chat.core.room_rules import AllRules
from twisted_chat.core.rooms import Rooms

#: Entries per further read, and reads, at most, for a page of history without ignored people.
READ = 500
READS = 40


class Reading:
    """The rooms, their people and the log of one chat.

    :param journal: reads the log.
    :param rooms: the existing rooms.
    :param names: finds them by any spelling of their names.
    :param limits: returns the limits at the moment.
    :param rules: the rules of the rooms.
    """

    def __init__(
        self,
        journal: Journal,
        rooms: Rooms,
        names: RoomNames,
        limits: Callable[[], Limits],
        rules: AllRules,
    ) -> None:
        self._journal = journal
        self._rooms = rooms
        self._names = names
        self._limits = limits
        #: An embedding application can replace them at any time.
        self.permissions = Permissions(rules, rooms)
        self._rules = rules

    def room_called(self, text: str, person: Person | None = None) -> str:
        """The name of the room that ``text`` means.

        If there is no such room, or ``person`` may not see it: the name that a new room would get.

        :raises Refusal: ``text`` is not a valid name.
        """
        name = self._names.find(text)
        if person is not None and not self.permissions.may_see(person, name):
            return room_name(text)
        return name

    def existing(self, text: str) -> str | None:
        """The name of the room that ``text`` means, also a hidden one; None if there is none.

        A room exists with entries or people or, for an owner who comes back, with rules.

        :raises Refusal: ``text`` is not a valid name.
        """
        name = self.room_called(text)
        return name if name in self._rooms or self._rules.get(name) is not None else None

    def joinable(self, person: Person, positions: Positions) -> Positions:
        """The ``positions`` in rooms that ``person`` may join."""
        may_join = self.permissions.may_join
        return {room: at for room, at in positions.items() if may_join(person, room)}

    def room_to_join(self, person: Person, text: str, key: str = "") -> str | None:
        """The name of the room that ``text`` means, or that it would create; None if it is closed
        to ``person``. ``key`` is the encoded hash of its password, if they know that.

        :raises Refusal: ``text`` is not a valid name.
        """
        name = self._names.find(text)
        return name if self.permissions.may_join(person, name, key) else None

    def seen(self, person: Person, text: str) -> str:
        """As :meth:`room_called`, but refused if ``person`` may not see the room.

        :raises Refusal: ``person`` may not see it, or ``text`` is not a valid name.
        """
        name = self.room_called(text)
        if not self.permissions.may_see(person, name):
            raise NoSuchRoom(room=room_name(text))
        return name

    def room(self, person: Person, name: str) -> Room:
        """The room that ``name`` means.

        :raises Refusal: there is no such room, or ``person`` may not see it.
        """
        name = self.seen(person, name)
        room = self._rooms.get(name)
        if room is None:
            raise NoSuchRoom(room=name)
        return room

    def own_room(self, person: Person, name: str) -> Room:
        """The room that ``name`` means, which ``person`` is in.

        :raises Refusal: ``person`` is not in it.
        """
        name = self.room_called(name, person)
        if name not in person.cursors:
            raise NotInRoom(room=name)
        return person.cursors[name].room

    def list_rooms(
        self, person: Person, word: str = "", after: str = "", *, with_empty: bool = False
    ) -> RoomsListed:
        """A page of the rooms with people in them, the fullest first.

        :param person: rooms that they may not see are left out.
        :param word: only rooms with this word in their name or topic.
        :param after: only rooms that follow the room of this name.
        :param with_empty: then the rooms without people follow, by name.
        """
        hidden = self.permissions.hidden_from(person)
        return self._rooms.page(self._limits().page, word, after, with_empty, hidden)

    @property
    def public_count(self) -> int:
        """The number of the rooms that everybody may see."""
        hidden = self.permissions.hidden_from(Stranger())
        return len(self._rooms) - sum(room in self._rooms for room in hidden)

    def topic(self, person: Person, room: Room) -> TopicShown:
        """The topic of ``room``.

        :raises Refusal: ``person`` may not see it.
        """
        self._check_sees(person, room.name)
        return TopicShown(room.name, room.topic, topic_by=room.topic_by)

    def list_people(self, person: Person, room: Room) -> PeopleListed:
        """A page of the people in ``room``.

        :raises Refusal: ``person`` may not see it.
        """
        self._check_sees(person, room.name)
        known = map(room.presence.known_name, room.members)
        return PeopleListed(room.name, tuple(islice(known, self._limits().page)), len(room.members))

    def read_history(
        self,
        person: Person,
        room: Room,
        limit: int,
        reply: Callable[[HistoryShown | Refusal], None],
        *,
        before: int | None = None,
        after: int | None = None,
        without: Container[int] = (),
    ) -> None:
        """Call ``reply`` with a page of the room's log, or with a refusal.

        :param limit: the most entries.
        :param before: only entries with a lower number; the page has the last of them.
        :param after: only entries with a higher number; the page has the first of them.
        :param without: authors whose entries are left out; further entries fill the page.
        """
        if not self.permissions.may_see(person, room.name):
            reply(NoSuchRoom(room=room.name))
            return
        limit = max(1, min(limit, self._limits().page))
        end = room.last + 1 if before is None else max(0, min(before, room.last + 1))
        start = None if after is None else max(0, min(after, room.last))
        found: list[Entry] = []
        size = limit

        def read(reads: int) -> None:
            if start is None:
                self._journal.read_before(room.name, end, size, partial(page, reads))
            else:
                self._journal.read_after(room.name, start, end - 1, size, partial(page, reads))

        def page(reads: int, result: Sequence[Entry] | Refusal) -> None:
            nonlocal found, start, end, size
            if isinstance(result, Refusal):
                reply(result)
                return
            wanted = [entry for entry in result if entry.author not in without]
            is_end = len(result) < size
            if start is None:
                found = (wanted + found)[-limit:]
                end = result[0].number if result else end
            else:
                found = (found + wanted)[:limit]
                start = result[-1].number if result else start
            if len(found) < limit and not is_end and reads < READS:
                size = READ
                read(reads + 1)
                return
            goes_on = len(found) < limit and not is_end  # there are entries that were not read
            is_latest = start is None
            # If all entries were read, those before the first of the page are by ignored people.
            is_whole = is_latest and is_end and 0 < len(found) < limit
            oldest = found[0].number if is_whole else room.base + 1
            shown = HistoryShown(
                room.name,
                _page_of(found, latest=is_latest),
                oldest,
                before=end if goes_on and is_latest and end > room.base + 1 else 0,
                after=start if goes_on and start is not None and start < end - 1 else 0,
            )
            reply(shown)

        read(1)

    def search(
        self,
        person: Person,
        words: str,
        room: Room | None,
        limit: int,
        reply: Callable[[SearchShown | Refusal], None],
        source: Hashable = None,
        without: Collection[int] = (),
    ) -> None:
        """Call ``reply`` with the latest entries that contain all of ``words``, or with a refusal.

        :param room: the room to search; None: all rooms that ``person`` may see.
        :param limit: the most entries.
        :param source: the searches of one source are made one after the other.
        :param without: authors whose entries are left out.
        """
        limit = max(1, min(limit, self._limits().page))
        name = None if room is None else room.name
        hidden = self.permissions.hidden_from(person)

        def found(result: Found | Refusal) -> None:
            if isinstance(result, Refusal):
                reply(result)
                return
            entries = _page_of(result.entries, latest=False)
            reply(SearchShown(words, entries, result.snippets[: len(entries)]))

        # Another thread reads them.
        self._journal.search(words, name, limit, found, source, without, frozenset(hidden))

    def common(
        self, positions: Mapping[str, int], told: str, reply: Callable[[Mapping[str, int]], None]
    ) -> None:
        """Call ``reply`` with the number, by room, of the last entry that a program saw and this
        log has, as :meth:`.Journal.common` does; at once if the log was surely not replaced.
        """

        def found(result: Mapping[str, int] | Refusal) -> None:
            # If the log cannot be read, none of the entries is surely the same.
            reply(dict.fromkeys(positions, 0) if isinstance(result, Refusal) else result)

        if not told or told == self._journal.told or not any(positions.values()):
            reply(positions)
        else:
            self._journal.common(positions, told, found)

    def _check_sees(self, person: Person, room: str) -> None:
        if not self.permissions.may_see(person, room):
            raise NoSuchRoom(room=room)


def _page_of(entries: Sequence[Entry], latest: bool) -> tuple[Entry, ...]:
    """The first of ``entries`` (or the ``latest``) that fit on a page, but at least one.

    A page has at most :data:`.PAGE_TEXT` characters of text.
    """
    shown: list[Entry] = []
    size = 0
    for entry in reversed(entries) if latest else entries:
        size += len(entry.text)
        if shown and size > PAGE_TEXT:
            break
        shown.append(entry)
    return tuple(reversed(shown) if latest else shown)

"""Lists, counts and pages of the rooms, their people and the log, for the person who asks.

A room that the person may not see is left out (:mod:`twisted_chat.core.permissions`). This module
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Hashable, Sequence
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
from twisted_chat.core.permissions import Permissions
from twisted_chat.core.room import Room
from twisted_chat.core.rooms import Rooms

#: Entries that are read at one go for a page of history where people are ignored; so often at most.
READ = 500
READS = 40


class Reading:
    """The rooms, their people and the log of one chat.

    :param rooms: the rooms there are.
    :param names: how they can be called.
    :param limits: gives the limits of the moment.
    """

    def __init__(
        self, journal: Journal, rooms: Rooms, names: RoomNames, limits: Callable[[], Limits]
    ) -> None:
        self._journal = journal
        self._rooms = rooms
        self._names = names
        self._limits = limits
        #: They can be replaced at any time.
        self.permissions = Permissions()

    def room_called(self, text: str, person: Person | None = None) -> str:
        """The name of the room that ``text`` names; the one that it would get, if there is none or
        ``person`` may not see it.

        :raises Refusal: it is no name for a room.
        """
        name = self._names.find(text)
        if person is not None and not self.permissions.may_see(person, name):
            return room_name(text)
        return name

    def visible(self, person: Person, positions: Positions) -> Positions:
        """Those of ``positions`` that are in rooms which ``person`` may see."""
        hidden = self.permissions.hidden_from(person)
        return {room: at for room, at in positions.items() if room not in hidden}

    def seen(self, person: Person, text: str) -> str:
        """As :meth:`room_called`, if ``person`` may see the room or there is none."""
        name = self.room_called(text)
        if not self.permissions.may_see(person, name):
            raise NoSuchRoom(room=room_name(text))
        return name

    def room(self, person: Person, name: str) -> Room:
        """The room of this name.

        :raises Refusal: there is none that ``person`` may see.
        """
        name = self.seen(person, name)
        room = self._rooms.get(name)
        if room is None:
            raise NoSuchRoom(room=name)
        return room

    def own_room(self, person: Person, name: str) -> Room:
        """The room of this name, in which ``person`` is.

        :raises Refusal: they are not.
        """
        name = self.room_called(name, person)
        if name not in person.cursors:
            raise NotInRoom(room=name)
        return person.cursors[name].room

    def list_rooms(
        self, person: Person, word: str = "", after: str = "", *, with_empty: bool = False
    ) -> RoomsListed:
        """A page of the rooms that have people in them, the fullest first, or of all.

        Those with ``word`` in their name or topic, and which come ``after`` the room of this name.
        """
        hidden = self.permissions.hidden_from(person)
        return self._rooms.page(self._limits().page, word, after, with_empty, hidden)

    def topic(self, person: Person, room: Room) -> TopicShown:
        """The topic of ``room``.

        :raises Refusal: ``person`` may not see it.
        """
        self._check_sees(person, room.name)
        return TopicShown(room.name, room.topic, topic_by=room.topic_by)

    def list_people(self, person: Person, room: Room) -> PeopleListed:
        """The people in ``room``, at most a page of them.

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
        without: Container[bytes | None] = (),
    ) -> None:
        """Give ``reply`` a page of the room's log: from after a number, up to before one, or
        at its end. What authors ``without`` said is left out, and the page is full nevertheless.
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
            goes_on = len(found) < limit and not is_end  # after what was looked at
            is_latest = start is None
            # If all was looked at, what comes before the first that was found is left out.
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
        without: Collection[bytes] = (),
    ) -> None:
        """Give ``reply`` the latest entries that hold all of ``words``, in ``room`` or in all that
        ``person`` may see, but for those that authors ``without`` said.

        Searches of one ``source`` are made one after the other.
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

        self._journal.search(words, name, limit, found, source, without, hidden)

    def _check_sees(self, person: Person, room: str) -> None:
        if not self.permissions.may_see(person, room):
            raise NoSuchRoom(room=room)


def _page_of(entries: Sequence[Entry], latest: bool) -> tuple[Entry, ...]:
    """As many of ``entries`` as a page may hold, the ``latest`` or the first, but one at least."""
    shown: list[Entry] = []
    size = 0
    for entry in reversed(entries) if latest else entries:
        size += len(entry.text)
        if shown and size > PAGE_TEXT:
            break
        shown.append(entry)
    return tuple(reversed(shown) if latest else shown)

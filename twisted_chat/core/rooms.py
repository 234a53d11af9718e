"""All existing rooms: the rooms with people in them, and a short record of each other room.

A room without people takes no more memory than its name, its topic and a few numbers. Lists of
rooms are made from a snapshot that is sorted at most once a second if there are many rooms, so that
a list does not examine each of 100,000 rooms. This module must not know who may join.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Set

from twisted_chat.core.events import RoomsListed, RoomSummary
from twisted_chat.core.names import OLD_ROOM_LIMIT, fold, room_key
from twisted_chat.core.room import Room

#: Seconds for which the order of the rooms, by their number of people, may be out of date.
SNAPSHOT_SECONDS = 1.0

#: Rooms that are examined, at most, for a list of rooms with a word in their name or topic.
LOOKED_AT = 2000


class Rooms:
    """All rooms of one service.

    :param later: calls a function after a number of seconds.
    """

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._call_later = later
        self._awake: dict[str, Room] = {}
        #: For each room without people: base, last number, topic, and the nickname that set it.
        self._resting: dict[str, tuple[int, int, str, str]] = {}
        self._names: list[str] = []  # of all rooms, sorted
        self._snapshot: list[str] | None = None
        self._places: dict[str, int] = {}
        self._deliveries = 0

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._awake or name in self._resting

    def __iter__(self) -> Iterator[str]:
        """The names of all rooms, sorted."""
        return iter(self._names)

    @property
    def deliveries(self) -> int:
        """The number of entries handed to connections since the start, counted per connection."""
        return self._deliveries + sum(room.deliveries for room in self._awake.values())

    def start(self, states: Iterable[tuple[str, int, int, str, str]]) -> None:
        """Begin with the rooms in the log.

        :param states: of each room, the name, the base, the last number, the topic, and the
            nickname that set it.
        """
        self._resting = {name: (base, last, topic, by) for name, base, last, topic, by in states}
        self._names = sorted(self._resting)

    def get(self, name: str) -> Room | None:
        """The room of this name, if it exists; if nobody is in it, a new object only to read."""
        room = self._awake.get(name)
        if room is None and name in self._resting:
            return Room(name, *self._resting[name])
        return room

    def wake(self, name: str) -> Room:
        """The room of this name, which somebody joins; it is created if it does not exist."""
        room = self._awake.get(name)
        if room is None:
            state = self._resting.pop(name, None)
            if state is None:
                insort(self._names, name)
            room = self._awake[name] = Room(name, *(state or ()))
        return room

    def rest(self, room: Room) -> bool:
        """If nobody is in ``room`` any more, keep only its record.

        Returns False if none of its entries are kept either: then the room is forgotten.
        """
        if room.members or self._awake.get(room.name) is not room:
            return True
        del self._awake[room.name]
        self._deliveries += room.deliveries
        room.forget_tail()
        if room.base < room.last:
            self._resting[room.name] = room.base, room.last, room.topic, room.topic_by
            return True
        self._forget(room.name)
        return False

    def removed(self, name: str, through: int) -> bool:
        """Note that the entries of the room up to number ``through`` were removed from the log.

        Returns False if no others are kept and nobody is in the room: then it is forgotten.
        """
        room = self._awake.get(name)
        if room is not None:
            room.base = through
            if room.base >= room.last:
                room.topic = room.topic_by = ""
            return self.rest(room)
        if name not in self._resting:
            return True
        _, last, topic, topic_by = self._resting[name]
        if through < last:
            self._resting[name] = through, last, topic, topic_by
            return True
        del self._resting[name]
        self._forget(name)
        return False

    def _forget(self, name: str) -> None:
        del self._names[bisect_left(self._names, name)]

    def page(
        self, limit: int, word: str, after: str, with_empty: bool, hidden: Set[str] = frozenset()
    ) -> RoomsListed:
        """A page of rooms, the fullest first.

        :param limit: the most rooms on the page.
        :param word: only rooms with this word in their name or topic; no more than
            :data:`LOOKED_AT` rooms are examined, and there may be further ones.
        :param after: only rooms that follow the room of this name.
        :param with_empty: then the rooms without people follow, by name.
        :param hidden: names of rooms that are left out and not counted.
        """
        fullest = self._fullest()
        if word:
            name = word.removeprefix("#")
            key = fold(name) if len(name) <= OLD_ROOM_LIMIT else None
            text = word.casefold()
            looked_at = [*self._after(fullest, after, with_empty, LOOKED_AT + 1, hidden)]
            is_end = len(looked_at) <= LOOKED_AT
            matching = [name for name in looked_at[:LOOKED_AT] if self._matches(name, key, text)]
            last = "" if is_end else looked_at[LOOKED_AT - 1]
            count = len(matching)
        else:
            matching = [*self._after(fullest, after, with_empty, limit + 1, hidden)]
            last = ""
            left_out = set(hidden)
            count = len(self._awake) - sum(map(self._awake.__contains__, left_out))
            if with_empty:
                count += len(self._resting) - sum(map(self._resting.__contains__, left_out))
        if len(matching) > limit:
            last = matching[limit - 1]
        page = tuple(map(self._summary, matching[:limit]))
        return RoomsListed(page, count, more=last != "", word=word, all=with_empty, after=last)

    def _after(
        self, fullest: list[str], after: str, with_empty: bool, limit: int, hidden: Set[str]
    ) -> Iterator[str]:
        """Names of up to ``limit`` rooms that follow ``after``, in the order of :meth:`page`."""
        start = 0 if after in hidden else self._places.get(after, -1) + 1
        is_among_empty = after != "" and start == 0
        if is_among_empty and not with_empty:
            # The room is empty now; most likely it had one person: go on from its place then.
            start = bisect_right(fullest, (-1, after), key=self._rank)
            is_among_empty = False
        if not is_among_empty:
            for name in fullest[start:]:
                if name in self._awake and name not in hidden:
                    if not limit:
                        return
                    limit -= 1
                    yield name
        if with_empty:
            at = bisect_right(self._names, after) if is_among_empty else 0
            while limit and at < len(self._names):
                if self._names[at] in self._resting and self._names[at] not in hidden:
                    limit -= 1
                    yield self._names[at]
                at += 1

    def _matches(self, name: str, key: str | None, text: str) -> bool:
        """Whether the name contains ``key`` (if not None), or the topic contains ``text``."""
        if key is not None and key in (name if name.isascii() else room_key(name)):
            return True
        return text in self._summary(name).topic.casefold()

    def _summary(self, name: str) -> RoomSummary:
        room = self._awake.get(name)
        if room is not None:
            return RoomSummary(name, len(room.members), room.topic)
        return RoomSummary(name, 0, self._resting[name][2])

    def _fullest(self) -> list[str]:
        """The rooms with people in them, the fullest first, as of the last snapshot."""
        if self._snapshot is None:
            rooms = sorted(self._awake, key=self._rank)
            self._snapshot = [name for name in rooms if self._awake[name].members]
            self._places = {name: place for place, name in enumerate(self._snapshot)}
            self._call_later(
                SNAPSHOT_SECONDS if len(rooms) > LOOKED_AT else 0, self._forget_snapshot
            )
        return self._snapshot

    def _rank(self, name: str) -> tuple[int, str]:
        room = self._awake.get(name)
        return (-len(room.members) if room is not None else 0, name)

    def _forget_snapshot(self) -> None:
        self._snapshot = None

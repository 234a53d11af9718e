"""The rooms there are: those with people in them, and the names of all others.

A room without members costs no more memory than its name and a few numbers. Lists of rooms are
made from a snapshot that is sorted once in a while, so that asking for one among 100,000 rooms
costs no look at each. It must not know who may come in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Set

from twisted_chat.core.events import RoomsListed, RoomSummary
from twisted_chat.core.names import OLD_ROOM_LIMIT, fold, room_key
from twisted_chat.core.room import Room

#: Seconds for which the order of the rooms, by their people, may be an old one.
SNAPSHOT_SECONDS = 1.0

#: Rooms that are looked at, for a list of those with a word in their name or topic.
LOOKED_AT = 2000


class Rooms:
    """All rooms of one service. ``later`` calls a function after so many seconds."""

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._call_later = later
        self._awake: dict[str, Room] = {}
        #: Base, last number, topic and its author of the others.
        self._resting: dict[str, tuple[int, int, str, str]] = {}
        self._names: list[str] = []  # of all, sorted
        self._snapshot: list[str] | None = None
        self._places: dict[str, int] = {}
        self._deliveries = 0

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._awake or name in self._resting

    def __iter__(self) -> Iterator[str]:
        """The names of all, in their order."""
        return iter(self._names)

    @property
    def deliveries(self) -> int:
        """How many entries were handed to connections since the start, each as often as it was."""
        return self._deliveries + sum(room.deliveries for room in self._awake.values())

    def start(self, states: Iterable[tuple[str, int, int, str, str]]) -> None:
        """These rooms are in the log: name, base, last number, topic and its author of each."""
        self._resting = {name: (base, last, topic, by) for name, base, last, topic, by in states}
        self._names = sorted(self._resting)

    def get(self, name: str) -> Room | None:
        """The room of this name, if there is one. If nobody is in it, it is one to read from."""
        room = self._awake.get(name)
        if room is None and name in self._resting:
            return Room(name, *self._resting[name])
        return room

    def wake(self, name: str) -> Room:
        """The room of this name, into which somebody comes; it is made if there is none."""
        room = self._awake.get(name)
        if room is None:
            state = self._resting.pop(name, None)
            if state is None:
                insort(self._names, name)
            room = self._awake[name] = Room(name, *(state or ()))
        return room

    def rest(self, room: Room) -> bool:
        """If nobody is in ``room`` any more: keep its numbers only. False if none of its entries
        are kept, and it is forgotten.
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
        """The entries of the room up to number ``through`` are gone. False if no others are kept
        and nobody is in it, and it is forgotten.
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
        """Up to ``limit`` rooms that have ``word`` in their name or topic, the fullest first, then
        the empty ones by name if they are wanted; those that come ``after`` a room of this name.
        Those that are ``hidden`` are left out and not counted.

        For a word, no more than :data:`LOOKED_AT` rooms are looked at: then there may be more.
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
            counted = self if with_empty else self._awake
            count = len(counted) - sum(name in counted for name in hidden)
        if len(matching) > limit:
            last = matching[limit - 1]
        page = tuple(map(self._summary, matching[:limit]))
        return RoomsListed(page, count, more=last != "", word=word, all=with_empty, after=last)

    def _after(
        self, fullest: list[str], after: str, with_empty: bool, limit: int, hidden: Set[str]
    ) -> Iterator[str]:
        """Names of rooms in their order."""
        start = 0 if after in hidden else self._places.get(after, -1) + 1
        is_among_empty = after != "" and start == 0
        if is_among_empty and not with_empty:
            # Nobody is in it any more; before, it was most likely one person.
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
        """Whether ``key``, if there is one, is in the name, or ``text`` in the topic."""
        if key is not None and key in (name if name.isascii() else room_key(name)):
            return True
        return text in self._summary(name).topic.casefold()

    def _summary(self, name: str) -> RoomSummary:
        room = self._awake.get(name)
        if room is not None:
            return RoomSummary(name, len(room.members), room.topic)
        return RoomSummary(name, 0, self._resting[name][2])

    def _fullest(self) -> list[str]:
        """The rooms with people in them, the fullest first, as of a moment ago."""
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

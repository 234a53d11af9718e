"""Who came to a room, left it or has another name, and what of that others are to be told.

People who come and go in a loop must not cost the others anything. So what happens within a moment
is coalesced: who came and left again did neither; A who became B, then C, is told as A who is C.

The rules:

* Each member has one change at most that was not told: from what the others know, to what is.
  If these are the same, nothing is told.
* Nobody speaks, nor is shown under a new name, before their change was told: whoever publishes
  what they say takes the changes before.
* A change that somebody was told in another room is told in this one before the next change. Or
  else the two would be told as one, from a name that they do not know any more.
* The list that somebody is given on coming in (:meth:`Presence.roster`) is what the others know, so
  that the changes that follow are right for everybody.
* In a large room all changes wait for a moment. In a small one a change is told at once, unless
  its source does not stop making changes.

It must not know who is told, how, or when: the time is somebody else's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Set
from typing import Generic, Protocol, TypeVar

#: Departures and renames of one source in a small room that are told at once, within a moment.
BURST = 4


class Somebody(Hashable, Protocol):
    """What is known here of a member."""

    @property
    def name(self) -> str:
        """The nickname, as it is shown."""

    @property
    def source(self) -> Hashable:
        """What they are counted for: an address or a network."""


SomebodyT = TypeVar("SomebodyT", bound=Somebody)


class Move:
    """Something that one person does at once in all their ``rooms``: whoever shares several of them
    is told in one.
    """

    __slots__ = ("_rooms", "_told")

    def __init__(self, rooms: int = 1) -> None:
        self._rooms = rooms
        self._told: dict[tuple[str | None, str | None], set[object]] = {}

    def tell(self, change: Change, members: Iterable[object]) -> None:
        """``members`` of one of the rooms are told."""
        self._rooms -= 1
        if self._rooms > 0:
            self._told.setdefault((change.told, change.now), set()).update(members)

    def forget(self, member: object) -> None:
        """What ``member`` was told in other rooms does not hold in one any more."""
        for told in self._told.values():
            told.discard(member)

    def told(self, change: Change) -> Set[object]:
        """Those who were told just that, in other rooms."""
        return self._told.get((change.told, change.now), frozenset())


class Change:
    """What one member's others know, and what is. None is: that they are not in the room."""

    __slots__ = ("chat", "move", "now", "told")

    def __init__(self, told: str | None) -> None:
        self.told = told
        self.now = told
        #: Whether they came into the chat, or left it, and not this room only.
        self.chat = False
        self.move = Move()

    @property
    def came(self) -> bool:
        return self.told is None


class Presence(Generic[SomebodyT]):
    """The changes in one room that were not told yet."""

    __slots__ = ("_changes", "_gone", "_moves", "_unknown", "is_timed")

    def __init__(self) -> None:
        self._changes: dict[SomebodyT, Change] = {}
        #: Members that nobody was told of, and those who are gone without that being told.
        self._unknown = 0
        self._gone = 0
        #: Departures and renames of each source within the moment.
        self._moves: Counter[Hashable] = Counter()
        #: Whether somebody will call :meth:`end_moment`.
        self.is_timed = False

    def __bool__(self) -> bool:
        return bool(self._changes)

    def __contains__(self, member: object) -> bool:
        return member in self._changes

    def isdisjoint(self, members: Iterable[object]) -> bool:
        """Whether none of ``members`` has a change that was not told."""
        return self._changes.keys().isdisjoint(members)

    def told_elsewhere(self, member: SomebodyT) -> Set[object]:
        """Those who were told the change of ``member`` in another room, while it is untold here."""
        change = self._changes.get(member)
        return frozenset() if change is None else change.move.told(change)

    def came(self, member: SomebodyT, chat: bool, move: Move) -> None:
        """``member`` came into the room; with ``chat``, into the chat."""
        self._set(member, None, member.name, chat, move)

    def left(self, member: SomebodyT, chat: bool, move: Move) -> None:
        """``member`` left the room; with ``chat``, the chat."""
        self._moves[member.source] += 1
        self._set(member, member.name, None, chat, move)

    def renamed(self, member: SomebodyT, old: str, new: str, move: Move) -> None:
        """``member``, who is in the room, has another name."""
        self._moves[member.source] += 1
        change = self._changes.get(member)
        if change is not None and change.came:
            change.now = new  # nobody was told of them, and all will be under this name
        else:
            self._set(member, old, new, False, move)

    def is_loud(self, source: Hashable) -> bool:
        """Whether so much comes from ``source`` that it is told at the end of the moment only."""
        return self._moves[source] > BURST

    @property
    def needs_time(self) -> bool:
        """Whether there is something to do at the end of the moment."""
        return bool(self._changes or self._moves)

    def end_moment(self) -> None:
        """Begin another moment: a source that did not stop is still loud in it."""
        self._moves = Counter(
            {source: BURST for source, count in self._moves.items() if count > BURST}
        )

    def take(self) -> list[tuple[SomebodyT, Change]]:
        """All changes, which are told now, in their order."""
        changes, self._changes = self._changes, {}
        self._unknown = self._gone = 0
        return list(changes.items())

    def take_one(self, member: SomebodyT) -> list[tuple[SomebodyT, Change]]:
        """The change of ``member``, if there is one; it is told now."""
        change = self._remove(member)
        return [] if change is None else [(member, change)]

    def roster(self, members: Collection[SomebodyT], but: object) -> Iterator[str]:
        """The names of ``members``, who are in the room, and of those whose departure was not told:
        as the others know them. It is given to ``but``, who is told all changes after it.
        """
        for untold in self._changes.values():
            untold.move.forget(but)
        for member in members:
            if member is not but:
                change = self._changes.get(member)
                if change is None:
                    yield member.name
                elif change.told is not None:
                    yield change.told
        if self._gone:
            for gone, departure in self._changes.items():
                if departure.now is None and departure.told is not None and gone is not but:
                    yield departure.told

    def roster_size(self, members: Collection[SomebodyT], but: SomebodyT) -> int:
        """How many names :meth:`roster` gives."""
        change = self._changes.get(but)
        own = but in members and (change is None or change.told is not None)
        return len(members) - self._unknown + self._gone - own

    def known_name(self, member: SomebodyT) -> str:
        """The name under which the others know ``member``, or would be told of them."""
        change = self._changes.get(member)
        return member.name if change is None or change.told is None else change.told

    def _set(
        self, member: SomebodyT, told: str | None, now: str | None, chat: bool, move: Move
    ) -> None:
        change = self._remove(member) or Change(told)
        if change.told == now:
            return  # as far as the others know, nothing has happened
        change.now, change.chat, change.move = now, chat, move
        self._changes[member] = change
        self._unknown += change.told is None
        self._gone += now is None

    def _remove(self, member: SomebodyT) -> Change | None:
        change = self._changes.pop(member, None)
        if change is not None:
            self._unknown -= change.told is None
            self._gone -= change.now is None
        return change

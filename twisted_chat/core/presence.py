"""Changes of presence in a room (people join, leave, are renamed) that wait to be announced.

People who join and leave in a loop must not cost the others anything. So the changes within an
interval, the *moment*, are coalesced: a person who joined and left did neither; A who became B and
then C is announced as A who is C now.

The rules:

* Each member has at most one pending change: from the nickname that the others know to the present
  one. If the two are equal, nothing is announced.
* A member's change is announced before anything that they say, and before their new nickname is
  shown: the caller takes the change before it publishes the entries.
* If somebody was told of a change in another room, it is announced in this room before the member
  changes again. Otherwise both would be announced as one, from a nickname that is known no more.
* The list of people that a newcomer gets (:meth:`Presence.roster`) is what the others know, so that
  the announcements that follow are right for everybody.
* In a large room, all changes wait for the end of the moment. In a small room, a change is
  announced at once, unless its source makes too many.

This module must not know who is told, or how. The caller measures the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Set
from typing import Any, Generic, Protocol, TypeVar

#: Departures and renames of one source that a small room announces at once within a moment.
BURST = 4


class Somebody(Hashable, Protocol):
    """The part of a member that this module uses."""

    @property
    def name(self) -> str:
        """The nickname, in the form that is shown."""

    @property
    def author(self) -> int:
        """The number of the member's account; 0 or less for a guest."""

    @property
    def source(self) -> Hashable:
        """The source for which the member's changes are counted: an address or a network."""


SomebodyT = TypeVar("SomebodyT", bound=Somebody)


class Move:
    """One person's change in several rooms at once: a member of several of these is told once.

    :param rooms: the number of rooms.
    """

    __slots__ = ("_rooms", "_told", "in_several")

    def __init__(self, rooms: int = 1) -> None:
        #: Rooms whose members are still to be told.
        self._rooms = rooms
        self.in_several = rooms > 1
        self._told: dict[tuple[str | None, str | None], set[object]] = {}

    def tell(self, change: Change[Any], members: Iterable[object]) -> None:
        """Note that the ``members`` of one of the rooms are told of ``change``."""
        self._rooms -= 1
        if self._rooms > 0:
            self._told.setdefault((change.told, change.now), set()).update(members)

    def forget(self, member: object) -> None:
        """Tell ``member`` again, who has just got a list of people from before the change."""
        for told in self._told.values():
            told.discard(member)

    def told(self, change: Change[Any]) -> Set[object]:
        """The members who were told of the same change in other rooms."""
        return self._told.get((change.told, change.now), frozenset())


class Change(Generic[SomebodyT]):
    """A pending change of one member.

    ``told`` is the nickname that the others know, ``now`` the present one; None: not in the room.
    """

    __slots__ = ("chat", "move", "now", "told", "who")

    def __init__(self, who: SomebodyT, told: str | None) -> None:
        #: The member; of an account, the connection with which it changed last.
        self.who = who
        self.told = told
        self.now = told
        #: Whether the member joined or left the whole chat, and not only this room.
        self.chat = False
        self.move = Move()

    @property
    def came(self) -> bool:
        return self.told is None


class Presence(Generic[SomebodyT]):
    """The pending changes of one room."""

    __slots__ = ("_changes", "_gone", "_in_several", "_moves", "_unknown", "is_timed")

    def __init__(self) -> None:
        #: By :func:`_key`: an account that leaves and returns over another connection did neither.
        self._changes: dict[Hashable, Change[SomebodyT]] = {}
        #: Those of them that are in several rooms at once: few, even while many people join.
        self._in_several: dict[Hashable, Change[SomebodyT]] = {}
        #: Members whose arrival is pending, and people whose departure is pending.
        self._unknown = 0
        self._gone = 0
        #: Departures and renames of each source within the moment.
        self._moves: Counter[Hashable] = Counter()
        #: Whether the caller has scheduled :meth:`end_moment`.
        self.is_timed = False

    def __bool__(self) -> bool:
        return bool(self._changes)

    def __contains__(self, member: SomebodyT) -> bool:
        return _key(member) in self._changes

    def isdisjoint(self, members: Iterable[SomebodyT]) -> bool:
        """Whether none of ``members`` has a pending change."""
        return self._changes.keys().isdisjoint(map(_key, members))

    def told_elsewhere(self, member: SomebodyT) -> Set[object]:
        """The members who were told in another room of the change of ``member`` that is pending
        here.
        """
        change = self._changes.get(_key(member))
        return frozenset() if change is None else change.move.told(change)

    def came(self, member: SomebodyT, chat: bool, move: Move) -> None:
        """``member`` joined the room; with ``chat``, also the chat."""
        self._set(member, None, member.name, chat, move)

    def left(self, member: SomebodyT, chat: bool, move: Move) -> None:
        """``member`` left the room; with ``chat``, also the chat."""
        self._moves[member.source] += 1
        self._set(member, member.name, None, chat, move)

    def renamed(self, member: SomebodyT, old: str, new: str, move: Move) -> None:
        """``member``, who is in the room, changed their nickname from ``old`` to ``new``."""
        self._moves[member.source] += 1
        change = self._changes.get(_key(member))
        if change is not None and change.came:
            change.now = new  # the arrival is still pending: announce it under the new nickname
        else:
            self._set(member, old, new, False, move)

    def is_loud(self, source: Hashable) -> bool:
        """Whether ``source`` makes so many changes that they wait for the end of the moment."""
        return self._moves[source] > BURST

    @property
    def needs_time(self) -> bool:
        """Whether :meth:`end_moment` must be called at the end of the moment."""
        return bool(self._changes or self._moves)

    def end_moment(self) -> None:
        """Begin the next moment, in which a source that was loud stays loud if it goes on."""
        self._moves = Counter(
            {source: BURST for source, count in self._moves.items() if count > BURST}
        )

    def take(self) -> list[tuple[SomebodyT, Change[SomebodyT]]]:
        """Remove and return all pending changes, in their order: the caller announces them."""
        changes, self._changes = self._changes, {}
        self._in_several.clear()
        self._unknown = self._gone = 0
        return [(change.who, change) for change in changes.values()]

    def take_one(self, member: SomebodyT) -> list[tuple[SomebodyT, Change[SomebodyT]]]:
        """As :meth:`take`, only for the change of ``member``, if there is one."""
        change = self._remove(member)
        return [] if change is None else [(member, change)]

    def roster(self, members: Collection[SomebodyT], but: object) -> Iterator[str]:
        """The nicknames of the people in the room as the others know them, but for ``but``.

        These include people whose departure is pending. All pending changes will be announced to
        ``but``, who gets the list.
        """
        for untold in self._in_several.values():
            untold.move.forget(but)
        for member in members:
            if member is not but:
                change = self._changes.get(_key(member))
                if change is None:
                    yield member.name
                elif change.told is not None:
                    yield change.told
        if self._gone:
            for departure in self._changes.values():
                told = departure.told
                if departure.now is None and told is not None and departure.who is not but:
                    yield told

    def roster_size(self, members: Collection[SomebodyT], but: SomebodyT) -> int:
        """The number of nicknames that :meth:`roster` returns."""
        change = self._changes.get(_key(but))
        own = but in members and (change is None or change.told is not None)
        return len(members) - self._unknown + self._gone - own

    def known_name(self, member: SomebodyT) -> str:
        """The nickname under which the others know ``member``, or will be told of them."""
        change = self._changes.get(_key(member))
        return member.name if change is None or change.told is None else change.told

    def _set(
        self, member: SomebodyT, told: str | None, now: str | None, chat: bool, move: Move
    ) -> None:
        change = self._remove(member) or Change(member, told)
        change.who = member
        if change.told == now:
            return  # for the others, nothing has changed
        change.now, change.chat, change.move = now, chat, move
        self._changes[_key(member)] = change
        if move.in_several:
            self._in_several[_key(member)] = change
        self._unknown += change.told is None
        self._gone += now is None

    def _remove(self, member: SomebodyT) -> Change[SomebodyT] | None:
        change = self._changes.pop(_key(member), None)
        if change is not None:
            self._in_several.pop(_key(member), None)
            self._unknown -= change.told is None
            self._gone -= change.now is None
        return change


def _key(member: Somebody) -> Hashable:
    """The account of ``member``, however many connections it has; or else the member."""
    return member.author if member.author > 0 else member

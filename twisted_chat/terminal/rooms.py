"""The rooms that a person is in: who is there, and the lines that wait until one goes there.

It must not know the server, nor how lines are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from twisted_chat.core.characters import visible
from twisted_chat.core.events import (
    Crowd,
    Entered,
    Entry,
    Joined,
    Left,
)
from twisted_chat.core.names import room_among
from twisted_chat.i18n.language import N_
from twisted_chat.terminal.display import Display
from twisted_chat.terminal.pages import Pages
from twisted_chat.terminal.view import Line, Tab

#: Lines of a room that is not the current one that are kept until it is; the oldest go first,
#: and are in the room's history.
HELD = 1000

#: Bytes, about, of the lines that are kept for all rooms together.
HELD_SIZE = 2**23

#: People of a room that are known by name, for completion.
PEOPLE = 500

#: Rooms that are shown; servers allow fewer.
ROOMS = 100

NOT_SHOWN = N_("not shown here: {n}; /history shows them")


class Room:
    """What is known of one room that one is in."""

    __slots__ = ("held", "is_loading", "left_out", "more", "seen", "tab", "unread")

    def __init__(self, name: str) -> None:
        self.tab = Tab(name)
        #: Lines that wait to be shown: until the room is the current one, or its backlog came.
        self.held: list[Line] = []
        #: Lines that were to be held and are not, as they are too many.
        self.left_out = 0
        self.is_loading = False
        #: The number of the last entry that was shown in an earlier run of the client.
        self.seen: int | None = None
        #: The last entry that was not shown yet.
        self.unread: Entry | None = None
        #: What ``/more`` does once the lines that wait are shown.
        self.more: Callable[[], None] | None = None

    # -- who is there -------------------------------------------------------------------------

    def enter(self, event: Entered) -> None:
        """One has come, or come back."""
        self.tab.topic = event.topic
        self.tab.people = list(event.people[:PEOPLE])
        self.tab.count = event.people_count + 1

    def spoke(self, nickname: str, own: str | None) -> None:
        """Who spoke last is offered first; one's ``own`` name is not."""
        people = self.tab.people
        if nickname in people:
            people.remove(nickname)
        if nickname != own:
            people.insert(0, nickname)
            del people[PEOPLE:]

    def come(self, names: Iterable[str], count: int, own: str | None) -> None:
        """So many people came, some of whom have these names."""
        self.tab.count += count
        people = self.tab.people
        new = dict.fromkeys(name for name in islice(names, PEOPLE) if name != own)
        people.extend(new.keys() - frozenset(people))
        del people[PEOPLE:]

    def go(self, names: Iterable[str], count: int) -> None:
        """So many people left, some of whom have these names."""
        gone = frozenset(names)
        self.tab.people = [name for name in self.tab.people if name not in gone]
        self.tab.count = max(1, self.tab.count - count)

    def rename(self, old: str, new: str) -> None:
        """Somebody, who may be there, has another name."""
        self.tab.people = [new if name == old else name for name in self.tab.people]

    def list_people(self, people: Iterable[str], count: int, own: str | None) -> None:
        """There are ``count``, some of whom have these names."""
        self.tab.count = count
        known = [name for name in people if name != own]
        self.tab.people = [*dict.fromkeys([*self.tab.people, *known])][:PEOPLE]


class Rooms:
    """The rooms that one is in, in the order in which one came, and where one is going."""

    def __init__(self, display: Display, pages: Pages, dealt_with: Callable[[Entry], None]) -> None:
        """``dealt_with`` is called with the last entry that the person has seen of a room."""
        self._display = display
        self._pages = pages
        self._dealt_with = dealt_with
        self._rooms: dict[str, Room] = {}
        #: The room that one is going to, and how many moves have no answer yet.
        self.heading: str | None = None
        self.moves = 0
        #: Bytes, about, of what is held for all rooms.
        self._held_size = 0

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[Room]:
        return iter(self._rooms.values())

    def __contains__(self, name: object) -> bool:
        return name in self._rooms

    @property
    def names(self) -> list[str]:
        return list(self._rooms)

    @property
    def tabs(self) -> Mapping[str, Tab]:
        return {name: room.tab for name, room in self._rooms.items()}

    def get(self, name: str) -> Room | None:
        """The room of this name, if one is in it."""
        return self._rooms.get(name)

    def called(self, text: str) -> str:
        """The room that is meant by ``text``, as the server calls it if one is there.

        :raises Refusal: it is no name for a room.
        """
        return room_among(text, self._rooms)

    # -- coming and going ---------------------------------------------------------------------

    def enter(self, event: Entered) -> Room | None:
        """One is in a room, as before or newly. Returns it, unless there are too many."""
        is_new = event.room not in self._rooms
        if is_new and len(self._rooms) >= ROOMS:
            return None
        room = self._rooms.setdefault(event.room, Room(event.room))
        room.enter(event)
        is_there = self._display.room is None or event.room == self.heading
        if is_there and is_new:
            self._display.room = event.room
        elif is_there:
            self.switch(event.room)
        if is_there:
            self.heading = None
        return room

    def leave(self, name: str) -> None:
        """One is not in this room any more; if it was the current one, the newest other one is."""
        left = self._rooms.pop(name, None)
        if left is not None:
            self._leave_out(left, len(left.held))
        if self._display.room == name:
            self._display.room = next(reversed(self._rooms), None)

    def switch(self, name: str) -> None:
        """Make a room, in which one is, the current one, and show what is new in it."""
        if self._display.room != name:
            self._display.room = name
            self._display.view.show([self._display.mark(f"#{visible(name)}", name)])
        self.show_held(self._rooms[name])

    def switch_by(self, step: int) -> None:
        """Switch to the room so many places further on, around the end."""
        names = self.names
        if names:
            room = self._display.room
            at = names.index(room) if room in self._rooms else 0
            self.switch(names[(at + step) % len(names)])

    def switch_to_news(self) -> None:
        """Switch to the room in which something is new, where one's name was said first."""
        tabs = [room.tab for room in self if room.tab.unread]
        if tabs:
            self.switch(max(tabs, key=lambda tab: tab.mentioned).name)

    # -- who is there -------------------------------------------------------------------------

    def joined(self, event: Joined) -> None:
        """Somebody came into a room."""
        room = self.get(event.room)
        if room is not None:
            room.come([event.nickname], 1, self._display.nickname)
        self._move(event)

    def left(self, event: Left) -> None:
        """Somebody left a room, or the chat: that is told in one of the rooms that one shares."""
        room = self.get(event.room)
        if room is not None:
            room.go([event.nickname], 1)
        if event.departed:
            for other in self:
                if other.tab.name != event.room and event.nickname in other.tab.people:
                    other.go([event.nickname], 1)
        self._move(event)

    def crowd(self, event: Crowd) -> None:
        """Many came into a room at once, or left it."""
        room = self.get(event.room)
        if room is not None and event.came:
            room.come(event.people, event.count, self._display.nickname)
        elif room is not None:
            room.go(event.people, event.count)
        self._move(event)

    def _move(self, event: Joined | Left | Crowd) -> None:
        room = self.get(event.room)
        if room is not None and not (self._display.hold and event.room != self._display.room):
            # Or else nobody wants to read that afterwards.
            self.put(room, self._display.lines("notice", event))

    # -- lines that wait ----------------------------------------------------------------------

    def is_held(self, room: Room) -> bool:
        """Whether its lines wait."""
        return room.is_loading or (self._display.hold and room.tab.name != self._display.room)

    def put(self, room: Room, lines: Sequence[Line]) -> None:
        """Show lines of a room, now or when it is the current one."""
        if not self.is_held(room):
            self._display.put(lines)
            return
        room.held.extend(lines)
        self._held_size += sum(map(_size, lines))
        if room.tab.name != self._display.room:
            room.tab.unread += sum(line.kind in ("said", "act") for line in lines)
        if len(room.held) > HELD:
            self._leave_out(room, len(room.held) - HELD)
        while self._held_size > HELD_SIZE:
            largest = max(self, key=lambda one: len(one.held))
            self._leave_out(largest, 1 + len(largest.held) // 2)

    def hold_before(self, room: Room, lines: Sequence[Line]) -> None:
        """``lines`` wait, too, before those that do."""
        room.held[:0] = lines
        self._held_size += sum(map(_size, lines))

    def read(self, room: Room, entry: Entry) -> None:
        """What is held is not read yet: the next run of the client will still call it new."""
        if self.is_held(room):
            room.unread = entry
        else:
            self._dealt_with(entry)

    def show_held(self, room: Room) -> None:
        """Show what waits of the room, which is the current one, unless its backlog is to come."""
        if room.is_loading:
            return
        room.tab.unread = 0
        room.tab.mentioned = False
        if room.unread is not None:
            self._dealt_with(room.unread)
            room.unread = None
        if room.more is not None:
            self._pages.next, room.more = room.more, None
        held, room.held = room.held, []
        self._held_size -= sum(map(_size, held))
        if room.left_out:
            text = self._display.translate(NOT_SHOWN, n=room.left_out)
            held.insert(0, self._display.mark(text, room.tab.name))
            room.left_out = 0
        if held:
            self._display.put(held)

    def _leave_out(self, room: Room, count: int) -> None:
        """The oldest lines that are kept of a room are in its history."""
        self._held_size -= sum(map(_size, room.held[:count]))
        room.left_out += min(count, len(room.held))
        del room.held[:count]


def _size(line: Line) -> int:
    """Bytes that a line takes, about: it is kept as a whole and in parts."""
    return 500 + 2 * len(line.text)

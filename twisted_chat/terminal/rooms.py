"""A person's rooms: the people in them, and the lines that wait until the person switches there.

This module must not know the server, or how lines are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from twisted_chat.core.characters import visible
from twisted_chat.core.events import Entered, Entry, Joined, Left, PresenceSummary
from twisted_chat.core.names import room_among
from twisted_chat.i18n.language import N_
from twisted_chat.terminal.display import Display
from twisted_chat.terminal.pages import Pages
from twisted_chat.terminal.view import Line, Tab

#: Lines held for a room that is not the current one, at most. The oldest of any more are left out:
#: the room's history has them.
HELD = 1000

#: Approximate bytes of the held lines of all rooms together.
HELD_SIZE = 2**23

#: Nicknames of a room that completion knows, at most.
PEOPLE = 500

#: Rooms that are shown, at most; servers allow fewer.
ROOMS = 100

NOT_SHOWN = N_("not shown here: {n}; /history shows them")


class Room:
    """One room of the person."""

    __slots__ = ("held", "is_loading", "left_out", "more", "seen", "tab", "unread")

    def __init__(self, name: str) -> None:
        self.tab = Tab(name)
        #: Lines to show when the room becomes the current one, or when its backlog has come.
        self.held: list[Line] = []
        #: The number of held lines that were left out.
        self.left_out = 0
        #: Whether the backlog is still to come.
        self.is_loading = False
        #: The number of the last entry shown in an earlier run of the client.
        self.seen: int | None = None
        #: The last of the entries that were not shown yet; None if all were shown.
        self.unread: Entry | None = None
        #: The effect of ``/more`` after the held lines have been shown; None if there is none.
        self.more: Callable[[], None] | None = None

    # -- people -------------------------------------------------------------------------------

    def enter(self, event: Entered) -> None:
        """Take the topic and people of the room: the person has joined it, or reconnected."""
        self.tab.topic = event.topic
        self.tab.people = list(event.people[:PEOPLE])
        self.tab.count = event.people_count + 1

    def spoke(self, nickname: str, own: str | None) -> None:
        """Offer ``nickname`` first in completion, unless it is the person's ``own``."""
        people = self.tab.people
        if nickname in people:
            people.remove(nickname)
        if nickname != own:
            people.insert(0, nickname)
            del people[PEOPLE:]

    def come(self, names: Iterable[str], count: int, own: str | None) -> None:
        """Add people who joined.

        :param names: some or all of their nicknames.
        :param count: their number.
        :param own: the person's own nickname, which completion does not offer.
        """
        self.tab.count += count
        people = self.tab.people
        new = dict.fromkeys(name for name in islice(names, PEOPLE) if name != own)
        people.extend(new.keys() - frozenset(people))
        del people[PEOPLE:]

    def go(self, names: Iterable[str], count: int) -> None:
        """Remove ``count`` people who left; ``names`` has some or all of their nicknames."""
        gone = frozenset(names)
        self.tab.people = [name for name in self.tab.people if name not in gone]
        self.tab.count = max(1, self.tab.count - count)

    def rename(self, old: str, new: str) -> None:
        """Replace the nickname ``old``, if it is in the room."""
        self.tab.people = [new if name == old else name for name in self.tab.people]

    def list_people(self, people: Iterable[str], count: int, own: str | None) -> None:
        """Take a list of the room's people.

        :param people: some or all of their nicknames.
        :param count: their number.
        :param own: the person's own nickname, which completion does not offer.
        """
        self.tab.count = count
        known = [name for name in people if name != own]
        self.tab.people = [*dict.fromkeys([*self.tab.people, *known])][:PEOPLE]


class Rooms:
    """The rooms of one person, in the order of joining."""

    def __init__(self, display: Display, pages: Pages, dealt_with: Callable[[Entry], None]) -> None:
        """
        :param display: shows lines, and knows the current room.
        :param pages: gets the next page of a room's backlog.
        :param dealt_with: called with the last entry that the person has seen of a room.
        """
        self._display = display
        self._pages = pages
        self._dealt_with = dealt_with
        self._rooms: dict[str, Room] = {}
        #: The room to which the person is moving, and the number of moves without an answer.
        self.heading: str | None = None
        self.moves = 0
        #: Approximate bytes of the held lines of all rooms.
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
        """The room of this name; None if the person is not in it."""
        return self._rooms.get(name)

    def called(self, text: str) -> str:
        """The name of the room that ``text`` stands for, in the server's spelling if it is known.

        :raises Refusal: ``text`` is not valid as the name of a room.
        """
        return room_among(text, self._rooms)

    # -- coming and going ---------------------------------------------------------------------

    def enter(self, event: Entered) -> Room | None:
        """Add a room, or update it after a reconnection.

        :returns: the room; None if there are too many.
        """
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
        """Remove a room; if it was the current one, the last joined room takes its place."""
        left = self._rooms.pop(name, None)
        if left is not None:
            self._leave_out(left, len(left.held))
        if self._display.room == name:
            self._display.room = next(reversed(self._rooms), None)

    def switch(self, name: str) -> None:
        """Make a room the current one, and show its held lines."""
        if self._display.room != name:
            self._display.room = name
            self._display.view.show([self._display.mark(f"#{visible(name)}", name)])
        self.show_held(self._rooms[name])

    def switch_by(self, step: int) -> None:
        """Switch to the room ``step`` places further on; the first follows the last."""
        names = self.names
        if names:
            room = self._display.room
            at = names.index(room) if room in self._rooms else 0
            self.switch(names[(at + step) % len(names)])

    def switch_to_news(self) -> None:
        """Switch to a room with unread messages, first to one that mentions the person."""
        tabs = [room.tab for room in self if room.tab.unread]
        if tabs:
            self.switch(max(tabs, key=lambda tab: tab.mentioned).name)

    # -- people -------------------------------------------------------------------------------

    def joined(self, event: Joined) -> None:
        """Add a person to a room, and show that they joined."""
        room = self.get(event.room)
        if room is not None:
            room.come([event.nickname], 1, self._display.nickname)
        self._move(event)

    def left(self, event: Left) -> None:
        """Remove a person from a room, or from all rooms if they left the chat, and show that.

        If a person leaves the chat, the server sends the event for one shared room only.
        """
        room = self.get(event.room)
        if room is not None:
            room.go([event.nickname], 1)
        if event.departed:
            for other in self:
                if other.tab.name != event.room and event.nickname in other.tab.people:
                    other.go([event.nickname], 1)
        self._move(event)

    def crowd(self, event: PresenceSummary) -> None:
        """Add or remove the people of a summary, and show it."""
        room = self.get(event.room)
        if room is not None and event.joined:
            room.come(event.people, event.count, self._display.nickname)
        elif room is not None:
            room.go(event.people, event.count)
        self._move(event)

    def _move(self, event: Joined | Left | PresenceSummary) -> None:
        room = self.get(event.room)
        if room is not None and not (self._display.hold and event.room != self._display.room):
            # Nobody wants to read such notices later, on switching to the room.
            self.put(room, self._display.lines("notice", event))

    # -- held lines ---------------------------------------------------------------------------

    def is_held(self, room: Room) -> bool:
        """Whether the lines of ``room`` are held at present."""
        return room.is_loading or (self._display.hold and room.tab.name != self._display.room)

    def put(self, room: Room, lines: Sequence[Line]) -> None:
        """Show lines of a room, or hold them as long as :meth:`is_held`."""
        if not self.is_held(room):
            self._display.put(lines)
            return
        room.held.extend(lines)
        self._held_size += sum(map(_size, lines))
        if room.tab.name != self._display.room:
            room.tab.unread += sum(map(counts, lines))
        if len(room.held) > HELD:
            self._leave_out(room, len(room.held) - HELD)
        while self._held_size > HELD_SIZE:
            largest = max(self, key=lambda one: len(one.held))
            self._leave_out(largest, 1 + len(largest.held) // 2)

    def hold_before(self, room: Room, lines: Sequence[Line]) -> None:
        """Hold ``lines`` in front of the held lines of ``room``."""
        room.held[:0] = lines
        self._held_size += sum(map(_size, lines))

    def read(self, room: Room, entry: Entry) -> None:
        """Note that ``entry`` was shown or held; a held one is still new in the next run."""
        if self.is_held(room):
            room.unread = entry
        else:
            self._dealt_with(entry)

    def read_elsewhere(self, name: str, number: int) -> None:
        """Count as unread only the held lines after ``number``: the person has read the others at
        another client. They stay held.
        """
        room = self.get(name)
        if room is None or not room.tab.unread:
            return
        unread = [line for line in room.held if counts(line) and (line.number or 0) > number]
        if len(unread) < sum(map(counts, room.held)):  # else older, unread lines may be left out
            room.tab.unread = min(room.tab.unread, len(unread))
            room.tab.mentioned = any(line.mentions for line in unread)

    def show_held(self, room: Room) -> None:
        """Show the held lines of a room and mark it as read, unless its backlog is to come."""
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
        """Leave out the ``count`` oldest held lines of a room: its history has them."""
        self._held_size -= sum(map(_size, room.held[:count]))
        room.left_out += min(count, len(room.held))
        del room.held[:count]


def counts(line: Line) -> bool:
    """Whether ``line`` is a message of somebody else, which can be unread."""
    return line.nickname is not None and line.kind in ("said", "act") and not line.own


def _size(line: Line) -> int:
    """The approximate bytes of a line, whose text is stored as a whole and in parts."""
    return 500 + 2 * len(line.text)

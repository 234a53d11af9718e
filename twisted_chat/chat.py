"""The rooms and the people; the only place that changes them.

Everything that a room shows goes through the journal's queue: an entry to be saved, the
rest as a marker in its place. So there is one order for all of it, the same for everybody.
It must not know bytes, dialects or the reactor. Everything here runs on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Protocol

from twisted_chat.characters import find_unsafe
from twisted_chat.errors import (
    ControlCharacter,
    HistoryUnavailable,
    NoSuchPerson,
    NoSuchRoom,
    NotInRoom,
    NotReading,
    NotSaved,
    Refusal,
    TooManyRooms,
    TopicTooLong,
)
from twisted_chat.journal import Draft, Failed, Journal, Marker, Outcome, Saved
from twisted_chat.messages import (
    Announced,
    Entered,
    Entry,
    Event,
    HistoryShown,
    Joined,
    Kind,
    Left,
    LinesSkipped,
    PeopleListed,
    Refused,
    Renamed,
    Replayed,
    ReplayStarts,
    RoomLeft,
    RoomsListed,
    RoomSummary,
    Told,
    Welcomed,
)
from twisted_chat.names import Nickname, nickname, room_name
from twisted_chat.registry import Registry
from twisted_chat.room import Batch, Cursor, Member, Room

ROOMS_LIMIT = 20
TOPIC_LIMIT = 390

#: Names or rooms in one answer; entries in one page of history.
PAGE = 100

#: A reader further behind than this is told what it skips instead of being shown all of it.
CATCH_UP_LIMIT = 10_000

#: Characters of a line that was not saved, shown to its author.
_EXCERPT = 60


class Person(Member, Hashable, Protocol):
    """What the chat knows of somebody connected."""

    #: Where they come from, for the operator's log.
    address: str
    nickname: Nickname
    client_id: bytes
    #: The rooms they are in, in the order in which they came.
    cursors: dict[str, Cursor]
    #: The room that plain lines go to.
    current: Room | None

    def show(self, *events: Event) -> None:
        """Show events that are for this person alone."""

    def heard_from(self, name: Nickname) -> None:
        """``name`` told this person something in private."""

    def ignores(self, name: str) -> bool:
        """Whether this person does not want to see what ``name`` says."""

    def acknowledge(self, entry: Entry) -> None:
        """What this person said is saved."""

    def dismiss(self) -> None:
        """Tell this person that the server stops, and close their connection."""


def announcement(text: str, room: str | None = None) -> Announced:
    """What :meth:`Chat.announce` takes.

    :raises Refusal: the text holds a control character, or the room's name is not one.
    """
    unsafe = find_unsafe(text)
    if unsafe is not None:
        raise ControlCharacter(character=ord(unsafe))
    return Announced(text, None if room is None else room_name(room))


class Chat:
    """All rooms of one service.

    ``clock`` gives microseconds since 1970 UTC. ``said(person, entry)``, if given, is called
    for each saved entry: for a log of what people say, where the operator wants one.
    """

    def __init__(
        self,
        journal: Journal,
        registry: Registry[Person],
        clock: Callable[[], int],
        *,
        default_room: str = "lobby",
        history_lines: int = 20,
        motd: tuple[str, ...] = (),
        said: Callable[[Person, Entry], None] | None = None,
    ) -> None:
        self.registry = registry
        self._journal = journal
        self._clock = clock
        self._default_room = room_name(default_room)
        self._history_lines = history_lines
        self._motd = motd
        self._said = said
        self._rooms: dict[str, Room] = {}

    def start(self) -> None:
        """Open the log. Until then, there are no rooms.

        :raises Refusal: it cannot be opened.
        """
        for state in self._journal.start(self._committed):
            self._rooms[state.name] = Room(state.name, state.last, state.topic)

    # -- coming, going and being called -------------------------------------------------------

    # Each of these has its place in the order of what is said, and calls ``then`` there.

    def enter(self, person: Person, name: Nickname, then: Callable[[], None]) -> None:
        """Give ``person`` the nickname and take them to the default room.

        :raises Refusal: the nickname is taken or too similar to another one.
        """
        self.registry.claim(person, name)
        person.nickname = name
        cursor = self._add(person, self._default_room)
        self._mark(partial(self._entered, person, cursor, True), then)

    def join(self, person: Person, room: str, then: Callable[[], None]) -> None:
        """Take ``person`` to another room, which becomes their current one.

        :raises Refusal: the name is not one for a room, or they are in too many rooms.
        """
        name = room_name(room)
        cursor = person.cursors.get(name)
        if cursor is not None:
            person.current = cursor.room
            self._mark(partial(self._moved, person, cursor), then)
            return
        if len(person.cursors) >= ROOMS_LIMIT:
            raise TooManyRooms(limit=ROOMS_LIMIT)
        cursor = self._add(person, name)
        self._mark(partial(self._entered, person, cursor, False), then)

    def leave_room(self, person: Person, room: Room, then: Callable[[], None]) -> None:
        """Take ``person`` out of ``room``; the last room they came to becomes the current one."""
        cursor = person.cursors.pop(room.name)
        if person.current is room:
            last = next(reversed(person.cursors.values()), None)
            person.current = last.room if last else None
        self._mark(partial(self._left_room, person, cursor), then)

    def leave(self, person: Person, then: Callable[[], None]) -> None:
        """Take ``person`` out of the chat, after all that they said."""
        self.registry.release(person)
        self._mark(partial(self._departed, person), then)

    def rename(self, person: Person, name: Nickname, then: Callable[[], None]) -> None:
        """Change a nickname.

        :raises Refusal: the new one is taken or too similar to another one.
        """
        self.registry.claim(person, name)
        renamed = Renamed(person.nickname.text, name.text)
        person.nickname = name
        self._mark(partial(self._renamed, person, renamed), then)

    # -- talking ------------------------------------------------------------------------------

    def say(
        self,
        person: Person,
        room: Room,
        text: str,
        kind: Kind = "say",
        message_id: str | None = None,
    ) -> None:
        """Put a line into the room's log; it is shown once it is saved."""
        self._journal.append(
            Draft(
                room.name,
                self._clock(),
                kind,
                person.nickname.text,
                text,
                person.client_id,
                message_id,
                person,
            )
        )

    def set_topic(self, person: Person, room: Room, topic: str) -> None:
        """Give the room a topic.

        :raises Refusal: it is too long.
        """
        if len(topic) > TOPIC_LIMIT:
            raise TopicTooLong(limit=TOPIC_LIMIT)
        self.say(person, room, topic, "topic")

    def tell(self, person: Person, name: str, text: str, then: Callable[[], None]) -> None:
        """Tell one person something in private.

        :raises Refusal: nobody has that name, or they are not reading.
        """
        recipient = self.person(name)
        if not recipient.ready:
            raise NotReading(name=recipient.nickname.text)
        told = Told(person.nickname.text, recipient.nickname.text, text, self._clock())
        self._mark(partial(self._told, person, recipient, told), then)

    def announce(self, announced: Announced) -> None:
        """Say something as the server, to everybody or to one room."""
        self._journal.mark(partial(self._announced, announced))

    # -- asking -------------------------------------------------------------------------------

    def person(self, name: str) -> Person:
        """Who has this nickname.

        :raises NoSuchPerson: nobody.
        """
        try:
            found = self.registry.find(nickname(name))
        except Refusal:
            found = None
        if found is None:
            raise NoSuchPerson(name=name)
        return found

    def room(self, name: str) -> Room:
        """The room of this name.

        :raises Refusal: there is none.
        """
        name = room_name(name)
        if name not in self._rooms:
            raise NoSuchRoom(room=name)
        return self._rooms[name]

    def own_room(self, person: Person, name: str) -> Room:
        """The room of this name, in which ``person`` is.

        :raises Refusal: they are not.
        """
        name = room_name(name)
        if name not in person.cursors:
            raise NotInRoom(room=name)
        return person.cursors[name].room

    def list_rooms(self) -> RoomsListed:
        """The rooms there are, the fullest first, at most a page of them."""
        fullest = sorted(self._rooms.values(), key=lambda room: (-len(room.members), room.name))
        summaries = (RoomSummary(r.name, len(r.members), r.topic) for r in fullest[:PAGE])
        return RoomsListed(tuple(summaries), len(fullest))

    def list_people(self, room: Room) -> PeopleListed:
        """Who is in ``room``, at most a page of them."""
        return PeopleListed(room.name, self._people(room), len(room.members))

    def read_history(
        self,
        room: Room,
        limit: int,
        before: int | None,
        reply: Callable[[HistoryShown | HistoryUnavailable], None],
    ) -> None:
        """Give ``reply`` a page of the room's log that ends before a number, or at its end."""

        def page(result: Sequence[Entry] | Refusal) -> None:
            if isinstance(result, HistoryUnavailable):
                reply(result)
            else:
                assert not isinstance(result, Refusal)
                reply(HistoryShown(room.name, tuple(result)))

        end = room.last + 1 if before is None else min(before, room.last + 1)
        self._journal.read_before(room.name, end, max(1, min(limit, PAGE)), page)

    @property
    def full(self) -> bool:
        """Whether so much waits to be saved that people should not be read for now."""
        return self._journal.full

    def when_space(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once :attr:`full` no longer holds."""
        self._journal.when_space(callback)

    def stop(self, stopped: Callable[[], None]) -> None:
        """Tell everybody, save what was said, close the log, then call ``stopped``."""
        self._journal.mark(self._stopping)
        self._journal.stop(stopped)

    # -- moving cursors -----------------------------------------------------------------------

    def resume(self, person: Person) -> None:
        """``person`` is ready for more: move the cursors that had to wait."""
        for cursor in tuple(person.cursors.values()):
            if cursor not in cursor.room.live:
                self._advance(cursor, person)

    def _advance(self, cursor: Cursor, person: Person) -> None:
        """Move a cursor towards the end of its log, as far as its person takes it now."""
        room = cursor.room
        while not (cursor.closed or cursor.waiting) and person.ready:
            if cursor.position >= room.last:
                room.live[cursor] = None
                return
            if room.last - cursor.position > CATCH_UP_LIMIT + PAGE:
                first, cursor.position = cursor.position + 1, room.last - CATCH_UP_LIMIT
                skipped = LinesSkipped(room.name, first, cursor.position)
                person.receive(Batch(room, (skipped,)))
            entries = room.tail_after(cursor.position, PAGE)
            if entries is None:
                cursor.waiting = True
                self._journal.read_after(
                    room.name, cursor.position, room.last, PAGE, partial(self._read, cursor, person)
                )
                return
            self._feed(cursor, person, entries)

    def _read(self, cursor: Cursor, person: Person, result: Sequence[Entry] | Refusal) -> None:
        cursor.waiting = False
        if cursor.closed:
            return
        if isinstance(result, Refusal):
            person.show(Refused(result))
            result = ()
        if result:
            self._feed(cursor, person, result)
        else:
            cursor.position = cursor.room.last
        self._advance(cursor, person)

    def _feed(self, cursor: Cursor, person: Person, entries: Sequence[Entry]) -> None:
        cursor.position = entries[-1].number
        events: list[Event] = [
            Replayed(entry) if entry.number <= cursor.replay_through else entry for entry in entries
        ]
        person.receive(Batch(cursor.room, events))

    # -- what comes back from the journal -----------------------------------------------------

    def _committed(self, outcomes: Sequence[Outcome]) -> None:
        """A group is on disk: acknowledge all of it, then publish it in its order."""
        for outcome in outcomes:
            if isinstance(outcome, Saved):
                outcome.draft.sender.acknowledge(outcome.entry)
                if self._said is not None:
                    self._said(outcome.draft.sender, outcome.entry)
            elif isinstance(outcome, Failed):
                draft = outcome.draft
                refusal = NotSaved(text=draft.text[:_EXCERPT], reason=outcome.reason)
                draft.sender.show(Refused(refusal))
        runs: dict[str, list[Entry]] = {}
        for outcome in outcomes:
            if isinstance(outcome, Saved):
                runs.setdefault(outcome.entry.room, []).append(outcome.entry)
            elif isinstance(outcome, Marker):
                self._publish(runs)
                outcome.callback()
        self._publish(runs)

    def _publish(self, runs: dict[str, list[Entry]]) -> None:
        for name, entries in runs.items():
            self._room(name).publish(entries)
        runs.clear()

    def _mark(self, step: Callable[[], None], then: Callable[[], None]) -> None:
        def in_place() -> None:
            step()
            then()

        self._journal.mark(in_place)

    def _entered(self, person: Person, cursor: Cursor, arrived: bool) -> None:
        room = cursor.room
        room.show(Joined(room.name, person.name, arrived))
        if arrived:
            person.show(Welcomed(person.name, self._motd))
        self._moved(person, cursor)
        count = min(self._history_lines, room.last)
        cursor.position = room.last - count
        cursor.replay_through = room.last
        cursor.waiting = False
        if count:
            person.receive(Batch(room, (ReplayStarts(room.name, count),)))
        self._advance(cursor, person)

    def _moved(self, person: Person, cursor: Cursor) -> None:
        room = cursor.room
        others = self._people(room, but=person)
        person.show(Entered(room.name, others, len(room.members) - 1, room.topic))

    def _left_room(self, person: Person, cursor: Cursor) -> None:
        room = cursor.room
        self._close(cursor)
        room.show(Left(room.name, person.name, departed=False))
        person.show(RoomLeft(room.name, person.current.name if person.current else None))
        self._tidy(room)

    def _departed(self, person: Person) -> None:
        told: frozenset[Member] = frozenset()
        for cursor in person.cursors.values():
            room = cursor.room
            self._close(cursor)
            room.show(Left(room.name, person.name, departed=True), but=told)
            told |= room.members.keys()
            self._tidy(room)
        person.cursors.clear()
        person.current = None

    def _renamed(self, person: Person, renamed: Renamed) -> None:
        told: frozenset[Member] = frozenset({person})
        for cursor in person.cursors.values():
            cursor.room.show(renamed, but=told)
            told |= cursor.room.members.keys()
        person.show(Renamed(renamed.old, renamed.new, own=True))

    def _told(self, person: Person, recipient: Person, told: Told) -> None:
        if self.registry.find(recipient.nickname) is not recipient:
            person.show(Refused(NoSuchPerson(name=told.recipient)))
            return
        if not recipient.ignores(told.sender):
            recipient.heard_from(person.nickname)
            recipient.show(told)
        person.show(Told(told.sender, told.recipient, told.text, told.time, own=True))

    def _announced(self, announced: Announced) -> None:
        if announced.room is not None:
            if announced.room in self._rooms:
                self._rooms[announced.room].show(announced)
            return
        for person, name in self.registry.snapshot():
            if name is not None and person.ready:
                person.show(announced)

    def _stopping(self) -> None:
        for person, _ in self.registry.snapshot():
            person.dismiss()

    # -- rooms --------------------------------------------------------------------------------

    def _room(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = Room(name)
        return room

    def _add(self, person: Person, name: str) -> Cursor:
        room = self._room(name)
        cursor = Cursor(room, person)
        room.members[person] = cursor
        person.cursors[name] = cursor
        person.current = room
        return cursor

    def _close(self, cursor: Cursor) -> None:
        cursor.closed = True
        cursor.room.live.pop(cursor, None)
        if cursor.room.members.get(cursor.member) is cursor:  # not if they are back already
            del cursor.room.members[cursor.member]

    def _tidy(self, room: Room) -> None:
        """Forget a room that nobody is in and in which nothing was ever said."""
        if not room.members and not room.last and self._rooms.get(room.name) is room:
            del self._rooms[room.name]

    def _people(self, room: Room, but: Member | None = None) -> tuple[str, ...]:
        names = []
        for member in room.members:
            if member is not but:
                names.append(member.name)
            if len(names) == PAGE:
                break
        return tuple(names)

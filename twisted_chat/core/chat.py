"""The rooms and the people; the only place that changes them.

Everything that a room shows goes through the journal's queue: an entry to be saved, the
rest as a marker in its place. So there is one order for all of it, the same for everybody.
It must not know bytes, dialects or the reactor. Everything here runs on one thread.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

from msgspec import structs

from twisted_chat.core.characters import find_unsafe
from twisted_chat.core.errors import (
    ControlCharacter,
    LineTooLong,
    NameTooLong,
    NoSuchPerson,
    NotConfirmed,
    NotReading,
    Refusal,
    TooManyRooms,
    TopicTooLong,
)
from twisted_chat.core.identities import Identities
from twisted_chat.core.ignoring import IgnoredPeople
from twisted_chat.core.journal import (
    Draft,
    Failed,
    Journal,
    Marker,
    Outcome,
    RoomState,
    Saved,
)
from twisted_chat.core.kept import Keeper
from twisted_chat.core.limits import DEFAULTS, TEXT_LIMIT, Limits
from twisted_chat.core.messages import (
    Announced,
    Entered,
    EntriesRemoved,
    Entry,
    Kind,
    LinesSkipped,
    Renamed,
    Replayed,
    ReplayStarts,
    RoomLeft,
    Say,
    Told,
    Welcomed,
)
from twisted_chat.core.names import (
    ALWAYS_RESERVED,
    Nickname,
    Reserved,
    RoomNames,
    nickname,
    room_name,
)
from twisted_chat.core.people import Person, Positions
from twisted_chat.core.presence import Move
from twisted_chat.core.reading import Reading
from twisted_chat.core.registry import Registry
from twisted_chat.core.room import Batch, Cursor, Room, runs
from twisted_chat.core.rooms import Rooms
from twisted_chat.core.unconfirmed import LOOKS, Shown

#: Entries in memory that are shown at once to whoever catches up.
PAGE = 100

#: A reader further behind than this is told what it skips instead of being shown all of it.
CATCH_UP_LIMIT = 100_000

#: Whoever speaks in a large room of which most are behind waits for them, but no longer.
CATCH_UP_SECONDS = 0.25

#: Seconds of one turn of the reactor's loop in which entries are shown to those who catch up.
FEED_SECONDS = 0.01

#: Entries that are read at one go for those who catch up.
READ = 500


class _Fresh(NamedTuple):
    """What is new in one room, and who said it."""

    entries: list[Entry]
    authors: set[Person]


_log = logging.getLogger(__name__)


def announcement(text: str, room: str | None = None) -> Announced:
    """What :meth:`Chat.announce` takes.

    :raises Refusal: the text holds a control character, or the room's name is not one.
    """
    unsafe = find_unsafe(text)
    if unsafe is not None:
        raise ControlCharacter(character=ord(unsafe))
    return Announced(text, None if room is None else room_name(room))


class Audit(Protocol):
    """Is told who has which name from where; the values of ``details`` are no texts or secrets."""

    def __call__(
        self, what: str, address: str, nickname: str | None = None, **details: str
    ) -> None: ...


def _not_audited(what: str, address: str, nickname: str | None = None, **details: str) -> None: ...


class Chat:
    """All rooms of one service.

    ``clock`` gives microseconds since 1970 UTC; ``later`` calls a function after so many
    seconds. ``said(person, entry)``, if given, is called
    for each saved entry: for a log of what people say, where the operator wants one.
    """

    def __init__(
        self,
        journal: Journal,
        registry: Registry[Person],
        identities: Identities[Person],
        clock: Callable[[], int],
        later: Callable[[float, Callable[[], None]], object],
        *,
        default_room: str = "lobby",
        history_lines: int = 20,
        keep_days: float = 0,
        motd: tuple[str, ...] = (),
        limits: Limits = DEFAULTS,
        reserved: Reserved | None = None,
        said: Callable[[Person, Entry], None] | None = None,
    ) -> None:
        self.registry = registry
        self.identities = identities
        self.keeper: Keeper[Person] = Keeper(journal, identities)
        self._journal = journal
        self._clock = clock
        self._later = later
        self.default_room = room_name(default_room)
        self._history_lines = history_lines
        self._keep_days = keep_days
        self._motd = motd
        self._said = said
        #: They can be replaced at any time.
        self.limits = limits
        self.reserved = Reserved(ALWAYS_RESERVED) if reserved is None else reserved
        #: How often something was refused, by the code of the refusal.
        self.refused: Counter[str] = Counter()
        #: Where the operator wants to know who had which name.
        self.audit: Audit = _not_audited
        self._rooms = Rooms(later)
        self._room_names = RoomNames()
        #: What people ask for.
        self.reading = Reading(journal, self._rooms, self._room_names, lambda: self.limits)
        #: Those whom somebody ignores.
        self.ignored = IgnoredPeople()
        #: Rooms whose turn it will be to tell who came, left and was renamed.
        self._ended_moments: deque[Room] = deque()
        self._is_telling = False
        #: Rooms that somebody left without that being told, or that was told meanwhile.
        self._left_untold: dict[Person, list[Room]] = {}
        #: Private messages, by sender and recipient, of which it is not known whether they arrived.
        self._unconfirmed: dict[tuple[Person, Person], dict[Shown, Told]] = {}
        #: Cursors that go on in the next turn of the reactor's loop, and the seconds of this one in
        #: which entries were shown to those who catch up.
        self._behind: deque[tuple[Cursor, Person]] = deque()
        self._is_feeding = False
        self._fed = 0.0
        self._seconds = identities.clock
        #: Who waits for the entries of a room that come after a number, while they are read.
        self._reading: dict[tuple[str, int], list[tuple[Cursor, Person]]] = {}

    def start(self) -> None:
        """Open the log. Until then, there are no rooms.

        :raises Refusal: it cannot be opened.
        """
        states = []
        for state in self._journal.start(self._committed):
            states.append((state.name, state.base, state.last, state.topic, state.topic_by))
            self._room_names.add(state.name)
        self._rooms.start(states)
        self.default_room = self.reading.room_called(self.default_room)
        self.keeper.start()

    @property
    def log_lasts(self) -> bool:
        """Whether what is said outlives the server."""
        return self._journal.lasts

    def configure(self, *, motd: tuple[str, ...], history_lines: int, keep_days: float) -> None:
        """Change what can be changed while people are here; as on making it."""
        self._motd = motd
        self._history_lines = history_lines
        self._keep_days = keep_days

    # -- coming, going and being called -------------------------------------------------------

    # Each of these has its place in the order of what is said, and calls ``then`` there. ``id`` is
    # that of the request, which the answer repeats.

    def enter(
        self,
        person: Person,
        name: Nickname,
        positions: Positions,
        then: Callable[[], None],
        id: str | None = None,
        *,
        resumed: bool = False,
    ) -> None:
        """Give ``person`` the nickname and take them to those of these rooms that they may see, the
        current one first.

        :raises Refusal: the nickname is too long, taken or too similar to another one, the
            rooms or those that they make are too many, or the name of a new one is too long.
        """
        self._check_length(name.text, self.limits.nickname)
        positions = self.reading.visible(person, positions)
        self._check_rooms(len(positions))
        new = self._check_new_rooms(person, positions)
        self._claim(person, name)
        person.source.count_new_rooms(new)
        person.nickname = name
        starts = [(self._add(person, room), position) for room, position in positions.items()]
        self._go_to(person, starts[0][0].room if starts else None)
        self._mark(partial(self._arrived, person, starts, resumed, id), then)

    def come_back(self, person: Person, positions: Positions, id: str | None = None) -> None:
        """``person``, who was never away for the others, has another connection.

        :raises Refusal: the rooms or those that they make are too many, or the name of a new one
            is too long.
        """
        positions = self.reading.visible(person, positions)
        self._check_rooms(len({*person.cursors, *positions}), len(person.cursors))
        person.source.count_new_rooms(self._check_new_rooms(person, positions))
        current = person.current
        restarts = []
        for name, old in tuple(person.cursors.items()):
            position = positions.get(name)
            restarts.append((name, self._position(old) if position is None else position))
            self._close(old)
        starts = [(self._add(person, name), position) for name, position in restarts]
        others = [
            (self._add(person, name), position)
            for name, position in positions.items()
            if name not in person.cursors
        ]
        self._go_to(person, current or person.current)
        self._welcome(person, [*starts, *others], True, id)
        for cursor, position in starts:
            self._start(person, cursor, position, id)
        for cursor, position in others:
            self._journal.mark(partial(self._entered, person, cursor, position, id))

    def join(
        self, person: Person, room: str, then: Callable[[], None], id: str | None = None
    ) -> None:
        """Take ``person`` to another room, which becomes their current one.

        :raises Refusal: the name is not one for a room, they may not see it, they are in too many
            rooms, or have made too many.
        """
        name = self.reading.seen(person, room)
        cursor = person.cursors.get(name)
        if cursor is not None:
            self._go_to(person, cursor.room)
            self._mark(partial(self._moved_there, person, cursor.room, id), then)
            return
        self._check_rooms(len(person.cursors) + 1)
        person.source.count_new_rooms(self._check_new_rooms(person, (name,)))
        cursor = self._add(person, name)
        self._go_to(person, cursor.room)
        self._mark(partial(self._entered, person, cursor, None, id), then)

    def leave_room(
        self, person: Person, room: Room, then: Callable[[], None], id: str | None = None
    ) -> None:
        """Take ``person`` out of ``room``; the last room they came to becomes the current one."""
        cursor = person.cursors.pop(room.name)
        if person.current is room:
            last = next(reversed(person.cursors.values()), None)
            self._go_to(person, last.room if last else None)
        self._mark(partial(self._left_room, person, cursor, id), then)

    def leave(self, person: Person, then: Callable[[], None]) -> None:
        """Take ``person`` out of the chat, after all that they said."""
        self.registry.release(person)
        rooms = [cursor.room for cursor in person.cursors.values()]
        for cursor in person.cursors.values():
            self._close(cursor)
        person.cursors.clear()
        self._mark(partial(self._departed, person, rooms), then)

    def positions(self, person: Person) -> Positions:
        """How far ``person`` has seen each room, the current one first."""
        cursors = sorted(person.cursors.values(), key=lambda c: c.room is not person.current)
        return {cursor.room.name: self._position(cursor) for cursor in cursors}

    def rename(
        self, person: Person, name: Nickname, then: Callable[[], None], id: str | None = None
    ) -> None:
        """Change a nickname.

        :raises Refusal: the new one is too long, taken or too similar to another one.
        """
        if name.text == person.name:
            self._mark(lambda: person.show(Renamed(name.text, name.text, own=True, id=id)), then)
            return
        self._check_length(name.text, self.limits.nickname)
        self._claim(person, name)
        renamed = Renamed(person.name, name.text)
        person.nickname = name
        self._mark(partial(self._renamed, person, renamed, id), then)

    # -- talking ------------------------------------------------------------------------------

    def has_room_for(self, text: str) -> bool:
        """Whether ``text`` is not longer than one may say at once."""
        limit = self.limits.text
        return 4 * len(text) <= limit or len(text.encode()) <= limit

    def has_room_for_all(self, says: Sequence[Say]) -> bool:
        """The same for each of ``says``, faster: no dialect lets through more than the default."""
        return self.limits.text == TEXT_LIMIT or all(self.has_room_for(say.text) for say in says)

    def say(
        self,
        person: Person,
        room: Room,
        text: str,
        kind: Kind = "say",
        message_id: str | None = None,
    ) -> None:
        """Put a line into the room's log; it is shown once it is saved.

        :raises Refusal: it is too long.
        """
        self._check_text(text)
        self._journal.append(
            Draft(
                room.name,
                self._clock(),
                kind,
                person.nickname.text,
                text,
                person.author,
                message_id,
                person,
            )
        )

    def say_at_once(self, person: Person, room: Room, says: Sequence[Say]) -> None:
        """Put several lines into the room's log, under their ids: none is too long."""
        name, time, nickname, author = (
            room.name,
            self._clock(),
            person.nickname.text,
            person.author,
        )
        self._journal.extend(
            [
                Draft(name, time, say.kind, nickname, say.text, author, say.id, person)
                for say in says
            ]
        )

    def set_topic(
        self, person: Person, room: Room, topic: str, message_id: str | None = None
    ) -> None:
        """Give the room a topic.

        :raises Refusal: it is too long.
        """
        if len(topic) > self.limits.topic:
            raise TopicTooLong(limit=self.limits.topic)
        self.say(person, room, topic, "topic", message_id)

    def tell(
        self,
        person: Person,
        name: str,
        text: str,
        then: Callable[[], None],
        id: str | None = None,
    ) -> None:
        """Tell one person something in private.

        :raises Refusal: it is too long, nobody has that name, or they are not reading.
        """
        self._check_text(text)
        recipient = self.person(name)
        if not recipient.outlet.ready:
            raise NotReading(name=recipient.nickname.text)
        told = Told(person.name, recipient.name, text, self._clock())
        self._mark(partial(self._told, person, recipient, told, id), then)

    def announce(self, announced: Announced) -> None:
        """Say something as the server, to everybody or to one room."""
        self._journal.mark(partial(self._announced, announced))

    def common(
        self, positions: Mapping[str, int], told: str, reply: Callable[[Mapping[str, int]], None]
    ) -> None:
        """Give ``reply`` how much of what a program saw of the log that it kept ``told`` of is the
        same in this one, at once if that is certain: the number of the last such entry by room.
        """

        def found(result: Mapping[str, int] | Refusal) -> None:
            # Where that cannot be read, nothing is known to be the same.
            reply(dict.fromkeys(positions, 0) if isinstance(result, Refusal) else result)

        if not told or told == self._journal.told or not any(positions.values()):
            reply(positions)
        else:
            self._journal.common(positions, told, found)

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

    @property
    def room_count(self) -> int:
        """How many rooms there are."""
        return len(self._rooms)

    @property
    def deliveries(self) -> int:
        """How many entries were handed to connections since the start, each as often as it was."""
        return self._rooms.deliveries

    def remove_old(self) -> None:
        """Begin to remove the entries that are older than is to be kept."""
        if self._keep_days:
            age = int(self._keep_days * 86_400_000_000)
            now = self._clock()
            self._journal.remove_before(now - age, self._removed, now)

    def in_turn(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when all that was said until now is saved and shown."""
        self._journal.mark(callback)

    @property
    def full(self) -> bool:
        """Whether so much waits to be saved that people should not be read for now."""
        return self._journal.full

    def when_space(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once :attr:`full` no longer holds."""
        self._journal.when_space(callback)

    def when_caught_up(self, room: Room, callback: Callable[[], None]) -> None:
        """Call ``callback`` once ``room`` does not run away from its readers, or a moment later."""
        room.waiting.append(callback)
        if len(room.waiting) == 1:
            self._later(CATCH_UP_SECONDS, partial(self._let_speak, room))

    def stop(self, stopped: Callable[[], None]) -> None:
        """Tell everybody, save what was said, close the log, then call ``stopped``."""
        self._journal.mark(self._stopping)
        self._journal.stop(stopped)

    # -- moving cursors -----------------------------------------------------------------------

    def restyle(self, person: Person) -> None:
        """``person`` is to be shown their rooms in another way, or over another connection."""
        for cursor in person.cursors.values():
            cursor.outlet = person.outlet
            cursor.rendering = person.rendering(cursor.room)

    def resume(self, person: Person) -> None:
        """``person`` is ready for more: move the cursors that had to wait."""
        for cursor in tuple(person.cursors.values()):
            if cursor not in cursor.room.live:
                self._advance(cursor, person)

    def away(self, person: Person) -> None:
        """``person`` is away for a moment: nobody waits for them."""
        self.restyle(person)
        for cursor in person.cursors.values():
            cursor.away = True
            cursor.room.away += 1

    def _advance(self, cursor: Cursor, person: Person) -> None:
        """Move a cursor towards the end of its log: a run now, and the rest when others have had
        their turn, as far as its person takes it.
        """
        room = cursor.room
        if cursor.closed or cursor.waiting or not cursor.outlet.ready:
            return
        assert cursor.position is not None
        if cursor.position < room.last:
            if self._fed >= FEED_SECONDS:  # what many are shown at once is rendered for each
                self._advance_later(cursor, person)
                return
            self._skip(cursor, person)
            batch = room.after(cursor.position, PAGE)
            if batch is None:
                self._read(cursor, person)
                return
            self._feed(cursor, person, batch)
        if cursor.position >= room.last:
            room.live[cursor] = None
            if room.waiting and not room.runs_away:
                self._let_speak(room)
        elif cursor.outlet.ready:
            self._advance_later(cursor, person)

    def _let_speak(self, room: Room) -> None:
        waiting, room.waiting = room.waiting, []
        for callback in waiting:
            callback()

    def _advance_later(self, cursor: Cursor, person: Person) -> None:
        """Go on with a cursor in the next turn of the reactor's loop that has time for it."""
        cursor.waiting = True
        self._behind.append((cursor, person))
        self._feed_next_turn()

    def _feed_next_turn(self) -> None:
        if not self._is_feeding:
            self._is_feeding = True
            self._later(0, self._go_on)

    def _go_on(self) -> None:
        """Move those that have waited since the last turn."""
        self._is_feeding = False
        self._fed = 0.0
        for _ in range(len(self._behind)):
            if self._fed >= FEED_SECONDS:
                break
            cursor, person = self._behind.popleft()
            cursor.waiting = False
            self._advance(cursor, person)
        if self._behind:
            self._feed_next_turn()

    def _skip(self, cursor: Cursor, person: Person) -> None:
        """Tell what cannot be shown any more, or is too much to be shown to a person."""
        room = cursor.room
        assert cursor.position is not None
        if cursor.position < room.base:
            self._skip_removed(cursor, person, room.base + 1)
        is_far = room.last - cursor.position > CATCH_UP_LIMIT + PAGE
        if is_far and not person.profile.never_skips:
            self._skip_to(cursor, person, room.last - CATCH_UP_LIMIT)

    def _skip_removed(self, cursor: Cursor, person: Person, first: int) -> None:
        """Entries before ``first`` are gone."""
        cursor.position = first - 1
        person.receive(Batch(cursor.room, (EntriesRemoved(cursor.room.name, first),)))

    def _skip_to(self, cursor: Cursor, person: Person, last: int) -> None:
        """Entries up to ``last`` are not shown."""
        assert cursor.position is not None
        skipped = LinesSkipped(cursor.room.name, cursor.position + 1, last)
        cursor.position = last
        person.receive(Batch(cursor.room, (skipped,)))

    def _read(self, cursor: Cursor, person: Person) -> None:
        """Have the next entries read, once for all who are at the same place."""
        room, position = cursor.room, cursor.position
        assert position is not None
        cursor.waiting = True
        waiting = self._reading.setdefault((room.name, position), [])
        waiting.append((cursor, person))
        if len(waiting) == 1:
            reply = partial(self._have_read, room, position, room.last)
            self._journal.read_after(room.name, position, room.last, READ, reply)

    def _have_read(
        self, room: Room, position: int, through: int, result: Sequence[Entry] | Refusal
    ) -> None:
        waiting = self._reading.pop((room.name, position))
        batches = [] if isinstance(result, Refusal) else [Batch(room, run) for run in runs(result)]
        end = self._seconds() + FEED_SECONDS
        for cursor, person in waiting:
            cursor.waiting = False
            if cursor.closed:
                continue
            if isinstance(result, Refusal):
                person.refuse(result)
                if person.profile.never_skips:
                    person.resume_later()
                    continue
                self._skip_to(cursor, person, through)
            elif not result:
                self._skip_removed(cursor, person, through + 1)
            elif result[0].number > position + 1:  # removed while it was being read
                self._skip_removed(cursor, person, result[0].number)
            for batch in batches:
                # Or else the rest is read again: when it is ready, or in another turn.
                if cursor.outlet.ready and self._seconds() <= end:
                    self._feed(cursor, person, batch)
            self._advance(cursor, person)

    def _feed(self, cursor: Cursor, person: Person, batch: Batch) -> None:
        """Show the entries that come next, marked as old if they are from before one came."""
        events = batch.events
        first, last = events[0], events[-1]
        assert isinstance(first, Entry)
        assert isinstance(last, Entry)
        cursor.position = last.number
        cursor.room.deliveries += len(events)
        began = self._seconds()
        if first.number <= cursor.replay_through:
            batch = Batch(
                cursor.room,
                [
                    Replayed(e) if isinstance(e, Entry) and e.number <= cursor.replay_through else e
                    for e in events
                ],
            )
        person.receive(batch)
        self._fed += self._seconds() - began
        self._feed_next_turn()

    def _position(self, cursor: Cursor) -> int | None:
        return cursor.room.last if cursor in cursor.room.live else cursor.position

    # -- what comes back from the journal -----------------------------------------------------

    def _committed(self, outcomes: Sequence[Outcome]) -> None:
        """A group is on disk: acknowledge all of it, then publish it in its order."""
        saved: dict[Person, list[Entry]] = {}
        fresh: dict[str, _Fresh] = {}
        steps: list[Callable[[], None]] = []
        for outcome in outcomes:
            if type(outcome) is Saved:
                entry, sender = outcome.entry, outcome.draft.sender
                own = saved.get(sender)
                if own is None:
                    own = saved[sender] = []
                own.append(entry)
                if outcome.fresh:
                    news = fresh.get(entry.room)
                    if news is None:
                        news = fresh[entry.room] = _Fresh([], set())
                        steps.append(partial(self._publish, entry.room, news))
                    news.entries.append(entry)
                    news.authors.add(sender)
            elif isinstance(outcome, Marker):
                fresh = {}  # what comes after it is published after it
                steps.append(outcome.callback)
            else:
                assert isinstance(outcome, Failed)
                outcome.draft.sender.not_saved(outcome.draft, outcome.refusal)
        for person, entries in saved.items():
            person.acknowledge(entries)
        if self._said is not None:
            for outcome in outcomes:
                if isinstance(outcome, Saved) and outcome.fresh:
                    self._said(outcome.draft.sender, outcome.entry)
        for step in steps:
            try:
                step()
            except Exception:  # what others said is shown all the same
                _log.exception("a defect: something was not done in its turn")

    def _publish(self, room: str, news: _Fresh) -> None:
        there = self._room(room)
        there.publish(news.entries, news.authors)
        self._tidy(there)

    def _mark(self, step: Callable[[], None], then: Callable[[], None]) -> None:
        def in_place() -> None:
            try:
                step()
            finally:
                then()

        self._journal.mark(in_place)

    def _arrived(
        self,
        person: Person,
        starts: Sequence[tuple[Cursor, int | None]],
        resumed: bool,
        id: str | None,
    ) -> None:
        rooms = [cursor.room for cursor, _ in starts]
        move = Move(len(rooms))
        for room in rooms:
            room.presence.came(person, True, move)
            self._tell_presence(room, person)
        come_back_meanwhile = any(
            person.cursors.get(cursor.room.name, cursor) is not cursor for cursor, _ in starts
        )
        if not come_back_meanwhile:
            self._welcome(person, starts, resumed, id)
        for cursor, position in starts:
            self._start(person, cursor, position, id)

    def _welcome(
        self,
        person: Person,
        starts: Sequence[tuple[Cursor, int | None]],
        resumed: bool,
        id: str | None,
    ) -> None:
        rooms = {c.room.name: self._starting_point(person, c.room, at) for c, at in starts}
        motd = () if resumed else self._motd
        client_id, code = person.client_id, person.code
        limits, log = self.limits, self._journal.told
        person.show(Welcomed(person.name, motd, rooms, client_id, code, resumed, limits, id, log))

    def _entered(
        self, person: Person, cursor: Cursor, position: int | None, id: str | None
    ) -> None:
        room = cursor.room
        room.presence.came(person, False, Move())
        self._tell_presence(room, person)
        self._start(person, cursor, position, id)

    def _start(self, person: Person, cursor: Cursor, position: int | None, id: str | None) -> None:
        """Give a cursor its place: after an entry that was seen, or where anybody starts."""
        if cursor.closed:
            return  # its person has come back meanwhile, with another one
        room = cursor.room
        cursor.position = self._starting_point(person, room, position)
        if position is not None and position > room.last:
            person.replaced.add(room.name)
        self._moved(person, cursor, id)
        if person.profile.wants_replay:
            cursor.replay_through = room.last
            if cursor.position < room.last:
                starts = ReplayStarts(room.name, resumed=position is not None)
                person.receive(Batch(room, (starts,)))
        cursor.waiting = False
        self._advance(cursor, person)

    def _starting_point(self, person: Person, room: Room, position: int | None) -> int:
        """The number of the entry after which a new cursor starts: ``position``, that of an entry
        that was seen, or where anybody starts.
        """
        if position is not None and position > room.last:
            return 0  # it is of a log that is no more: nothing is known to be the same
        if position is not None:
            return max(0, position)
        lines = self._history_lines if person.profile.wants_replay else 0
        return max(room.base, room.last - lines)

    def _moved_there(self, person: Person, room: Room, id: str | None) -> None:
        """Show that ``room`` is the current one, over whatever connection there is by now."""
        cursor = person.cursors.get(room.name)
        if cursor is not None and self._position(cursor) is not None:  # else that is still to come
            self._moved(person, cursor, id)

    def _moved(self, person: Person, cursor: Cursor, id: str | None) -> None:
        """Show that the room is the current one, and after which number it goes on there."""
        room = cursor.room
        last = self._position(cursor)
        assert last is not None  # it has its place
        others = tuple(islice(room.presence.roster(room.members, person), self.limits.page))
        people_count = room.presence.roster_size(room.members, person)
        replaced = room.name in person.replaced
        person.replaced.discard(room.name)
        person.show(
            Entered(
                room.name,
                others,
                people_count,
                room.topic,
                last,
                self._keep_days,
                id,
                not self.log_lasts,
                replaced,
                room.topic_by,
            )
        )

    def _left_room(self, person: Person, cursor: Cursor, id: str | None) -> None:
        room = cursor.room
        self._close(cursor)
        room.settle_presence(person)
        room.presence.left(person, False, Move())
        self._tell_presence(room, person)
        if person in room.presence:
            left = self._left_untold.setdefault(person, [])
            left[:] = [other for other in left if person in other.presence] + [room]
        person.show(RoomLeft(room.name, person.current.name if person.current else None, id))
        self._tidy(room)

    def _departed(self, person: Person, rooms: Sequence[Room]) -> None:
        self._left_untold.pop(person, None)
        move = Move(len(rooms))
        for room in rooms:
            room.settle_presence(person)
            room.presence.left(person, True, move)
            self._tell_presence(room, person)
            self._tidy(room)

    def _tell_presence(self, room: Room, person: Person) -> None:
        """Tell the others what changed about ``person``: at once, or together with more."""
        presence = room.presence
        if not room.is_large and not presence.is_loud(person.source):
            room.tell_presence(person)
        if presence.needs_time and not presence.is_timed:
            presence.is_timed = True
            self._later(room.moment, partial(self._end_moment, room))

    def _end_moment(self, room: Room) -> None:
        """Tell what is to be told in ``room``: of one room in each turn of the reactor."""
        self._ended_moments.append(room)
        if not self._is_telling:
            self._tell_next()

    def _tell_next(self) -> None:
        self._is_telling = bool(self._ended_moments)
        if not self._ended_moments:
            return
        room = self._ended_moments.popleft()
        room.presence.is_timed = False
        room.tell_presence()
        room.presence.end_moment()
        if room.presence.needs_time:
            room.presence.is_timed = True
            self._later(room.moment, partial(self._end_moment, room))
        self._later(0, self._tell_next)

    def _renamed(self, person: Person, renamed: Renamed, id: str | None) -> None:
        for room in self._left_untold.pop(person, ()):
            room.tell_presence(person)  # it was under the old name
        move = Move(len(person.cursors))
        for cursor in person.cursors.values():
            room = cursor.room
            room.settle_presence(person)
            room.presence.renamed(person, renamed.old, renamed.new, move)
            self._tell_presence(room, person)
        person.show(Renamed(renamed.old, renamed.new, own=True, id=id))

    def _told(self, person: Person, recipient: Person, told: Told, id: str | None) -> None:
        if self.registry.find(recipient.nickname) is not recipient:
            person.refuse(NoSuchPerson(name=told.recipient), id)
            return
        for cursor in person.cursors.values():
            room = cursor.room
            if person in room.presence and recipient in room.members:
                room.tell_presence()  # nobody speaks before it is told that they came
        delivered = Told(told.sender, told.recipient, told.text, told.time, own=True, id=id)
        if recipient.ignores(person.author):
            person.show(delivered)
        elif not recipient.outlet.ready:  # any more
            person.refuse(NotReading(name=told.recipient), id)
        else:
            recipient.heard_from(person)
            # An answer is shown after the confirmation of what it answers.
            for shown in tuple(self._unconfirmed.get((recipient, person), ())):
                self._confirm(recipient, person, shown)
            shown = recipient.show_surely(told)
            self._unconfirmed.setdefault((person, recipient), {})[shown] = delivered
            self._confirm(person, recipient, shown, iter(LOOKS))

    def _confirm(
        self,
        person: Person,
        recipient: Person,
        shown: Shown,
        looks: Iterator[float] | None = None,
    ) -> None:
        """Tell ``person`` that their message was delivered, if it has arrived at ``recipient``; or
        look again, and after the last of ``looks`` tell them that it may not have been delivered.
        """
        pair = person, recipient
        delivered = self._unconfirmed.get(pair, {}).get(shown)
        if delivered is None:  # told already
            return
        if shown.has_arrived():
            person.show(delivered)
        elif looks is None:
            return
        elif (seconds := next(looks, None)) is not None:
            self._later(seconds, partial(self._confirm, person, recipient, shown, looks))
            return
        else:
            person.refuse(NotConfirmed(name=delivered.recipient), delivered.id)
        del self._unconfirmed[pair][shown]
        if not self._unconfirmed[pair]:
            del self._unconfirmed[pair]

    def _announced(self, announced: Announced) -> None:
        if announced.room is not None:
            room = self._rooms.get(self.reading.room_called(announced.room))
            if room is not None:
                room.show(structs.replace(announced, room=room.name))
            return
        for person, name in self.registry.snapshot():
            if name is not None and (person.outlet.ready or person.away):
                person.show_surely(announced)

    def _removed(self, name: str, last: int) -> None:
        if not self._rooms.removed(name, last):
            self._room_names.remove(name)

    def _stopping(self) -> None:
        self.keeper.save_all()
        for person, _ in self.registry.snapshot():
            for cursor in person.cursors.values():
                self._close(cursor)
            person.dismiss()

    # -- limits -------------------------------------------------------------------------------

    def _check_length(self, name: str, limit: int) -> None:
        if len(name) > limit:
            raise NameTooLong(limit=limit)

    def _check_new_rooms(self, person: Person, names: Iterable[str]) -> list[str]:
        """Those of the rooms that do not exist yet, if ``person`` may make them."""
        new = [name for name in names if name not in self._rooms and name != self.default_room]
        for name in new:
            self._check_length(name, self.limits.room)
        person.source.check_new_rooms(new)
        return new

    def _check_text(self, text: str) -> None:
        if not self.has_room_for(text):
            raise LineTooLong(limit=self.limits.text)

    def _check_rooms(self, count: int, before: int = 0) -> None:
        """Whoever is in more rooms already, from before a limit was lowered, may stay."""
        limit = self.limits.rooms
        if count > max(limit, before):
            raise TooManyRooms(limit=limit)

    def _claim(self, person: Person, name: Nickname) -> None:
        self.identities.forget_old()  # no name is kept for them any more
        self.registry.claim(person, name, person.source.key)
        self.ignored.called(person.author, name.text)

    # -- rooms --------------------------------------------------------------------------------

    def _room(self, name: str) -> Room:
        if name not in self._rooms:
            self._room_names.add(name)
            room = self._rooms.wake(name)
            self._journal.find(name, partial(self._found, room))
        else:
            room = self._rooms.wake(name)
        return room

    def _found(self, room: Room, state: RoomState | None) -> None:
        """What the log knows of a room that was not in memory: its numbers go on."""
        if state is not None and state.last > room.last:
            room.base, room.last = state.base, state.last
            room.topic, room.topic_by = state.topic, state.topic_by

    def _add(self, person: Person, name: str) -> Cursor:
        room = self._room(name)
        cursor = Cursor(room, person)
        cursor.rendering = person.rendering(room)
        room.members[person] = cursor
        person.cursors[name] = cursor
        return cursor

    def _go_to(self, person: Person, room: Room | None) -> None:
        """Plain lines of ``person`` go to ``room`` from now on."""
        person.current = room
        self.restyle(person)

    def _close(self, cursor: Cursor) -> None:
        cursor.closed = True
        if cursor.away:
            cursor.away = False
            cursor.room.away -= 1
        cursor.room.live.pop(cursor, None)
        if cursor.room.members.get(cursor.member) is cursor:  # not if they are back already
            del cursor.room.members[cursor.member]

    def _tidy(self, room: Room) -> None:
        """Of a room that nobody is in keep little, and nothing if nothing in it is kept."""
        if not self._rooms.rest(room):
            self._room_names.remove(room.name)

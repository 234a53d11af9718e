"""Moving cursors towards the end of their logs, at the pace of their members.

What is published reaches live cursors at once (:meth:`twisted_chat.core.room.Room.publish`). Any
other cursor is moved here: from memory, or by having the log read, a run at a time, in turns with
all others that are behind. It must not know who may be where.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import EntriesRemoved, Entry, LinesSkipped, Replayed
from twisted_chat.core.journal import Journal
from twisted_chat.core.people import Person
from twisted_chat.core.room import Batch, Cursor, Room, runs

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


class CatchUp:
    """All cursors that are behind. ``later`` calls a function after some seconds; ``seconds`` gives
    seconds that never go backwards.
    """

    def __init__(
        self,
        journal: Journal,
        later: Callable[[float, Callable[[], None]], object],
        seconds: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._call_later = later
        self._seconds = seconds
        #: Cursors that go on in the next turn of the reactor's loop, and the seconds of this one in
        #: which entries were shown to those who catch up.
        self._behind: deque[tuple[Cursor, Person]] = deque()
        self._is_feeding = False
        self._fed = 0.0
        #: Who waits for the entries of a room that come after a number, while they are read.
        self._reading: dict[tuple[str, int], list[tuple[Cursor, Person]]] = {}

    def when_caught_up(self, room: Room, callback: Callable[[], None]) -> None:
        """Call ``callback`` once ``room`` does not run away from its readers, or a moment later."""
        room.waiting.append(callback)
        if len(room.waiting) == 1:
            self._call_later(CATCH_UP_SECONDS, partial(self._release_senders, room))

    def resume(self, person: Person) -> None:
        """``person`` is ready for more: move the cursors that had to wait."""
        for cursor in tuple(person.cursors.values()):
            if cursor not in cursor.room.live:
                self.advance(cursor, person)

    def advance(self, cursor: Cursor, person: Person) -> None:
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
            if room.waiting and not room.readers_lagging:
                self._release_senders(room)
        elif cursor.outlet.ready:
            self._advance_later(cursor, person)

    def _release_senders(self, room: Room) -> None:
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
            self._call_later(0, self._go_on)

    def _go_on(self) -> None:
        """Move those that have waited since the last turn."""
        self._is_feeding = False
        self._fed = 0.0
        for _ in range(len(self._behind)):
            if self._fed >= FEED_SECONDS:
                break
            cursor, person = self._behind.popleft()
            cursor.waiting = False
            self.advance(cursor, person)
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
            self.advance(cursor, person)

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


def position_of(cursor: Cursor) -> int | None:
    """The number of the last entry that a cursor was shown; None before its place is known."""
    return cursor.room.last if cursor in cursor.room.live else cursor.position

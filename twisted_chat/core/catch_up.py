"""Moving cursors towards the end of their logs, at the pace of their members.

New entries reach live cursors at once (:meth:`twisted_chat.core.room.Room.publish`). This module
moves the other cursors, which are behind: each in turn by one run of entries, from memory or from
the log on disk. It must not know who may be in which room.
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

#: Entries in memory that a cursor is moved by at once, at most.
PAGE = 100

#: Entries that a person catches up with, at most; older ones are skipped (:class:`.LinesSkipped`).
CATCH_UP_LIMIT = 100_000

#: Seconds for which a sender waits, at most, while most readers of a large room are lagging.
CATCH_UP_SECONDS = 0.25

#: Seconds that one turn of the reactor's loop spends on cursors that are behind.
FEED_SECONDS = 0.01

#: Entries that one read of the log returns for cursors that are behind, at most.
READ = 500


class CatchUp:
    """Moves all cursors that are behind.

    :param later: calls a function after a number of seconds.
    :param seconds: a clock in seconds that never goes backwards.
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
        #: Cursors that go on in the next turn of the reactor's loop.
        self._behind: deque[tuple[Cursor, Person]] = deque()
        self._is_feeding = False
        #: Seconds that this turn has spent on cursors that are behind.
        self._fed = 0.0
        #: Cursors that wait for a read of the log, by the room and the number before its entries.
        self._reading: dict[tuple[str, int], list[tuple[Cursor, Person]]] = {}

    def when_caught_up(self, room: Room, callback: Callable[[], None]) -> None:
        """Call ``callback`` when most readers of ``room`` are no longer lagging, or after
        :data:`CATCH_UP_SECONDS`.
        """
        room.waiting.append(callback)
        if len(room.waiting) == 1:
            self._call_later(CATCH_UP_SECONDS, partial(self._release_senders, room))

    def advance_all(self, person: Person) -> None:
        """The outlet of ``person`` is ready for more: move the cursors that are not live."""
        for cursor in tuple(person.cursors.values()):
            if cursor not in cursor.room.live:
                self.advance(cursor, person)

    def advance(self, cursor: Cursor, person: Person) -> None:
        """Move ``cursor`` towards the end of its log: by one run now, and by the rest in later
        turns, while the outlet of ``person`` is ready.
        """
        room = cursor.room
        if cursor.closed or cursor.waiting or not cursor.outlet.ready:
            return
        assert cursor.position is not None
        if cursor.position < room.last:
            if self._fed >= FEED_SECONDS:  # the rest of this turn belongs to others
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
        """Go on with ``cursor`` in a later turn of the reactor's loop, after those before it."""
        cursor.waiting = True
        self._behind.append((cursor, person))
        self._feed_next_turn()

    def _feed_next_turn(self) -> None:
        if not self._is_feeding:
            self._is_feeding = True
            self._call_later(0, self._go_on)

    def _go_on(self) -> None:
        """Move the cursors that have waited since the last turn, while this turn has time."""
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
        """Skip entries that were removed, or that are too many for a person, and show that."""
        room = cursor.room
        assert cursor.position is not None
        if cursor.position < room.base:
            self._skip_removed(cursor, person, room.base + 1)
        is_far = room.last - cursor.position > CATCH_UP_LIMIT + PAGE
        if is_far and not person.profile.never_skips:
            self._skip_to(cursor, person, room.last - CATCH_UP_LIMIT)

    def _skip_removed(self, cursor: Cursor, person: Person, first: int) -> None:
        """Skip the entries before ``first``, which were removed, and show that."""
        cursor.position = first - 1
        person.receive(Batch(cursor.room, (EntriesRemoved(cursor.room.name, first),)))

    def _skip_to(self, cursor: Cursor, person: Person, last: int) -> None:
        """Skip the entries up to ``last``, and show that."""
        assert cursor.position is not None
        skipped = LinesSkipped(cursor.room.name, cursor.position + 1, last)
        cursor.position = last
        person.receive(Batch(cursor.room, (skipped,)))

    def _read(self, cursor: Cursor, person: Person) -> None:
        """Read the next entries from the log, once for all cursors at the same position."""
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
        batches = (
            [] if isinstance(result, Refusal) else [Batch(room, run) for run, _ in runs(result)]
        )
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
            elif result[0].number > position + 1:  # the first were removed during the read
                self._skip_removed(cursor, person, result[0].number)
            for batch in batches:
                # Otherwise the rest is read again: when the outlet is ready, or in another turn.
                if cursor.outlet.ready and self._seconds() <= end:
                    self._feed(cursor, person, batch)
            self.advance(cursor, person)

    def _feed(self, cursor: Cursor, person: Person, batch: Batch) -> None:
        """Show the next entries: as :class:`.Replayed` those from before the person came."""
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
    """The number of the last entry that the cursor's member was shown; None before its start is
    set.
    """
    return cursor.room.last if cursor in cursor.room.live else cursor.position

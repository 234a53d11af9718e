"""A room is a log; a member is a cursor in it.

What lives here: one room's members, the end of its log in memory, and the publishing of
committed entries. It knows no disk, and of bytes only that a :class:`Rendering` makes them;
it must not decide who may come in.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from itertools import accumulate, groupby
from typing import NamedTuple, Protocol, cast

from twisted_chat.messages import Crowd, Entry, Event, Joined, Left, Replayed

#: Entries of each room kept in memory, for those who join and those who fall behind a little;
#: and for each who is behind, up to a bound, as what is rendered already can be sent to many.
TAIL = 128
TAIL_FOR_EACH = 64
TAIL_BEHIND = 50_000

#: Characters of what is given to a member at once, about.
RUN = 131_072

#: A run of fewer entries is not worth a write of its own to somebody who catches up.
SHORT_RUN = 50

#: A room of more people than this is large.
LARGE = 30

#: In large rooms, who comes and goes is told for several at once; after a second for so many
#: people in the room, and no later than after so many seconds.
GATHER_PEOPLE = 1000
GATHER_SECONDS = 1.0

#: Names of those who came or went that are told.
NAMES = 100


def runs(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """``entries`` in runs of about :data:`RUN` characters.

    A member is given no more than one run at once before it is asked whether it is ready.
    """
    start = size = 0
    for end, entry in enumerate(entries, 1):
        size += len(entry.text)
        if size >= RUN:
            yield entries[start:end]
            start, size = end, 0
    if start < len(entries):
        yield entries[start:] if start else entries


class Rendering(Protocol):
    """How some people are shown events: one object for all who are shown the same bytes."""

    def render(self, events: Sequence[Event]) -> bytes:
        """``events`` as lines that end with LF; each entry, also a replayed one, is one line."""


class Shown:
    """Bytes for somebody; of a batch, but for the events at the places ``left_out``."""

    __slots__ = ("_events", "_left_out", "data", "room")

    def __init__(
        self, data: bytes, batch: Batch | None = None, left_out: Sequence[int] = ()
    ) -> None:
        self.data = data
        #: The room that it is about, if it is of a batch.
        self.room: Room | None = None if batch is None else batch.room
        # Not the batch, which holds this: both go as soon as nobody needs them.
        self._events: Sequence[Event] = () if batch is None else batch.events
        self._left_out = left_out

    @property
    def events(self) -> list[Event]:
        """What of the batch is shown, in its order."""
        left_out = frozenset(self._left_out)
        return [event for at, event in enumerate(self._events) if at not in left_out]

    def first_missing(self, size: int) -> int | None:
        """The number of the first entry that is not whole in the first ``size`` bytes."""
        arrived = self.data.count(b"\n", 0, size)
        for event in self.events:
            entry = event.entry if isinstance(event, Replayed) else event
            if isinstance(entry, Entry):
                if not arrived:
                    return entry.number
                arrived -= 1
        return None


class Batch:
    """A run of one room's events, rendered once for each rendering in use.

    It holds entries, or else one event that is not in the log; ``about`` are the people of whom
    that tells something.
    """

    __slots__ = ("_ends", "_own", "about", "events", "ready_made", "room")

    def __init__(self, room: Room, events: Sequence[Event], about: Sequence[Member] = ()) -> None:
        self.room = room
        self.events = events
        self.about = about
        #: What :meth:`shown` has made so far.
        self.ready_made: dict[Rendering | None, Shown] = {}
        self._ends: dict[Rendering, list[int]] | None = None
        self._own: dict[bytes | None, list[int]] | None = None

    def shown(self, rendering: Rendering) -> Shown:
        """All of it, in ``rendering``."""
        shown = self.ready_made.get(rendering)
        if shown is None:
            shown = self.ready_made[rendering] = Shown(rendering.render(self.events), self)
        return shown

    def shown_without(self, rendering: Rendering, left_out: Sequence[int]) -> Shown:
        """All but the entries at the places ``left_out``, ascending, in ``rendering``."""
        data = self.shown(rendering).data
        if self._ends is None:
            self._ends = {}
        ends = self._ends.get(rendering)
        if ends is None:
            lines = data.split(b"\n")[:-1]
            ends = self._ends[rendering] = list(accumulate(len(line) + 1 for line in lines))
        pieces = []
        start = 0
        for at in left_out:
            pieces.append(data[start : ends[at - 1] if at else 0])
            start = ends[at]
        pieces.append(data[start:])
        return Shown(b"".join(pieces), self, left_out)

    def places_of(self, author: bytes) -> Sequence[int]:
        """Where the entries stand that their author is not shown again: not a new topic, which
        everybody is shown, and nothing that was said before they came.
        """
        if self._own is None:
            own = self._own = {}
            for at, entry in enumerate(self.events):
                if type(entry) is Entry and entry.kind != "topic":
                    places = own.get(entry.author)
                    if places is None:
                        places = own[entry.author] = []
                    places.append(at)
        return self._own.get(author, ())


class Outlet(Protocol):
    """Where a member's bytes go out."""

    @property
    def ready(self) -> bool:
        """Whether more can be delivered now. If not, the member's cursors wait."""

    def deliver(self, shown: Shown) -> None:
        """Send it, after all that was sent before."""


class Member(Protocol):
    """What a room knows of somebody in it."""

    @property
    def name(self) -> str:
        """The nickname, as it is shown."""

    @property
    def author(self) -> bytes:
        """Their author key, which is in the entries that they wrote."""

    @property
    def outlet(self) -> Outlet:
        """The way to the connection they have now."""

    def receive(self, batch: Batch) -> None:
        """Show what is new, but for what is one's own or ignored."""


class _Move(NamedTuple):
    """``member`` came or left, which those ``but`` are not told."""

    event: Joined | Left
    member: Member
    but: frozenset[Member]

    def kind(self) -> tuple[bool, bool]:
        """Whether somebody came, and whether into the chat or out of it."""
        if isinstance(self.event, Joined):
            return True, self.event.arrived
        return False, self.event.departed


class Cursor:
    """One member's place in one room's log.

    A *live* cursor is at the end and is shown what is published. Any other one is moved
    towards the end by :class:`twisted_chat.chat.Chat`, at the pace of its member.
    """

    __slots__ = (
        "away",
        "closed",
        "member",
        "outlet",
        "position",
        "rendering",
        "replay_through",
        "room",
        "waiting",
    )

    def __init__(self, room: Room, member: Member) -> None:
        self.room = room
        self.member = member
        #: The member's, kept here for the sake of speed: see :meth:`Chat.restyle`.
        self.outlet: Outlet = member.outlet
        #: How the member is shown this room; None if they get batches of their own.
        self.rendering: Rendering | None = None
        #: Number of the last entry that the member was shown; None before its place is known,
        #: and of no exact meaning while live.
        self.position: int | None = None
        #: Entries up to this number were said before the member came.
        self.replay_through = 0
        #: For its place in the log, at first, and later for entries that are being read.
        self.waiting = True
        self.closed = False
        #: Its member has no connection at the moment.
        self.away = False


class Room:
    """One room: who is in it, and the end of its log."""

    def __init__(self, name: str, base: int = 0, last: int = 0, topic: str = "") -> None:
        self.name = name
        #: Entries ``base + 1`` to ``last`` are kept.
        self.base = base
        self.last = last
        self.topic = topic
        #: Entries that were handed to somebody's connection.
        self.deliveries = 0
        #: Everybody who is in the room or on the way in, with their cursors.
        self.members: dict[Member, Cursor] = {}
        self.live: dict[Cursor, None] = {}
        #: How many members have no connection at the moment.
        self.away = 0
        #: What is to be called when most members are not behind any more.
        self.waiting: list[Callable[[], None]] = []
        self._tail: list[Batch] = []  # the last runs that were published
        self._tail_ends: list[int] = []  # the number of the last entry of each
        self._gathered: list[_Move] = []

    def publish(self, entries: Sequence[Entry], authors: Set[Member]) -> None:
        """Show committed entries, the next ones of the log, to everybody who is live.

        ``authors`` are those who said them.
        """
        if self._gathered and not authors.isdisjoint(move.member for move in self._gathered):
            self.tell_gathered()  # nobody speaks before it is told that they came
        alone = {cursor for author in authors if (cursor := self.members.get(author))}
        for run in runs(entries):
            before = self.last
            self.last = run[-1].number
            batch = Batch(self, run)
            self._tail.append(batch)
            self._tail_ends.append(self.last)
            for entry in run:
                if entry.kind == "topic":
                    self.topic = entry.text
            ready = len(self.live)
            behind = self._deliver(batch, self.live, alone)
            self.deliveries += len(run) * (ready - len(behind))
            for cursor in behind:
                cursor.position = before
                del self.live[cursor]
            self._trim()

    @property
    def runs_away(self) -> bool:
        """Whether it is large, and most are behind: more is said than can be read.

        Those who have no connection read nothing, and nobody waits for them.
        """
        readers = len(self.members) - self.away
        return readers > LARGE and 2 * len(self.live) < readers

    @property
    def gathering_time(self) -> float:
        """How many seconds to gather before it is told who came and who left; 0 is not at all."""
        people = len(self.members)
        return min(GATHER_SECONDS, people / GATHER_PEOPLE) if people > LARGE else 0

    def gather(self, event: Joined | Left, member: Member, but: frozenset[Member]) -> bool:
        """Keep what is to be told of ``member``, but not to those ``but``, a moment; returns
        whether it is the first.
        """
        self._gathered.append(_Move(event, member, but))
        return len(self._gathered) == 1

    def tell_gathered(self) -> None:
        """Tell who came and who left since it was told last."""
        gathered, self._gathered = self._gathered, []
        for (came, chat), some in groupby(gathered, _Move.kind):
            moves = list(some)
            but = frozenset[Member].intersection(*(move.but for move in moves))
            if len(moves) == 1:
                self.show(moves[0].event, but, [moves[0].member])
            else:
                names = tuple(move.event.nickname for move in moves[:NAMES])
                self.show(
                    Crowd(self.name, came, chat, names, len(moves)),
                    but,
                    [move.member for move in moves],
                )

    def show(
        self, event: Event, but: Collection[Member] = (), about: Sequence[Member] = ()
    ) -> None:
        """Show what is not in the log to everybody who is in and ready, except to ``but``; it tells
        something of the people ``about``.
        """
        if self._gathered:
            self.tell_gathered()
        cursors = self.members.values()
        inside = [c for c in cursors if c.position is not None and c.member not in but]
        self._deliver(Batch(self, (event,), about), inside, ())

    def after(self, position: int, limit: int) -> Batch | None:
        """The entries after ``position``, which is before the end, or the first of them.

        None if memory does not reach so far back.
        """
        at = bisect_left(self._tail_ends, position + 1)
        first = self._first(at)
        if first is None or first > position + 1:
            return None
        batch = self._tail[at]
        if first == position + 1 and (len(batch.events) >= SHORT_RUN or at == len(self._tail) - 1):
            return batch
        events = list(batch.events[position + 1 - first :])
        for batch in self._tail[at + 1 :]:
            if len(events) >= limit:
                break
            events.extend(batch.events)
        entries = cast("list[Entry]", events[:limit])  # the tail has nothing else
        return Batch(self, next(runs(entries)))

    def _deliver(
        self, batch: Batch, cursors: Collection[Cursor], alone: Collection[Cursor]
    ) -> list[Cursor]:
        """Give it to those who are ready; returns who is not.

        Those ``alone`` choose for themselves what of it they are shown. So does whoever is the
        first with their rendering, which makes it for the others.
        """
        behind = []
        ready_made = batch.ready_made
        for cursor in cursors:
            outlet = cursor.outlet
            if not outlet.ready:
                behind.append(cursor)
                continue
            shown = ready_made.get(cursor.rendering)
            if shown is None or cursor in alone:
                cursor.member.receive(batch)
            else:
                outlet.deliver(shown)
        return behind

    def _first(self, at: int) -> int | None:
        """The number of the first entry of a run in memory."""
        if at == len(self._tail):
            return None
        return self._tail_ends[at] - len(self._tail[at].events) + 1

    def _trim(self) -> None:
        """Forget the oldest runs: more slowly while somebody needs them."""
        behind = len(self.members) - self.away - len(self.live)
        limit = max(TAIL, min(TAIL_BEHIND, TAIL_FOR_EACH * behind))
        count = 0
        while count < len(self._tail) and self.last - self._tail_ends[count] >= limit:
            count += 1
        if count:
            del self._tail[:count]
            del self._tail_ends[:count]

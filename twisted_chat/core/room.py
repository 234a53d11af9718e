"""A room is a log; a member is a cursor in it.

What lives here: one room's members, the end of its log in memory, and the publishing of
committed entries. It knows no disk, and of bytes only that a :class:`Rendering` makes them;
it must not decide who may come in.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from typing import Protocol, cast

from twisted_chat.core.events import Entry, Event, Joined, Left, PresenceSummary, Renamed
from twisted_chat.core.presence import Change, Presence, Somebody
from twisted_chat.core.rendered import Rendered

#: Entries of each room kept in memory, for those who join and those who fall behind a little;
#: and for each who is behind, up to a bound, as what is rendered already can be sent to many.
TAIL = 128
TAIL_FOR_EACH = 64
TAIL_BEHIND = 50_000

#: Bytes of text of these, whoever is behind: each may be kept in several renderings besides.
TAIL_BYTES = 4_000_000

#: Characters of what is given to a member at once, about.
RUN = 131_072

#: A run of fewer entries is not worth a write of its own to somebody who catches up.
SHORT_RUN = 50

#: A room of more people than this is large.
LARGE = 30

#: In large rooms, who comes, goes and is renamed is told for several at once; after a second for
#: so many people in the room, and no later than after so many seconds. That long it takes in small
#: rooms too, where a source does not stop.
COALESCE_PEOPLE = 1000
COALESCE_SECONDS = 1.0

#: Names of those who came or went that are told.
NAMES = 100

#: When more than so many changes are told at once, those who are in several rooms with somebody
#: may be told in each of them.
FEW = 10


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

    def render(self, events: Sequence[Event]) -> Rendered:
        """``events`` as bytes, and where each of them ends."""


class Batch:
    """A run of one room's events, rendered once for each rendering in use.

    It holds entries, or else events that are not in the log.
    """

    __slots__ = ("_own", "about", "events", "hidden", "ready_made", "room")

    def __init__(
        self,
        room: Room,
        events: Sequence[Event],
        about: Sequence[Sequence[Member]] = (),
        hidden: Mapping[Member, Sequence[int]] | None = None,
    ) -> None:
        self.room = room
        self.events = events
        #: Of each event, the people of whom it tells something.
        self.about = about
        #: Where the events stand that a member is not shown.
        self.hidden: Mapping[Member, Sequence[int]] = hidden or {}
        #: What :meth:`rendered` has made so far.
        self.ready_made: dict[Rendering | None, Rendered] = {}
        self._own: dict[bytes | None, list[int]] | None = None

    def rendered(self, rendering: Rendering) -> Rendered:
        """All of it, in ``rendering``."""
        rendered = self.ready_made.get(rendering)
        if rendered is None:
            rendered = self.ready_made[rendering] = rendering.render(self.events)
        return rendered

    def rendered_without(self, rendering: Rendering, left_out: Sequence[int]) -> Rendered:
        """All but the events at the indexes ``left_out``, ascending, in ``rendering``."""
        return self.rendered(rendering).without(left_out)

    def own_indexes(self, author: bytes) -> Sequence[int]:
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

    def deliver(self, rendered: Rendered) -> None:
        """Send it, after all that was sent before."""


class Member(Somebody, Protocol):
    """What a room knows of somebody in it."""

    @property
    def author(self) -> bytes:
        """Their author key, which is in the entries that they wrote."""

    @property
    def outlet(self) -> Outlet:
        """The way to the connection they have now."""

    def receive(self, batch: Batch) -> None:
        """Show what is new, but for what is one's own or ignored."""


class Cursor:
    """One member's place in one room's log.

    A *live* cursor is at the end and is shown what is published. Any other one is moved
    towards the end by :class:`twisted_chat.core.chat.Chat`, at the pace of its member.
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

    def __init__(
        self, name: str, base: int = 0, last: int = 0, topic: str = "", topic_by: str = ""
    ) -> None:
        self.name = name
        #: Entries ``base + 1`` to ``last`` are kept.
        self.base = base
        self.last = last
        self.topic = topic
        #: Who set it, as they were called; empty if that is not known.
        self.topic_by = topic_by
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
        self._tail_sizes: list[int] = []  # of the texts of each
        self._tail_size = 0
        #: Who came, left and was renamed without that being told.
        self.presence: Presence[Member] = Presence()

    def publish(self, entries: Sequence[Entry], authors: Set[Member]) -> None:
        """Show committed entries, the next ones of the log, to everybody who is live.

        ``authors`` are those who said them.
        """
        if self.presence and not self.presence.isdisjoint(authors):
            self.flush_presence()  # nobody speaks before it is told that they came
        alone = {cursor for author in authors if (cursor := self.members.get(author))}
        for run in runs(entries):
            before = self.last
            self.last = run[-1].number
            batch = Batch(self, run)
            self._tail.append(batch)
            self._tail_ends.append(self.last)
            self._tail_sizes.append(sum(len(entry.text) for entry in run))
            self._tail_size += self._tail_sizes[-1]
            for entry in run:
                if entry.kind == "topic":
                    self.topic, self.topic_by = entry.text, entry.nickname
            ready = len(self.live)
            behind = self._deliver(batch, self.live, alone)
            self.deliveries += len(run) * (ready - len(behind))
            for cursor in behind:
                cursor.position = before
                del self.live[cursor]
            self._trim()

    @property
    def readers_lagging(self) -> bool:
        """Whether it is large, and most are behind: more is said than can be read.

        Those who have no connection read nothing, and nobody waits for them.
        """
        readers = len(self.members) - self.away
        return readers > LARGE and 2 * len(self.live) < readers

    @property
    def moment(self) -> float:
        """For how many seconds changes of presence are coalesced."""
        people = len(self.members)
        return (
            min(COALESCE_SECONDS, people / COALESCE_PEOPLE) if self.is_large else COALESCE_SECONDS
        )

    @property
    def is_large(self) -> bool:
        """Whether there are so many people that no change of presence is told at once."""
        return len(self.members) > LARGE

    def flush_presence(self, member: Member | None = None) -> None:
        """Tell who came, left and was renamed since it was told last; or only of ``member``."""
        presence = self.presence
        changes = presence.take() if member is None else presence.take_one(member)
        if not changes:
            return
        news: list[tuple[Event, list[tuple[Member, Change]]]] = []
        groups: dict[tuple[bool, bool], list[tuple[Member, Change]]] = {}
        for who, change in changes:
            if change.told is None or change.now is None:
                groups.setdefault((change.came, change.chat), []).append((who, change))
            else:
                news.append((Renamed(change.told, change.now), [(who, change)]))
        for (came, chat), some in groups.items():
            names = tuple(change.now or change.told or "" for _, change in some)
            event = (
                PresenceSummary(self.name, came, chat, names[:NAMES], len(names))
                if len(names) > 1
                else (Joined if came else Left)(self.name, names[0], chat)
            )
            news.append((event, some))
        about = [[who for who, _ in some] for _, some in news]
        self._show(Batch(self, [event for event, _ in news], about, self._hidden(news)))
        for _, change in changes:
            change.move.tell(change, self.members)

    def settle_presence(self, member: Member) -> None:
        """Tell the change of ``member`` if somebody here was told it in another room.

        To be called before ``member`` changes again.
        """
        if not self.members.keys().isdisjoint(self.presence.told_elsewhere(member)):
            self.flush_presence(member)

    def _hidden(
        self, news: Sequence[tuple[Event, list[tuple[Member, Change]]]]
    ) -> dict[Member, Sequence[int]]:
        """Where the events stand that are about a member itself, or that it was told in another
        room.
        """
        hidden: dict[Member, list[int]] = {}
        for place, (_, some) in enumerate(news):
            if len(some) > 1:
                continue
            ((who, change),) = some
            told = self.members.keys() & change.move.told(change) if len(news) <= FEW else set()
            for member in told | {who}:
                if member in self.members:
                    hidden.setdefault(member, []).append(place)
        return dict(hidden)

    def show(self, event: Event) -> None:
        """Show what is not in the log to everybody who is in and ready."""
        self._show(Batch(self, (event,)))

    def _show(self, batch: Batch) -> None:
        inside = [c for c in self.members.values() if c.position is not None]
        alone = {self.members[member] for member in batch.hidden if member in self.members}
        self._deliver(batch, inside, alone)

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
            rendered = ready_made.get(cursor.rendering)
            if rendered is None or cursor in alone:
                cursor.member.receive(batch)
            else:
                outlet.deliver(rendered)
        return behind

    def _first(self, at: int) -> int | None:
        """The number of the first entry of a run in memory."""
        if at == len(self._tail):
            return None
        return self._tail_ends[at] - len(self._tail[at].events) + 1

    def forget_tail(self) -> None:
        """Nobody needs the end of the log in memory."""
        self._tail, self._tail_ends, self._tail_sizes, self._tail_size = [], [], [], 0

    def _trim(self) -> None:
        """Forget the oldest runs: more slowly while somebody needs them."""
        behind = len(self.members) - self.away - len(self.live)
        limit = max(TAIL, min(TAIL_BEHIND, TAIL_FOR_EACH * behind))
        count = 0
        while count < len(self._tail) and (
            self.last - self._tail_ends[count] >= limit or self._tail_size > TAIL_BYTES
        ):
            self._tail_size -= self._tail_sizes[count]
            count += 1
        if count:
            del self._tail[:count]
            del self._tail_ends[:count]
            del self._tail_sizes[:count]

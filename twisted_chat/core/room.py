"""A room is a log; a member is a cursor in it.

What lives here: one room's members, the end of its log in memory, and the publishing of committed
entries. This module must not know the disk, know bytes other than as the result of a
:class:`Rendering`, or decide who may join.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from itertools import chain
from typing import Protocol, cast

from twisted_chat.core.events import Entry, Event, Joined, Left, PresenceSummary, Renamed
from twisted_chat.core.presence import Change, Presence, Somebody
from twisted_chat.core.rendered import Rendered

#: Entries of each room that are kept in memory for newcomers and for members who lag a little;
#: entries for each lagging reader, and their bound: what is rendered once is sent to many readers.
TAIL = 128
TAIL_FOR_EACH = 64
TAIL_BEHIND = 50_000

#: The most characters of text of these entries, however many readers lag: each entry may also be
#: kept in several renderings.
TAIL_BYTES = 4_000_000

#: Characters of text, approximately, that a member is given at once.
RUN = 131_072

#: Shorter runs, in entries, are joined for a member who catches up: each run is a write of its own.
SHORT_RUN = 50

#: A room of more people than this is large.
LARGE = 30

#: Large rooms coalesce changes of presence for one second per ``COALESCE_PEOPLE`` members, but at
#: most for ``COALESCE_SECONDS``. Small rooms coalesce only the changes of a source that makes too
#: many of them, for ``COALESCE_SECONDS``.
COALESCE_PEOPLE = 1000
COALESCE_SECONDS = 1.0

#: The most nicknames in one :class:`.PresenceSummary`.
NAMES = 100

#: With more changes than this in one batch, a member who shares several rooms with somebody may be
#: told of the same change in each of them.
FEW = 10


def runs(entries: Sequence[Entry]) -> Iterator[tuple[Sequence[Entry], int]]:
    """``entries`` in runs of about :data:`RUN` characters, each with the number of these.

    After each run, a member's outlet is asked whether it is still ready.
    """
    start = size = 0
    for end, entry in enumerate(entries, 1):
        size += len(entry.text)
        if size >= RUN:
            yield entries[start:end], size
            start, size = end, 0
    if start < len(entries):
        yield entries[start:] if start else entries, size


class Rendering(Protocol):
    """Renders events to bytes: one object for all members who are sent the same bytes."""

    def render(self, events: Sequence[Event]) -> Rendered:
        """``events`` as bytes, and where each of them ends."""


class Batch:
    """A run of one room's events, rendered once for each rendering in use.

    The events are either entries or events that are not in the log.
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
        #: For each event, the people about whom it is.
        self.about = about
        #: For some members, the indexes of the events that are not shown to them, ascending.
        self.hidden: Mapping[Member, Sequence[int]] = hidden or {}
        #: The results of :meth:`rendered` so far.
        self.ready_made: dict[Rendering | None, Rendered] = {}
        self._own: dict[int, list[int]] | None = None

    def rendered(self, rendering: Rendering) -> Rendered:
        """All events, in ``rendering``."""
        rendered = self.ready_made.get(rendering)
        if rendered is None:
            rendered = self.ready_made[rendering] = rendering.render(self.events)
        return rendered

    def rendered_without(self, rendering: Rendering, left_out: Sequence[int]) -> Rendered:
        """All events but those at the indexes ``left_out``, which ascend, in ``rendering``."""
        return self.rendered(rendering).without(left_out)

    def own_indexes(self, author: int) -> Sequence[int]:
        """The indexes of the entries that ``author`` wrote and need not be shown.

        New topics are shown to their authors, too, and so is history.
        """
        if self._own is None:
            own = self._own = {}
            places: list[int] = []
            before: int | None = None  # of an author, many entries can follow each other
            for at, entry in enumerate(self.events):
                if type(entry) is Entry and entry.kind != "topic":
                    if entry.author != before:
                        before = entry.author
                        places = own.setdefault(before, [])
                    places.append(at)
        return self._own.get(author, ())


class Outlet(Protocol):
    """Sends bytes to a member."""

    @property
    def ready(self) -> bool:
        """Whether more can be delivered now. If not, the member's cursors fall behind."""

    def deliver(self, rendered: Rendered) -> None:
        """Send ``rendered`` after everything that was delivered before."""


class Member(Somebody, Protocol):
    """The part of a person that their rooms use."""

    @property
    def author(self) -> int:
        """The author of the entries that the person wrote."""

    @property
    def outlet(self) -> Outlet:
        """The outlet of the present connection."""

    def receive(self, batch: Batch) -> None:
        """Show ``batch``, without the person's own events and those of ignored people."""


class Cursor:
    """One member's place in one room's log.

    A *live* cursor is at the end, and gets what is published at once. Any other cursor is *behind*:
    :class:`twisted_chat.core.catch_up.CatchUp` moves it towards the end, at its member's pace.
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
        #: The member's outlet, kept here for speed: see :meth:`.State.restyle`.
        self.outlet: Outlet = member.outlet
        #: The member's rendering of this room; None if they get batches of their own.
        self.rendering: Rendering | None = None
        #: The number of the last entry that the member was shown; None until the cursor has its
        #: place in the log. While the cursor is live, it is out of date.
        self.position: int | None = None
        #: Entries up to this number are from before the member joined.
        self.replay_through = 0
        #: Whether the cursor waits: at first for its place in the log, later for a read of entries.
        self.waiting = True
        self.closed = False
        #: Whether the member has no connection at the moment.
        self.away = False


class Room:
    """One room: its members, and the end of its log."""

    def __init__(
        self, name: str, base: int = 0, last: int = 0, topic: str = "", topic_by: str = ""
    ) -> None:
        self.name = name
        #: Entries ``base + 1`` to ``last`` are kept.
        self.base = base
        self.last = last
        self.topic = topic
        #: The nickname that set the topic, as it was then; "" if unknown.
        self.topic_by = topic_by
        #: The number of entries handed to connections, each counted once per connection.
        self.deliveries = 0
        #: Everybody who is in the room, or joining it, with their cursors: one connection of each
        #: person.
        self.members: dict[Member, Cursor] = {}
        #: The cursors of the further connections of accounts.
        self.devices: dict[Member, Cursor] = {}
        #: For each account in the room, its connection in :attr:`members`, and the further ones.
        self._member_of: dict[int, Member] = {}
        self._devices_of: dict[int, dict[Member, None]] = {}
        self.live: dict[Cursor, None] = {}
        #: The number of members that have no connection at the moment.
        self.away = 0
        #: Callbacks for the time when most readers have caught up.
        self.waiting: list[Callable[[], None]] = []
        self._tail: list[Batch] = []  # the last runs that were published
        self._tail_ends: list[int] = []  # the number of the last entry of each run
        self._tail_sizes: list[int] = []  # the characters of text in each run
        self._tail_size = 0
        #: The pending changes of presence.
        self.presence: Presence[Member] = Presence()

    def enter(self, cursor: Cursor) -> bool:
        """Add ``cursor``; returns whether it is the only one of its person."""
        member = cursor.member
        if member.author in self._member_of:
            self.devices[member] = cursor
            self._devices_of.setdefault(member.author, {})[member] = None
            return False
        if member.author > 0:
            self._member_of[member.author] = member
        self.members[member] = cursor
        return True

    def exit(self, cursor: Cursor) -> bool:
        """Remove ``cursor``; returns whether no other of its person is left."""
        member = cursor.member
        self.live.pop(cursor, None)
        if self.devices.get(member) is cursor:
            self._forget_device(member)
            return False
        if self.members.get(member) is not cursor:
            return True  # the person has another one already
        del self.members[member]
        other = next(iter(self._devices_of.get(member.author, ())), None)
        if other is None:
            self._member_of.pop(member.author, None)
            return True
        self.members[other] = self._forget_device(other)
        self._member_of[member.author] = other
        return False

    def _forget_device(self, member: Member) -> Cursor:
        others = self._devices_of[member.author]
        del others[member]
        if not others:
            del self._devices_of[member.author]
        return self.devices.pop(member)

    def registered(self, member: Member) -> None:
        """Note that ``member``, a guest until now, has an account."""
        self._member_of[member.author] = member

    def member(self, connection: Member) -> Member:
        """The connection in :attr:`members` of the person who has ``connection``."""
        return self._member_of.get(connection.author, connection)

    @property
    def connections(self) -> Set[Member]:
        """All connections of the people in the room."""
        return self.members.keys() | self.devices.keys() if self.devices else self.members.keys()

    def cursor(self, connection: Member) -> Cursor | None:
        """The cursor of ``connection``, or None if it is not in the room."""
        return self.members.get(connection) or self.devices.get(connection)

    def publish(self, entries: Sequence[Entry], authors: Set[Member]) -> None:
        """Show committed entries, the next ones of the log, to the members with live cursors.

        :param entries: one or more, in order.
        :param authors: all connections of their authors, if they are in the chat.
        """
        if self.presence and not self.presence.isdisjoint(authors):
            self.flush_presence()  # an author's arrival is announced before their entry
        alone = {cursor for author in authors if (cursor := self.cursor(author))}
        for run, size in runs(entries):
            before = self.last
            self.last = run[-1].number
            batch = Batch(self, run)
            self._tail.append(batch)
            self._tail_ends.append(self.last)
            self._tail_sizes.append(size)
            self._tail_size += size
            for topic in [entry for entry in run if entry.kind == "topic"]:
                self.topic, self.topic_by = topic.text, topic.nickname
            ready = len(self.live)
            behind = self._deliver(batch, self.live, alone)
            self.deliveries += len(run) * (ready - len(behind))
            for cursor in behind:
                cursor.position = before
                del self.live[cursor]
            self._trim()

    @property
    def readers_lagging(self) -> bool:
        """Whether the room is large and most readers are behind: senders should wait for them.

        Members without a connection are no readers.
        """
        readers = len(self.members) + len(self.devices) - self.away
        return readers > LARGE and 2 * len(self.live) < readers

    @property
    def moment(self) -> float:
        """The seconds for which changes of presence are coalesced."""
        people = len(self.members)
        return (
            min(COALESCE_SECONDS, people / COALESCE_PEOPLE) if self.is_large else COALESCE_SECONDS
        )

    @property
    def is_large(self) -> bool:
        """Whether the room has so many members that changes of presence are always coalesced."""
        return len(self.members) > LARGE

    def flush_presence(self, member: Member | None = None) -> None:
        """Announce all pending changes of presence, or only that of ``member``."""
        presence = self.presence
        changes = presence.take() if member is None else presence.take_one(member)
        if not changes:
            return
        news: list[tuple[Event, list[tuple[Member, Change[Member]]]]] = []
        groups: dict[tuple[bool, bool], list[tuple[Member, Change[Member]]]] = {}
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
        everybody = self.connections
        for _, change in changes:
            change.move.tell(change, everybody)

    def settle_presence(self, member: Member) -> None:
        """Announce the pending change of ``member`` if a member was told of it in another room.

        It must be called before ``member`` changes again.
        """
        if not self.connections.isdisjoint(self.presence.told_elsewhere(member)):
            self.flush_presence(member)

    def _hidden(
        self, news: Sequence[tuple[Event, list[tuple[Member, Change[Member]]]]]
    ) -> dict[Member, Sequence[int]]:
        """For each member, the indexes of the events that are about them, or that they were told
        in another room.
        """
        hidden: dict[Member, list[int]] = {}
        everybody = self.connections
        for place, (_, some) in enumerate(news):
            if len(some) > 1:
                continue
            ((who, change),) = some
            told = everybody & change.move.told(change) if len(news) <= FEW else set()
            own = {who, self.member(who), *self._devices_of.get(who.author, ())}
            for member in told | own:
                if self.cursor(member) is not None:
                    hidden.setdefault(member, []).append(place)
        return dict(hidden)

    def show(self, event: Event, without: Member | None = None) -> None:
        """Show ``event``, which is not in the log, to all members whose outlet is ready.

        ``without`` is a member to whom it is not shown.
        """
        hidden = {} if without is None else {without: (0,)}
        self._show(Batch(self, (event,), (), hidden))

    def _show(self, batch: Batch) -> None:
        cursors = chain(self.members.values(), self.devices.values())
        inside = [c for c in cursors if c.position is not None]
        alone = {cursor for member in batch.hidden if (cursor := self.cursor(member))}
        self._deliver(batch, inside, alone)

    def after(self, position: int, limit: int) -> Batch | None:
        """The first entries after number ``position``, or None if they are not in memory.

        The batch is one run, and has at least one entry and about ``limit`` at most. ``position``
        must be before the end of the log.
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
        entries = cast("list[Entry]", events[:limit])  # the tail has only entries
        run, _ = next(runs(entries))
        return Batch(self, run)

    def _deliver(
        self, batch: Batch, cursors: Collection[Cursor], alone: Collection[Cursor]
    ) -> list[Cursor]:
        """Deliver ``batch`` to the cursors whose outlet is ready; returns the others.

        The members of the cursors in ``alone`` choose the events that they are shown. So does the
        first member with each rendering, which renders the batch for the others.
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
        """The number of the first entry of the run at index ``at``; None after the last run."""
        if at == len(self._tail):
            return None
        return self._tail_ends[at] - len(self._tail[at].events) + 1

    def forget_tail(self) -> None:
        """Remove the end of the log from memory."""
        self._tail, self._tail_ends, self._tail_sizes, self._tail_size = [], [], [], 0

    def _trim(self) -> None:
        """Forget the oldest runs; while readers lag, more runs are kept."""
        behind = len(self.members) + len(self.devices) - self.away - len(self.live)
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

"""A room is a log; a member is a cursor in it.

What lives here: one room's members, the tail of its log, and the publishing of committed
entries. It knows no bytes and no disk; it must not decide who may come in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Protocol

from twisted_chat.messages import Entry, Event, Kind, Replayed

#: Entries of each room kept in memory, for those who join and those who fall behind a little.
TAIL = 256

#: Characters of what is given to a member at once, about.
RUN = 32_768

#: Kinds of entries that their author is not shown again. (A new topic is shown to everybody.)
OWN_KINDS: frozenset[Kind] = frozenset({"say", "act"})


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
        yield entries[start:]


class Batch:
    """A run of one room's events, rendered once for each rendering in use.

    ``authors`` are the client ids of those who get a copy without their own lines,
    ``nicknames`` those whom a member may be ignoring.
    """

    __slots__ = ("_renderings", "authors", "events", "nicknames", "room")

    def __init__(self, room: Room, events: Sequence[Event]) -> None:
        self.room = room
        self.events = events
        entries = [event for event in events if isinstance(event, Entry)]
        replayed = [event.entry for event in events if isinstance(event, Replayed)]
        self.authors = frozenset(e.client_id for e in entries if e.kind in OWN_KINDS)
        self.nicknames = frozenset(e.nickname for e in (*entries, *replayed))
        self._renderings: dict[Hashable, bytes] = {}

    def rendering(self, key: Hashable, render: Callable[[], bytes]) -> bytes:
        """The bytes for everybody whose rendering is ``key``: ``render`` is called once."""
        data = self._renderings.get(key)
        if data is None:
            data = self._renderings[key] = render()
        return data


class Member(Protocol):
    """What a room knows of somebody in it."""

    @property
    def name(self) -> str:
        """The nickname, as it is shown."""

    @property
    def ready(self) -> bool:
        """Whether more can be shown now. If not, its cursors wait."""

    def receive(self, batch: Batch) -> None:
        """Show what is new, but for what is one's own or ignored."""


class Cursor:
    """One member's place in one room's log.

    A *live* cursor is at the end and is shown what is published. Any other one is moved
    towards the end by :class:`twisted_chat.chat.Chat`, at the pace of its member.
    """

    __slots__ = ("closed", "member", "position", "replay_through", "room", "waiting")

    def __init__(self, room: Room, member: Member) -> None:
        self.room = room
        self.member = member
        #: Number of the last entry that the member was shown; None before its place is known,
        #: and of no exact meaning while live.
        self.position: int | None = None
        #: Entries up to this number were said before the member came.
        self.replay_through = 0
        #: For its place in the log, at first, and later for entries that are being read.
        self.waiting = True
        self.closed = False


class Room:
    """One room: who is in it, and the end of its log."""

    def __init__(self, name: str, base: int = 0, last: int = 0, topic: str = "") -> None:
        self.name = name
        #: Entries ``base + 1`` to ``last`` are kept.
        self.base = base
        self.last = last
        self.topic = topic
        #: Everybody who is in the room or on the way in, with their cursors.
        self.members: dict[Member, Cursor] = {}
        self.live: dict[Cursor, None] = {}
        self._tail: deque[Entry] = deque(maxlen=TAIL)

    def publish(self, entries: Sequence[Entry]) -> None:
        """Show committed entries, the next ones of the log, to everybody who is live."""
        for run in runs(entries):
            before = self.last
            self.last = run[-1].number
            self._tail.extend(run)
            for entry in run:
                if entry.kind == "topic":
                    self.topic = entry.text
            self._show(Batch(self, run), before)

    def show(self, event: Event, but: frozenset[Member] = frozenset()) -> None:
        """Show what is not in the log to everybody who is in and ready, except to ``but``."""
        batch = Batch(self, (event,))
        for cursor in tuple(self.members.values()):
            member = cursor.member
            if cursor.position is not None and member not in but and member.ready:
                member.receive(batch)

    def tail(self) -> tuple[Entry, ...]:
        """The last entries, as far as they are in memory, oldest first."""
        return tuple(self._tail)

    def tail_after(self, position: int, limit: int) -> list[Entry] | None:
        """The first entries after ``position``; None if memory does not reach so far back."""
        if position >= self.last:
            return []
        if not self._tail or self._tail[0].number > position + 1:
            return None
        first = position + 1 - self._tail[0].number
        return [self._tail[i] for i in range(first, min(first + limit, len(self._tail)))]

    def _show(self, batch: Batch, before: int) -> None:
        behind = []
        for cursor in self.live:
            member = cursor.member
            if member.ready:
                member.receive(batch)
            else:
                cursor.position = before
                behind.append(cursor)
        for cursor in behind:
            del self.live[cursor]

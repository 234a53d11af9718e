"""Backlogs: the last entries of a room, read on joining and shown before newer ones.

This module must not know the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted_chat.client.client import ChatClient
from twisted_chat.client.unanswered import new_id
from twisted_chat.core.events import HistoryShown, ReplayStarts
from twisted_chat.core.requests import ReadHistory, Request
from twisted_chat.i18n.language import N_
from twisted_chat.terminal.display import Display
from twisted_chat.terminal.rooms import ROOMS, Room, Rooms, counts
from twisted_chat.terminal.view import Line

#: Entries that are shown on joining a room.
BACKLOG = 50

BEFORE = N_("[Said before you joined:]")
NEW = N_("new")
NEW_BEFORE = N_("new, and {n} earlier ones; /more shows them")


class Backlogs:
    """The backlogs of the rooms that a person joins."""

    def __init__(
        self,
        client: ChatClient,
        display: Display,
        rooms: Rooms,
        ask: Callable[[Request], None],
        count: int,
    ) -> None:
        """
        :param client: reads the entries.
        :param display: makes the lines.
        :param rooms: hold the lines of rooms, and show them.
        :param ask: makes the request of ``/more`` for earlier entries.
        :param count: entries that are shown of each room; 0 for none.
        """
        self._client = client
        self._display = display
        self._rooms = rooms
        self._ask = ask
        self._entries = count
        self._asked: set[str | None] = set()

    def is_one(self, event: HistoryShown) -> bool:
        """Whether ``event`` is a backlog, and not the answer to ``/history``."""
        is_one = event.id in self._asked
        self._asked.discard(event.id)
        return is_one

    def load(self, room: Room, last: int) -> None:
        """Read the entries of ``room`` up to number ``last``; hold its newer lines meanwhile."""
        if not self._entries or not last or len(self._asked) >= ROOMS:
            return
        room.is_loading = True
        name = room.tab.name

        def show(page: HistoryShown) -> None:
            room.is_loading = False
            entries = [self._display.old_entry(entry) for entry in page.entries]
            before = [line for lines in entries for line in lines]
            seen = room.seen
            if seen is not None and page.entries and seen < last:
                first = page.entries[0].number
                old = sum(entry.number <= seen for entry in page.entries)
                at = sum(map(len, entries[:old]))
                text = self._display.translate(NEW)
                if first > seen + 1:
                    room.more = lambda: self._ask(ReadHistory(name, BACKLOG, first))
                    text = self._display.translate(NEW_BEFORE, n=first - seen - 1)
                self._count_unread(room, max(0, first - seen - 1), before[at:])
                before.insert(at, self._display.mark(text, name))
            if page.entries and room.unread is None:
                room.unread = page.entries[-1]
            if before:
                self._rooms.hold_before(room, [*self._start(name), *before])
            go_on()

        def failed(_: object) -> None:
            self._asked.discard(request.id)
            room.is_loading = False
            go_on()

        def go_on() -> None:
            if not self._rooms.is_held(room):
                self._rooms.show_held(room)

        request = ReadHistory(name, self._entries, last + 1, id=new_id())
        self._asked.add(request.id)
        self._client.ask(request).addCallbacks(show, failed)

    def _count_unread(self, room: Room, more: int, lines: Sequence[Line]) -> None:
        """Add the entries that the person has not read yet to the unread ones of ``room``.

        :param more: the number of unread entries before ``lines``.
        :param lines: the unread lines of the backlog.
        """
        if room.tab.name != self._display.room:
            fresh = [line for line in lines if counts(line)]
            room.tab.unread += more + len(fresh)
            room.tab.mentioned |= any(line.mentions for line in fresh)

    def _start(self, room: str) -> list[Line]:
        if self._display.hold:
            return [Line(text=self._display.translate(BEFORE), kind="notice", room=room)]
        return self._display.lines("notice", ReplayStarts(room, resumed=False))

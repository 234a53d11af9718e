"""Removes old entries in steps, behind the commits, on the writer thread.

This module must not know SQL, or decide by itself whether the clock is right
(:mod:`twisted_chat.journal.retention` does).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType

from twisted_chat.core.changes import RoomState
from twisted_chat.journal import retention
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of
from twisted_chat.journal.sqlite.store import Store

#: Entries that one step removes; senders may wait for it.
REMOVE_STEP = 200

#: Rooms that one step examines.
REMOVE_ROOMS = 100

_log = logging.getLogger(__name__)


class Clock:
    """Decides whether the clock is believed: a wrong clock must not remove all entries."""

    def __init__(self) -> None:
        #: A time (microseconds since 1970 UTC) that the operator confirms as reached; 0 is none. It
        #: can change at any time.
        self.confirmed = 0
        self._doubted = ""  # the date that was not believed and was logged

    def believes(self, store: Store, now: int, age: int) -> bool:
        """Whether the clock, which says ``now``, is believed; if not, that is logged once.

        :param now: microseconds since 1970 UTC.
        :param age: the microseconds for which entries are kept.
        :raises sqlite3.Error: the store cannot be read or written.
        """
        seen = store.clock_seen(now)
        if retention.is_believed(now, seen, age, self.confirmed):
            store.see_clock(now)
            self._doubted = ""
            return True
        date = retention.date(now)
        if store.has_before(now - age) and self._doubted != date:
            self._doubted = date
            _log.critical(
                "old entries are not removed: the clock says %s, and when they were removed last it"
                " said %s; if it is right, confirm it with --clock-confirmed %s, or else set it"
                " right",
                date,
                retention.date(seen),
                date,
            )
        return False


class Removal:
    """The removal of old entries.

    :param store: the store with the entries.
    :param time: entries from before this time are removed; microseconds since 1970 UTC.
    :param removed: called after each step with a room and the number of its last removed entry.
    :param rooms: the names of rooms with another ``time``.
    """

    def __init__(
        self,
        store: Store,
        time: int,
        removed: Callable[[str, int], None],
        rooms: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._store = store
        self._time = time
        self._times = rooms
        self._removed = removed
        self._rooms: deque[RoomState] = deque(
            room for room in store.rooms() if rooms.get(room.name, time) > 0
        )
        #: The number of removed entries, and of finished rooms from which some were removed.
        self._entries = 0
        self._emptied = 0
        #: The number of the last removed entry of the current room.
        self._last = 0

    def step(self) -> bool:
        """Remove some entries; returns whether another step is needed."""
        for _ in range(min(REMOVE_ROOMS, len(self._rooms))):
            room = self._rooms[0]
            try:
                time = self._times.get(room.name, self._time)
                last, more = self._store.remove_before(room.name, time, REMOVE_STEP)
            except SQLITE_FAULTS as error:
                _log.error("old entries were not removed: %s", reason_of(error))
                return False
            if last:
                self._entries += last - max(room.base, self._last)
                self._last = last
            if not more:
                self._rooms.popleft()
                self._emptied += bool(self._last)
                self._last = 0
            if last:
                self._removed(room.name, last)
                return True
        if self._rooms:
            return True
        if self._entries:
            # Rooms with a time of their own are not named: they may be hidden.
            _log.info(
                "%d entries from before %s%s were removed, in %d rooms",
                self._entries,
                retention.date(self._time) if self._time else "the times that their rooms set",
                " (or other times that their rooms set)" if self._time and self._times else "",
                self._emptied,
            )
        return False

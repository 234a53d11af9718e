"""The times at which rooms are shown changes of presence: at once, or several changes coalesced.

:mod:`twisted_chat.core.presence` has the changes; this module decides when a room shows them. It
must not know what causes a change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from twisted_chat.core.room import Member, Room


class Moments:
    """Schedules the changes of presence of all rooms.

    ``later`` calls a function after a number of seconds.
    """

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._call_later = later
        #: Rooms whose moment is over, and whose changes are not shown yet.
        self._ended: deque[Room] = deque()
        self._is_telling = False

    def changed(self, room: Room, person: Member) -> None:
        """Show a change of ``person`` to the others in ``room``: now, or coalesced with others."""
        presence = room.presence
        if not room.is_large and not presence.is_loud(person.source):
            room.flush_presence(person)
        if presence.needs_time and not presence.is_timed:
            presence.is_timed = True
            self._call_later(room.moment, partial(self._end, room))

    def _end(self, room: Room) -> None:
        """Show the changes of ``room``, one room in each turn of the reactor's loop."""
        self._ended.append(room)
        if not self._is_telling:
            self._tell_next()

    def _tell_next(self) -> None:
        self._is_telling = bool(self._ended)
        if not self._ended:
            return
        room = self._ended.popleft()
        room.presence.is_timed = False
        room.flush_presence()
        room.presence.end_moment()
        if room.presence.needs_time:
            room.presence.is_timed = True
            self._call_later(room.moment, partial(self._end, room))
        self._call_later(0, self._tell_next)

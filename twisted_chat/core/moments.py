"""When a room is told who came, left and was renamed: at once, or for several people together.

:mod:`twisted_chat.core.presence` knows what is to be told; here is the time. It must not know what
brings the changes about.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from twisted_chat.core.room import Member, Room


class Moments:
    """The time of all rooms' changes of presence. ``later`` calls a function after some seconds."""

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._call_later = later
        #: Rooms whose turn it will be to tell.
        self._ended: deque[Room] = deque()
        self._is_telling = False

    def changed(self, room: Room, person: Member) -> None:
        """Tell the others in ``room`` what changed about ``person``: at once, or with more."""
        presence = room.presence
        if not room.is_large and not presence.is_loud(person.source):
            room.flush_presence(person)
        if presence.needs_time and not presence.is_timed:
            presence.is_timed = True
            self._call_later(room.moment, partial(self._end, room))

    def _end(self, room: Room) -> None:
        """Tell what is to be told in ``room``: of one room in each turn of the reactor."""
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

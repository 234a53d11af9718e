"""In which rooms a client is, and how far it was told each: the cursors at its end.

For each room it knows the number of the last entry that was told, and of which log of the server
those numbers are. It must not know the connection, nor who is told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec
from twisted.internet.defer import Deferred

from twisted_chat.client.events import LogReplaced
from twisted_chat.client.state import Kept, State
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import (
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    RoomLeft,
    Welcomed,
)
from twisted_chat.core.names import room_among, room_name
from twisted_chat.core.requests import (
    Join,
    Leave,
    Request,
    Say,
    Topic,
)

#: Rooms that a server can take us to without being asked; with the rooms we are in already.
ROOMS = 1000


class Positions:
    """The rooms of one client."""

    def __init__(
        self,
        rooms: Mapping[str, int | None] | Iterable[str],
        state: State,
        *,
        catch_up: bool,
        tell: Callable[[Event], None],
        noting: Callable[[Deferred[None]], None],
    ) -> None:
        """``tell`` is called with what nobody else tells; ``noting`` is given what fires once the
        state has of which log the numbers are.

        :raises Refusal: the name of a room is not one.
        """
        #: The number of the last entry that was told, in each room that one is in, in the order
        #: in which one came; None until it is known.
        self.rooms: dict[str, int | None] = {}
        numbers = rooms if isinstance(rooms, Mapping) else dict.fromkeys(rooms)
        for room, number in numbers.items():
            self.rooms[room_name(room)] = number
        self._state = state
        self._catch_up = catch_up
        self._tell = tell
        self._noting = noting
        #: The rooms of an earlier run of the client.
        self._kept: Collection[str] = ()
        #: What the server told of the log that the numbers of rooms are of; what it told since;
        #: and the rooms for which it was not told yet whether their numbers are of that one.
        self.log = ""
        self._new_log = ""
        self._unplaced: set[str] = set()
        #: Rooms that the server takes us to and that are being left again.
        self._unwanted: set[str] = set()

    def restore(self, kept: Kept) -> None:
        """Go on where an earlier run of the client was."""
        self.log = kept.log
        self._kept = kept.rooms
        for room, number in kept.rooms.items():
            if self.rooms.get(room) is None:
                self.rooms[room] = number if self._catch_up else None

    def add_rooms_of(self, requests: Iterable[Request]) -> None:
        """Be in the rooms in which something is still to be said."""
        for request in requests:
            if isinstance(request, (Say, Topic)) and request.room is not None:
                # It was about to be joined; if it cannot be, the server says so.
                with contextlib.suppress(Refusal):
                    self.rooms.setdefault(room_among(request.room, self.rooms), None)

    def placed(self, request: Request) -> Request:
        """``request`` for the room that is meant, under the name by which it is known.

        :raises Refusal: the name of the room is not one.
        """
        if isinstance(request, (Join, Leave)) and request.room is not None:
            return msgspec.structs.replace(request, room=room_among(request.room, self.rooms))
        if isinstance(request, (Say, Topic)) and request.room is None:
            return msgspec.structs.replace(request, room=next(iter(self.rooms), None))
        return request

    # -- coming and going ---------------------------------------------------------------------

    def resume(self) -> dict[str, int]:
        """The numbers from which the server is asked to go on, over a new connection."""
        resume = {room: number for room, number in self.rooms.items() if number is not None}
        self._unplaced = set(resume)
        return resume

    def lost(self) -> None:
        """The connection is lost."""
        self._unwanted.clear()

    def too_many(self, event: Welcomed | Entered) -> set[str]:
        """The rooms that ``event`` takes us to and in which we are not, if they are too many."""
        rooms = event.rooms.keys() if isinstance(event, Welcomed) else {event.room}
        new = rooms - self.rooms.keys()
        return new if len(self.rooms) + len(self._unwanted) + len(new) > ROOMS else set()

    def welcomed(
        self, event: Welcomed, joining: Collection[str], *, is_back: bool
    ) -> list[Join | Leave]:
        """The server has let us in. Returns what to ask so that one is where one wants to be."""
        asked: list[Join | Leave] = [Join(room) for room in self.rooms if room not in event.rooms]
        if is_back:  # its own room is given to whoever comes, also if they left it
            for room in event.rooms.keys() - self.rooms.keys() - frozenset(joining):
                self._unwanted.add(room)
                asked.append(Leave(room))
        else:
            for room in event.rooms:
                self.rooms.setdefault(room, None)
        self._new_log = event.log
        self._unplaced &= event.rooms.keys()
        return asked

    def entered(self, event: Entered) -> None:
        """One is in a room: what is told of it comes after ``event.last``."""
        with contextlib.suppress(Refusal):  # the server may have names that are none here
            asked = room_among(event.room, self.rooms)
            if asked != event.room and asked in self.rooms and self.rooms[asked] is None:
                del self.rooms[asked]  # the same room, which the server calls otherwise
        last = self.rooms.get(event.room)
        if last is None or last > event.last:
            if last is not None:
                self._state.left(event.room)  # or else its number would not go back
                self._tell(LogReplaced(event.room))
            self.rooms[event.room] = event.last
            if last is not None or self._catch_up or event.room not in self._kept:
                self._state.seen(event.room, event.last)
            # Else whoever listens begins with what is new, and says what is dealt with.
        if event.room in self._unplaced:
            self._unplaced.discard(event.room)
            self.follow_log()

    def left(self, room: str) -> None:
        """One is not in ``room`` any more."""
        self.rooms.pop(room, None)
        self._state.left(room)

    def is_unwanted(self, event: Event) -> bool:
        """Whether it is about a room that we left and the server took us to again."""
        if not isinstance(event, (Entered, RoomLeft)) or event.room not in self._unwanted:
            return False
        if isinstance(event, RoomLeft):
            self._unwanted.discard(event.room)
        return True

    # -- how far ------------------------------------------------------------------------------

    def comes_next(self, entry: Entry) -> bool:
        """Whether ``entry`` is to be told, and was not: if so, it counts as told."""
        last = self.rooms.get(entry.room)
        if last is None or entry.number <= last:
            return False
        self.rooms[entry.room] = entry.number
        return True

    def removed(self, event: EntriesRemoved) -> None:
        """What comes next is the oldest entry that is kept."""
        last = self.rooms.get(event.room)
        if last is not None:
            self.rooms[event.room] = max(last, event.first - 1)

    def dealt_with(self, event: Event) -> None:
        """It need not come again, should the process end now."""
        if isinstance(event, Entry):
            number = event.number
        elif isinstance(event, EntriesRemoved):
            number = event.first - 1
        else:
            return
        last = self.rooms.get(event.room)
        if last is not None and number <= last:  # else it was of a log that is no more
            self._state.seen(event.room, number)

    def follow_log(self) -> None:
        """Once all numbers are of the log that there is now, keep what was told of it.

        Nothing is told before that is kept. A client that was killed, and knew entries of this run
        of the server but not the run, would be taken for one that saw another log.
        """
        if not self._unplaced and self.log != self._new_log:
            self.log = self._new_log
            self._noting(self._state.of_log(self.log))

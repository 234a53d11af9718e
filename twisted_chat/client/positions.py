"""A client's rooms and its position in each: the cursors at its end.

A position is the number of the last entry that was told. The server's log has an identity, so that
a client knows whether its positions are still of the same log. It must not know the connection, nor
the listener.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec
from twisted.internet.defer import Deferred

from twisted_chat.client.events import LogReplaced
from twisted_chat.client.state import Kept, State
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entered, EntriesRemoved, Entry, Event, RoomLeft, Welcomed
from twisted_chat.core.names import room_among, room_name
from twisted_chat.core.requests import Join, Leave, Request, Say, Topic

#: The most rooms, if the client did not ask for them all.
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
        """
        :param rooms: the rooms to be in, with positions or without.
        :param catch_up: whether the positions of an earlier run count.
        :param tell: called with each :class:`.LogReplaced`.
        :param noting: called with a Deferred that fires when the state has the log's identity.
        :raises Refusal: the name of a room is not valid.
        """
        #: The position in each room, in the order of joining; None until it is known.
        self.rooms: dict[str, int | None] = {}
        numbers = rooms if isinstance(rooms, Mapping) else dict.fromkeys(rooms)
        for room, number in numbers.items():
            self.rooms[room_name(room)] = number
        self._state = state
        self._catch_up = catch_up
        self._tell = tell
        self._noting = noting
        #: The rooms in which an earlier run of the client was.
        self._kept: Collection[str] = ()
        #: The identity of the log that the positions are of, the one that the server told last,
        #: and the rooms whose positions it has not confirmed for that one.
        self.log = ""
        self._new_log = ""
        self._unplaced: set[str] = set()
        #: Rooms that the server put us in, and that we are leaving again.
        self._unwanted: set[str] = set()

    def restore(self, kept: Kept) -> None:
        """Take the rooms and positions of an earlier run."""
        self.log = kept.log
        self._kept = kept.rooms
        for room, number in kept.rooms.items():
            if self.rooms.get(room) is None:
                self.rooms[room] = number if self._catch_up else None

    def add_rooms_of(self, requests: Iterable[Request]) -> None:
        """Add the rooms of messages that are still to be sent."""
        for request in requests:
            if isinstance(request, (Say, Topic)) and request.room is not None:
                # If it cannot be joined, the server refuses that.
                with contextlib.suppress(Refusal):
                    self.rooms.setdefault(room_among(request.room, self.rooms), None)

    def placed(self, request: Request) -> Request:
        """``request`` with its room: a message without one is for the first room, and another
        spelling of a name stands for the room that is known.

        :raises Refusal: the name of the room is not valid.
        """
        if isinstance(request, (Join, Leave)) and request.room is not None:
            return msgspec.structs.replace(request, room=room_among(request.room, self.rooms))
        if isinstance(request, (Say, Topic)) and request.room is None:
            return msgspec.structs.replace(request, room=next(iter(self.rooms), None))
        return request

    # -- coming and going ---------------------------------------------------------------------

    def resume(self) -> dict[str, int]:
        """The positions that a new connection goes on from."""
        resume = {room: number for room, number in self.rooms.items() if number is not None}
        self._unplaced = set(resume)
        return resume

    def lost(self) -> None:
        """The connection is lost."""
        self._unwanted.clear()

    def too_many(self, event: Welcomed | Entered) -> set[str]:
        """The new rooms of ``event``, if there would be more than :data:`ROOMS`."""
        rooms = event.rooms.keys() if isinstance(event, Welcomed) else {event.room}
        new = rooms - self.rooms.keys()
        return new if len(self.rooms) + len(self._unwanted) + len(new) > ROOMS else set()

    def welcomed(
        self, event: Welcomed, joining: Collection[str], *, is_back: bool
    ) -> list[Join | Leave]:
        """The server has accepted the nickname. Returns the requests that join the client's rooms
        and leave those that it did not ask for.

        :param joining: rooms that were asked for and not joined yet.
        :param is_back: this is not the first connection: the default room may have been left.
        """
        asked: list[Join | Leave] = [Join(room) for room in self.rooms if room not in event.rooms]
        if is_back:
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
        """The client is in a room: its next entry is the one after ``event.last``."""
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
            # Else the listener deals with entries of its own choice, and says which.
        if event.room in self._unplaced:
            self._unplaced.discard(event.room)
            self.follow_log()

    def left(self, room: str) -> None:
        """The client has left ``room``."""
        self.rooms.pop(room, None)
        self._state.left(room)

    def is_unwanted(self, event: Event) -> bool:
        """Whether ``event`` is about a room that we are leaving again."""
        if not isinstance(event, (Entered, RoomLeft)) or event.room not in self._unwanted:
            return False
        if isinstance(event, RoomLeft):
            self._unwanted.discard(event.room)
        return True

    # -- positions ----------------------------------------------------------------------------

    def comes_next(self, entry: Entry) -> bool:
        """Whether ``entry`` is new; if so, the position moves to it."""
        last = self.rooms.get(entry.room)
        if last is None or entry.number <= last:
            return False
        self.rooms[entry.room] = entry.number
        return True

    def removed(self, event: EntriesRemoved) -> None:
        """Older entries were removed: the position moves to the one before ``event.first``."""
        last = self.rooms.get(event.room)
        if last is not None:
            self.rooms[event.room] = max(last, event.first - 1)

    def dealt_with(self, event: Event) -> None:
        """Store the position of ``event``, from which the next run of the client goes on."""
        if isinstance(event, Entry):
            number = event.number
        elif isinstance(event, EntriesRemoved):
            number = event.first - 1
        else:
            return
        last = self.rooms.get(event.room)
        if last is not None and number <= last:  # else it was of a log that was replaced
            self._state.seen(event.room, number)

    def follow_log(self) -> None:
        """When all positions are of the log that the server has now, store its identity.

        No entry is told before that is stored. Otherwise a killed client would know entries of this
        run of the server, but not the run, and the server would take its log for another one.
        """
        if not self._unplaced and self.log != self._new_log:
            self.log = self._new_log
            self._noting(self._state.of_log(self.log))

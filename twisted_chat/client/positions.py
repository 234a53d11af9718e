"""A client's rooms and its position in each: the cursors at its end.

A position is the number of the last entry that the listener got. The server's log has an identity,
so that a client knows whether its positions still belong to that log. This module must not know the
connection or the listener.
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

#: Rooms that a client may have, at most, if the server added rooms that it did not ask for.
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
        :param rooms: the rooms to join, with positions or without.
        :param state: stores the positions.
        :param catch_up: whether to go on from the positions of an earlier run.
        :param tell: called with each :class:`.LogReplaced`.
        :param noting: called with a Deferred that fires when the state has the log's identity.
        :raises Refusal: the name of a room is invalid.
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
        #: The identity of the log to which the positions belong.
        self.log = ""
        #: The identity of the server's present log, and the rooms whose positions the server has
        #: not confirmed for that log yet.
        self._new_log = ""
        self._unplaced: set[str] = set()
        #: Rooms that the server put the client in, and that it is leaving again.
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
                # An invalid name is ignored here: the server will refuse the message.
                with contextlib.suppress(Refusal):
                    self.rooms.setdefault(room_among(request.room, self.rooms), None)

    def placed(self, request: Request) -> Request:
        """``request`` with its room.

        A message or topic without a room is for the client's first room. In a request to join or
        leave, another spelling of a room's name is replaced by the known one.

        :raises Refusal: the name of the room is invalid.
        """
        if isinstance(request, (Join, Leave)) and request.room is not None:
            return msgspec.structs.replace(request, room=room_among(request.room, self.rooms))
        if isinstance(request, (Say, Topic)) and request.room is None:
            return msgspec.structs.replace(request, room=next(iter(self.rooms), None))
        return request

    # -- connections and rooms ----------------------------------------------------------------

    def resume(self) -> dict[str, int]:
        """The positions from which a new connection goes on."""
        resume = {room: number for room, number in self.rooms.items() if number is not None}
        self._unplaced = set(resume)
        return resume

    def lost(self) -> None:
        """Forget the rooms that the client was leaving: the connection is lost."""
        self._unwanted.clear()

    def too_many(self, event: Welcomed | Entered) -> set[str]:
        """The new rooms of ``event``, if they would make more than :data:`ROOMS`; else none."""
        rooms = event.rooms.keys() if isinstance(event, Welcomed) else {event.room}
        new = rooms - self.rooms.keys()
        return new if len(self.rooms) + len(self._unwanted) + len(new) > ROOMS else set()

    def welcomed(
        self, event: Welcomed, joining: Collection[str], *, is_back: bool
    ) -> list[Join | Leave]:
        """Compare the client's rooms with those of the session: the server accepted the nickname.

        :param joining: rooms of requests to join that have no answer yet.
        :param is_back: whether the client was connected before, and may have left the default room.
            With an account, other rooms are those that the person joined at another client.
        :returns: requests to join the client's rooms, and to leave rooms that it did not ask for.
        """
        asked: list[Join | Leave] = [Join(room) for room in self.rooms if room not in event.rooms]
        if is_back and not event.account:
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
        """Note that the client is in a room, whose next entry is the one after ``event.last``."""
        with contextlib.suppress(Refusal):  # the server may allow names that are invalid here
            asked = room_among(event.room, self.rooms)
            if asked != event.room and asked in self.rooms and self.rooms[asked] is None:
                del self.rooms[asked]  # the same room in another spelling
        last = self.rooms.get(event.room)
        if last is None or last > event.last:
            if last is not None:
                self._state.left(event.room)  # a stored number can only grow: delete it first
                self._tell(LogReplaced(event.room))
            self.rooms[event.room] = event.last
            if last is not None or self._catch_up or event.room not in self._kept:
                self._state.seen(event.room, event.last)
            # Else the listener chooses the entries that it deals with, and reports them.
        if event.room in self._unplaced:
            self._unplaced.discard(event.room)
            self.follow_log()

    def left(self, room: str) -> None:
        """Forget ``room``, which the client has left."""
        self.rooms.pop(room, None)
        self._state.left(room)

    def is_unwanted(self, event: Event) -> bool:
        """Whether ``event`` is about a room that the client is leaving again."""
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
        """Move the position to the number before ``event.first``: older entries were removed."""
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
        """Store the identity of the server's present log, once all positions belong to it.

        No entry is passed on before the identity is stored, which contains the starts of the server
        that the client knows. Otherwise a killed client could know entries from this start of the
        server but not the start, and the server would conclude that the client has another log.
        """
        if not self._unplaced and self.log != self._new_log:
            self.log = self._new_log
            self._noting(self._state.of_log(self.log))

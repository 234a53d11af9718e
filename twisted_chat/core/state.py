"""The people, nicknames and rooms of all nodes; only changes alter them, in the one order.

:meth:`State.apply` is deterministic: it reads the change and this state, never a clock, a setting,
the network or chance. So all nodes that apply the same changes have the same people, nicknames and
rooms. Each node shows the results to the people whose connection it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

from msgspec import structs

from twisted_chat.core.arrivals import Arrivals
from twisted_chat.core.catch_up import position_of
from twisted_chat.core.changes import (
    Announce,
    Answered,
    Applied,
    Barrier,
    Change,
    Depart,
    Enter,
    Forget,
    JoinRooms,
    Keep,
    LeaveRoom,
    NodeGone,
    Removed,
    Rename,
    RoomState,
    TellPerson,
)
from twisted_chat.core.errors import NoSuchPerson, NotConfirmed, NotInRoom, NotReading, Refusal
from twisted_chat.core.events import Announced, Entry, Renamed, RoomLeft, Told
from twisted_chat.core.ignoring import IgnoredPeople
from twisted_chat.core.kept import Keeper
from twisted_chat.core.moments import Moments
from twisted_chat.core.names import RoomNames
from twisted_chat.core.people import Anybody, Elsewhere, Person, Positions
from twisted_chat.core.presence import Move
from twisted_chat.core.private_messages import PrivateMessages
from twisted_chat.core.registry import Registry
from twisted_chat.core.room import Cursor, Room
from twisted_chat.core.room_changes import RoomChange
from twisted_chat.core.room_errors import CannotJoin
from twisted_chat.core.room_rules import AllRules
from twisted_chat.core.room_state import carry_out, let_in
from twisted_chat.core.rooms import Rooms


class Waiting(NamedTuple):
    """A request of this node that is answered when its change is applied.

    ``answer`` is called with None, or with the reason why nothing was changed. ``person`` made the
    request; ``positions`` has the starting positions in the rooms that they join; ``id`` is the
    request's id. If ``goes_there``, the joined room becomes the current one.
    """

    answer: Callable[[Refusal | None], None]
    person: Person | None = None
    positions: Positions = MappingProxyType({})
    id: str | None = None
    resumed: bool = False
    goes_there: bool = False


class _Submission(NamedTuple):
    """What belongs to a change besides the change itself.

    ``node`` submitted it; ``waiting`` is the request of this node that waits for it, if there is
    one; ``rooms`` has the log's records of the rooms that it opens, by name.
    """

    node: str
    waiting: Waiting | None
    rooms: Mapping[str, RoomState]


class State:
    """The state that all nodes share, and the people of this node who are shown the changes."""

    def __init__(
        self,
        node: str,
        submit: Callable[[Sequence[Change]], None],
        registry: Registry[Anybody],
        rooms: Rooms,
        moments: Moments,
        private_messages: PrivateMessages,
        arrivals: Arrivals,
        keeper: Keeper[Person],
    ) -> None:
        self._node = node
        self._submit = submit
        self._registry = registry
        self.rooms = rooms
        self.room_names = RoomNames()
        self.rules = AllRules()
        #: The people whom at least one person ignores.
        self.ignored = IgnoredPeople()
        #: The people in the chat, by author.
        self.people: dict[int, Anybody] = {}
        #: People of this node who left, and whose nickname is kept, by author.
        self._departed: dict[int, Person] = {}
        #: The requests that wait, by the ``request`` number of their change.
        self.waiting: dict[int, Waiting] = {}
        #: Private messages to people of other nodes, by ``request`` number: the recipient's node,
        #: the callback that answers the sender, and the recipient's nickname.
        self._told: dict[int, tuple[str, Callable[[Refusal | None], None], str]] = {}
        #: For each person, rooms that they left and where the departure was or is pending.
        self._left_untold: dict[Anybody, list[Room]] = {}
        self._moments = moments
        self._private_messages = private_messages
        self._arrivals = arrivals
        self._keeper = keeper

    def open(self, states: Sequence[RoomState]) -> None:
        """Begin with the rooms in the log."""
        for state in states:
            self.room_names.add(state.name)
        self.rooms.start((s.name, s.base, s.last, s.topic, s.topic_by) for s in states)

    # -- entries ------------------------------------------------------------------------------

    def publish(self, name: str, entries: Sequence[Entry], authors: set[int]) -> None:
        """Show ``entries``, the next ones of the room ``name``, by ``authors``."""
        people = {self.people[author] for author in authors if author in self.people}
        room = self.room(name)
        room.publish(entries, people)
        self._tidy(room)

    # -- changes ------------------------------------------------------------------------------

    def apply(self, change: Applied, node: str, rooms: Mapping[str, RoomState]) -> None:
        """Carry out ``change``, which ``node`` submitted, and answer the request that waits for it.

        ``rooms`` has the log's records of the rooms that the change opens, by name.
        """
        request = getattr(change, "request", 0) if node == self._node else 0
        # Answered has the request number of a private message, perhaps of another node.
        waiting = None if isinstance(change, Answered) else self.waiting.pop(request, None)
        refusal = None
        try:
            _APPLY[type(change)](self, change, _Submission(node, waiting, rooms))
        except Refusal as error:
            refusal = error
        finally:
            if waiting is not None:
                waiting.answer(refusal)

    def _apply_enter(self, change: Enter, submission: _Submission) -> None:
        node, waiting, rooms = submission
        person: Anybody
        if waiting is not None and waiting.person is not None:
            person = waiting.person
        else:
            person = Elsewhere(node, change.person, change.source)
        old = self.people.get(change.person)
        if old is None:
            self._registry.claim(person, change.nickname, change.person, change.source)
            person.nickname = change.nickname
            self.ignored.called(change.person, change.nickname.text)
            departed = self._departed.pop(change.person, None)
            if departed is not None and departed is not person:
                departed.goes_on_elsewhere()
            positions: dict[str, int | None] = {}
        else:
            positions = self._replace(old, person)
        self.people[change.person] = person
        new = []
        for name, called in self._let_in(change, person):
            position = None if waiting is None else waiting.positions.get(name)
            if position is not None:
                positions[called] = position
            if called not in person.cursors:
                new.append(self._add(person, called, rooms.get(name)).room)
        move = Move(len(new))
        for room in new:
            room.presence.came(person, old is None, move)
            self._moments.changed(room, person)
        if isinstance(person, Elsewhere):
            return
        assert waiting is not None
        starts = [(cursor, positions.get(name)) for name, cursor in person.cursors.items()]
        self.go_to(person, starts[0][0].room if starts else None)
        welcome = [(cursor.room, position) for cursor, position in starts]
        self._arrivals.welcome(person, welcome, waiting.resumed, waiting.id)
        for cursor, position in starts:
            self._arrivals.start(person, cursor, position, waiting.id)

    def _replace(self, old: Anybody, person: Anybody) -> dict[str, int | None]:
        """``person`` goes on in place of ``old``, the same person; the others do not notice.

        Returns for each room the number of the last entry that ``old`` was shown, if known here.
        """
        self._registry.hand_over(old, person)
        person.nickname = old.nickname
        self._left_untold.pop(old, None)
        positions: dict[str, int | None] = {}
        for name, cursor in tuple(old.cursors.items()):
            cursor.room.flush_presence(old)
            positions[name] = position_of(cursor)
            self.close(cursor)
            self._add(person, name, None)
        old.cursors.clear()
        if not isinstance(old, Elsewhere):
            old.goes_on_elsewhere()
        return positions

    def _apply_rename(self, change: Rename, submission: _Submission) -> None:
        waiting = submission.waiting
        person = self._of(submission.node, change.person)
        if person is None:
            return
        old, new = person.name, change.nickname.text
        self._registry.claim(person, change.nickname, change.person, change.source)
        person.nickname = change.nickname
        self.ignored.called(change.person, new)
        for room in self._left_untold.pop(person, ()):
            room.flush_presence(person)  # the departure is announced under the old nickname
        move = Move(len(person.cursors))
        for cursor in person.cursors.values():
            room = cursor.room
            room.settle_presence(person)
            room.presence.renamed(person, old, new, move)
            self._moments.changed(room, person)
        if waiting is not None and not isinstance(person, Elsewhere):
            person.show(Renamed(old, new, own=True, id=waiting.id))

    def _apply_join_rooms(self, change: JoinRooms, submission: _Submission) -> None:
        node, waiting, rooms = submission
        person = self._of(node, change.person)
        if person is None:
            return
        joined = self._let_in(change, person)
        for name, called in joined:
            cursor = person.cursors.get(called)
            is_new = cursor is None
            if cursor is None:
                cursor = self._add(person, called, rooms.get(name))
            if waiting is not None and waiting.goes_there and not isinstance(person, Elsewhere):
                self.go_to(person, cursor.room)
            if is_new:
                cursor.room.presence.came(person, False, Move())
                self._moments.changed(cursor.room, person)
            if waiting is not None and not isinstance(person, Elsewhere):
                if is_new:
                    self._arrivals.start(person, cursor, waiting.positions.get(name), waiting.id)
                else:
                    self._arrivals.moved(person, cursor, waiting.id)
        if len(joined) < len(change.rooms):
            raise CannotJoin(room=change.rooms[-1])

    def _let_in(self, change: Enter | JoinRooms, person: Anybody) -> list[tuple[str, str]]:
        """The rooms that ``person`` may join, each as it is called in ``change`` and here."""
        return let_in(change, self._called, self.rules, self.rooms, person.cursors)

    def _apply_leave_room(self, change: LeaveRoom, submission: _Submission) -> None:
        waiting = submission.waiting
        person = self._of(submission.node, change.person)
        if person is None:
            return
        if change.room not in person.cursors:
            raise NotInRoom(room=change.room)
        cursor = person.cursors.pop(change.room)
        room = cursor.room
        if not isinstance(person, Elsewhere) and person.current is room:
            last = next(reversed(person.cursors.values()), None)
            self.go_to(person, last.room if last else None)
        self.close(cursor)
        room.settle_presence(person)
        room.presence.left(person, False, Move())
        self._moments.changed(room, person)
        if person in room.presence:
            left = self._left_untold.setdefault(person, [])
            left[:] = [other for other in left if person in other.presence] + [room]
        if waiting is not None and not isinstance(person, Elsewhere):
            current = person.current.name if person.current else None
            person.show(RoomLeft(room.name, current, waiting.id))
        self._tidy(room)

    def _apply_depart(self, change: Depart, submission: _Submission) -> None:
        person = self._of(submission.node, change.person)
        if person is None:
            return
        if change.keeps_name:
            self._registry.keep(person, change.person, change.source)
            if not isinstance(person, Elsewhere):
                self._departed[change.person] = person
        else:
            self.rules.gone(change.person)
        self._take_out(person)

    def _take_out(self, person: Anybody) -> None:
        """``person`` leaves the chat."""
        del self.people[person.author]
        self._registry.release(person)
        self._left_untold.pop(person, None)
        cursors = tuple(person.cursors.values())
        person.cursors.clear()
        for cursor in cursors:
            self.close(cursor)
        move = Move(len(cursors))
        for cursor in cursors:
            room = cursor.room
            room.settle_presence(person)
            room.presence.left(person, True, move)
            self._moments.changed(room, person)
            self._tidy(room)

    def _apply_forget(self, change: Forget, submission: _Submission) -> None:
        self._departed.pop(change.person, None)
        self._registry.drop(change.person)
        if change.person not in self.people:
            self.rules.gone(change.person)

    def _apply_tell_person(self, change: TellPerson, submission: _Submission) -> None:
        waiting = submission.waiting
        person = self._of(submission.node, change.person)
        recipient = self.people.get(change.recipient)
        if recipient is None:
            raise NoSuchPerson(name=change.name)
        if person is None:
            return
        answer: Callable[[Refusal | None], None]
        if waiting is not None and waiting.person is not None:
            told = Told(person.name, change.name, change.text, change.time, own=True, id=waiting.id)
            answer = partial(_confirm, waiting.person, told)
        else:
            answer = partial(self._answer, submission.node, change.request)
        if not isinstance(recipient, Elsewhere):
            for cursor in person.cursors.values():
                room = cursor.room
                if person in room.presence and recipient in room.members:
                    room.flush_presence()  # the sender's arrival is announced before the message
            self._private_messages.show(person, recipient, change, answer)
        elif waiting is not None:
            self._told[change.request] = recipient.node, answer, change.name

    def _answer(self, node: str, request: int, refusal: Refusal | None) -> None:
        """Send the outcome of a private message to ``node``, whose request it was."""
        outcome = _OUTCOMES[type(refusal)]
        self._submit((Answered(node, request, outcome),))

    def _apply_answered(self, change: Answered, submission: _Submission) -> None:
        if change.node == self._node and change.request in self._told:
            _, answer, name = self._told.pop(change.request)
            refusal = _REFUSALS[change.outcome]
            answer(None if refusal is None else refusal(name=name))

    def _apply_announce(self, change: Announce, submission: _Submission) -> None:
        announced = Announced(change.text, change.room)
        if change.room is not None:
            room = self.rooms.get(self._called(change.room))
            if room is not None:
                room.show(structs.replace(announced, room=room.name))
            return
        for person in tuple(self.people.values()):
            if not isinstance(person, Elsewhere) and (person.outlet.ready or person.away):
                person.show_surely(announced)

    def _apply_barrier(self, change: Barrier, submission: _Submission) -> None:
        """Do nothing: a barrier matters only by its place in the order."""

    def _apply_removed(self, change: Removed, submission: _Submission) -> None:
        if not self.rooms.removed(change.room, change.last) and self.rules.forget(change.room):
            self.room_names.remove(change.room)

    def _apply_rules(self, change: RoomChange, submission: _Submission) -> None:
        carry_out(change, self.rules)
        self.room_names.add(change.room)

    def _apply_keep(self, change: Keep, submission: _Submission) -> None:
        if submission.node != self._node:
            self._keeper.learn(change)

    def _apply_node_gone(self, change: NodeGone, submission: _Submission) -> None:
        for person in tuple(self.people.values()):
            if isinstance(person, Elsewhere) and person.node == change.node:
                self._take_out(person)
                self.rules.gone(person.author)
        for request, (recipient, answer, name) in tuple(self._told.items()):
            if recipient == change.node:
                del self._told[request]
                answer(NotConfirmed(name=name))

    def _of(self, node: str, author: int) -> Anybody | None:
        """The person with this author, if they are in the chat and connected at ``node``."""
        person = self.people.get(author)
        at = person.node if isinstance(person, Elsewhere) else self._node
        return person if at == node else None

    # -- rooms --------------------------------------------------------------------------------

    def room(self, name: str, state: RoomState | None = None) -> Room:
        """The room of this name, created if it does not exist; ``state`` is the log's record."""
        is_new = name not in self.rooms
        if is_new:
            self.room_names.add(name)
        room = self.rooms.wake(name)
        if is_new and state is not None:  # none of its entries is kept, but its numbers continue
            room.base, room.last = state.base, state.last
            room.topic, room.topic_by = state.topic, state.topic_by
        return room

    def go_to(self, person: Person, room: Room | None) -> None:
        """Make ``room`` the current room of ``person``, to which plain lines go."""
        person.current = room
        self.restyle(person)

    def restyle(self, person: Person) -> None:
        """Update the cursors of ``person`` to their present outlet and renderings."""
        for cursor in person.cursors.values():
            cursor.outlet = person.outlet
            cursor.rendering = person.rendering(cursor.room)

    def restart(self, person: Person, name: str) -> Cursor:
        """Replace the cursor of ``person`` in the room ``name`` by a new one."""
        self.close(person.cursors[name])
        return self._add(person, name, None)

    def close(self, cursor: Cursor) -> None:
        """Remove ``cursor`` from its room."""
        cursor.closed = True
        if cursor.away:
            cursor.away = False
            cursor.room.away -= 1
        cursor.room.live.pop(cursor, None)
        if cursor.room.members.get(cursor.member) is cursor:  # the member may be back already
            del cursor.room.members[cursor.member]

    def _called(self, name: str) -> str:
        """The name of the room that ``name`` means, which may be a name of an older version."""
        if name in self.rooms:
            return name
        try:
            return self.room_names.find(name)
        except Refusal:
            return name

    def _add(self, person: Anybody, name: str, state: RoomState | None) -> Cursor:
        room = self.room(name, state)
        cursor = Cursor(room, person)
        if isinstance(person, Elsewhere) or person.away:
            cursor.away = True  # senders here need not wait for this reader
            room.away += 1
        if not isinstance(person, Elsewhere):
            cursor.rendering = person.rendering(room)
        room.members[person] = cursor
        person.cursors[name] = cursor
        return cursor

    def _tidy(self, room: Room) -> None:
        """If nobody is in ``room``, keep only its record, or forget it if no entry is kept."""
        if not self.rooms.rest(room) and self.rules.forget(room.name):
            self.room_names.remove(room.name)


def _confirm(person: Person, told: Told, refusal: Refusal | None) -> None:
    """Show ``person`` that their private message was delivered (``told``), or why it was not."""
    if refusal is not None:
        person.refuse(refusal, told.id)
    else:
        person.show(told)


_OUTCOMES: dict[Any, Any] = {
    type(None): "delivered",
    NoSuchPerson: "no-such-person",
    NotReading: "not-reading",
    NotConfirmed: "not-confirmed",
}
_REFUSALS: dict[str, Any] = {
    "delivered": None,
    "no-such-person": NoSuchPerson,
    "not-reading": NotReading,
    "not-confirmed": NotConfirmed,
}

#: The method that carries out each kind of change.
_APPLY: dict[type, Callable[..., None]] = {
    Announce: State._apply_announce,
    Answered: State._apply_answered,
    Barrier: State._apply_barrier,
    Depart: State._apply_depart,
    Enter: State._apply_enter,
    Forget: State._apply_forget,
    JoinRooms: State._apply_join_rooms,
    Keep: State._apply_keep,
    LeaveRoom: State._apply_leave_room,
    NodeGone: State._apply_node_gone,
    Removed: State._apply_removed,
    Rename: State._apply_rename,
    **dict.fromkeys(get_args(RoomChange), State._apply_rules),
    TellPerson: State._apply_tell_person,
}

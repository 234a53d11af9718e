"""The people, nicknames and rooms of all nodes; only changes alter them, in the one order.

:meth:`State.apply` is deterministic: it reads the change and this state, never a clock, a setting,
the network or chance. So all nodes that apply the same changes have the same people, nicknames and
rooms. Each node shows the results to the people whose connection it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, get_args

from msgspec import structs

from twisted_chat.core.account_changes import AccountChange, MakeAccount, SetCredential, SetStatus
from twisted_chat.core.account_state import AccountState
from twisted_chat.core.accounts import Account, Accounts
from twisted_chat.core.alterations import Alterations
from twisted_chat.core.arrivals import Arrivals
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.catch_up import position_of
from twisted_chat.core.changes import (
    Announce,
    Answered,
    Applied,
    Barrier,
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
from twisted_chat.core.errors import NoSuchPerson, NotInRoom, Refusal
from twisted_chat.core.events import Announced, Entry, Renamed, RoomLeft
from twisted_chat.core.ignoring import IgnoredPeople
from twisted_chat.core.journal import Journal
from twisted_chat.core.kept import Keeper
from twisted_chat.core.mail import Mail
from twisted_chat.core.mail_changes import KeepMessage, MailChange
from twisted_chat.core.moments import Moments
from twisted_chat.core.names import Nickname
from twisted_chat.core.people import Anybody, Elsewhere, Everybody, Person
from twisted_chat.core.places import Places
from twisted_chat.core.presence import Move
from twisted_chat.core.records import PERSON, Forgotten, Record
from twisted_chat.core.registry import Registry
from twisted_chat.core.room import Cursor, Room
from twisted_chat.core.room_changes import RoomChange
from twisted_chat.core.room_errors import CannotJoin
from twisted_chat.core.room_rules import AllRules, RoomRules
from twisted_chat.core.room_state import let_in
from twisted_chat.core.ruling import Ruling
from twisted_chat.core.tells import Tells
from twisted_chat.core.waiting import Waiting


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
        journal: Journal,
        registry: Registry[Anybody],
        accounts: Accounts,
        places: Places,
        rules: AllRules,
        moments: Moments,
        tells: Tells,
        arrivals: Arrivals,
        keeper: Keeper[Person],
        mail: Mail,
    ) -> None:
        self._node = journal.node
        self._registry = registry
        self._accounts = accounts
        self.places = places
        self.rules = rules
        #: The people whom at least one person ignores.
        self.ignored = IgnoredPeople()
        self.people = Everybody()
        self.records = Alterations(journal.store)
        self.account_state = AccountState(accounts, self.people, registry, self, self.records)
        self.ruling = Ruling(rules, places.rooms, self.people, accounts)
        #: Guests of this node who left, and whose nickname is kept, by author number.
        self._departed: dict[int, Person] = {}
        #: The requests that wait, by the ``request`` number of their change.
        self.waiting: dict[int, Waiting] = {}
        #: For each person, rooms that they left and where the departure was or is pending.
        self._left_untold: dict[Anybody, list[Room]] = {}
        self._moments = moments
        self._tells = tells
        self._mail = mail
        self._arrivals = arrivals
        self._keeper = keeper

    def learn(self, records: Sequence[Record]) -> None:
        """Begin with the records in the log."""
        for record in records:
            if isinstance(record, Account):
                self._accounts.put(record)
            elif isinstance(record, RoomRules):
                self.rules.start(record)
                self.places.names.add(record.room)
        self._mail.start()

    # -- entries ------------------------------------------------------------------------------

    def publish(self, name: str, entries: Sequence[Entry], authors: set[int]) -> None:
        """Show ``entries``, the next ones of the room ``name``; ``authors`` are numbers."""
        people = {one for author in authors for one in self.people.connections(author)}
        room = self.places.room(name)
        room.publish(entries, people)
        self.places.tidy(room)

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
            for rules in self.rules.take_changed():
                record = Forgotten("room", rules.room) if rules.is_default else rules
                self.records.altered(record)
            answer = nothing if waiting is None else waiting.answer
            if refusal is not None or not isinstance(change, AccountChange | RoomChange):
                answer(refusal)
                answer = nothing
            self.records.save(answer)

    def _apply_enter(self, change: Enter, submission: _Submission) -> None:
        node, waiting, rooms = submission
        person: Anybody
        if waiting is not None and waiting.person is not None:
            person = waiting.person
        else:
            person = Elsewhere(
                node,
                change.person,
                change.source,
                change.device,
                credential=change.credential,
                is_limited=change.is_limited,
            )
        nickname = self.account_state.let_in(change)
        account = self._accounts.get(change.person)
        if account is not None and account.credential(change.credential) is None:
            person.credential = ""  # it was a code, which is used up
        old = self.people.get(change.person)
        positions: dict[str, int | None] = {}
        if old is None:
            self._registry.claim(person, nickname, change.person, change.source)
            person.nickname = nickname
            self.ignored.called(change.person, nickname.text)
            departed = self._departed.pop(change.person, None)
            if departed is not None and departed is not person:
                departed.goes_on_elsewhere()
            self.people.add(person)
        elif change.person > 0:
            person.nickname = old.nickname
            self._registry.share(person, old.nickname)
            self.people.add(person)
        else:
            positions = self._replace(old, person)
        shared = {name: name for name in self.shared_rooms(person)}
        new = []
        for name, called in [*self._let_in(change, person), *shared.items()]:
            position = None if waiting is None else waiting.positions.get(name)
            if position is not None:
                positions[called] = position
            if called not in person.cursors:
                cursor, is_only = self.places.add(person, called, rooms.get(name))
                if is_only:
                    new.append(cursor.room)
        for other in self._sharing(person):
            for name in person.cursors.keys() - other.cursors.keys():
                self._add_too(other, name)
        move = Move(len(new))
        for room in new:
            room.presence.came(person, old is None, move)
            self._moments.changed(room, person)
        if isinstance(person, Elsewhere):
            return
        assert waiting is not None
        if account is not None:
            person.ignores_now(account.ignored)
        starts = [(cursor, positions.get(name)) for name, cursor in person.cursors.items()]
        self.places.go_to(person, starts[0][0].room if starts else None)
        welcome = [(cursor.room, position) for cursor, position in starts]
        self._arrivals.welcome(person, welcome, waiting.resumed, waiting.id)
        for cursor, position in starts:
            self._arrivals.start(person, cursor, position, waiting.id)
        self._mail.came(person)

    def _sharing(self, person: Anybody) -> list[Anybody]:
        """The other connections of ``person`` that share the rooms of this one."""
        if person.author < 0 or person.is_limited:
            return []
        return [one for one in self.people.recipients(person.author) if one is not person]

    def shared_rooms(self, person: Anybody) -> list[str]:
        """The rooms of the other connections, in which ``person`` is as well."""
        return [name for one in self._sharing(person) for name in one.cursors]

    def _add_too(self, other: Anybody, name: str) -> None:
        """``other``, a further connection of a person who joined the room, is in it as well."""
        cursor, _ = self.places.add(other, name, None)
        if not isinstance(other, Elsewhere):
            self._arrivals.start(other, cursor, None, None, is_current=False)

    def _replace(self, old: Anybody, person: Anybody) -> dict[str, int | None]:
        """``person`` goes on in place of ``old``, the same person; the others do not notice.

        Returns for each room the number of the last entry that ``old`` was shown, if known here.
        """
        self._registry.hand_over(old, person)
        self.people.replace(old, person)
        person.nickname = old.nickname
        self._left_untold.pop(old, None)
        positions: dict[str, int | None] = {}
        for name, cursor in tuple(old.cursors.items()):
            cursor.room.flush_presence(old)
            positions[name] = position_of(cursor)
            self.places.close(cursor)
            self.places.add(person, name, None)
        old.cursors.clear()
        if not isinstance(old, Elsewhere):
            old.goes_on_elsewhere()
        return positions

    def _apply_rename(self, change: Rename, submission: _Submission) -> None:
        first = self._of(submission.node, change.person)
        if first is not None:
            self.account_state.check_name(change.person, change.nickname)
            self._registry.claim(first, change.nickname, change.person, change.source)
            self.rename(first, change.nickname, submission.waiting)

    def rename(self, first: Anybody, nickname: Nickname, waiting: Waiting | None = None) -> None:
        """Give all connections of ``first`` the nickname, which the registry has given it."""
        old, new = first.name, nickname.text
        self.account_state.renamed(first.author, nickname)
        self.ignored.called(first.author, new)
        connections = self.people.connections(first.author)
        for person in connections:
            for room in self._left_untold.pop(person, ()):
                room.flush_presence(person)  # the departure is announced under the old nickname
        rooms = {room: room.member(one) for one in connections for room in _rooms_of(one)}
        move = Move(len(rooms))
        for room, member in rooms.items():
            room.settle_presence(member)
        for person in connections:
            person.nickname = nickname
            if person is not first:
                self._registry.share(person, nickname)
        for room, member in rooms.items():
            room.presence.renamed(member, old, new, move)
            self._moments.changed(room, member)
        for person in connections:
            if not isinstance(person, Elsewhere):
                is_asker = waiting is not None and waiting.person is person
                id = waiting.id if waiting is not None and is_asker else None
                if is_asker or first.author > 0:
                    person.show(Renamed(old, new, own=True, id=id))

    def _apply_join_rooms(self, change: JoinRooms, submission: _Submission) -> None:
        _, waiting, rooms = submission
        person = self._connection(submission, change.person, change.device)
        if person is None:
            return
        joined = self._let_in(change, person)
        for name, called in joined:
            cursor = person.cursors.get(called)
            is_new = cursor is None
            if cursor is None:
                cursor, is_only = self.places.add(person, called, rooms.get(name))
                for other in self._sharing(person):
                    if called not in other.cursors:
                        self._add_too(other, called)
            if waiting is not None and waiting.goes_there and not isinstance(person, Elsewhere):
                self.places.go_to(person, cursor.room)
            if is_new and is_only:
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
        return let_in(change, self.places.called, self.rules, self.places.rooms, person.cursors)

    def _apply_leave_room(self, change: LeaveRoom, submission: _Submission) -> None:
        waiting = submission.waiting
        person = self._connection(submission, change.person, change.device)
        if person is None:
            return
        if change.room not in person.cursors:
            raise NotInRoom(room=change.room)
        room = person.cursors[change.room].room
        for other in (person, *self._sharing(person)):
            cursor = other.cursors.pop(room.name, None)
            if cursor is None:
                continue
            if not isinstance(other, Elsewhere) and other.current is room:
                last = next(reversed(other.cursors.values()), None)
                self.places.go_to(other, last.room if last else None)
            self._leave(other, cursor, chat=False, move=Move())
            if other in room.presence:
                left = self._left_untold.setdefault(other, [])
                left[:] = [one for one in left if other in one.presence] + [room]
            if not isinstance(other, Elsewhere):
                current = other.current.name if other.current else None
                id = waiting.id if waiting is not None and waiting.person is other else None
                other.show(RoomLeft(room.name, current, id))
        self.places.tidy(room)

    def _leave(self, person: Anybody, cursor: Cursor, chat: bool, move: Move) -> None:
        """Close ``cursor``; if it is the person's last one in the room, the others are told."""
        room = cursor.room
        if not self.places.close(cursor):
            return
        room.settle_presence(person)
        room.presence.left(person, chat, move)
        self._moments.changed(room, person)

    def _apply_depart(self, change: Depart, submission: _Submission) -> None:
        person = self._connection(submission, change.person, change.device)
        if person is None:
            return
        if change.keeps_name and change.person < 0:
            self._registry.keep(person, change.person, change.source)
            if not isinstance(person, Elsewhere):
                self._departed[change.person] = person
        self.take_out(person, comes_back=change.keeps_name)

    def forget_codes(self, account: int) -> None:
        """Let nobody come back with a code as ``account``, but those who are in the chat."""
        self._keeper.forget_account(account, self.people.connections(account))
        for author in self._keeper.forgotten:  # together with what alters the account
            self.records.altered(Forgotten(PERSON, str(author)))

    def take_out(self, person: Anybody, *, comes_back: bool = False) -> None:
        """The connection ``person`` leaves the chat; if it is the last one, the person does.

        ``comes_back``: a guest may come back until a :class:`.Forget`.
        """
        next = self.people.remove(person)
        if next is not None and self._registry.holds(person):
            self._registry.hand_over(person, next)
        else:
            self._registry.release(person)
        if next is None and not comes_back:
            self.rules.gone(person.author)
        self._left_untold.pop(person, None)
        cursors = tuple(person.cursors.values())
        person.cursors.clear()
        move = Move(len(cursors))
        for cursor in cursors:
            self._leave(person, cursor, chat=next is None, move=move)
            self.places.tidy(cursor.room)

    def _apply_forget(self, change: Forget, submission: _Submission) -> None:
        self._departed.pop(change.person, None)
        self._registry.drop(change.person)
        if self.people.get(change.person) is None:
            self.rules.gone(change.person)

    def _apply_tell_person(self, change: TellPerson, submission: _Submission) -> None:
        recipients = self.people.recipients(change.recipient)
        if not recipients and change.recipient < 0:
            raise NoSuchPerson(name=change.name)
        senders = self.people.recipients(change.person)
        if senders and self._of(submission.node, change.person) is not None:
            asker = None if submission.waiting is None else submission.waiting.asker
            self._tells.tell(change, submission.node, senders, recipients, asker)

    def _apply_mail(self, change: MailChange, submission: _Submission) -> None:
        answer = None
        if isinstance(change, KeepMessage) and submission.waiting is not None:
            senders = self.people.recipients(change.person)
            answer = self._tells.kept(change, senders, submission.waiting.asker)
        self._mail.apply(change, answer)

    def _apply_answered(self, change: Answered, submission: _Submission) -> None:
        self._tells.answered(change, submission.node)

    def _apply_announce(self, change: Announce, submission: _Submission) -> None:
        announced = Announced(change.text, change.room)
        if change.room is not None:
            room = self.places.rooms.get(self.places.called(change.room))
            if room is not None:
                room.show(structs.replace(announced, room=room.name))
            return
        for person in self.people:
            if not isinstance(person, Elsewhere) and (person.outlet.ready or person.away):
                person.show_surely(announced)

    def _apply_barrier(self, change: Barrier, submission: _Submission) -> None:
        """Do nothing: a barrier matters only by its place in the order."""

    def _apply_removed(self, change: Removed, submission: _Submission) -> None:
        self.places.removed(change.room, change.last)

    def _apply_account_change(self, change: AccountChange, submission: _Submission) -> None:
        self.account_state.apply(change)
        if isinstance(change, SetCredential) and change.device:
            connection = self._connection(submission, change.account, change.device)
            if connection is not None:
                connection.credential = change.credential.id
        if isinstance(change, MakeAccount) and change.person:
            account = self._accounts.named(change.nickname)
            assert account is not None
            self.rules.becomes(change.person, account.number)
        if isinstance(change, SetStatus) and change.status == "closed":
            self._mail.drop_all(change.account)

    def _apply_rules(self, change: RoomChange, submission: _Submission) -> None:
        self.ruling.apply(change, submission.waiting)
        self.places.names.add(change.room)

    def _apply_keep(self, change: Keep, submission: _Submission) -> None:
        if submission.node != self._node:
            self._keeper.learn(change)

    def _apply_node_gone(self, change: NodeGone, submission: _Submission) -> None:
        for person in self.people:
            if isinstance(person, Elsewhere) and person.node == change.node:
                self.take_out(person)
        self._tells.node_gone(change.node)

    def _of(self, node: str, author: int) -> Anybody | None:
        """The first connection of the person, if they have one at ``node``."""
        connections = self.people.connections(author)
        return connections[0] if any(self._at(one) == node for one in connections) else None

    def _connection(self, submission: _Submission, author: int, device: int) -> Anybody | None:
        """The connection of the person that submitted a change; None if it is gone."""
        for one in self.people.connections(author):
            if self._at(one) == submission.node and (author < 0 or one.number == device):
                return one
        return None

    def _at(self, person: Anybody) -> str:
        return person.node if isinstance(person, Elsewhere) else self._node


def _rooms_of(person: Anybody) -> list[Room]:
    return [cursor.room for cursor in person.cursors.values()]


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
    **dict.fromkeys(get_args(AccountChange), State._apply_account_change),
    **dict.fromkeys(get_args(MailChange), State._apply_mail),
    **dict.fromkeys(get_args(RoomChange), State._apply_rules),
    TellPerson: State._apply_tell_person,
}

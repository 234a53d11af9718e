"""The chat: all rooms and people of one service, and the changes that sessions ask for.

:class:`Chat` checks a session's request against limits, settings and the clock, and submits a
change to the journal. :meth:`Chat.apply` gets all changes in the one order: entries are
acknowledged and published, and :class:`twisted_chat.core.state.State` carries out the others.
It must not know bytes, dialects or the reactor. Everything here runs on one thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from twisted_chat.core.account_desk import AccountDesk
from twisted_chat.core.accounts import Accounts
from twisted_chat.core.arrivals import Arrivals, Settings
from twisted_chat.core.audit import Audit, not_audited
from twisted_chat.core.author import guest_number
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.catch_up import CatchUp, position_of
from twisted_chat.core.changes import (
    Announce,
    Applied,
    Barrier,
    Depart,
    Draft,
    Enter,
    Forget,
    Group,
    JoinRooms,
    LeaveRoom,
    Rename,
    RoomState,
)
from twisted_chat.core.checks import Checks
from twisted_chat.core.errors import NoSuchPerson, Refusal
from twisted_chat.core.events import Entry, Kind, Renamed
from twisted_chat.core.identities import Identities
from twisted_chat.core.ignoring import IgnoredPeople
from twisted_chat.core.joining import Joining
from twisted_chat.core.journal import Journal
from twisted_chat.core.kept import Keeper
from twisted_chat.core.limits import DEFAULTS, Limits
from twisted_chat.core.mail import Mail
from twisted_chat.core.mail_changes import DropOldMessages
from twisted_chat.core.moments import Moments
from twisted_chat.core.names import NOT_FOR_ANYBODY, Nickname, Reserved, nickname, room_name
from twisted_chat.core.outcomes import Outcomes
from twisted_chat.core.people import Anybody, Elsewhere, Person, Positions
from twisted_chat.core.places import Places
from twisted_chat.core.private_messages import PrivateMessages
from twisted_chat.core.proofs import Proofs
from twisted_chat.core.reading import Reading
from twisted_chat.core.registry import Registry
from twisted_chat.core.requests import Say
from twisted_chat.core.room import Room
from twisted_chat.core.room_desk import RoomDesk
from twisted_chat.core.room_rules import DAY, AllRules
from twisted_chat.core.rooms import Rooms
from twisted_chat.core.speaking import Speaking
from twisted_chat.core.state import State
from twisted_chat.core.telling import Telling
from twisted_chat.core.tells import Tells
from twisted_chat.core.waiting import Waiting

#: Called when a change is applied: with None, or with the refusal if nothing was changed.
Answer = Callable[[Refusal | None], None]


class Chat:
    """All rooms and people of one service.

    ``clock`` gives microseconds since 1970 UTC. ``later`` calls a function after some seconds.
    ``said(person, entry)``, if given, is called for each entry of this node's people.
    """

    def __init__(
        self,
        journal: Journal,
        registry: Registry[Anybody],
        identities: Identities[Person],
        clock: Callable[[], int],
        later: Callable[[float, Callable[[], None]], object],
        *,
        default_room: str = "lobby",
        history_lines: int = 20,
        keep_days: float = 0,
        motd: tuple[str, ...] = (),
        limits: Limits = DEFAULTS,
        reserved: Reserved | None = None,
        said: Callable[[Person, Entry], None] | None = None,
    ) -> None:
        self.registry = registry
        self.identities = identities
        self.keeper: Keeper[Person] = Keeper(journal, identities)
        self._journal = journal
        self._clock = clock
        self.default_room = room_name(default_room)
        self._settings = Settings(motd, history_lines, keep_days, limits)
        self.reserved = NOT_FOR_ANYBODY if reserved is None else reserved
        #: The number of refusals, by code.
        self.refused: Counter[str] = Counter()
        #: Writes the audit log, if the operator wants one.
        self.audit: Audit = not_audited
        self._checks = Checks(lambda: self.limits)
        self._catch_up = CatchUp(journal, later, identities.clock)
        self._rooms = Rooms(later)
        rules = AllRules()
        self._arrivals = Arrivals(journal, self._catch_up, self._settings, rules)
        #: All accounts; only changes alter them.
        self.accounts = Accounts()
        #: Private messages for accounts whose person is away.
        self.mail = Mail(journal, self.accounts, self._connections, self._submit, later)
        ask = self._connections, self._submit, self._request
        #: Asks for private messages.
        self.telling = Telling(
            self._checks, registry, self.accounts, *ask, clock, identities.clock, journal
        )
        self._places = Places(self._rooms, rules)
        self._state = State(
            journal,
            registry,
            self.accounts,
            self._places,
            rules,
            Moments(later),
            Tells(journal.node, journal.submit, PrivateMessages(later), self.telling.keep),
            self._arrivals,
            self.keeper,
            self.mail,
        )
        #: Everybody in the chat, with all their connections.
        self.people = self._state.people
        #: Lists, history and search.
        self.reading = Reading(journal, self._rooms, self._places.names, lambda: self.limits, rules)
        #: Which rooms a person is let into.
        self.joining = Joining(self.reading, self._rooms, lambda: self.limits, self.default_room)
        #: Who may write in which room, and how often.
        self.speaking = Speaking(rules, clock)
        #: Submits changes of rooms' rules.
        self.room_desk = RoomDesk(
            self.reading, rules, self.accounts, self.person, self._submit, self._request
        )
        self._requests = count(1)
        #: For each room that does not exist yet, the number of entering people who create it.
        self._being_made: Counter[str] = Counter()
        self._outcomes = Outcomes(journal.node, self._state, said)
        #: Asks for changes of accounts.
        self.desk = AccountDesk(self._submit, self._request, clock, lambda: journal.secret)
        #: Checks the secrets of accounts.
        self.proofs = Proofs(self.accounts, self.desk, identities.clock, clock)

    def open(self, opened: Callable[[Refusal | None], None]) -> None:
        """Open the log, then call ``opened`` with None, or with the refusal if it cannot be opened.

        There are no rooms before that.
        """

        def answered(result: Sequence[RoomState] | Refusal) -> None:
            if isinstance(result, Refusal):
                opened(result)
                return
            self._places.start(result)
            self._state.learn(self._journal.records())
            self.default_room = self.reading.room_called(self.default_room)
            self.joining.default_room = self.default_room
            self.keeper.start(self._state.account_state.may_come)
            opened(None)

        self._journal.open(self.apply, answered)

    @property
    def log_lasts(self) -> bool:
        """Whether the log outlives the server."""
        return self._journal.lasts

    @property
    def limits(self) -> Limits:
        """The limits of this server, which can be replaced at any time."""
        return self._settings.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._settings.limits = limits

    @property
    def ignored(self) -> IgnoredPeople:
        """The people whom at least one other person ignores."""
        return self._state.ignored

    def configure(self, *, motd: tuple[str, ...], history_lines: int, keep_days: float) -> None:
        """Replace these settings while the server runs; the arguments are those of the class."""
        self._settings.motd = motd
        self._settings.history_lines = history_lines
        self._settings.keep_days = keep_days

    def guest(self, key: bytes) -> int:
        """The author of the guest whose client id has the author key ``key``.

        Call this once the log is open.
        """
        return guest_number(key, self._journal.secret)

    # -- entering, leaving and nicknames ------------------------------------------------------

    # Methods with ``answer`` submit a change and call it when the change is applied. ``id`` is the
    # id of the request; the events that answer it repeat it.

    def connected(self, person: Person) -> int:
        """Register ``person``, who has connected; returns the number of the session."""
        self.registry.add(person)
        return self._outcomes.number(person)

    def enter(
        self,
        person: Person,
        name: Nickname,
        positions: Positions,
        answer: Answer,
        id: str | None = None,
        *,
        resumed: bool = False,
    ) -> None:
        """Let ``person`` into the chat under the nickname ``name``, and into those rooms of
        ``positions`` that they may join. The first one becomes the current room.

        :raises Refusal: the nickname or the name of a new room is too long, or the rooms or the
            new rooms are too many. ``answer`` gets the refusal if the nickname is taken.
        """
        self._checks.nickname(name.text)
        shared = self._state.shared_rooms(person)
        positions, new = self.joining.enter(person, positions, shared)
        source = person.source
        self.identities.forget_old()  # ``name`` may be kept for one of them

        def entered(refusal: Refusal | None) -> None:
            self._being_made -= Counter(new)
            if refusal is not None:
                gone = [name for name in counted if name not in self._rooms]
                source.uncount_new_rooms([name for name in gone if not self._being_made[name]])
            answer(refusal)

        counted = source.count_new_rooms(new)
        self._being_made.update(new)
        request = self._expect(Waiting(entered, person, positions, id, resumed))
        where = source.key, tuple(positions), request, self.joining.founded(person, positions)
        login = person.credential, person.is_limited, self.accounts.logouts(person.author)
        self._submit(Enter(person.author, name, *where, person.number, *login))

    def come_back(
        self, person: Person, positions: Positions, answer: Answer, id: str | None = None
    ) -> bool:
        """Welcome ``person``, who is still in the chat, over another connection.

        Returns whether they enter more rooms; if so, ``answer`` is called when they are in them.

        :raises Refusal: the rooms or the new rooms are too many, or a new room's name is too long.
        """
        positions, new = self.joining.enter(person, positions)
        person.source.count_new_rooms(new)
        current = person.current
        known = {}
        for name, cursor in person.cursors.items():
            position = positions.get(name)
            known[name] = position_of(cursor) if position is None else position
        starts = [(self._places.restart(person, name), at) for name, at in known.items()]
        others = {name: at for name, at in positions.items() if name not in known}
        self._places.go_to(person, current)
        welcome = [(cursor.room, at) for cursor, at in starts]
        welcome += [(self._rooms.get(name) or Room(name), at) for name, at in others.items()]
        self._arrivals.welcome(person, welcome, True, id)
        for cursor, at in starts:
            self._arrivals.start(person, cursor, at, id)
        self.mail.came(person)
        if others:
            request = self._expect(Waiting(answer, person, others, id))
            founds = self.joining.founded(person, others)
            change = JoinRooms(person.author, tuple(others), request, founds, device=person.number)
            self._submit(change)
        return bool(others)

    def join(
        self, person: Person, room: str, answer: Answer, id: str | None = None, key: str = ""
    ) -> None:
        """Let ``person`` into ``room``, which becomes their current room.

        ``key`` is as in :meth:`.Joining.join`.

        :raises Refusal: ``room`` is not a valid name or is closed to ``person``, or they are in
            too many rooms or have created too many.
        """
        name = self.joining.join(person, room, key)
        request = self._expect(Waiting(answer, person, {name: None}, id, goes_there=True))
        founds = self.joining.founded(person, (name,))
        self._submit(JoinRooms(person.author, (name,), request, founds, key, person.number))

    def leave_room(self, person: Person, room: Room, answer: Answer, id: str | None = None) -> None:
        """Take ``person`` out of ``room``. If it was their current room, the room that they joined
        last becomes the current one.
        """
        request = self._request(answer, person, id)
        self._submit(LeaveRoom(person.author, room.name, request, person.number))

    def leave(self, person: Person, answer: Answer, *, keeps_name: bool = False) -> None:
        """Take ``person`` out of the chat after all their messages; show them no more entries."""
        for cursor in person.cursors.values():
            cursor.closed, cursor.position = True, None
            cursor.room.live.pop(cursor, None)
        request = self._expect(Waiting(answer, person))
        self._submit(Depart(person.author, keeps_name, person.source.key, request, person.number))

    def forget(self, person: Person) -> None:
        """Free the nickname of ``person``, who has left and cannot come back any more."""
        self._submit(Forget(person.author))

    def positions(self, person: Person) -> Positions:
        """The last entry that ``person`` was shown in each room, the current room first."""
        cursors = sorted(person.cursors.values(), key=lambda c: c.room is not person.current)
        return {cursor.room.name: position_of(cursor) for cursor in cursors}

    def rename(self, person: Person, name: Nickname, answer: Answer, id: str | None = None) -> None:
        """Change the nickname of ``person`` to ``name``.

        :raises Refusal: it is too long. ``answer`` gets the refusal if it is taken.
        """

        def is_called_so(refusal: Refusal | None) -> None:
            person.show(Renamed(name.text, name.text, own=True, id=id))
            answer(refusal)

        if name.text == person.name:
            self._submit_barrier(is_called_so)
            return
        self._checks.nickname(name.text)
        self.identities.forget_old()
        request = self._request(answer, person, id)
        self._submit(Rename(person.author, name, person.source.key, request))

    # -- talking ------------------------------------------------------------------------------

    def say(
        self,
        person: Person,
        room: Room,
        text: str,
        kind: Kind = "say",
        message_id: str | None = None,
    ) -> None:
        """Submit an entry to the log of ``room``; it is shown once it is saved.

        :raises Refusal: ``text`` is too long, or ``person`` may not write there now.
        """
        self._checks.text(text)
        self.speaking.check(person, room.name, message_id)
        who, time = person.nickname.text, self._clock()
        draft = Draft(room.name, time, kind, who, text, person.author, message_id, person.number)
        self._journal.submit((draft,))

    def say_many(self, person: Person, room: Room, says: Sequence[Say]) -> None:
        """Submit several entries to the log of ``room``, in which writing is free; the caller has
        checked their length.
        """
        name, time, nickname = room.name, self._clock(), person.nickname.text
        author, number = person.author, person.number
        self._journal.submit(
            [
                Draft(name, time, say.kind, nickname, say.text, author, say.id, number)
                for say in says
            ]
        )

    def set_topic(
        self, person: Person, room: Room, topic: str, message_id: str | None = None
    ) -> None:
        """Set the topic of ``room``.

        :raises Refusal: ``topic`` is too long, or ``person`` may not write there now.
        """
        self._checks.topic(topic)
        self.say(person, room, topic, "topic", message_id)

    def announce(self, announcement: Announce) -> None:
        """Submit an announcement by the server, to everybody or to one room."""
        self._submit(announcement)

    # -- asking -------------------------------------------------------------------------------

    def person(self, name: str) -> Anybody:
        """The person with this nickname.

        :raises NoSuchPerson: nobody has it.
        """
        try:
            found = self.registry.find(nickname(name))
        except Refusal:
            found = None
        if found is None:
            raise NoSuchPerson(name=name)
        return found

    @property
    def room_count(self) -> int:
        """The number of rooms."""
        return len(self._rooms)

    @property
    def deliveries(self) -> int:
        """Deliveries of an entry to a connection since the server started."""
        return self._rooms.deliveries

    # -- the service --------------------------------------------------------------------------

    def look(self) -> None:
        """Write records that wait. Call this once every :data:`.kept.INTERVAL` seconds."""
        self.keeper.look()
        self._state.records.look()
        self.mail.look()

    def remove_old(self) -> None:
        """Begin to remove entries older than ``keep_days``, or than their room's rule says."""
        now, days = self._clock(), self._settings.keep_days
        time, rooms = now - int(days * DAY) if days else 0, self._state.rules.oldest(now)
        drop_mail = partial(self._submit, DropOldMessages(time)) if time else nothing
        if time or any(rooms.values()):
            self._journal.remove_before(time, now, rooms, drop_mail)

    def barrier(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when all changes submitted until now are applied."""
        self._submit_barrier(lambda refusal: callback())

    @property
    def full(self) -> bool:
        """Whether the journal's queue is full, so that connections should not be read now."""
        return self._journal.full

    def when_space(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once :attr:`full` is False."""
        self._journal.when_space(callback)

    def when_caught_up(self, room: Room, callback: Callable[[], None]) -> None:
        """As :meth:`.CatchUp.when_caught_up`: wait for the lagging readers of ``room``."""
        self._catch_up.when_caught_up(room, callback)

    def stop(self, stopped: Callable[[], None]) -> None:
        """Tell everybody, save all drafts, close the log, then call ``stopped``."""
        self.barrier(self._stopping)
        self._journal.stop(stopped)

    def _stopping(self) -> None:
        self.keeper.save_all()
        self._state.records.look()
        self.mail.look()
        for person, _ in self.registry.snapshot():
            for cursor in person.cursors.values():
                self._places.close(cursor)
            if not isinstance(person, Elsewhere):
                person.dismiss()

    # -- how people are shown their rooms -----------------------------------------------------

    def restyle(self, person: Person) -> None:
        """Show ``person`` their rooms in their present style and over their present connection."""
        self._places.restyle(person)

    def on_ready(self, person: Person) -> None:
        """The connection of ``person`` is ready for more: move the cursors that had to wait."""
        self._catch_up.advance_all(person)

    def away(self, person: Person) -> None:
        """``person`` has lost the connection: no sender waits for this reader any more."""
        self.restyle(person)
        for cursor in person.cursors.values():
            cursor.room.away += not cursor.away
            cursor.away = True

    def apply(self, group: Group) -> None:
        """Acknowledge the entries of this node's people; publish and carry out all in order."""
        self._outcomes.apply(group)

    # -- submitting ---------------------------------------------------------------------------

    def _request(self, answer: Answer, person: Person | None = None, id: str | None = None) -> int:
        return self._expect(Waiting(answer, person, {}, id))

    def _expect(self, waiting: Waiting) -> int:
        """A new request number, whose change ``waiting`` waits for."""
        request = next(self._requests)
        self._state.waiting[request] = waiting
        return request

    def _submit_barrier(self, answer: Answer) -> None:
        self._submit(Barrier(self._expect(Waiting(answer))))

    def _connections(self, author: int) -> Sequence[Anybody]:
        return self.people.recipients(author)

    def _submit(self, change: Applied) -> None:
        self._journal.submit((change,))

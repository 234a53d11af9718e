"""The rooms and the people: what they may ask for, and what comes back of it.

A session asks for something; what depends on limits, settings and the clock is checked here, and a
change is submitted to the journal. :meth:`Chat.apply` gets all changes in the one order: entries
are acknowledged and published, and :class:`twisted_chat.core.state.State` carries out the others.
It must not know bytes, dialects or the reactor. Everything here runs on one thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count

from twisted_chat.core.arrivals import Arrivals, Settings
from twisted_chat.core.audit import Audit, not_audited
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
    Join,
    Leave,
    Rename,
    RoomState,
    Tell,
)
from twisted_chat.core.errors import (
    LineTooLong,
    NameTooLong,
    NoSuchPerson,
    NotReading,
    Refusal,
    TooManyRooms,
    TopicTooLong,
)
from twisted_chat.core.events import Entry, Kind, Renamed
from twisted_chat.core.identities import Identities
from twisted_chat.core.ignoring import IgnoredPeople
from twisted_chat.core.journal import Journal
from twisted_chat.core.kept import Keeper
from twisted_chat.core.limits import DEFAULTS, Limits
from twisted_chat.core.moments import Moments
from twisted_chat.core.names import ALWAYS_RESERVED, Nickname, Reserved, nickname, room_name
from twisted_chat.core.outcomes import Outcomes
from twisted_chat.core.people import Anybody, Elsewhere, Person, Positions
from twisted_chat.core.private_messages import PrivateMessages
from twisted_chat.core.reading import Reading
from twisted_chat.core.registry import Registry
from twisted_chat.core.requests import Say
from twisted_chat.core.room import Room
from twisted_chat.core.rooms import Rooms
from twisted_chat.core.state import State, Waiting

#: Called when a change is applied: with None, or with the reason why nothing was changed.
Answer = Callable[[Refusal | None], None]


class Chat:
    """All rooms of one service.

    ``clock`` gives microseconds since 1970 UTC; ``later`` calls a function after some seconds.
    ``said(person, entry)``, if given, is called for each saved entry.
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
        self.reserved = Reserved(ALWAYS_RESERVED) if reserved is None else reserved
        #: How often something was refused, by the code of the refusal.
        self.refused: Counter[str] = Counter()
        #: Where the operator wants to know who had which name.
        self.audit: Audit = not_audited
        self._catch_up = CatchUp(journal, later, identities.clock)
        self._rooms = Rooms(later)
        self._arrivals = Arrivals(journal, self._catch_up, self._settings)
        self._state = State(
            journal.node,
            journal.submit,
            registry,
            self._rooms,
            Moments(later),
            PrivateMessages(later),
            self._arrivals,
            self.keeper,
        )
        #: What people ask for.
        self.reading = Reading(journal, self._rooms, self._state.room_names, lambda: self.limits)
        self._requests = count(1)
        #: Rooms that somebody makes who is coming in, each as often as that.
        self._being_made: Counter[str] = Counter()
        self._outcomes = Outcomes(journal.node, self._state, said)

    def open(self, opened: Callable[[Refusal | None], None]) -> None:
        """Open the log, then call ``opened`` with None, or with the reason why it cannot be opened.

        Until then, there are no rooms.
        """

        def answered(result: Sequence[RoomState] | Refusal) -> None:
            if isinstance(result, Refusal):
                opened(result)
                return
            self._state.open(result)
            self.default_room = self.reading.room_called(self.default_room)
            self.keeper.start()
            opened(None)

        self._journal.open(self.apply, answered)

    @property
    def log_lasts(self) -> bool:
        """Whether what is said outlives the server."""
        return self._journal.lasts

    @property
    def limits(self) -> Limits:
        """They can be replaced at any time."""
        return self._settings.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._settings.limits = limits

    @property
    def ignored(self) -> IgnoredPeople:
        """Those whom somebody ignores."""
        return self._state.ignored

    def configure(self, *, motd: tuple[str, ...], history_lines: int, keep_days: float) -> None:
        """Change what can be changed while people are here; as on making it."""
        self._settings.motd = motd
        self._settings.history_lines = history_lines
        self._settings.keep_days = keep_days

    # -- coming, going and being called -------------------------------------------------------

    # Each of these submits a change and calls ``answer`` when it is applied. ``id`` is that of the
    # request, which what is shown repeats.

    def connected(self, person: Person) -> int:
        """``person`` has connected; returns the number of the session."""
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
        """Give ``person`` the nickname and take them to those of these rooms that they may see, the
        current one first.

        :raises Refusal: the nickname is too long, the rooms or those that they make are too many,
            or the name of a new one is too long. If the nickname is taken, that is answered.
        """
        self._check_length(name.text, self.limits.nickname)
        positions = self.reading.visible(person, positions)
        self._check_rooms(len(positions))
        source = person.source
        new = self._check_new_rooms(person, positions)
        self.identities.forget_old()  # no name is kept for them any more

        def entered(refusal: Refusal | None) -> None:
            self._being_made.subtract(new)
            if refusal is not None:
                gone = [name for name in counted if name not in self._rooms]
                source.uncount_new_rooms([name for name in gone if not self._being_made[name]])
            self._being_made += Counter()  # drops those at 0
            answer(refusal)

        counted = source.count_new_rooms(new)
        self._being_made.update(new)
        request = self._expect(Waiting(entered, person, positions, id, resumed))
        self._submit(Enter(person.author, name, source.key, tuple(positions), request))

    def come_back(
        self, person: Person, positions: Positions, answer: Answer, id: str | None = None
    ) -> bool:
        """``person``, who was never away for the others, has another connection.

        Returns whether they come into more rooms; then ``answer`` is called when they are there.

        :raises Refusal: the rooms or those that they make are too many, or the name of a new one
            is too long.
        """
        positions = self.reading.visible(person, positions)
        self._check_rooms(len({*person.cursors, *positions}), len(person.cursors))
        person.source.count_new_rooms(self._check_new_rooms(person, positions))
        current = person.current
        known = {}
        for name, cursor in person.cursors.items():
            position = positions.get(name)
            known[name] = position_of(cursor) if position is None else position
        starts = [(self._state.restart(person, name), at) for name, at in known.items()]
        others = {name: at for name, at in positions.items() if name not in known}
        self._state.go_to(person, current)
        welcome = [(cursor.room, at) for cursor, at in starts]
        welcome += [(self._rooms.get(name) or Room(name), at) for name, at in others.items()]
        self._arrivals.welcome(person, welcome, True, id)
        for cursor, at in starts:
            self._arrivals.start(person, cursor, at, id)
        if others:
            request = self._expect(Waiting(answer, person, others, id))
            self._submit(Join(person.author, tuple(others), request))
        return bool(others)

    def join(self, person: Person, room: str, answer: Answer, id: str | None = None) -> None:
        """Take ``person`` to another room, which becomes their current one.

        :raises Refusal: the name is not one for a room, they may not see it, they are in too many
            rooms, or have made too many.
        """
        name = self.reading.seen(person, room)
        if name not in person.cursors:
            self._check_rooms(len(person.cursors) + 1)
            person.source.count_new_rooms(self._check_new_rooms(person, (name,)))
        request = self._expect(Waiting(answer, person, {name: None}, id, goes_there=True))
        self._submit(Join(person.author, (name,), request))

    def leave_room(self, person: Person, room: Room, answer: Answer, id: str | None = None) -> None:
        """Take ``person`` out of ``room``; the last room they came to becomes the current one."""
        request = self._expect(Waiting(answer, person, {}, id))
        self._submit(Leave(person.author, room.name, request))

    def leave(self, person: Person, answer: Answer, *, keeps_name: bool = False) -> None:
        """Take ``person`` out of the chat, after all that they said; show them no more entries."""
        for cursor in person.cursors.values():
            cursor.closed, cursor.position = True, None
            cursor.room.live.pop(cursor, None)
        request = self._expect(Waiting(answer, person))
        self._submit(Depart(person.author, keeps_name, person.source.key, request))

    def forget(self, person: Person) -> None:
        """``person``, who has left, cannot come back: the nickname is not kept any more."""
        self._submit(Forget(person.author))

    def positions(self, person: Person) -> Positions:
        """How far ``person`` has seen each room, the current one first."""
        cursors = sorted(person.cursors.values(), key=lambda c: c.room is not person.current)
        return {cursor.room.name: position_of(cursor) for cursor in cursors}

    def rename(self, person: Person, name: Nickname, answer: Answer, id: str | None = None) -> None:
        """Change a nickname.

        :raises Refusal: the new one is too long. If it is taken, that is answered.
        """

        def is_called_so(refusal: Refusal | None) -> None:
            person.show(Renamed(name.text, name.text, own=True, id=id))
            answer(refusal)

        if name.text == person.name:
            self._submit_barrier(is_called_so)
            return
        self._check_length(name.text, self.limits.nickname)
        self.identities.forget_old()
        request = self._expect(Waiting(answer, person, {}, id))
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
        """Put a line into the room's log; it is shown once it is saved.

        :raises Refusal: it is too long.
        """
        self._check_text(text)
        draft = Draft(
            room.name,
            self._clock(),
            kind,
            person.nickname.text,
            text,
            person.author,
            message_id,
            person.number,
        )
        self._journal.submit((draft,))

    def say_many(self, person: Person, room: Room, says: Sequence[Say]) -> None:
        """Put several lines into the room's log, under their ids: none is too long."""
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
        """Give the room a topic.

        :raises Refusal: it is too long.
        """
        if len(topic) > self.limits.topic:
            raise TopicTooLong(limit=self.limits.topic)
        self.say(person, room, topic, "topic", message_id)

    def tell(
        self, person: Person, name: str, text: str, answer: Answer, id: str | None = None
    ) -> None:
        """Tell one person something in private.

        :raises Refusal: it is too long, nobody has that name, or they are not reading.
        """
        self._check_text(text)
        recipient = self.person(name)
        if not isinstance(recipient, Elsewhere) and not recipient.outlet.ready:
            raise NotReading(name=recipient.name)
        request = self._expect(Waiting(answer, person, {}, id))
        told = recipient.author, recipient.name, text, self._clock()
        self._submit(Tell(person.author, *told, request))

    def announce(self, announcement: Announce) -> None:
        """Say something as the server, to everybody or to one room."""
        self._submit(announcement)

    def common(
        self, positions: Mapping[str, int], told: str, reply: Callable[[Mapping[str, int]], None]
    ) -> None:
        """Give ``reply`` how much of what a program saw of the log that it kept ``told`` of is the
        same in this one, at once if that is certain: the number of the last such entry by room.
        """

        def found(result: Mapping[str, int] | Refusal) -> None:
            # Where that cannot be read, nothing is known to be the same.
            reply(dict.fromkeys(positions, 0) if isinstance(result, Refusal) else result)

        if not told or told == self._journal.told or not any(positions.values()):
            reply(positions)
        else:
            self._journal.common(positions, told, found)

    # -- asking -------------------------------------------------------------------------------

    def person(self, name: str) -> Anybody:
        """Who has this nickname.

        :raises NoSuchPerson: nobody.
        """
        try:
            found = self.registry.find(nickname(name))
        except Refusal:
            found = None
        if found is None:
            raise NoSuchPerson(name=name)
        return found

    def person_known_as(self, author: bytes) -> Anybody | None:
        """Who in the chat has this author key."""
        return self._state.people.get(author)

    @property
    def room_count(self) -> int:
        """How many rooms there are."""
        return len(self._rooms)

    @property
    def deliveries(self) -> int:
        """How many entries were handed to connections since the start, each as often as it was."""
        return self._rooms.deliveries

    # -- the service --------------------------------------------------------------------------

    def remove_old(self) -> None:
        """Begin to remove the entries that are older than is to be kept."""
        if self._settings.keep_days:
            age = int(self._settings.keep_days * 86_400_000_000)
            now = self._clock()
            self._journal.remove_before(now - age, now)

    def barrier(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when all that was said until now is saved and shown."""
        self._submit_barrier(lambda refusal: callback())

    @property
    def full(self) -> bool:
        """Whether so much waits to be saved that people should not be read for now."""
        return self._journal.full

    def when_space(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once :attr:`full` no longer holds."""
        self._journal.when_space(callback)

    def when_caught_up(self, room: Room, callback: Callable[[], None]) -> None:
        """Call ``callback`` once ``room`` does not run away from its readers, or a moment later."""
        self._catch_up.when_caught_up(room, callback)

    def stop(self, stopped: Callable[[], None]) -> None:
        """Tell everybody, save what was said, close the log, then call ``stopped``."""
        self.barrier(self._stopping)
        self._journal.stop(stopped)

    def _stopping(self) -> None:
        self.keeper.save_all()
        for person, _ in self.registry.snapshot():
            for cursor in person.cursors.values():
                self._state.close(cursor)
            if not isinstance(person, Elsewhere):
                person.dismiss()

    # -- how people are shown their rooms -----------------------------------------------------

    def restyle(self, person: Person) -> None:
        """``person`` is to be shown their rooms in another way, or over another connection."""
        self._state.restyle(person)

    def resume(self, person: Person) -> None:
        """``person`` is ready for more: move the cursors that had to wait."""
        self._catch_up.resume(person)

    def away(self, person: Person) -> None:
        """``person`` is away for a moment: nobody waits for them."""
        self.restyle(person)
        for cursor in person.cursors.values():
            cursor.room.away += not cursor.away
            cursor.away = True

    def apply(self, group: Group) -> None:
        """Acknowledge what of ``group`` was said here; publish and carry it out in its order."""
        self._outcomes.apply(group)

    # -- submitting ---------------------------------------------------------------------------

    def _expect(self, waiting: Waiting) -> int:
        """The number of a request that ``waiting`` is for."""
        request = next(self._requests)
        self._state.waiting[request] = waiting
        return request

    def _submit_barrier(self, answer: Answer) -> None:
        self._submit(Barrier(self._expect(Waiting(answer))))

    def _submit(self, change: Applied) -> None:
        self._journal.submit((change,))

    # -- limits -------------------------------------------------------------------------------

    def _check_length(self, name: str, limit: int) -> None:
        if len(name) > limit:
            raise NameTooLong(limit=limit)

    def _check_new_rooms(self, person: Person, names: Iterable[str]) -> list[str]:
        """Those of the rooms that do not exist yet, if ``person`` may make them."""
        new = [name for name in names if name not in self._rooms and name != self.default_room]
        for name in new:
            self._check_length(name, self.limits.room)
        person.source.check_new_rooms(new)
        return new

    def _check_text(self, text: str) -> None:
        if not self.limits.fits(text):
            raise LineTooLong(limit=self.limits.text)

    def _check_rooms(self, count: int, before: int = 0) -> None:
        """Whoever is in more rooms already, from before a limit was lowered, may stay."""
        if count > max(self.limits.rooms, before):
            raise TooManyRooms(limit=self.limits.rooms)

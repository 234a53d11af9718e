"""Two nodes on one log, with people who come, move between the nodes, speak and go.

Each node applies the groups at its own time. Whenever both have applied all, they must agree; and
nobody may miss an entry or see one twice, over whatever nodes they come back.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.task import Clock

from tests.support.fakes import NO_RATE, Visitor, World
from tests.support.logs import InternalErrors
from tests.support.nodes import Nodes, view
from twisted_chat.core.events import Acknowledged, Entered, Entry, Welcomed
from twisted_chat.core.requests import (
    ChooseName,
    Hello,
    Join,
    Leave,
    Quit,
    Resume,
    Say,
    Tell,
    Topic,
)
from twisted_chat.core.sources import Sources

NAMES = ("Ana", "ana", "Bia", "Caio")
ROOMS = ("lobby", "cinema")

programs = st.integers(0, 2)
at = st.integers(0, 1)
names = st.sampled_from(NAMES)
rooms = st.sampled_from(ROOMS)


class Program:
    """One program, and what it was shown of each room from where it started there."""

    def __init__(self, number: int) -> None:
        self.client = f"{number + 1:032x}"
        self.name = NAMES[number]
        self.visitor: Visitor | None = None
        self.read = 0
        self.seen: dict[str, int] = {}
        self.sent = 0
        self.unacknowledged: dict[str, Say] = {}

    def collect(self) -> None:
        """Look at what has arrived: nothing twice, and nothing missing."""
        if self.visitor is None:
            return
        events = self.visitor.connection.events
        for event in events[self.read :]:
            if isinstance(event, Entered):
                assert self.seen.setdefault(event.room, event.last) == event.last
            elif isinstance(event, Entry):
                assert event.number == self.seen[event.room] + 1, "a gap or a repeat"
                self.seen[event.room] = event.number
            elif isinstance(event, Acknowledged):
                for entry in event.entries:
                    self.unacknowledged.pop(entry.message_id or "", None)
        self.read = len(events)


class NodesMachine(RuleBasedStateMachine):
    """Each rule does one thing at one node."""

    @initialize()
    def start(self) -> None:
        self.errors = InternalErrors()
        self.nodes = Nodes()
        self.programs = [Program(number) for number in range(3)]
        self.people: list[Visitor] = []
        self.elsewhere = Sources(lambda: NO_RATE, Clock()).open("198.51.100.7").source
        for number in range(2):
            self.connect(number, number)
            self.join(number, "cinema")
        self.settle()

    def teardown(self) -> None:
        if not hasattr(self, "nodes"):
            return
        try:
            self.settle()
            for program in self.programs:
                program.collect()
        finally:
            self.errors.check()

    # -- what programs do -----------------------------------------------------------------------

    @rule(number=programs, at=at)
    def connect(self, number: int, at: int) -> None:
        """Come (back), at any node, whether the other connection is still there or not."""
        program = self.programs[number]
        program.collect()
        program.visitor = Visitor(self.nodes[at], program=True)
        program.read = 0
        program.visitor.send(Hello(program.name, program.client, None, program.seen))
        for say in program.unacknowledged.values():
            program.visitor.send(say)

    @rule(number=programs)
    def drop(self, number: int) -> None:
        """The connection breaks off."""
        program = self.programs[number]
        if program.visitor is not None:
            program.collect()
            program.visitor.lose()
            program.visitor = None

    @rule(number=programs, room=rooms)
    def say(self, number: int, room: str) -> None:
        program = self.programs[number]
        if program.visitor is not None and room in program.visitor.session.cursors:
            program.sent += 1
            say = Say(f"{number} {program.sent}", room, id=str(program.sent))
            program.unacknowledged[str(program.sent)] = say
            program.visitor.send(say)

    @rule(number=programs, room=rooms)
    def join(self, number: int, room: str) -> None:
        visitor = self.programs[number].visitor
        if visitor is not None:
            visitor.send(Join(room))

    @rule(number=programs)
    def leave(self, number: int) -> None:
        program = self.programs[number]
        if program.visitor is not None and "cinema" in program.visitor.session.cursors:
            self.settle()
            program.collect()
            program.visitor.send(Leave("cinema"))
            self.settle()
            program.collect()
            program.seen.pop("cinema", None)

    @rule(number=programs, name=names)
    def rename(self, number: int, name: str) -> None:
        visitor = self.programs[number].visitor
        if visitor is not None:
            visitor.send(ChooseName(name))

    @rule(number=programs, name=names)
    def tell(self, number: int, name: str) -> None:
        visitor = self.programs[number].visitor
        if visitor is not None:
            visitor.send(Tell(name, "psst"))

    # -- what people do -------------------------------------------------------------------------

    @rule(at=at, name=names)
    def come(self, at: int, name: str) -> None:
        visitor = Visitor(self.nodes[at])
        visitor.send(ChooseName(name))
        self.people.append(visitor)

    @rule(which=st.integers(0, 9), at=at)
    def resume(self, which: int, at: int) -> None:
        """With the newest code that somebody was shown, at any node, be they here or not."""
        if which < len(self.people):
            events = self.people[which].connection.events
            codes = [event.code for event in events if isinstance(event, Welcomed)]
            if codes:
                visitor = Visitor(self.nodes[at])
                if which % 2:
                    visitor.connection.source = self.elsewhere
                visitor.send(Resume(codes[-1]))
                self.people.append(visitor)

    @rule(at=at, seconds=st.sampled_from([1, 400]))
    def look(self, at: int, seconds: int) -> None:
        """Time passes at one node, and who can come back is written."""
        self.nodes[at].clock.advance(seconds)
        self.nodes[at].chat.keeper.look()

    @rule(topic=st.booleans(), which=st.integers(0, 9))
    def speak(self, topic: bool, which: int) -> None:
        if which < len(self.people) and self.people[which].session.current is not None:
            self.people[which].send(Topic("fish") if topic else Say("oi"))

    @rule(which=st.integers(0, 9), quits=st.booleans())
    def go(self, which: int, quits: bool) -> None:
        if which < len(self.people):
            visitor = self.people[which]
            if quits:
                visitor.send(Quit())
            else:
                visitor.lose()

    # -- what the log does ----------------------------------------------------------------------

    @rule()
    def commit(self) -> None:
        """What was submitted has its place, and nobody has applied it yet."""
        self.nodes.log.commit()

    @rule(at=at)
    def apply(self, at: int) -> None:
        """One node applies what is committed."""
        self.nodes[at].journal.catch_up()

    @rule()
    def settle(self) -> None:
        """Both have applied all: they agree, and have all that was said."""
        self.nodes.settle()
        first, second = self.nodes.views()
        assert first == second
        self.check_rooms(self.nodes[0])
        for program in self.programs:
            program.collect()
            if program.visitor is not None and program.visitor.session.has_name:
                for room in program.visitor.session.cursors:
                    assert program.seen[room] == self.last(room)

    def last(self, name: str) -> int:
        room = self.nodes[0].chat._state.places.rooms.get(name)
        return 0 if room is None else room.last

    def check_rooms(self, world: World) -> None:
        here = dict(view(world)[None])
        for name, members in view(world).items():
            if name is not None:
                assert {member for member, _ in members} <= here.keys()

    @invariant()
    def names_are_unique(self) -> None:
        if hasattr(self, "nodes"):
            for found in self.nodes.views():
                folded = [name.lower() for name, _ in found[None]]
                assert len(folded) == len(set(folded))


TestNodesMachine = NodesMachine.TestCase
TestNodesMachine.settings = settings(stateful_step_count=30, deadline=None)

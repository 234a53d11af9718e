"""A model of one list a room, against programs that say, resend, lose their connections, stop
reading and come back, and a server that is killed at the worst moments.
"""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.fakes import Visitor, World
from tests.support.logs import InternalErrors
from twisted_chat.core.changes import Draft
from twisted_chat.core.events import Acknowledged, Entered, Entry, Refused, Welcomed
from twisted_chat.core.names import room_name
from twisted_chat.core.requests import Hello, Join, Say
from twisted_chat.journal.sqlite.store import MEMORY, Store

ROOMS = ("lobby", "cinema")
CLIENTS = range(3)

client_numbers = st.sampled_from(CLIENTS)
rooms = st.sampled_from(ROOMS)


class Program:
    """What one program knows: what it sent, and what it was shown, of which nothing is lost."""

    def __init__(self, number: int) -> None:
        self.nickname = f"bot{number}"
        self.client = f"{number:032x}"
        self.visitor: Visitor | None = None
        self.read = 0
        self.sent = 0
        #: The rooms that it asked to be in: it may not have been told that it is.
        self.asked: set[str] = set()
        #: Not acknowledged, in the order in which they were first sent: id, room, text.
        self.unacknowledged: dict[str, tuple[str, str]] = {}
        self.acknowledged: dict[str, tuple[str, int]] = {}
        #: Where its view of each room starts, and the texts that it was shown from there.
        self.start: dict[str, int] = {}
        self.view: dict[str, list[str]] = {}
        #: The numbers in `welcome` of rooms for which no `entered` came yet.
        self.told_on_welcome: dict[str, int] = {}

    def seen(self) -> dict[str, int]:
        return {room: self.start[room] + len(self.view[room]) for room in self.start}

    def collect(self) -> None:
        """Read what has arrived."""
        if self.visitor is None:
            return
        events = self.visitor.connection.events
        for event in events[self.read :]:
            if isinstance(event, Welcomed):
                self.told_on_welcome = dict(event.rooms)
            elif isinstance(event, Entered):
                if event.room not in self.start:
                    self.start[event.room] = event.last
                    self.view[event.room] = []
                assert event.last == self.seen()[event.room], "not what comes before the next one"
                assert self.told_on_welcome.pop(event.room, event.last) == event.last
            elif isinstance(event, Entry):
                assert event.number == self.seen()[event.room] + 1, "a gap or a repeat"
                self.view[event.room].append(event.text)
            elif isinstance(event, Acknowledged):
                for entry in event.entries:
                    assert entry.message_id is not None
                    self.unacknowledged.pop(entry.message_id, None)
                    place = entry.room, entry.number
                    assert self.acknowledged.setdefault(entry.message_id, place) == place
            elif isinstance(event, Refused):
                raise AssertionError(str(event.refusal))
        self.read = len(events)


class ChatMachine(RuleBasedStateMachine):
    """Each rule does one thing to the real chat and, where it changes the log, to the model."""

    @initialize()
    def start(self) -> None:
        self.errors = InternalErrors()
        self.store = Store(MEMORY)
        self.world = World(store=self.store)
        self.programs = [Program(number) for number in CLIENTS]
        self.log: dict[str, list[str]] = {room: [] for room in ROOMS}
        self.saved: set[tuple[str, str]] = set()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.finish()
            finally:
                self.errors.check()

    def finish(self) -> None:
        for program in self.programs:
            if program.visitor is not None:
                program.visitor.connection.ready = True
                program.visitor.session.on_ready()
        self.commit()
        for number in CLIENTS:
            self.connect(number)
        for _ in range(3):
            self.commit()
        self.check_views()
        for program in self.programs:
            assert program.unacknowledged == {}
            assert all(program.seen()[room] == len(self.log[room]) for room in program.start)
            for room in ROOMS:
                own = [text for text in self.log[room] if text.startswith(program.nickname)]
                assert own == sorted(own, key=lambda text: int(text.split()[1])), "out of order"
                assert len(own) == len(set(own)), "stored twice"

    def connected(self) -> Iterator[Program]:
        return (program for program in self.programs if program.visitor is not None)

    # -- what programs do -----------------------------------------------------------------------

    @rule(number=client_numbers)
    def connect(self, number: int) -> None:
        """Come (back), and send again what was not acknowledged."""
        program = self.programs[number]
        if program.visitor is not None:
            return
        program.visitor = Visitor(self.world, program=True)
        program.read = 0
        program.visitor.send(Hello(program.nickname, program.client, None, program.seen()))
        for room in program.asked:
            program.visitor.send(Join(room))
        self.resend(number)

    @rule(number=client_numbers)
    def resend(self, number: int) -> None:
        program = self.programs[number]
        if program.visitor is not None:
            for message_id, (room, text) in program.unacknowledged.items():
                program.visitor.send(Say(text, room, id=message_id))

    @rule(number=client_numbers, room=rooms)
    def join(self, number: int, room: str) -> None:
        program = self.programs[number]
        if program.visitor is not None:
            program.asked.add(room)
            program.visitor.send(Join(room))

    @rule(number=client_numbers, room=rooms, count=st.integers(1, 3))
    def say(self, number: int, room: str, count: int) -> None:
        program = self.programs[number]
        if program.visitor is None or room not in program.visitor.session.cursors:
            return
        for _ in range(count):
            program.sent += 1
            text, message_id = f"{program.nickname} {program.sent}", str(program.sent)
            program.unacknowledged[message_id] = (room, text)
            program.visitor.send(Say(text, room, id=message_id))

    @rule(number=client_numbers)
    def read(self, number: int) -> None:
        self.programs[number].collect()

    @rule(number=client_numbers)
    def stop_reading(self, number: int) -> None:
        visitor = self.programs[number].visitor
        if visitor is not None:
            visitor.connection.ready = False

    @rule(number=client_numbers)
    def read_again(self, number: int) -> None:
        visitor = self.programs[number].visitor
        if visitor is not None:
            visitor.connection.ready = True
            visitor.session.on_ready()

    @rule(number=client_numbers, grace_is_over=st.booleans())
    def drop(self, number: int, grace_is_over: bool) -> None:
        """The connection breaks off; what was sent but not read is gone."""
        program = self.programs[number]
        if program.visitor is not None:
            over = program.visitor.lose()
            program.visitor = None
            if over is not None and grace_is_over:
                over()

    @rule(number=client_numbers)
    def connect_twice(self, number: int) -> None:
        """Another connection takes over while the first one is still there."""
        self.programs[number].visitor = None
        self.connect(number)

    # -- what the server does -------------------------------------------------------------------

    @rule()
    def commit(self) -> None:
        """Everything queued is committed and published, and reads come back."""
        while self.world.journal.queue or self.world.journal.reads:
            self.commit_one_group()
            reads, self.world.journal.reads = self.world.journal.reads, []
            for read in reads:
                read()

    @rule()
    def commit_one_group(self) -> None:
        self.expect_commit()
        self.world.journal.step()

    @rule()
    def kill_before_commit(self) -> None:
        """What was queued is lost."""
        self.restart()

    @rule()
    def kill_after_commit(self) -> None:
        """What was queued is on disk, but nobody was told."""
        self.expect_commit()
        self.store.commit([item for item in self.world.journal.queue if isinstance(item, Draft)])
        self.restart()

    def expect_commit(self) -> None:
        """What a commit of the queue does to the model."""
        for item in self.world.journal.queue:
            if isinstance(item, Draft):
                assert item.message_id is not None
                key = item.nickname, item.message_id
                if key not in self.saved:
                    self.saved.add(key)
                    self.log[room_name(item.room)].append(item.text)

    def restart(self) -> None:
        for program in self.programs:
            program.visitor = None
        self.world = World(store=self.store)

    # -- what always holds ----------------------------------------------------------------------

    @invariant()
    def check_views(self) -> None:
        """Each view is one contiguous run of the log; what is acknowledged is in its place."""
        if not hasattr(self, "world"):
            return
        for program in self.programs:
            program.collect()
            for room, texts in program.view.items():
                start = program.start[room]
                assert texts == self.log[room][start : start + len(texts)]
            for message_id, (room, number) in program.acknowledged.items():
                assert self.log[room][number - 1] == f"{program.nickname} {message_id}"


TestChatMachine = ChatMachine.TestCase
TestChatMachine.settings = settings(stateful_step_count=50, deadline=None)

"""A model of one list a room, against clients whose connections break at any byte, which are killed
and started again with what their disk had, and the real server, killed at the worst moments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.support.fakes import World
from twisted_chat.client import ChatClient, Disconnected, LogReplaced
from twisted_chat.client.state import Kept
from twisted_chat.core.changes import Draft
from twisted_chat.core.events import Entered, Entry, Event, Refused, Replaced, RoomLeft, Told
from twisted_chat.core.limits import Limits
from twisted_chat.journal.sqlite.store import MEMORY, Store
from twisted_chat.server.build import build_factory

ROOMS = ("lobby", "cinema")
NAMES = ("Ana", "Bia")
MANY = 1_000_000

#: What a private message may meet with; anything else that is refused is a defect.
UNDELIVERED = {"not-delivered", "no-such-person", "not-reading"}

#: What is said to a client whose first line has been on its way for too long; it tries again.
TOO_LATE = "login-deadline"

names = st.sampled_from(NAMES)
rooms = st.sampled_from(ROOMS)
ends = st.sampled_from([0, 1])
counts = st.one_of(st.just(0), st.integers(1, 400), st.just(MANY))


class End(StringTransport):
    """One end of a connection: what was written there is on its way until it is carried."""

    def __init__(self) -> None:
        super().__init__(lenient=True)
        self.protocol: Any = None
        self.aborted = False
        self.is_lost = False

    def abortConnection(self) -> None:
        self.aborted = True

    def take(self, count: int) -> bytes:
        data: bytes = self.value()
        self.clear()
        self.write(data[count:])
        return data[:count]

    def lose(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.protocol.connectionLost(Failure(ConnectionLost()))


class Disk:
    """A state of which only what was written outlives the process."""

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.rooms: dict[str, int] = {}
        self.waiting: dict[str, bytes] = {}
        self.log = ""
        self._changes: list[Callable[[], object]] = []
        self._keeping: list[Deferred[None]] = []

    def open(self) -> Deferred[Kept]:
        waiting = tuple(self.waiting.items())
        return succeed(Kept(self.client_id, dict(self.rooms), waiting, (), (), "", self.log))

    def keep(self, id: str, line: bytes) -> Deferred[None]:
        kept: Deferred[None] = Deferred()
        self._keeping.append(kept)
        self._changes.append(lambda: self.waiting.__setitem__(id, line))
        return kept

    def forget(self, id: str) -> None:
        self._changes.append(lambda: self.waiting.pop(id, None))

    def seen(self, room: str, number: int) -> None:
        self._changes.append(
            lambda: self.rooms.__setitem__(room, max(number, self.rooms.get(room, 0)))
        )

    def of_log(self, log: str) -> Deferred[None]:
        noted: Deferred[None] = Deferred()
        self._keeping.append(noted)
        self._changes.append(lambda: setattr(self, "log", log))
        return noted

    def left(self, room: str) -> None:
        self._changes.append(lambda: self.rooms.pop(room, None))

    def ignore(self, names: Sequence[str]) -> None: ...

    def typed(self, line: str) -> None: ...

    def draft(self, text: str) -> None: ...

    def close(self) -> Deferred[None]:
        self.write()
        return succeed(None)

    def write(self) -> None:
        """Write what has changed; it may change more."""
        changes, self._changes = self._changes, []
        keeping, self._keeping = self._keeping, []
        for change in changes:
            change()
        for kept in keeping:
            kept.callback(None)

    def lose(self) -> None:
        """The process is gone before it was written."""
        self._changes.clear()
        self._keeping.clear()


@implementer(IStreamClientEndpoint)
class Process:
    """One run of a client, and what it was told of each room since it came there."""

    def __init__(self, machine: ClientMachine, name: str, disk: Disk) -> None:
        self._machine = machine
        self.disk = disk
        self.clock = Clock()
        #: The end here and the one at the server.
        self.ends: tuple[End, End] | None = None
        self.start = dict(disk.rooms)
        self.view: dict[str, list[str]] = {room: [] for room in disk.rooms}
        self.told: list[str] = []
        self.problems: list[object] = []
        self.client = ChatClient(self.clock, self, name, state=disk)
        self.client.listen(self._happened)
        self.client.startService()

    def connect(self, factory: Any) -> Deferred[Any]:
        server: Any = self._machine.factory.buildProtocol(None)
        here, there = self.ends = End(), End()
        here.protocol, there.protocol = factory.buildProtocol(None), server
        server.makeConnection(there)
        here.protocol.makeConnection(here)
        return succeed(here.protocol)

    def _happened(self, event: Event) -> None:
        if isinstance(event, Entered):
            self.start.setdefault(event.room, event.last)
            self.view.setdefault(event.room, [])
        elif isinstance(event, RoomLeft):
            del self.start[event.room], self.view[event.room]
        elif isinstance(event, Entry):
            if event.number != self.seen(event.room) + 1:
                self.problems.append(event)
            self.view.setdefault(event.room, []).append(event.text)
        elif isinstance(event, Told) and not event.own:
            self.told.append(event.text)
        elif isinstance(event, Refused):
            if event.refusal.code not in {*UNDELIVERED, TOO_LATE}:
                self.problems.append(event.refusal)
        elif isinstance(event, (LogReplaced, Replaced)) or (
            isinstance(event, Disconnected) and event.retry is None
        ):
            self.problems.append(event)

    def seen(self, room: str) -> int:
        return self.start.get(room, MANY) + len(self.view.get(room, ()))

    # -- the connection -----------------------------------------------------------------------

    def carry(self, end: int, count: int) -> None:
        """Bytes arrive that were written at one end."""
        if self.ends is None:
            return
        source, target = self.ends[end], self.ends[1 - end]
        if target.is_lost or target.producerState == "paused":
            return
        data = source.take(count)
        if data:
            target.protocol.dataReceived(data)
            self._machine.world.clock.advance(0)
        self.look()

    def look(self) -> None:
        """Whoever closed the connection has closed it, once all that was written has arrived."""
        if self.ends is not None and any(
            end.aborted or (end.disconnecting and not end.value()) for end in self.ends
        ):
            self.cut()

    def cut(self, *, server_knows: bool = True) -> None:
        """The connection breaks; what was on its way is gone."""
        if self.ends is not None:
            here, there = self.ends
            if not server_knows:
                there.is_lost = True  # the server will go on writing to nobody
            there.lose()
            self.ends = None
            here.lose()

    def passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.look()


class ClientMachine(RuleBasedStateMachine):
    """Each rule does one thing to the clients, to what lies between, or to the server."""

    @initialize()
    def begin(self) -> None:
        self.store = Store(MEMORY)
        self.start_server()
        self.said = dict.fromkeys(NAMES, 0)
        #: What each one said and must be in the log: its number and its room.
        self.must: dict[str, dict[int, str]] = {name: {} for name in NAMES}
        self.told: list[str] = []
        self.processes = {
            name: Process(self, name, Disk(f"{at:032x}")) for at, name in enumerate(NAMES)
        }
        for name in NAMES:
            self.flow(name)
            self.join(name, "cinema")
            self.flow(name)

    def start_server(self) -> None:
        # The connections that it does not know to be lost would be too many.
        limits = Limits(rate=None, connections_per_address=0)
        self.world = World(store=self.store, limits=limits)
        self.factory = build_factory(self.world.clock, self.world.chat)

    def log(self, room: str) -> list[str]:
        return [entry.text for entry in self.store.reader().after(room, 0, MANY, MANY)]

    # -- what people do -----------------------------------------------------------------------

    @rule(name=names, room=rooms, count=st.integers(1, 3), written=st.booleans())
    def say(self, name: str, room: str, count: int, written: bool) -> None:
        """Something is said; it may be on disk at once."""
        client = self.processes[name].client
        if room not in client.rooms or any(self.leaves(name, room)):
            return
        for _ in range(count):
            self.said[name] += 1
            self.must[name][self.said[name]] = room
            saying = client.say(f"{name} {self.said[name]}", room, id=str(self.said[name]))
            saying.addErrback(self.processes[name].problems.append)
        if written:
            self.processes[name].disk.write()

    def leaves(self, name: str, room: str) -> list[bool]:
        """For each time that ``name`` is about to leave ``room``."""
        return [
            type(request).__name__ == "Leave" and getattr(request, "room", None) == room
            for request in self.processes[name].client.waiting
        ]

    @rule(name=names, room=rooms)
    def join(self, name: str, room: str) -> None:
        self.processes[name].client.join(room)

    @rule(name=names, room=rooms)
    def leave(self, name: str, room: str) -> None:
        client = self.processes[name].client
        if room in client.rooms and not client.waiting:
            client.leave(room)

    @rule(name=names, written=st.booleans())
    def tell(self, name: str, written: bool) -> None:
        self.said[name] += 1
        (other,) = set(NAMES) - {name}
        telling = self.processes[name].client.tell(other, f"{name} {self.said[name]}")
        telling.addErrback(lambda failure: None)
        if written:
            self.processes[name].disk.write()
            self.processes[name].disk.write()  # that it is about to be sent

    @rule(name=names, on=st.booleans())
    def pause(self, name: str, on: bool) -> None:
        client = self.processes[name].client
        client.pause() if on else client.resume()

    @rule(name=names)
    def write(self, name: str) -> None:
        """What the client wants to keep is on disk."""
        self.processes[name].disk.write()

    @rule(name=names, arrived=st.booleans(), flows=st.booleans())
    def kill(self, name: str, arrived: bool, flows: bool) -> None:
        """The client is gone, and with it what was not on disk: that was never sent.

        Everything else may have ``arrived`` at the server, and be saved.
        """
        process = self.processes[name]
        if arrived:
            process.carry(0, MANY)
            self.commit()
        process.disk.lose()
        kept = process.disk.waiting
        in_log = {text for room in ROOMS for text in self.log(room)}
        waiting = {request.id for request in process.client.waiting}
        for number in tuple(self.must[name]):
            if str(number) in waiting and str(number) not in kept:
                assert f"{name} {number}" not in in_log
                del self.must[name][number]
        if process.ends is not None:
            process.ends[1].lose()
        self.told += process.told
        assert process.problems == []
        self.processes[name] = Process(self, name, process.disk)
        if flows:
            self.flow(name)

    # -- what lies between --------------------------------------------------------------------

    @rule(name=names, end=ends, count=counts)
    def carry(self, name: str, end: int, count: int) -> None:
        self.processes[name].carry(end, count)

    @rule(name=names)
    def flow(self, name: str) -> None:
        """All that can arrive arrives, and is saved."""
        for _ in range(3):
            self.processes[name].disk.write()
            self.processes[name].carry(0, MANY)
            self.commit()
            self.processes[name].carry(1, MANY)

    @rule(name=names, flows=st.booleans())
    def come_back(self, name: str, flows: bool) -> None:
        """The client tries again, and gets as far as it is let."""
        if self.processes[name].ends is None:
            self.processes[name].passes(40)
        if flows:
            self.flow(name)

    @rule(name=names, end=ends, count=counts, server_knows=st.booleans(), comes_back=st.booleans())
    def cut(self, name: str, end: int, count: int, server_knows: bool, comes_back: bool) -> None:
        """At any byte; the server may find out later than the client."""
        self.processes[name].carry(end, count)
        self.processes[name].cut(server_knows=server_knows)
        if comes_back:
            self.come_back(name, flows=True)

    @rule(name=names, count=counts, comes_back=st.booleans())
    def cut_before_the_answer(self, name: str, count: int, comes_back: bool) -> None:
        """All was done that was asked, and the client does not know."""
        self.processes[name].carry(0, MANY)
        self.commit()
        self.cut(name, 1, count, server_knows=True, comes_back=comes_back)

    # -- what the server does -----------------------------------------------------------------

    @rule()
    def forget_who_is_away(self) -> None:
        """The time is over in which one can come back unnoticed."""
        self.world.clock.advance(11)
        self.commit()

    @rule()
    def commit(self) -> None:
        self.world.journal.run()
        self.world.clock.advance(0)

    @rule()
    def commit_one_group(self) -> None:
        """And nobody who waits for a page of the log gets it yet."""
        self.world.journal.step()

    @rule(committed=st.booleans(), come_back=st.booleans())
    def kill_server(self, committed: bool, come_back: bool) -> None:
        """With what was queued on disk or not; nobody was told in either case."""
        if committed:
            queue = self.world.journal.queue
            self.store.commit([item for item in queue if isinstance(item, Draft)])
        for process in self.processes.values():
            process.cut(server_knows=False)
        self.start_server()
        if come_back:
            for name in NAMES:
                self.come_back(name, flows=True)

    # -- what holds ---------------------------------------------------------------------------

    @invariant()
    def each_view_is_a_run_of_the_log(self) -> None:
        for process in getattr(self, "processes", {}).values():
            assert process.problems == []
            for room, texts in process.view.items():
                start = process.start[room]
                assert texts == self.log(room)[start : start + len(texts)]
            for room, number in process.disk.rooms.items():
                assert room not in process.start or number <= process.seen(room)

    def teardown(self) -> None:
        """When everything works again, all has arrived, once and in its order."""
        if not hasattr(self, "processes"):
            return
        for process in self.processes.values():
            process.client.resume()
        for _ in range(30):
            for process in self.processes.values():
                process.passes(2)
                process.disk.write()
                self.world.clock.advance(0.5)
                for end in (0, 1, 0, 1):
                    process.carry(end, MANY)
                    self.commit()
        self.each_view_is_a_run_of_the_log()
        for name, process in self.processes.items():
            assert process.client.waiting == []
            assert process.client.is_in
            assert process.client.rooms.keys() == process.start.keys()
            for room in ROOMS:
                own = [text for text in self.log(room) if text.startswith(name)]
                expected = [n for n, where in self.must[name].items() if where == room]
                assert own == [f"{name} {n}" for n in expected]
                if room in process.start:
                    assert process.seen(room) == len(self.log(room))
            self.told += process.told
        assert len(self.told) == len(set(self.told)), "told twice"


TestClientMachine = ClientMachine.TestCase
TestClientMachine.settings = settings(stateful_step_count=50, deadline=None)

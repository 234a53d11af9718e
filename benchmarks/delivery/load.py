"""The load: all clients of one work, in one epoll loop, as fast as Python can drive sockets.

Received bytes are read into one buffer, and checked there (:mod:`.transcript`). Sent lines come
from blocks that are made beforehand. This module must not know more of a server than its
:class:`.Running` and its dialects (:mod:`.speech`).
"""

from __future__ import annotations

import gc
import random
import resource
import select
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

from benchmarks.delivery import usage
from benchmarks.delivery.audience import Audience
from benchmarks.delivery.connection import OUT, Client
from benchmarks.delivery.delays import Delays
from benchmarks.delivery.errors import CannotMeasure
from benchmarks.delivery.progress import Bar
from benchmarks.delivery.servers import Running
from benchmarks.delivery.speech import LOBBY
from benchmarks.delivery.transcript import Reader
from benchmarks.delivery.work import Measured, Work

#: Bytes read from one client at once, at most.
_PIECE = 1 << 18

#: Seconds without notices after which all clients count as told of each other. The server may
#: coalesce notices: that time is added in full from _LARGE clients on, below them in proportion.
_QUIET = 0.3
_LARGE = 1000

#: Seconds without any progress after which the load gives up.
_PATIENCE = 20.0

#: Seconds between two looks at the progress.
_LOOK = 0.05

#: In a flood, the senders are ahead of the server by the messages that it delivers in _AHEAD
#: seconds, plus _AHEAD_LINES lines each. Lines still on their way at the end have to be read too.
_AHEAD = 1.0
_AHEAD_LINES = 16

#: Seconds of a turn in a flood, at least: bytes that come meanwhile are read in larger pieces.
_TURN = 0.001

#: Clients that can be timed, below which one of them is timed in each turn that has one.
_FEW = 100

#: File descriptors besides the clients' sockets.
_DESCRIPTORS = 64


def allow_descriptors(clients: int) -> None:
    """Let this process, and the processes that it starts, have ``clients`` connections each.

    :raises CannotMeasure: the hard limit of file descriptors is too low.
    """
    needed = clients + _DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise CannotMeasure(
            f"{clients} clients need {needed} file descriptors; ulimit -Hn is {hard}"
        )


class _State(NamedTuple):
    """The counts and times at one moment; CPU time in seconds."""

    time: float
    deliveries: int
    messages: int
    server_cpu: float
    load_cpu: float
    core: usage.Core


class Load:
    """One measurement of a work with a server.

    :param running: the server.
    :param work: the clients, and the messages that they send.
    :param bar: shows the progress.
    """

    def __init__(self, running: Running, work: Work, bar: Bar) -> None:
        self._running = running
        self._work = work
        self._bar = bar
        self._measured = Measured(running.name, work)
        self._epoll = select.epoll()
        self._buffer = bytearray(_PIECE)
        self._view = memoryview(self._buffer)
        self._clients: list[Client] = []
        self._by_descriptor: dict[int, Client] = {}

    def run(self) -> Measured:
        """Connect the clients, send the messages, and check that every line has arrived.

        :raises CannotMeasure: a client could not enter the chat, or lost its connection.
        """
        gc.collect()
        gc.disable()  # garbage collection would delay the loop now and then
        try:
            self._come_in()
            if self._work.seconds:
                self._prepare()
                self._speak()
                self._read_the_rest()
                self._conclude()
            return self._measured
        finally:
            gc.enable()
            for client in self._clients:
                client.close()
            self._epoll.close()

    # -- connecting the clients ---------------------------------------------------------------

    def _come_in(self) -> None:
        work, running, measured = self._work, self._running, self._measured
        if running.process is not None:
            measured.memory_before = running.memory().now
        began = progress = time.perf_counter()
        came = 0
        while came < work.clients:
            while len(self._clients) < min(work.clients, came + running.burst):
                self._open(len(self._clients))
            self._turn(_LOOK)
            # Clients enter nearly in the order in which they are opened.
            while came < len(self._clients) and self._clients[came].is_in:
                came += 1
                progress = time.perf_counter()
            self._bar.show(f"{running.name}: coming in", came / work.clients)
            if time.perf_counter() - progress > _PATIENCE:
                raise CannotMeasure(
                    f"{running.name}: only {came} of {work.clients} clients could come in"
                )
        measured.connect_seconds = time.perf_counter() - began
        measured.told_seconds = self._await_silence() - began
        if running.process is not None:
            measured.memory_at_rest, measured.memory_peak = running.memory()

    def _open(self, number: int) -> None:
        work, speeches = self._work, self._running.speech
        room = LOBBY if work.rooms == 1 else b"room%d" % (number % work.rooms)
        speech = speeches[number // work.rooms % len(speeches) if work.mixed else work.speech]
        client = Client(self._epoll, number, room, speech)
        if number >= work.clients - work.stopped:
            client.take_little()
        self._clients.append(client)
        self._by_descriptor[client.descriptor] = client
        client.connect(self._running.address)

    def _await_silence(self) -> float:
        """Wait until no notices come any more; returns the time of the last one."""
        quiet = _QUIET + self._running.gathering * min(1.0, self._work.clients / _LARGE)
        heard = time.perf_counter()
        while time.perf_counter() - heard < quiet:
            if self._turn(_LOOK):
                heard = time.perf_counter()
            self._bar.show(f"{self._running.name}: waiting for silence", 1.0)
        return heard

    # -- sending messages ---------------------------------------------------------------------

    def _prepare(self) -> None:
        work, clients = self._work, self._clients
        active = work.active_rooms or work.rooms
        numbers = [n % active + n // active * work.rooms for n in range(work.senders)]
        self._senders = [clients[number] for number in numbers]
        for client in self._senders:
            client.prepare(work.size)
        self._stopped = clients[len(clients) - work.stopped :]
        self._audience = Audience(
            clients,
            self._senders,
            work.size,
            ordered=self._running.ordered,
            each_checked=work.rate is not None,
            may_skip=self._stopped,
        )
        self._readers = {
            client.descriptor: reader
            for client, reader in self._audience.readers.items()
            if isinstance(reader, Reader)
        }
        self._samples = self._readers.keys() - self._audience.followers
        if not self._running.ordered:
            note = "each client has an order of its own"
            if work.rate is None:
                note += ", in each room one was read and the others were counted"
            self._measured.notes.append(note)
        self._delays = Delays({c.number: c for c in self._senders}, work.rate is None)

    def _speak(self) -> None:
        work, measured = self._work, self._measured
        for client in self._stopped:
            client.stop_reading()
        speaking = self._flood() if work.rate is None else self._pace(work.rate)
        began = time.perf_counter()
        self._go_on(speaking, began, began + work.warm_up)
        self._delays.forget()
        before = self._state()
        self._go_on(speaking, began, before.time + work.seconds)
        after = self._state()
        summary = self._delays.summary()
        if summary is not None:
            measured.delay_p50, measured.delay_p99, measured.delay_max, measured.delays = summary
        measured.seconds = after.time - before.time
        measured.messages = after.messages - before.messages
        measured.deliveries = after.deliveries - before.deliveries
        measured.load_cpu = after.load_cpu - before.load_cpu
        if self._running.process is not None:
            measured.server_cpu = after.server_cpu - before.server_cpu
            measured.memory_peak = self._running.memory().peak
        if self._running.core is not None:
            processes = after.core.processes - before.core.processes
            measured.disturbed = processes - (after.server_cpu - before.server_cpu)
            measured.disturbed += after.core.stolen - before.core.stolen

    def _go_on(self, speaking: Iterator[float], began: float, until: float) -> None:
        total = self._work.warm_up + self._work.seconds
        looked = 0.0
        while (now := time.perf_counter()) < until:
            self._timed_turn(next(speaking))
            if self._work.rate is None:
                time.sleep(max(0.0, now + _TURN - time.perf_counter()))
            if now - looked > 4 * _LOOK:
                looked = now
                if self._work.rate is None:
                    self._delays.work_out()  # slow, and nothing is read meanwhile
                self._audience.forget()
                self._bar.show(f"{self._running.name}: speaking", (now - began) / total)

    def _flood(self) -> Iterator[float]:
        """Keep the server busy; yields, for each turn, the seconds that it may wait for events."""
        audience, senders = self._audience, self._senders
        looks: deque[tuple[float, int]] = deque()
        looked = 0.0
        ahead = float(_AHEAD_LINES)
        while True:
            now = time.perf_counter()
            if now - looked > _LOOK:
                looked = now
                looks.append((now, audience.all_seen()))
                while looks[0][0] < now - _AHEAD:
                    looks.popleft()
                ahead = _AHEAD_LINES + (looks[-1][1] - looks[0][1]) / len(senders)
            for client in senders:
                count = int(ahead) - client.sent + audience.seen(client)
                if 4 * count >= ahead:  # in a few large pieces, rather than in many small ones
                    client.say(count)
            yield _LOOK

    def _pace(self, rate: float) -> Iterator[float]:
        """Send ``rate`` messages per second, by each sender in turn; yields like ``_flood``."""
        due = time.perf_counter()
        turn = 0
        while True:
            while due <= time.perf_counter():
                self._senders[turn % len(self._senders)].say(1)
                turn += 1
                due += 1 / rate
            yield min(_LOOK, max(0.0, due - time.perf_counter()))

    def _state(self) -> _State:
        return _State(
            time.perf_counter(),
            self._audience.delivered(),
            self._audience.all_seen(),
            self._running.cpu(),
            time.process_time(),
            usage.Core(0, 0, 0) if self._running.core is None else usage.core(self._running.core),
        )

    # -- the end ------------------------------------------------------------------------------

    def _read_the_rest(self) -> None:
        """Read until every client has every line, or nothing comes any more."""
        for client in self._stopped:
            client.read_again()
        heard = looked = time.perf_counter()
        while time.perf_counter() - heard < _PATIENCE:
            if self._turn(_LOOK):
                heard = time.perf_counter()
            self._audience.settle()
            if time.perf_counter() - looked > 2 * _LOOK:
                self._bar.show(f"{self._running.name}: reading the rest", 1.0)
                self._audience.forget()
                if self._audience.is_complete():
                    return
                looked = time.perf_counter()

    def _conclude(self) -> None:
        measured = self._measured
        measured.sent = sum([client.sent for client in self._senders])
        measured.checked = self._audience.delivered()
        measured.skipped = self._audience.skipped()
        measured.problems.extend(self._audience.problems())

    # -- the loop -----------------------------------------------------------------------------

    def _turn(self, timeout: float) -> int:
        """Wait for events and handle them; returns their number."""
        events = self._epoll.poll(timeout, 4096)
        clients, view, buffer = self._by_descriptor, self._view, self._buffer
        for descriptor, event in events:
            client = clients[descriptor]
            if event & OUT:
                client.flush()
            if event & ~OUT:
                count = self._receive(client, buffer)
                if count:
                    client.heard(view[:count])
        return len(events)

    def _timed_turn(self, timeout: float) -> None:
        """Do a turn with delays: of all lines at a fixed rate, of one client's in a flood."""
        events = self._epoll.poll(timeout, 4096)
        clients, view, buffer = self._by_descriptor, self._view, self._buffer
        readers, delays = self._readers, self._delays
        all_timed = self._work.rate is not None
        sample = self._choose_sample(events)
        # Followers are read last: the other readers have then written the transcript.
        followers = self._audience.followers
        events.sort(key=lambda event: event[0] in followers)
        for descriptor, event in events:
            client = clients[descriptor]
            if event & OUT:
                client.flush()
            if event & ~OUT:
                if descriptor in followers and readers[descriptor].pending > _PIECE:
                    continue  # let the others catch up
                count = self._receive(client, buffer)
                if not count:
                    continue
                if descriptor == sample or (all_timed and descriptor in readers):
                    delays.read(readers[descriptor], view[:count])
                else:
                    client.heard(view[:count])
        delays.settle()
        self._audience.settle()

    def _choose_sample(self, events: Sequence[tuple[int, int]]) -> int:
        """The descriptor of the client to time in this turn of a flood; -1 for none."""
        if len(self._samples) < _FEW:
            return next((descriptor for descriptor, _ in events if descriptor in self._samples), -1)
        descriptor = random.choice(events)[0] if events else -1
        return descriptor if descriptor in self._samples else -1

    def _receive(self, client: Client, buffer: bytearray) -> int:
        try:
            count = client.receive_into(buffer)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._lost(client, str(error.strerror))
        if not count:
            self._lost(client, "closed by the server")
        return count

    def _lost(self, client: Client, reason: str) -> NoReturn:
        raise CannotMeasure(f"{self._running.name}: {client.name} lost the connection: {reason}")

"""What is delivered goes out whole and in order, whatever the socket takes; what has not arrived
is known to the line.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport

from twisted_chat.core.events import Entry, Event, Style
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.room import Batch, Room
from twisted_chat.dialects.base import DialectRendering
from twisted_chat.dialects.text import TEXT
from twisted_chat.net.outbox import BUFFER, DELIVERIES, UNSENT, Outbox

RENDERING = DialectRendering(TEXT, Style("en"))


class SocketTransport:
    """As a plain TCP transport, over a real socket: the test says when it is writable."""

    def __init__(self, handle: socket.socket) -> None:
        self.handle = handle
        self.producer: Any = None
        self.writing = False
        self.written: list[bytes] = []
        self.closing = False
        self.aborted = False

    def getHandle(self) -> socket.socket:
        return self.handle

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert not streaming
        self.producer = producer
        producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def startWriting(self) -> None:
        self.writing = True

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def loseConnection(self) -> None:
        self.closing = True

    def abortConnection(self) -> None:
        self.aborted = True

    def is_writable(self) -> None:
        if self.writing and self.producer is not None:
            self.writing = False
            self.producer.resumeProducing()


class Watcher:
    """Whom an outbox tells what becomes of it."""

    def __init__(self) -> None:
        self.outbox: Outbox
        self.changes: list[bool] = []
        self.moves = 0
        self.sizes: list[int] = []

    def outbox_changed(self) -> None:
        self.changes.append(self.outbox.ready)

    def outbox_moved(self) -> None:
        self.moves += 1

    def outbox_grew(self, size: int) -> None:
        self.sizes.append(size)


class Line(Watcher):
    """An outbox at one end of a real connection, with little room in it, and the other end."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        super().__init__()
        self.far = far
        self.transport = SocketTransport(near)
        self.outbox = Outbox(self.transport, self)

    def waiting_at_the_far_end(self) -> int:
        """Bytes that have arrived there, once nothing moves any more."""
        before = -1
        while True:
            (size,) = struct.unpack("i", fcntl.ioctl(self.far, termios.FIONREAD, bytes(4)))
            if size == before:
                return int(size)
            before = size
            time.sleep(0.1)  # longer than an acknowledgement is delayed

    def read(self, size: int) -> bytes:
        try:
            return self.far.recv(size)
        except BlockingIOError:
            return b""

    def read_all(self) -> bytes:
        """Everything, until the outbox is ready and nothing comes any more."""
        received = []
        idle = 0
        while idle < 3:
            data = self.read(1 << 16)
            received.append(data)
            self.transport.is_writable()
            idle = 0 if data or not self.outbox.ready else idle + 1
            if not data:
                time.sleep(0.001)
        return b"".join(received)


@contextmanager
def line() -> Iterator[Line]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        near.connect(listening.getsockname())
        far, _ = listening.accept()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        yield Line(near, far)


def entry(number: int, said: str = "oi") -> Entry:
    return Entry("lobby", number, 0, "say", "Ana", said, 0, None, b"")


def shown(events: Sequence[Event]) -> Rendered:
    return Batch(Room("lobby"), events).rendered(RENDERING)


@given(
    st.lists(
        st.one_of(
            st.integers(1, 60_000).map(lambda size: ("deliver", size)),
            st.integers(1, 60_000).map(lambda size: ("read", size)),
            st.just(("writable", 0)),
        ),
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_everything_arrives_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    with line() as wire:
        sent, received = [], []
        for n, (step, size) in enumerate(steps):
            if step == "deliver":
                data = bytes((n % 256,)) * size
                sent.append(data)
                wire.outbox.deliver(Rendered(data))
            elif step == "read":
                received.append(wire.read(size))
            else:
                wire.transport.is_writable()
        received.append(wire.read_all())
        assert b"".join(received) == b"".join(sent)
        assert wire.changes == [False, True] * (len(wire.changes) // 2)


def test_who_does_not_read_is_known_not_to_be_ready_and_holds_the_rest_without_a_copy() -> None:
    with line() as wire:
        data = b"x" * 1_000_000
        wire.outbox.deliver(Rendered(data))
        assert not wire.outbox.ready
        assert wire.changes == [False]
        assert wire.transport.written == []
        assert wire.read_all() == data
        assert wire.changes == [False, True]


def test_what_piles_up_behind_what_is_being_sent_is_counted_until_its_turn_comes() -> None:
    with line() as wire:
        first, second, third = b"x" * 1_000_000, b"y" * 300_000, b"z" * 7
        for data in (first, second, third):
            wire.outbox.deliver(Rendered(data))
        assert wire.sizes == [300_000, 300_007]
        read = 0
        while read <= len(first) + 50_000:
            read += len(wire.read(1 << 16))
            wire.transport.is_writable()
        wire.outbox.deliver(Rendered(third))
        assert wire.sizes[-1] == 14
        wire.read_all()
        wire.outbox.deliver(Rendered(first))
        wire.outbox.deliver(Rendered(third))
        assert wire.sizes[-1] == 7


def test_the_owner_knows_when_the_other_side_takes_something_but_not_all() -> None:
    with line() as wire:
        wire.outbox.deliver(Rendered(b"x" * 1_000_000))
        moves = -1
        while wire.moves != moves:  # until the system takes no more
            moves = wire.moves
            time.sleep(0.05)
            wire.transport.is_writable()
        wire.read(1 << 16)
        while wire.moves == moves:
            wire.transport.is_writable()
        assert wire.changes == [False]
        assert not wire.outbox.has_moved()
        wire.read_all()
        assert wire.changes == [False, True]


def test_whoever_reads_a_little_has_moved_although_the_system_wants_no_more_yet() -> None:
    with line() as wire:
        wire.outbox.deliver(Rendered(b"x" * 1_000_000))
        wire.waiting_at_the_far_end()
        assert wire.outbox.has_moved()  # what was still on the way
        assert not wire.outbox.has_moved()
        wire.read(2000)
        wire.read(1 << 11)
        wire.waiting_at_the_far_end()
        assert wire.outbox.has_moved()
        assert not wire.outbox.has_moved()
        assert not wire.outbox.ready


def test_what_waited_for_a_connection_that_is_cut_off_is_known_not_to_have_arrived() -> None:
    with line() as wire:
        numbers = iter(range(1, 1_000_000))
        while wire.outbox.ready:
            wire.outbox.deliver(shown([entry(next(numbers), "y" * 50) for _ in range(7)]))
        last = next(numbers)
        wire.outbox.deliver(shown([entry(last)]))
        wire.outbox.abort()
        assert wire.transport.aborted
        wire.outbox.deliver(shown([entry(next(numbers))]))
        wire.outbox.stopProducing()  # as the transport does when it is gone
        missing = wire.outbox.missing()
        assert missing[-1][0].first_missing(missing[-1][1]) == last


def test_of_a_transport_without_a_socket_what_is_given_to_it_when_it_is_full_is_counted() -> None:
    transport: Any = StringTransport()
    watcher = Watcher()
    outbox = watcher.outbox = Outbox(transport, watcher)
    outbox.deliver(Rendered(b"x" * 100))
    transport.dataBuffer, transport.offset = b"x" * 100, 10
    outbox.pauseProducing()
    assert not outbox.has_moved()
    outbox.deliver(Rendered(b"y" * 10))
    outbox.deliver(Rendered(b"y" * 5))
    assert watcher.sizes == [10, 15]
    assert not outbox.has_moved()
    transport.offset = 20
    assert outbox.has_moved()
    assert not outbox.has_moved()
    outbox.resumeProducing()
    outbox.deliver(Rendered(b"z" * 5))
    assert watcher.sizes == [10, 15]
    assert watcher.changes == [False, True]
    assert transport.value() == b"x" * 100 + b"y" * 15 + b"z" * 5


def test_what_has_not_arrived_is_known_to_the_line() -> None:
    with line() as wire:
        numbers = iter(range(1, 1_000_000))
        while wire.outbox.ready:
            wire.outbox.deliver(shown([entry(next(numbers), "y" * 50) for _ in range(7)]))
        last = next(numbers)
        wire.outbox.deliver(shown([entry(last)]))
        arrived = wire.waiting_at_the_far_end()
        (first, size), *others = wire.outbox.missing()
        missing = first.first_missing(size)
        whole = wire.read(arrived).count(b"\n")
        assert missing == whole + 1
        assert others[-1][0].first_missing(others[-1][1]) == last


def test_what_has_arrived_is_not_remembered() -> None:
    with line() as wire:
        for number in range(10 * DELIVERIES):
            wire.outbox.deliver(shown([entry(number + 1)]))
            wire.read_all()
            assert len(wire.outbox._deliveries) <= DELIVERIES
        assert wire.outbox.missing() == []


def test_of_what_was_sent_it_is_known_when_it_has_arrived() -> None:
    """Also what was sent long after others, and whatever is sent after it."""
    with line() as wire:
        for number in range(3 * DELIVERIES):
            wire.outbox.deliver(shown([entry(number + 1)]))
        first = wire.outbox.arrival()
        while wire.outbox.ready:
            wire.outbox.deliver(Rendered(b"y" * 500))
        wire.outbox.deliver(Rendered(b"z" * 20_000))
        second = wire.outbox.arrival()
        wire.waiting_at_the_far_end()
        assert first()
        assert not second()
        wire.read_all()
        wire.waiting_at_the_far_end()
        assert second()
        wire.outbox.deliver(Rendered(b"x"))
        assert second()


def test_what_had_not_arrived_when_the_connection_was_lost_never_does() -> None:
    with line() as wire:
        while wire.outbox.ready:
            wire.outbox.deliver(Rendered(b"y" * 500))
        arrived = wire.outbox.arrival()
        wire.outbox.stopProducing()
        wire.read_all()
        assert not arrived()


def test_under_tls_it_is_known_a_turn_later_what_has_arrived() -> None:
    near, far = socket.socketpair(socket.AF_UNIX)
    near.setblocking(False)
    with near, far:
        transport = StringTransport()
        transport.socket = near  # type: ignore[attr-defined]
        outbox = Outbox(transport, Watcher())
        outbox.deliver(Rendered(b"x" * 100))
        arrived = outbox.arrival()
        transport.dataBuffer, transport.offset = b"x" * 100, 0  # type: ignore[attr-defined]
        assert not arrived()
        transport.dataBuffer = b""  # type: ignore[attr-defined]
        assert arrived()


def test_where_it_cannot_be_known_all_counts_as_arrived() -> None:
    outbox = Outbox(StringTransport(), Watcher())
    outbox.deliver(Rendered(b"x"))
    assert outbox.arrival()()


def test_what_waits_is_still_sent_when_the_connection_closes() -> None:
    with line() as wire:
        data = bytes(range(256)) * 4000
        wire.outbox.deliver(Rendered(data))
        wire.outbox.deliver(Rendered(b"bye\n"))
        wire.outbox.close()
        wire.outbox.deliver(Rendered(b"too late\n"))
        assert not wire.transport.closing
        received = b""
        while len(received) < len(data) + 4:
            received += wire.read(1 << 16)
            wire.transport.is_writable()
        assert received == data + b"bye\n"
        assert wire.transport.closing
        assert sum(len(shown.data) - sent for shown, sent in wire.outbox.missing()) < len(data) // 2


def test_a_socket_that_is_broken_is_for_the_transport_to_find() -> None:
    """What the other side said before it went is still handled: nothing holds that up."""
    with line() as wire:
        wire.outbox.deliver(shown([entry(1)]))
        wire.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.far.close()  # with a reset
        for number in range(2, 6):
            wire.outbox.deliver(shown([entry(number)]))
        assert wire.outbox.ready
        assert wire.changes == []
        numbers = [each.first_missing(size) for each, size in wire.outbox.missing()]
        assert numbers[-4:] == [2, 3, 4, 5]


def test_a_stopped_reader_costs_little_however_short_the_lines_are() -> None:
    with line() as wire:
        wire.transport.handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_000_000)
        number = 0
        while wire.outbox.ready:
            number += 1
            wire.outbox.deliver(shown([entry(number)]))
        assert len(wire.outbox._deliveries) < 3 * UNSENT // len("[Ana]: oi ")
        assert len(wire.outbox.missing()) < number


def test_where_it_cannot_be_known_what_has_arrived_nothing_counts_as_arrived() -> None:
    """A transport without a plain socket, such as TLS."""
    transport = StringTransport()
    outbox = Outbox(transport, Watcher())
    for number in range(1, 4):
        outbox.deliver(shown([entry(number)]))
    assert [each.first_missing(size) for each, size in outbox.missing()] == [1, 2, 3]
    assert transport.value() == b"[Ana]: oi\n" * 3


def test_under_tls_what_the_connection_below_holds_has_not_arrived() -> None:
    """More than a transport holds before it asks to wait: a whole run is given to it at once."""
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        transport = StringTransport()
        transport.socket = near  # type: ignore[attr-defined]
        held = near.send(b"x" * 10**6)
        transport.dataBuffer, transport.offset = b"x" * 50_000, 0  # type: ignore[attr-defined]
        transport._tempDataLen = 60_000  # type: ignore[attr-defined]
        outbox = Outbox(transport, Watcher())
        line = entry(1, "x" * 1000)
        for _ in range(1000):
            outbox.deliver(shown([line]))
        missing = sum(len(each.data) - size for each, size in outbox.missing())
        kernel = struct.unpack("i", fcntl.ioctl(near, termios.TIOCOUTQ, bytes(4)))[0]
        assert held > 100_000
        assert missing == kernel + 110_000 + BUFFER


def test_a_batch_without_some_of_its_lines() -> None:
    batch = Batch(Room("lobby"), [entry(n, str(n)) for n in range(1, 7)])
    some = batch.rendered_without(RENDERING, [0, 3, 5])
    assert some.data == b"[Ana]: 2\n[Ana]: 3\n[Ana]: 5\n"
    assert [e.number for e in some.events if isinstance(e, Entry)] == [2, 3, 5]
    assert [some.first_missing(size) for size in (0, 9, 17, 18, 27)] == [2, 3, 3, 5, None]

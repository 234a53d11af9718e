"""How a connection ends: all that was sent is read, and nothing waits for ever."""

from __future__ import annotations

from typing import cast

from twisted.internet.task import Clock

from twisted_chat.net.closing import CLOSE_TIMEOUT, LINGER, Closing
from twisted_chat.net.outbox import Outbox


class Transport:
    """Writes down how it is closed."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def loseConnection(self) -> None:
        self.done.append("lose")

    def abortConnection(self) -> None:
        self.done.append("abort")

    def resumeProducing(self) -> None:
        self.done.append("read")


class Unread:
    """An outbox whose bytes the other side's system has not confirmed."""

    unacknowledged = True
    closed = False

    def close(self) -> None:
        self.closed = True


def closing() -> tuple[Closing, Clock, Transport, Unread]:
    clock, transport, outbox = Clock(), Transport(), Unread()
    return Closing(clock, transport, cast(Outbox, outbox)), clock, transport, outbox


def test_a_connection_that_does_not_send_all_is_cut_off() -> None:
    close, clock, transport, outbox = closing()
    close.begin()
    assert outbox.closed
    clock.advance(CLOSE_TIMEOUT - 0.1)
    assert transport.done == []
    clock.advance(0.1)
    assert transport.done == ["abort"]


def test_once_the_end_has_arrived_the_connection_is_reset() -> None:
    close, clock, transport, outbox = closing()
    close.begin()
    close.all_sent()
    for _ in range(3):
        clock.advance(LINGER)
    assert transport.done == ["read"]
    outbox.unacknowledged = False
    clock.advance(LINGER)
    assert transport.done == ["read", "abort"]
    assert clock.getDelayedCalls() == []


def test_if_the_end_does_not_arrive_the_connection_is_reset_all_the_same() -> None:
    close, clock, transport, _ = closing()
    close.begin()
    close.all_sent()
    clock.pump([LINGER] * round(CLOSE_TIMEOUT / LINGER))
    assert transport.done == ["read", "abort"]


def test_a_peer_that_ends_its_side_meanwhile_is_closed_at_once() -> None:
    close, _, transport, _ = closing()
    close.begin()
    close.peer_ended()
    assert transport.done == ["lose"]


def test_a_connection_that_is_gone_has_no_timer() -> None:
    close, clock, transport, _ = closing()
    close.begin()
    close.stop()
    clock.advance(2 * CLOSE_TIMEOUT)
    assert transport.done == []

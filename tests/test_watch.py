"""The end of a connection is found where nothing is read from it and nothing written to it."""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from twisted_chat.net import watch
from twisted_chat.net.sockets import has_unread, state_of
from twisted_chat.net.watch import LOOK_INTERVAL, ROUND, Watch


class Connection:
    """What a watch knows of a connection; it notes what it is told."""

    def __init__(self, handle: object) -> None:
        self.handle = handle
        self.told: list[object] = []

    def look_ahead(self) -> None:
        self.told.append("look ahead")

    def hung_up(self, error: int) -> None:
        self.told.append(error)

    def vanished(self) -> None:
        self.told.append("vanished")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.create_connection(listening.getsockname())
        near, _ = listening.accept()
    with far, near:
        if state_of(near) is None:
            pytest.skip("this system does not tell how a connection is")
        yield near, far


def look(clock: Clock) -> None:
    time.sleep(0.02)  # what was sent arrives
    clock.advance(LOOK_INTERVAL)


def test_a_reset_is_found_while_a_connection_is_held(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    clock, connection = Clock(), Connection(near)
    watched = Watch(clock)
    watched.hold(connection)
    far.sendall(b"unread")
    look(clock)
    assert connection.told == ["look ahead"]
    assert has_unread(near)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    look(clock)
    assert connection.told == ["look ahead", errno.ECONNRESET]


def test_the_end_of_what_is_sent_is_no_reset(pair: tuple[socket.socket, socket.socket]) -> None:
    """Not even where the answer to it is one."""
    near, far = pair
    clock, connection = Clock(), Connection(near)
    watched = Watch(clock)
    watched.hold(connection)
    far.sendall(b"unread")
    far.close()
    look(clock)
    near.send(b"said meanwhile")
    look(clock)
    assert connection.told == ["look ahead", errno.EPIPE]


def test_who_was_not_heard_from_for_too_long_has_vanished(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, connection = Clock(), Connection(pair[0])
    watched = Watch(clock)
    watched.open(connection)
    for _ in range(ROUND):
        look(clock)
    assert connection.told == []
    monkeypatch.setattr(watch, "UNHEARD_LIMIT", 0.01)
    for _ in range(ROUND):
        look(clock)
    assert "vanished" in connection.told


def test_nothing_is_looked_at_when_nobody_is_watched(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    clock, connection = Clock(), Connection(pair[0])
    watched = Watch(clock)
    watched.open(connection)
    watched.hold(connection)
    watched.close(connection)
    assert clock.getDelayedCalls() == []


def test_what_is_no_tcp_socket_is_not_asked() -> None:
    assert state_of(None) is None
    with socket.socket(socket.AF_UNIX) as local:
        assert state_of(local) is None

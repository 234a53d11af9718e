"""What is asked of the operating system for connections: dead ones, unwanted ones, too many."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
import struct
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from errno import EMFILE, ENFILE
from typing import Any, NamedTuple

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

#: A peer that is gone is found after 60 + 5 * 10 seconds of silence (tcp(7)).
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 5}
DEAD_AFTER = 110

#: File descriptors that are left for the log, the database and whoever is turned away.
SPARE_DESCRIPTORS = 32

#: Seconds for which nobody is accepted when there is no file descriptor.
PAUSE = 1.0


def set_options(transport: Any, write_timeout: float) -> None:
    """Have the system send at once over a TCP connection, and find out when its other side is gone.

    ``write_timeout`` is how many seconds a reader may stand still, 0 is for ever.
    """
    # Under TLS, the transport has that of the connection below it.
    connection = getattr(transport, "socket", None)
    if not isinstance(connection, socket.socket) or connection.family == socket.AF_UNIX:
        return
    with suppress(OSError):  # it may be gone already
        # Telnet's urgent byte (RFC 854, Synch) stays in its place among the others.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        # Or else a line waits for the acknowledgement of the one before, up to 40 ms; those that
        # go together are one write.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            # On Linux TCP_KEEPALIVE is no option, on macOS it is TCP_KEEPIDLE.
            option = getattr(socket, name, None)
            if option is not None:
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
        if write_timeout and hasattr(socket, "TCP_USER_TIMEOUT"):
            # Keepalive says nothing while something is on the way to a peer that is gone.
            patience = max(DEAD_AFTER, int(write_timeout) + 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * patience)


class SocketState(NamedTuple):
    """What the system knows of a TCP connection."""

    #: Whether nothing can be sent any more: the other side has reset it, or does not exist.
    hung_up: bool
    #: Seconds since anything came from the other side's system, acknowledgements too.
    unheard: float


#: Where Linux has them in ``struct tcp_info`` (linux/tcp.h): the state as the first byte, and
#: milliseconds since the last data and the last acknowledgement arrived.
_TCP_INFO = struct.Struct("=B51xII")
_TCP_CLOSE = 7


def state_of(connection: object) -> SocketState | None:
    """How a TCP connection is; None where the system does not tell, or it is closed here."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None or not isinstance(connection, socket.socket):
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, option, _TCP_INFO.size)
    except OSError:  # not TCP, or gone
        return None
    if len(info) < _TCP_INFO.size:
        return None
    state, data, acknowledgement = _TCP_INFO.unpack(info)
    return SocketState(state == _TCP_CLOSE, min(data, acknowledgement) / 1000)


def has_unread(connection: object) -> bool:
    """Whether the system holds bytes that came over a connection and were not read."""
    if not isinstance(connection, socket.socket):
        return False
    try:
        unread = fcntl.ioctl(connection, termios.FIONREAD, bytes(4))
    except (OSError, ValueError):
        return False
    return unread != bytes(4)


def take_error(connection: object) -> int:
    """The error of a socket that nobody was told yet, as ``errno``; 0 if there is none."""
    if not isinstance(connection, socket.socket):
        return 0
    try:
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError:
        return 0


def close_with(transport: Any, line: bytes) -> bool:
    """Send ``line`` over a new connection, and close it; returns whether that is done already.

    It is, where there is a socket: whoever is turned away holds no descriptor until the next
    turn of the reactor's loop.
    """
    if isinstance(transport, tcp.Connection):
        with suppress(OSError):
            transport.getHandle().send(line)
        transport.connectionLost(Failure(ConnectionDone()))
        return True
    transport.write(line)
    transport.loseConnection()
    return False


def descriptor_limit() -> int:
    """How many files and connections this process can have open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def accept_while_possible(
    port: Any, clock: Any, paused: Callable[[], object], pause: float = PAUSE
) -> None:
    """Have ``port``, of Twisted, accept nobody while there is no file descriptor.

    It would close the newcomers without a word, with lines in the log for each; or, if its last
    descriptor is taken too, try again without a rest. So they wait in the queue of the system.
    ``paused`` is called each time that happens, not more often than every ``pause`` seconds.
    """
    if not isinstance(port, tcp.Port):
        return
    accept = port.doRead

    def start_again() -> None:
        if port.connected and not port.disconnecting:
            port.startReading()

    def accept_if_possible() -> None:
        free = _free_descriptor()
        if free is not None:
            # What it may accept at once is not more than there are descriptors, in all likelihood.
            port.numberAccepts = max(1, min(port.numberAccepts, descriptor_limit() - free))
            accept()
        else:
            port.stopReading()
            clock.callLater(pause, start_again)
            paused()

    port.doRead = accept_if_possible  # type: ignore[method-assign]


def _free_descriptor() -> int | None:
    """The number that the next file or connection would get, 0 if that cannot be known."""
    try:
        number = os.open(os.devnull, os.O_RDONLY)
    except OSError as error:
        if error.errno in (EMFILE, ENFILE):
            return None
        return 0
    os.close(number)
    return number

"""Calls to the operating system about sockets: options, state, unread bytes, file descriptors.

This module must not know sessions, lines or the state of a connection.
"""

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

#: Keepalive finds a dead peer after 60 + 5 * 10 seconds of silence (tcp(7)): DEAD_AFTER.
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 5}
DEAD_AFTER = 110

#: File descriptors kept free of clients: for the log, the database and rejected connections.
SPARE_DESCRIPTORS = 32

#: Seconds without accepting connections after the file descriptors have run out.
PAUSE = 1.0


def set_options(transport: Any, write_timeout: float) -> None:
    """Have the system send at once over a TCP connection, and find out when its peer is gone.

    :param transport: the connection's transport; other kinds than TCP are left as they are.
    :param write_timeout: seconds that a client may read nothing; 0 is for ever.
    """
    # A TLS transport has the socket of the connection below it.
    connection = getattr(transport, "socket", None)
    if not isinstance(connection, socket.socket) or connection.family == socket.AF_UNIX:
        return
    with suppress(OSError):  # the connection may be gone already
        # Keeps telnet's urgent byte (RFC 854, Synch) in its place among the others.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        # Without it, a line waits up to 40 ms for the acknowledgement of the line before. Lines
        # that belong together are one write anyway.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            # TCP_KEEPALIVE is the name of TCP_KEEPIDLE on macOS; Linux has no such option.
            option = getattr(socket, name, None)
            if option is not None:
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
        if write_timeout and hasattr(socket, "TCP_USER_TIMEOUT"):
            # Keepalive does not run while bytes to a dead peer are unacknowledged.
            patience = max(DEAD_AFTER, int(write_timeout) + 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * patience)


class SocketState(NamedTuple):
    """The state of a TCP connection in the system."""

    #: Whether nothing can be sent any more: the peer has reset the connection, or is gone.
    hung_up: bool
    #: Seconds since the last data or acknowledgement from the peer's system.
    unheard: float


#: The fields used of Linux's ``struct tcp_info`` (linux/tcp.h): the state in the first byte, and
#: the milliseconds since the last data and since the last acknowledgement.
_TCP_INFO = struct.Struct("=B51xII")
_TCP_CLOSE = 7


def state_of(connection: object) -> SocketState | None:
    """The state of a TCP connection; None if the system does not tell, or its socket is closed."""
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
    """Whether the system holds received bytes of a connection that were not read yet."""
    if not isinstance(connection, socket.socket):
        return False
    try:
        unread = fcntl.ioctl(connection, termios.FIONREAD, bytes(4))
    except (OSError, ValueError):
        return False
    return unread != bytes(4)


def take_error(connection: object) -> int:
    """Take the pending error of a socket, an ``errno``; 0 if there is none."""
    if not isinstance(connection, socket.socket):
        return 0
    try:
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError:
        return 0


def close_with(transport: Any, line: bytes) -> bool:
    """Send ``line`` over a new connection and close it; returns whether it is closed already.

    A TCP or Unix connection is closed at once, so that its file descriptor is free before the next
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
    """The number of files and connections that this process can have open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def accept_while_possible(
    port: Any, clock: Any, paused: Callable[[], object], pause: float = PAUSE
) -> None:
    """Have a listener accept no connection while no file descriptor is free.

    Twisted alone would close new connections silently, with log lines for each, or, without its
    reserve descriptor, try to accept without a pause. With this, they wait in the system's queue.

    :param port: Twisted's listening port; other kinds than TCP and Unix are left as they are.
    :param clock: provides IReactorTime.
    :param paused: called at each pause.
    :param pause: seconds of a pause.
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
            # Twisted should not try to accept more connections than there are free descriptors.
            port.numberAccepts = max(1, min(port.numberAccepts, descriptor_limit() - free))
            accept()
        else:
            port.stopReading()
            clock.callLater(pause, start_again)
            paused()

    port.doRead = accept_if_possible  # type: ignore[method-assign]


def _free_descriptor() -> int | None:
    """The number of the next file descriptor; None if none is free, 0 if that is unknown."""
    try:
        number = os.open(os.devnull, os.O_RDONLY)
    except OSError as error:
        if error.errno in (EMFILE, ENFILE):
            return None
        return 0
    os.close(number)
    return number

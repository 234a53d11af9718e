"""The file of the operator's socket: beside the database, and for its owner and root alone.

Its mode is 0600 from the moment at which it exists. A socket that a killed server left is replaced;
one on which a server listens is not. This module must not know what is spoken over the socket.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: The end of the socket's name; the rest is the name of the database.
SUFFIX = ".control"

#: Bytes of an address that every Unix has: Linux has 108, with a NUL (unix(7)), others 104.
ADDRESS_LIMIT = 103

#: Connections that wait for the server.
BACKLOG = 16

#: Linux's ``struct ucred``: process, user and group.
_UCRED = struct.Struct("3i")


def path_of(database: str) -> str:
    """The path of the socket of the server that serves ``database``.

    It is that of the real file, as for the lock: a link to a database is the same database.
    """
    return f"{os.path.realpath(database)}{SUFFIX}"


class Socket:
    """A listening socket at ``path``, which does not block.

    :raises OSError: it cannot be made, or another process listens there.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _address(path) as address:
                _remove_stale(path, address)
                # chmod after bind would leave a moment in which others can connect.
                mask = os.umask(0o177)
                try:
                    self.listener.bind(address)
                finally:
                    os.umask(mask)
            self._identity = _identity(path)
            self.listener.listen(BACKLOG)
            self.listener.setblocking(False)
        except BaseException:
            self.listener.close()
            raise

    def close(self) -> None:
        """Stop listening, and remove the file if it is still ours."""
        if _identity(self._path) == self._identity:
            with suppress(OSError):
                os.unlink(self._path)
        self.listener.close()


def connect(path: str, timeout: float) -> socket.socket:
    """A connection to the server that listens at ``path``.

    :param timeout: seconds that any later operation on it may take.
    :raises OSError: nobody listens there, or this user may not connect.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        with _address(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def may_connect(connection: socket.socket) -> bool:
    """Whether the process at the other end runs as this process's user, or as root.

    The file's mode says the same; this holds also if somebody changed it. Systems without
    SO_PEERCRED have only the mode.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    try:
        _, user, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))
    except OSError:
        return False
    return user in (0, os.geteuid())


@contextmanager
def _address(path: str) -> Iterator[str]:
    """An address for ``path``, which may be longer than an address can be.

    :raises OSError: there is none.
    """
    if len(os.fsencode(path)) <= ADDRESS_LIMIT:
        yield path
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        short = f"/proc/self/fd/{descriptor}/{name}"  # Linux: the folder, by its descriptor
        if not os.path.isdir(os.path.dirname(short)) or len(os.fsencode(short)) > ADDRESS_LIMIT:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        yield short
    finally:
        os.close(descriptor)


def _remove_stale(path: str, address: str) -> None:
    """Remove the socket at ``path`` if nobody listens on it.

    :raises OSError: somebody does, or it is no socket.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # its queue is full
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino

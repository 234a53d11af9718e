"""The files of a database: private to their owner, locked by one server, and still in their place.

This module must not open the database itself while SQLite has it open: closing any other descriptor
of that file would drop SQLite's locks on it (SQLite, "How To Corrupt", section 2.2).
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from contextlib import suppress

from twisted_chat.core.errors import DatabaseInUse, DatabaseUnusable
from twisted_chat.i18n.language import N_

#: The suffixes of the files that SQLite keeps beside a database.
COMPANIONS = ("-wal", "-shm", "-journal")

#: The mode of a file that only its owner can read and write.
PRIVATE = 0o600

#: Why nothing is saved once a file of the database is no longer in its place.
MISPLACED = N_("the database was deleted or replaced while the server was running")

#: Why nothing is saved once the database has its maximum size.
CEILING_REACHED = N_("the database has reached the size that --max-database allows")

_log = logging.getLogger(__name__)


def make_private(path: str) -> bool:
    """Create a file at ``path`` that only its owner can read and write, whatever the umask is.

    Returns whether it was created. If it exists already, only other users' rights are removed.
    SQLite gives the files beside a database the database's rights.

    :raises OSError: it cannot be created.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    except FileExistsError:
        tighten(path)
        return False
    try:
        os.fchmod(descriptor, PRIVATE)  # the umask may have removed rights of the owner
    finally:
        os.close(descriptor)
    return True


def tighten(path: str) -> None:
    """Remove the rights of everybody but the owner to the file at ``path``, if it exists."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if not mode & 0o077:
            return
        os.chmod(path, mode & 0o700)
    except FileNotFoundError:
        return
    except OSError as error:
        _log.warning("other users may be able to read %s: %s", path, error.strerror)
        return
    _log.warning("%s was open to other users (%03o); now it is open to its owner alone", path, mode)


class Lock:
    """Locks a database for this process, until :meth:`release` or the end of the process.

    The lock is on a file beside the database, which is removed on release. A process that has
    locked a file which is no longer at that path tries again, so that no two processes hold the
    lock.
    """

    def __init__(self, path: str) -> None:
        """Lock the database at ``path``.

        :raises DatabaseInUse: another process has locked it.
        :raises DatabaseUnusable: the file beside it cannot be created or written.
        """
        # The real path, as a link to the database is the same database.
        self._path = f"{os.path.realpath(path)}.lock"
        try:
            while True:
                self._descriptor = self._open(path)
                if _identity(self._path) == _identity(self._descriptor):
                    break
                os.close(self._descriptor)  # another process released and removed it just now
            try:
                os.fchmod(self._descriptor, PRIVATE)
                os.ftruncate(self._descriptor, 0)
                os.write(self._descriptor, b"%d\n" % os.getpid())
            except OSError:
                self.release()
                raise
        except OSError as error:
            raise DatabaseUnusable(path=path, reason=error.strerror) from error

    def _open(self, path: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            process = os.read(descriptor, 100).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise DatabaseInUse(path=path, process=process) from error
        return descriptor

    @property
    def is_held(self) -> bool:
        """Whether the locked file is still at the path at which another server would try."""
        return _identity(self._path) == _identity(self._descriptor)

    def release(self) -> None:
        """Release the lock, and remove its file."""
        if self.is_held:
            with suppress(OSError):
                os.unlink(self._path)  # before the lock ends: later it may be another process's
        os.close(self._descriptor)


class Place:
    """Finds out whether the files at the paths of an open database are still the same.

    Data written to a file that was deleted or replaced is lost when the process ends.
    """

    def __init__(self, database: str) -> None:
        """``database`` is the real path; a connection must have it open."""
        self._paths = (database, *(f"{database}{suffix}" for suffix in ("-wal", "-shm")))
        self._identities = self._look()

    def is_kept(self) -> bool:
        """Whether every file is still in its place. This takes a few microseconds."""
        return self._look() == self._identities

    def log_was_replaced(self) -> bool:
        """Whether another file is in the place of the write-ahead log."""
        return _identity(self._paths[1]) not in (self._identities[1], None)

    def remove_companions(self) -> None:
        """Remove SQLite's files beside the database that are still in their place."""
        for path, identity in list(zip(self._paths, self._identities, strict=True))[1:]:
            if _identity(path) == identity:
                with suppress(OSError):
                    os.unlink(path)

    def _look(self) -> list[tuple[int, int] | None]:
        return [_identity(path) for path in self._paths]


def log_size(database: str) -> int:
    """Bytes of the write-ahead log of the database with the real path ``database``; 0 if none."""
    try:
        return os.stat(f"{database}-wal").st_size
    except OSError:
        return 0


def _identity(file: str | int) -> tuple[int, int] | None:
    """Device and inode of a path or a descriptor, which identify the file; None if not found."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino

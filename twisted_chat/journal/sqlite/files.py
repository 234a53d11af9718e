"""The files of a database: for their owner alone, held by one server, and still in their place.

Nothing here opens the database itself while SQLite has it open: closing any other descriptor of
that file would drop the locks that SQLite holds on it (SQLite, "How To Corrupt", section 2.2).
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from contextlib import suppress

from twisted_chat.core.errors import DatabaseInUse, DatabaseUnusable
from twisted_chat.i18n.language import N_

#: What SQLite keeps beside a database, by what is added to its name.
COMPANIONS = ("-wal", "-shm", "-journal")

#: Mode of a file that its owner alone can read and write.
PRIVATE = 0o600

#: Why nothing is saved once a file of the database is not in its place any more.
MISPLACED = N_("the database was deleted or replaced while the server was running")

#: Why nothing is saved once the database is as large as it may be.
CEILING_REACHED = N_("the database has reached the size that --max-database allows")

_log = logging.getLogger(__name__)


def make_private(path: str) -> bool:
    """Make a file at ``path`` that its owner alone can read, whatever the umask is; returns
    whether it was made. One that exists already is left as it is, but for others' rights to it.

    SQLite gives the files beside a database the rights that the database has.

    :raises OSError: it cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    except FileExistsError:
        tighten(path)
        return False
    try:
        os.fchmod(descriptor, PRIVATE)  # the umask can have taken some of the owner's rights
    finally:
        os.close(descriptor)
    return True


def tighten(path: str) -> None:
    """Take from everybody but its owner the rights to the file at ``path``, if there is one."""
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
    """Holds a database for this process, until :meth:`release` or the end of the process.

    A file beside the database, removed on release. Whoever finds that the file which they have
    locked is not the one at its path any more begins again: so never two hold it.
    """

    def __init__(self, path: str) -> None:
        """Lock the database at ``path``.

        :raises DatabaseInUse: another process has.
        :raises DatabaseUnusable: there can be no file beside it.
        """
        # By its real path: a link to the database is the same database.
        self._path = f"{os.path.realpath(path)}.lock"
        try:
            while True:
                self._descriptor = self._open(path)
                if _identity(self._path) == _identity(self._descriptor):
                    break
                os.close(self._descriptor)  # it was released, and removed, a moment ago
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
        """Whether the file that is locked is still the one that another server would try."""
        return _identity(self._path) == _identity(self._descriptor)

    def release(self) -> None:
        """Let another process have the database, and leave no file."""
        if self.is_held:
            with suppress(OSError):
                os.unlink(self._path)  # before the lock ends: afterwards it may be somebody else's
        os.close(self._descriptor)


class Place:
    """Where the files of an open database are: whether those at their paths are still the same.

    What is written to a file that was deleted or replaced is gone when the process ends.
    """

    def __init__(self, database: str) -> None:
        """For the database with the real path ``database``, which a connection has open."""
        self._paths = (database, *(f"{database}{suffix}" for suffix in ("-wal", "-shm")))
        self._identities = self._look()

    def is_kept(self) -> bool:
        """Whether every file is where it was. It takes a few microseconds."""
        return self._look() == self._identities

    def log_was_replaced(self) -> bool:
        """Whether another file has the place of the write-ahead log."""
        return _identity(self._paths[1]) not in (self._identities[1], None)

    def remove_companions(self) -> None:
        """Remove what SQLite kept beside the database, where it is still what was there."""
        for path, identity in list(zip(self._paths, self._identities, strict=True))[1:]:
            if _identity(path) == identity:
                with suppress(OSError):
                    os.unlink(path)

    def _look(self) -> list[tuple[int, int] | None]:
        return [_identity(path) for path in self._paths]


def log_size(database: str) -> int:
    """Bytes of the write-ahead log of the database with the real path ``database``."""
    try:
        return os.stat(f"{database}-wal").st_size
    except OSError:
        return 0


def _identity(file: str | int) -> tuple[int, int] | None:
    """What tells a file from every other one, whatever it is called; None if it is not there."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino

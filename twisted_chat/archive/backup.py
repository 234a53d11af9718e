"""``twisted-chat backup``: a copy of a database, whole and checked, while a server goes on.

The copy is of one moment: a read transaction holds it, or else SQLite would begin again
whenever the server writes. It gets its name when it is on disk and has been verified.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing

from twisted_chat.archive.database import Archive, open_archive
from twisted_chat.archive.progress import Progress
from twisted_chat.characters import visible
from twisted_chat.errors import CannotStart, Refusal
from twisted_chat.language import N_

#: Pages (of 4 KiB) that are copied at one go.
STEP = 1000

_COPYING = N_("Copying: {percent} %")


class BackupExists(CannotStart):
    code = "backup-exists"
    template = N_("{path} exists already and is left as it is")


class CannotWrite(CannotStart):
    code = "cannot-write"
    template = N_("cannot write {path}: {reason}")


class LogDamaged(Refusal):
    code = "log-damaged"
    template = N_("No backup was made, as the log itself is damaged.")


def back_up(
    archive: Archive, path: str, progress: Progress, is_whole: Callable[[Archive], bool]
) -> None:
    """Copy ``archive`` to ``path``, which must be free, and have the copy checked.

    :raises BackupExists: there is something at ``path``.
    :raises CannotWrite: it cannot be written.
    :raises LogDamaged: the copy is not whole.
    """
    if os.path.lexists(path):
        raise BackupExists(path=visible(path))
    if not os.path.basename(path):
        raise CannotWrite(path=visible(path), reason=os.strerror(errno.EISDIR))
    folder, name = os.path.split(os.path.abspath(path))
    try:
        file, copy = tempfile.mkstemp(prefix=f".{name}.", dir=folder)  # for its owner alone
        try:
            os.close(file)
            _copy(archive, copy, progress)
            archive.check_unchanged()
            with open_archive(copy) as copied:
                if not is_whole(copied):
                    raise LogDamaged()
            _sync(copy)
            os.link(copy, path)  # unlike a renaming, this takes nobody's place
        finally:
            os.unlink(copy)
        _sync(folder)
    except FileExistsError as error:
        raise BackupExists(path=visible(path)) from error
    except OSError as error:
        raise CannotWrite(path=visible(path), reason=error.strerror) from error


def _copy(archive: Archive, path: str, progress: Progress) -> None:
    def show(status: int, remaining: int, total: int) -> None:
        progress.tell(_COPYING, percent=100 * (total - remaining) // max(1, total))

    with closing(sqlite3.connect(path)) as target:
        # If it breaks off, the file is thrown away.
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        try:
            archive.copy_to(target, STEP, show)
        except sqlite3.OperationalError as error:
            if "full" in str(error):  # it can only be the copy's disk
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

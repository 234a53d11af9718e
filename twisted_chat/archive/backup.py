"""``twisted-chat backup``: a copy of a database, whole and checked, while a server goes on.

The copy shows the database at one moment: a read transaction holds that moment, or else SQLite
would start again at each write of the server. The copy gets its name when it is on disk and has
been verified; after that, nothing turns the backup into a failure.
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress

from twisted_chat.archive.database import BLOCKS_SINCE, Archive, open_archive
from twisted_chat.archive.index_check import SearchIndexDamaged
from twisted_chat.archive.progress import Progress
from twisted_chat.archive.verify import Verification
from twisted_chat.console.output import CannotWrite
from twisted_chat.console.programs import program
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, Refusal
from twisted_chat.i18n.language import N_
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS
from twisted_chat.journal.sqlite.store import NEXT_EPOCH

#: Pages (of 4 KiB) that are copied at once.
STEP = 1000

#: Signals that end a program in good order; ignored once the copy has its name.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_COPYING = N_("Copying: {percent} %")


class BackupExists(CannotStart):
    code = "backup-exists"
    template = N_("{path} already exists and was not changed")


class LogDamaged(Refusal):
    code = "log-damaged"
    template = N_("No backup was made because the log itself is damaged.")

    def __init__(self, findings: Sequence[Refusal] = ()) -> None:
        super().__init__()
        self.findings = findings


class IndexNotCopied(Refusal):
    code = "index-not-copied"
    template = N_(
        "the search index is damaged; a server that starts with the backup rebuilds "
        "it, and {program} reindex rebuilds that of the database itself"
    )


class FolderNotSynced(Refusal):
    code = "folder-not-synced"
    template = N_(
        "{path} is complete, but its folder could not be synced ({reason}): the file "
        "may be missing after a power cut"
    )


def back_up(
    archive: Archive,
    path: str,
    progress: Progress,
    done: Callable[[Verification, Sequence[Refusal]], None],
) -> None:
    """Copy ``archive`` to ``path``, which must be free, and have the copy checked.

    ``done`` is called when the copy has its name, with the counts of the check and a warning or
    None; it raises nothing. Later signals are dropped.

    :raises BackupExists: there is something at ``path``.
    :raises CannotWrite: it cannot be written.
    :raises LogDamaged: the copy is damaged or incomplete.
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
            verification, warnings = _verify(copy, progress)
            _sync(copy)
            with _too_late():
                _place(copy, path)
                warnings += _sync_folder(folder, path)
                progress.erase()
                done(verification, warnings)
        finally:
            with suppress(FileNotFoundError):  # it has its name
                os.unlink(copy)
    except FileExistsError as error:
        raise BackupExists(path=visible(path)) from error
    except OSError as error:
        raise CannotWrite(path=visible(path), reason=error.strerror) from error


def _verify(copy: str, progress: Progress) -> tuple[Verification, list[Refusal]]:
    """The counts of the check, and a damage that does not matter: that of the search index.

    :raises LogDamaged: the log itself is damaged.
    """
    progress.start()
    with open_archive(copy) as archive:
        verification = Verification(archive, progress)
        findings = list(verification.findings())
    if not all(isinstance(finding, SearchIndexDamaged) for finding in findings):
        raise LogDamaged(findings)
    if not findings:
        return verification, []
    with suppress(*SQLITE_FAULTS), closing(sqlite3.connect(copy)) as connection, connection:
        # So a server rebuilds it when it starts with the copy.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("UPDATE indexed SET version = 0")
    return verification, [IndexNotCopied(program=program("twisted-chat"))]


def _place(copy: str, path: str) -> None:
    """Give the file ``copy`` its name, which must be free.

    :raises FileExistsError: it is not.
    """
    try:
        os.link(copy, path)  # unlike renaming, this replaces no file
        return
    except FileExistsError:
        raise
    except OSError:
        pass  # some file systems have no links, and some systems forbid them
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        os.rename(copy, path)  # over our own empty file
    except BaseException:
        os.unlink(path)
        raise


@contextmanager
def _too_late() -> Iterator[None]:
    """Signals wait inside this context. If its body succeeds, they are dropped."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
        while signal.sigtimedwait(_SIGNALS, 0) is not None:
            pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _copy(archive: Archive, path: str, progress: Progress) -> None:
    def show(status: int, remaining: int, total: int) -> None:
        progress.tell(_COPYING, percent=100 * (total - remaining) // max(1, total))

    with closing(sqlite3.connect(path)) as target:
        # If the copy fails, the file is removed.
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        try:
            archive.copy_to(target, STEP, show)
            if archive.version() >= BLOCKS_SINCE:
                target.execute(NEXT_EPOCH)
                target.commit()
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


def _sync_folder(folder: str, path: str) -> list[Refusal]:
    """Sync the folder, so that the new name survives a power cut; returns why it may not."""
    try:
        _sync(folder)
    except OSError as error:
        return [FolderNotSynced(path=visible(path), reason=error.strerror)]
    return []

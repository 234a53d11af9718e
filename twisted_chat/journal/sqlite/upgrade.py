"""The schema, and how a database comes to have it: made new, or brought on from an older version.

Each version is a numbered SQL file; a few have a step of Python, for what SQL cannot do. A version
is one transaction: a database has it or has not. What there is already is copied first.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from importlib import resources
from typing import Any

from twisted_chat.core.author import author_key
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import BackupFailed
from twisted_chat.journal.chain import link
from twisted_chat.journal.sqlite import files
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of

#: ``PRAGMA application_id`` of our databases: the ASCII letters "Chat".
APPLICATION_ID = 0x43686174

#: ``PRAGMA auto_vacuum``: space that is free can be given back in steps.
INCREMENTAL = 2

#: Entries that are rewritten at one go.
STEP = 1000

_log = logging.getLogger(__name__)

#: What the lines of the log about an upgrade are known by.
_UPGRADED = {"event": "upgraded"}


def schema_scripts() -> list[str]:
    """The schema's numbered files, in order."""
    folder = resources.files("twisted_chat.journal.sqlite") / "schema"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]


def upgrade(connection: sqlite3.Connection, path: str) -> None:
    """Bring the schema of the database at ``path`` up to date: each numbered file, once.

    What there is already is backed up first, beside the database.

    :raises BackupFailed: it cannot be backed up; nothing was changed.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    scripts = schema_scripts()
    if version == len(scripts):
        return
    if version:
        backup = backup_of(path, version)
        _log.warning(
            "the database %s is upgraded from version %d to %d",
            path,
            version,
            len(scripts),
            extra=_UPGRADED,
        )
        _back_up(connection, path, backup)
        # What is overwritten or was removed earlier must not be found in the file afterwards.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("VACUUM")
    for number, script in enumerate(scripts[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}")
        try:
            if number in _STEPS:
                _STEPS[number](connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if version:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA secure_delete = OFF")
        # Of each: an upgrade that was killed has left a copy of which nothing was told.
        for copy in (backup_of(path, number) for number in range(1, version + 1)):
            if os.path.exists(copy):
                _log.warning(
                    "the database %s is upgraded; %s is a copy of it as it was, with secrets in it:"
                    " remove it when all is well",
                    path,
                    copy,
                    extra=_UPGRADED,
                )


def backup_of(path: str, version: int) -> str:
    """Where an upgrade puts a copy of a database that has this ``version``."""
    return f"{path}.backup-{version}"


def _back_up(connection: sqlite3.Connection, path: str, backup: str) -> None:
    made = False
    try:
        made = files.make_private(backup)
        with closing(sqlite3.connect(backup)) as target:
            connection.backup(target)
    except (OSError, *SQLITE_FAULTS) as error:
        for half in (backup, f"{backup}-journal") if made else ():
            with suppress(OSError):
                os.unlink(half)  # it would only take the space that the next attempt needs
        reason = error.strerror if isinstance(error, OSError) else reason_of(error)
        raise BackupFailed(path=path, reason=reason) from error


def _hide_client_ids(connection: sqlite3.Connection) -> None:
    """Put author keys in the place of client ids, and chain the entries again.

    The old chain is verified on the way. A hash that does not fit in it stays as it is, so that it
    does not fit in the new one either: what was damaged before can still be found.
    """
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    try:
        rooms = connection.execute("SELECT id, name, base_hash FROM room ORDER BY id").fetchall()
        for room in rooms:
            _rewrite(connection, *room)
    finally:
        connection.text_factory = str


def _rewrite(connection: sqlite3.Connection, room: int, name: str, base_hash: bytes) -> None:
    old = new = base_hash
    number = -1
    while True:
        rows = connection.execute(
            "SELECT id, number, time, kind, nickname, text, client_id, message_id, hash"
            " FROM entry WHERE room = ? AND number > ? ORDER BY number LIMIT ?",
            (room, number, STEP),
        ).fetchall()
        if not rows:
            return
        changes = []
        for id, number, time, kind, nickname, text, client_id, message_id, hash in rows:
            content = (name, number, time, kind, nickname, text)
            author = author_key(client_id) if isinstance(client_id, bytes) else client_id
            if _fits(old, (*content, client_id, message_id), hash):
                new = link(new, *content, author, message_id)
            else:
                damaged = f"#{visible(name)}: entry {visible(str(number))}"
                _log.error("%s was damaged before the upgrade, and still is", damaged)
                new = hash
            old = hash
            changes.append((author, new, id))
        number = rows[-1][1]
        connection.executemany("UPDATE entry SET client_id = ?, hash = ? WHERE id = ?", changes)


def _fits(previous: bytes, content: tuple[Any, ...], hash: bytes) -> bool:
    try:
        return link(previous, *content) == hash
    except (TypeError, UnicodeEncodeError):  # of another type than it must be, or not UTF-8
        return False


#: What is done after the schema's file of that number, in the same transaction.
_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {3: _hide_client_ids}

"""Gives a database the present schema: creates it, or upgrades it from an older version.

Each version is a numbered SQL file; a few also have a step in Python, for changes that SQL cannot
make. Each version is one transaction. An older database is backed up first.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from importlib import resources
from typing import Any

from twisted_chat.core.author import NOBODY, author_key, guest_number
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import BackupFailed
from twisted_chat.journal.chain import FIRST, link
from twisted_chat.journal.sqlite import files
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of

#: ``PRAGMA application_id`` of our databases: the ASCII letters "Chat".
APPLICATION_ID = 0x43686174

#: ``PRAGMA auto_vacuum``: free space can be given back to the file system in steps.
INCREMENTAL = 2

#: Bytes of the log's secret: see :func:`.guest_number`.
SECRET_SIZE = 32

#: Entries that are rewritten in one step.
STEP = 1000

_log = logging.getLogger(__name__)

#: The field of the server's log by which programs recognise lines about an upgrade.
_UPGRADED = {"event": "upgraded"}


def schema_scripts() -> list[str]:
    """The texts of the schema's numbered files, in order."""
    folder = resources.files("twisted_chat.journal.sqlite") / "schema"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]


def upgrade(connection: sqlite3.Connection, path: str) -> None:
    """Execute the numbered files that the database at ``path`` does not have yet.

    An older database is backed up first, beside the database.

    :raises BackupFailed: it cannot be backed up; nothing was changed.
    :raises sqlite3.Error: an upgrade failed; the database has the version before it.
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
        # Overwritten or removed data, such as client ids, must not stay in the file's free space.
        (secure,) = connection.execute("PRAGMA secure_delete").fetchone()
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
    connection.executescript("PRAGMA incremental_vacuum")  # of the space of former tables
    if version:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute(f"PRAGMA secure_delete = {secure}")
        # All versions: an upgrade that was killed may have left a copy and not logged it.
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
    """The path of the backup of a database with this ``version``."""
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
                os.unlink(half)  # it would take the space that the next attempt needs
        reason = error.strerror if isinstance(error, OSError) else reason_of(error)
        raise BackupFailed(path=path, reason=reason) from error


def _hide_client_ids(connection: sqlite3.Connection) -> None:
    """Replace client ids by author keys, and chain the entries again.

    The old chain is verified on the way. A hash that does not fit in the old chain is left as it is
    and does not fit in the new chain either, so that earlier damage can still be found.
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
    except (TypeError, UnicodeEncodeError):  # a damaged value: of a wrong type, or not UTF-8
        return False


def _second_format(connection: sqlite3.Connection) -> None:
    """Copy entries and people to the tables of version 8, with numbers as authors.

    The entries keep their hashes. These cover the author keys, which go where the salts are.
    """
    secret = os.urandom(SECRET_SIZE)
    connection.execute("UPDATE log SET secret = ?", (secret,))
    connection.create_function("author_number", 1, partial(_author_number, secret=secret))
    last = -(2**63)
    while True:
        (end,) = connection.execute(
            "SELECT max(id) FROM (SELECT id FROM former_entry WHERE id > ? ORDER BY id LIMIT ?)",
            (last, STEP),
        ).fetchone()
        if end is None:
            break
        connection.execute(_COPY, (last, end, FIRST))
        last = end
    numbers = connection.execute("SELECT room, number, id FROM former_entry ORDER BY room, number")
    connection.executemany("INSERT INTO block VALUES (?, ?, ?, ?)", _blocks(numbers))
    connection.execute("DROP TABLE former_entry")
    _copy_people(connection, secret)


_COPY = """
    INSERT INTO entry
    SELECT id, room, number, time, kind, nickname, text, author_number(client_id),
        coalesce(message_id, ''), CAST(coalesce(client_id, x'') || hash AS BLOB), ?3
    FROM former_entry WHERE id > ?1 AND id <= ?2
"""


def _blocks(entries: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """The rows of ``block`` for entries, each with room, number and id, in the order of these."""
    room = number = id = count = 0
    for next_room, next_number, next_id in entries:
        if not (isinstance(next_room, int) and isinstance(next_number, int)):
            continue  # a damaged row: that no block has it is found later
        if count and (room, number + count, id + count) == (next_room, next_number, next_id):
            count += 1
            continue
        if count:
            yield room, number, id, count
        room, number, id, count = next_room, next_number, next_id, 1
    if count:
        yield room, number, id, count


def _copy_people(connection: sqlite3.Connection, secret: bytes) -> None:
    rows = connection.execute("SELECT * FROM former_person").fetchall()
    for author, *others, ignored in rows:
        with suppress(ValueError, TypeError):  # a damaged row is left out
            people = [
                [_author_number(bytes.fromhex(key), secret), name]
                for key, name in json.loads(ignored)
            ]
            connection.execute(
                "INSERT INTO person (author, code, nickname, language, timestamps, rooms, ignored)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (_author_number(author, secret), *others, json.dumps(people)),
            )
    connection.execute("DROP TABLE former_person")


def _author_number(key: object, secret: bytes) -> int:
    return guest_number(key, secret) if isinstance(key, bytes) else NOBODY


#: The steps in Python, by the number of the schema's file after which they run, in its transaction.
_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {
    3: _hide_client_ids,
    8: _second_format,
}

"""Gives a database the present schema: creates it, or upgrades it from an older version.

Each version is a numbered SQL file; a few also have a step in Python, for changes that SQL cannot
make. Each version is one transaction. An older database is backed up first.
"""

from __future__ import annotations

import json
import logging
import math
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
from twisted_chat.journal.chain import FIRST, REPEATED, link
from twisted_chat.journal.sqlite import files
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of

#: ``PRAGMA application_id`` of our databases: the ASCII letters "Chat".
APPLICATION_ID = 0x43686174

#: ``PRAGMA auto_vacuum``: free space can be given back to the file system in steps.
INCREMENTAL = 2

#: Bytes of the log's secret: see :func:`.guest_number`.
SECRET_SIZE = 32

#: The highest id and number of an entry that are kept in an upgrade: there is room for later ones.
MOST = 2**53

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
        for room in connection.execute(_CHAINS).fetchall():
            _rewrite(connection, *room)
    finally:
        connection.text_factory = str


# Entries of rooms that do not exist fit in no chain, but they must not keep client ids either.
_CHAINS = """
    SELECT id, name, base_hash FROM room
    UNION ALL SELECT room, room, x'' FROM entry WHERE room NOT IN (SELECT id FROM room)
    GROUP BY room
"""


def _rewrite(connection: sqlite3.Connection, room: int, name: Any, base_hash: bytes) -> None:
    old = new = base_hash
    number: Any = -math.inf
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
            author = author_key(client_id) if isinstance(client_id, bytes) else None
            if _fits(old, (*content, client_id, message_id), hash):
                new = link(new, *content, author, message_id)
            else:
                damaged = f"#{visible(str(name))}: entry {visible(str(number))}"
                _log.error("%s was damaged before the upgrade, and still is", damaged)
                new = hash
            old = hash
            changes.append((author, new, id))
        number = rows[-1][1]
        connection.executemany("UPDATE entry SET client_id = ?, hash = ? WHERE id = ?", changes)


def _fits(previous: bytes, content: tuple[Any, ...], hash: bytes) -> bool:
    if isinstance(content[-2], str):
        return False  # no server has written an author like that
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
    _renumber(connection)
    last = 0
    while True:
        (end,) = connection.execute(
            "SELECT max(id) FROM (SELECT id FROM former_entry WHERE id > ? ORDER BY id LIMIT ?)",
            (last, STEP),
        ).fetchone()
        if end is None:
            break
        connection.execute(_COPY.format("OR IGNORE", ""), (last, end, FIRST))
        # In damaged rows, a message id may be another entry's as well.
        rest = "AND id NOT IN (SELECT id FROM entry WHERE id > ?1)"
        connection.execute(_COPY.format("", rest), (last, end, REPEATED))
        last = end
    numbers = connection.execute("SELECT room, number, id FROM former_entry ORDER BY room, number")
    connection.executemany("INSERT OR IGNORE INTO block VALUES (?, ?, ?, ?)", _blocks(numbers))
    connection.execute("DROP TABLE former_entry")
    _copy_people(connection, secret)


# An author key of a wrong type gives a seal that does not fit. Damaged rows may have NULL anywhere.
_COPY = """
    INSERT {} INTO entry
    SELECT id, coalesce(room, 0), coalesce(number, 0), coalesce(time, 0), coalesce(kind, ''),
        coalesce(nickname, ''), coalesce(text, ''),
        author_number(CASE WHEN typeof(client_id) = 'blob' THEN client_id END),
        coalesce(message_id, ''), CAST(CASE typeof(client_id)
            WHEN 'blob' THEN client_id WHEN 'null' THEN x'' ELSE x'00' END
            || coalesce(hash, x'') AS BLOB), ?3
    FROM former_entry WHERE id > ?1 AND id <= ?2 {}
"""


def _renumber(connection: sqlite3.Connection) -> None:
    """If entries have ids that no server gives, or that leave no more ids: number them from 1."""
    (odd,) = connection.execute(
        "SELECT min(id) < 1 OR max(id) > ? FROM former_entry", (MOST,)
    ).fetchone()
    if not odd:
        return
    _log.warning("the entries have odd ids; they get others, and the search index is made anew")
    connection.execute("CREATE TABLE renumbered AS SELECT * FROM former_entry ORDER BY id")
    connection.execute(
        "UPDATE run SET entry = (SELECT count(*) FROM former_entry WHERE id <= run.entry)"
    )
    connection.execute("DELETE FROM former_entry")
    connection.execute(
        "INSERT OR IGNORE INTO former_entry SELECT rowid, room, number, time, kind, nickname, text,"
        " client_id, message_id, hash FROM renumbered"
    )
    connection.execute("DROP TABLE renumbered")
    with suppress(sqlite3.Error):  # without it, the index is made anew, too
        connection.execute("UPDATE indexed SET entry = 1, version = -1")


def _blocks(entries: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """The rows of ``block`` for entries, each with room, number and id, in the order of these."""
    room = number = id = count = 0
    for next_room, next_number, next_id in entries:
        if not (isinstance(next_room, int) and isinstance(next_number, int)) or next_number > MOST:
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
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    try:
        rows = connection.execute("SELECT * FROM former_person").fetchall()
    finally:
        connection.text_factory = str
    for author, *others, ignored in rows:
        if not isinstance(author, bytes):
            continue
        with suppress(ValueError, TypeError):  # a damaged row is left out
            people = [
                [_author_number(bytes.fromhex(key), secret), name]
                for key, name in json.loads(ignored)
            ]
            connection.execute(
                "INSERT OR IGNORE INTO person"
                " (author, code, nickname, language, timestamps, rooms, ignored)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (_author_number(author, secret), *others, json.dumps(people)),
            )
    connection.execute("DROP TABLE former_person")


def _author_number(key: object, secret: bytes) -> int:
    return guest_number(key, secret) if key and isinstance(key, bytes) else NOBODY


#: The steps in Python, by the number of the schema's file after which they run, in its transaction.
_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {
    3: _hide_client_ids,
    8: _second_format,
}

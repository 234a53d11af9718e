"""The rows of records: accounts and other state that outlives the server. Blocking.

This module must not know what is in a record.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable

from twisted_chat.core.characters import visible
from twisted_chat.core.records import (
    ON_DISK,
    Forgotten,
    Record,
    RecordDamaged,
    decode,
    encode,
    place,
)

_READ = (
    f"SELECT kind, key, data FROM record WHERE kind NOT IN ({', '.join('?' * len(ON_DISK))})"
    " ORDER BY kind, key"
)

_log = logging.getLogger(__name__)


def write(connection: sqlite3.Connection, records: Iterable[Record | Forgotten]) -> None:
    """Write or delete ``records``, in their order.

    What is deleted or replaced, such as a private message or the hash of a password, is overwritten
    in the file.

    :raises sqlite3.Error: the caller must roll its transaction back.
    """
    (before,) = connection.execute("PRAGMA secure_delete").fetchone()
    connection.execute("PRAGMA secure_delete = ON")
    try:
        _write(connection, records)
    finally:
        connection.execute(f"PRAGMA secure_delete = {before}")


def _write(connection: sqlite3.Connection, records: Iterable[Record | Forgotten]) -> None:
    for record in records:
        if isinstance(record, Forgotten):
            connection.execute(
                "DELETE FROM record WHERE kind = ? AND key = ?", (record.kind, record.key)
            )
        else:
            connection.execute(
                "INSERT OR REPLACE INTO record (kind, key, data) VALUES (?, ?, ?)",
                (*place(record), encode(record)),
            )


def read(connection: sqlite3.Connection) -> list[Record]:
    """All records except those that stay on disk, by kind and key.

    :raises sqlite3.Error: they cannot be read, or one of them is damaged. It is not left out: the
        nickname of a lost account would be free for anybody.
    """
    try:
        rows = connection.execute(_READ, ON_DISK)
        return [decode(*row) for row in rows]
    except RecordDamaged as error:
        raise sqlite3.DatabaseError(visible(str(error))) from error


def keys(connection: sqlite3.Connection, kind: str) -> list[str]:
    """The keys of the records of this ``kind``, in their order.

    :raises sqlite3.Error: they cannot be read.
    """
    rows = connection.execute("SELECT key FROM record WHERE kind = ? ORDER BY key", (kind,))
    return [key for (key,) in rows]


def read_some(connection: sqlite3.Connection, kind: str, prefix: str) -> list[Record]:
    """The records of this ``kind`` whose key begins with ``prefix``, but no damaged ones.

    :raises sqlite3.Error: they cannot be read.
    """
    rows = connection.execute(
        "SELECT key, data FROM record WHERE kind = ? AND key >= ? AND key < ? ORDER BY key",
        (kind, prefix, prefix + "\U0010ffff"),
    )
    found = []
    for key, data in rows.fetchall():
        try:
            found.append(decode(kind, key, data))
        except RecordDamaged as error:
            _log.error("%s", visible(str(error)))
    return found

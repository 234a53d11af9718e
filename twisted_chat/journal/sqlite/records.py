"""The rows of records: accounts and other state that outlives the server. Blocking.

This module must not know what is in a record.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from twisted_chat.core.characters import visible
from twisted_chat.core.records import Forgotten, Record, RecordDamaged, decode, encode, place


def write(connection: sqlite3.Connection, records: Iterable[Record | Forgotten]) -> None:
    """Write or delete ``records``, in their order.

    :raises sqlite3.Error: the caller must roll its transaction back.
    """
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
    """All records, by kind and key.

    :raises sqlite3.Error: they cannot be read, or one of them is damaged. It is not left out: the
        nickname of a lost account would be free for anybody.
    """
    try:
        rows = connection.execute("SELECT kind, key, data FROM record ORDER BY kind, key")
        return [decode(*row) for row in rows]
    except RecordDamaged as error:
        raise sqlite3.DatabaseError(visible(str(error))) from error

"""The rows of those who can come back after a restart of the server. Blocking."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from twisted_chat.core.changes import KeptPerson

_INSERT = """
    INSERT OR REPLACE INTO person (author, code, nickname, language, timestamps, rooms, ignored)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_SELECT = "SELECT author, code, nickname, language, timestamps, rooms, ignored FROM person"
_encode = msgspec.json.encode
_Rooms = tuple[tuple[str, int | None], ...]
_Ignored = tuple[tuple[str, str], ...]


def write(
    connection: sqlite3.Connection, people: Iterable[KeptPerson], forgotten: Iterable[bytes]
) -> None:
    """Within a transaction: write ``people``, and remove the authors ``forgotten``.

    :raises sqlite3.Error: nothing was done.
    """
    rows = [
        (
            *(p.author, p.code, p.nickname, p.language, p.timestamps),
            *(_encode(p.rooms), _encode(p.ignored)),
        )
        for p in people
    ]
    connection.executemany(_INSERT, rows)
    connection.executemany(
        "DELETE FROM person WHERE author = ?", [(author,) for author in forgotten]
    )


def read(connection: sqlite3.Connection) -> list[KeptPerson]:
    """All of them; a row that cannot be understood is left out."""
    found = []
    for author, code, nickname, language, timestamps, rooms, ignored in connection.execute(_SELECT):
        try:
            where = msgspec.json.decode(rooms, type=_Rooms)
            whom = msgspec.json.decode(ignored, type=_Ignored)
        except msgspec.MsgspecError:
            continue
        person = KeptPerson(author, code, nickname, language, bool(timestamps), where, whom)
        found.append(person)
    return found

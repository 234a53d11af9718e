"""The rows of people who can come back after a restart of the server. Blocking.

This module must not know for how long they are kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from twisted_chat.core.changes import KeptPerson

_INSERT = """
    INSERT OR REPLACE INTO person (author, code, nickname, language, timestamps, rooms, ignored,
                                   account, credential)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
SELECT = """
    SELECT author, code, nickname, language, timestamps, rooms, ignored, account, credential
    FROM person
"""
_encode = msgspec.json.encode
_Rooms = tuple[tuple[str, int | None], ...]
_Ignored = tuple[tuple[int, str], ...]

#: The types of the columns. An upgrade has written JSON as text.
_TYPES = (int, bytes, str, str, int, bytes | str, bytes | str, int, str)


def write(
    connection: sqlite3.Connection, people: Iterable[KeptPerson], forgotten: Iterable[int]
) -> None:
    """Write ``people``, and remove those of the authors ``forgotten``.

    :raises sqlite3.Error: the caller must roll its transaction back.
    """
    rows = [
        (
            *(p.author, p.code, p.nickname, p.language, p.timestamps),
            *(_encode(p.rooms), _encode(p.ignored), p.account, p.credential),
        )
        for p in people
    ]
    connection.executemany(_INSERT, rows)
    connection.executemany(
        "DELETE FROM person WHERE author = ?", [(author,) for author in forgotten]
    )


def read(connection: sqlite3.Connection) -> list[KeptPerson]:
    """All people; rows that cannot be decoded are left out.

    :raises sqlite3.Error: the table cannot be read.
    """
    decoded = map(decode, connection.execute(SELECT))
    return [person for person in decoded if person is not None]


def decode(row: tuple[Any, ...]) -> KeptPerson | None:
    """The person in ``row``, a result of :data:`SELECT`; None if it is damaged."""
    if not all(map(isinstance, row, _TYPES)):
        return None
    author, code, name, language, timestamps, rooms, ignored, account, credential = row
    try:
        where = msgspec.json.decode(rooms, type=_Rooms)
        whom = msgspec.json.decode(ignored, type=_Ignored)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return KeptPerson(
        author, code, name, language, bool(timestamps), where, whom, account, credential
    )

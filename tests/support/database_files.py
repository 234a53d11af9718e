"""Database files: refused ones, other programs', and the first version's."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.support.store import (
    clock,
)
from twisted_chat.core.author import NOBODY, author_key, guest_number
from twisted_chat.core.errors import CannotStart
from twisted_chat.core.events import Entry, Kind
from twisted_chat.journal.chain import START, link
from twisted_chat.journal.sqlite.store import Store
from twisted_chat.journal.sqlite.upgrade import APPLICATION_ID


def refusal_of(path: Path) -> CannotStart:
    with pytest.raises(CannotStart) as refused:
        Store(str(path))
    assert str(path) in str(refused.value)
    return refused.value


def foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


#: The client id of the author of all entries that the first version made.
CLIENT_ID = b"c" * 16

#: The schema of the first version, as it is in people's files: here it never changes.
FIRST_SCHEMA = """
CREATE TABLE room (
    id        INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE,
    last      INTEGER NOT NULL DEFAULT 0,
    base      INTEGER NOT NULL DEFAULT 0,
    base_hash BLOB    NOT NULL
);
CREATE TABLE entry (
    id         INTEGER PRIMARY KEY,
    room       INTEGER NOT NULL REFERENCES room (id),
    number     INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    nickname   TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    client_id  BLOB,
    message_id TEXT,
    hash       BLOB    NOT NULL
);
CREATE UNIQUE INDEX entry_number ON entry (room, number);
CREATE UNIQUE INDEX entry_message ON entry (client_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX entry_topic ON entry (room, number) WHERE kind = 'topic';
"""


def made_by_the_first_version(
    path: Path, texts: Sequence[str] = (), topic: str | None = None
) -> list[Entry]:
    """A database as the first version of this program left it, written without any of ours.

    The first entry is the ``topic``, if there is one.
    """
    contents: list[tuple[Kind, str]] = [("say", text) for text in texts]
    if topic is not None:
        contents.insert(0, ("topic", topic))
    previous, entries = START, []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(FIRST_SCHEMA)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "INSERT INTO room (id, name, last, base_hash) VALUES (1, 'lobby', ?, ?)",
            (len(contents), START),
        )
        for number, (kind, text) in enumerate(contents, 1):
            content = (number, next(clock), kind, "Ana", text)
            message_id = f"m{number}"
            previous = link(previous, "lobby", *content, CLIENT_ID, message_id)
            entries.append(Entry("lobby", *content, NOBODY, message_id, previous))
            connection.execute(
                "INSERT INTO entry (room, number, time, kind, nickname, text, client_id,"
                " message_id, hash) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*content, CLIENT_ID, message_id, previous),
            )
    return entries


def author_in(store: Store) -> int:
    """The author of the entries that the first version made, in ``store``."""
    return guest_number(author_key(CLIENT_ID), store.secret)


def upgraded(entries: Sequence[Entry], author: int) -> list[Entry]:
    """``entries`` of ``author``, chained again with the author key in place of the client id."""
    previous, found = START, []
    for entry in entries:
        content = *msgspec.structs.astuple(entry)[:6], author_key(CLIENT_ID), entry.message_id
        previous = link(previous, *content)
        found.append(msgspec.structs.replace(entry, author=author, hash=previous))
    return found

"""Verify finds damage beside the entries: in the schema, and in the small tables."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.archive import AUTHOR, fill
from tests.support.store import check_chain, commit, draft
from twisted_chat.archive import tables_check
from twisted_chat.archive.database import open_archive
from twisted_chat.archive.progress import Progress
from twisted_chat.archive.verify import Verification
from twisted_chat.core.changes import KeptPerson
from twisted_chat.journal.sqlite.store import Store

PERSON = KeptPerson(AUTHOR, b"c" * 32, "Ana", "en", True, (("lobby", None),), ((-3, "Eva"),))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "chat.db"
    with closing(Store(str(path))) as store:
        fill(store)
        store.keep([PERSON], [])
        store.see_clock(5)
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path))


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def damaged(path: Path) -> list[str]:
    with open_archive(str(path)) as archive:
        verification = Verification(archive, Progress(None, "en"))
        return [finding.sentence("en") for finding in verification.findings()]


SCHEMA = {
    "entry_message": [
        "DROP INDEX entry_message",
        "DROP INDEX entry_message; CREATE INDEX entry_message ON entry (author, message_id)",
        "DROP INDEX entry_message; CREATE UNIQUE INDEX entry_message ON entry (author, message_id)"
        " WHERE message_id <> '' AND format > 1",
    ],
    "entry_topic": ["DROP INDEX entry_topic"],
    "clock": ["DROP TABLE clock", "ALTER TABLE clock RENAME COLUMN seen TO saw"],
    "person": ["ALTER TABLE person ADD COLUMN more TEXT"],
    "block": [
        "CREATE TABLE b AS SELECT * FROM block; DROP TABLE block; ALTER TABLE b RENAME TO block"
    ],
    "other": [
        "CREATE UNIQUE INDEX other ON room (last)",
        "CREATE TRIGGER other AFTER INSERT ON entry BEGIN DELETE FROM entry; END",
    ],
}


@pytest.mark.parametrize(
    ("name", "statement"), [(name, one) for name, some in SCHEMA.items() for one in some]
)
def test_a_schema_that_was_changed_is_found(path: Path, name: str, statement: str) -> None:
    assert damaged(path) == []
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)
    told = f"{path} is damaged: {name} in its schema is missing, or is not as it was made"
    assert damaged(path) == [told]


def test_what_somebody_has_added_beside_our_tables_does_no_harm(path: Path) -> None:
    change(
        path,
        "CREATE TABLE mine (a, b)",
        "CREATE INDEX mine_a ON mine (a)",
        "CREATE VIEW texts AS SELECT text FROM entry",
        "ANALYZE",
    )
    assert damaged(path) == []


TABLES = {
    tables_check.LOG: [
        "UPDATE log SET secret = x'00'",
        "UPDATE log SET secret = hex(randomblob(16))",
        "UPDATE log SET identity = 'x'",
        "UPDATE log SET epoch = 'x'",
        "UPDATE log SET epoch = 0",
        "INSERT INTO log (identity, secret) VALUES (randomblob(16), randomblob(32))",
        "DELETE FROM log",
    ],
    tables_check.RUNS: [
        "INSERT INTO run (token, entry) VALUES ('x', 1)",
        "INSERT INTO run (token, entry) VALUES (x'00', 1)",
        "UPDATE run SET entry = 'x'",
    ],
    tables_check.CLOCK: ["UPDATE clock SET seen = 'x'", "INSERT INTO clock VALUES (7)"],
    tables_check.PERSON: [
        *(
            f"UPDATE person SET {column} = {value}"
            for column, value in {
                "code": "'x'",
                "nickname": "x'00'",
                "language": "x'00'",
                "timestamps": "'x'",
                "rooms": "'{'",
                "ignored": "'[[]]'",
                "account": "'x'",
                "credential": "x'00'",
            }.items()
        ),
        "UPDATE person SET rooms = x'ff'",
        "UPDATE person SET rooms = 5.5",
    ],
    tables_check.BLOCK: [
        "INSERT INTO block VALUES (77, 1, 1, 0)",
        "INSERT INTO block VALUES (1, 77, 100, 0)",
        "INSERT INTO block VALUES (1, 77, 'x', 0)",
        "INSERT INTO block VALUES (77, 1, 500, 3), (77, 2, 600, -3)",
    ],
}


@pytest.mark.parametrize(
    ("reason", "statement"), [(reason, one) for reason, some in TABLES.items() for one in some]
)
def test_damage_of_the_small_tables_is_found(path: Path, reason: str, statement: str) -> None:
    change(path, statement)
    assert damaged(path) == [f"{path} is damaged: {reason}"]


@pytest.mark.parametrize("statement", TABLES[tables_check.PERSON])
def test_a_server_starts_without_a_person_whose_record_is_damaged(
    path: Path, statement: str
) -> None:
    change(path, statement)
    with closing(Store(str(path))) as store:
        assert store.people() == []
        store.keep([PERSON], [])
        assert store.people() == [PERSON]
        commit(store, draft("after"))
        check_chain(store, "lobby")

"""Databases of each earlier version, upgraded to the present one."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.store import check_chain, commit, draft, found, index_all, log_of
from twisted_chat.archive.database import open_archive
from twisted_chat.archive.progress import Progress
from twisted_chat.archive.verify import Verification
from twisted_chat.core.author import NOBODY, author_key, guest_number
from twisted_chat.core.changes import RoomState, Saved
from twisted_chat.core.events import Entry, Kind
from twisted_chat.journal.chain import START, link
from twisted_chat.journal.sqlite import upgrade
from twisted_chat.journal.sqlite.store import Store
from twisted_chat.journal.sqlite.upgrade import APPLICATION_ID, schema_scripts

#: The versions before this one.
VERSIONS = range(1, len(schema_scripts()))

#: The client ids of three people; the last one spoke with a program that had none.
CLIENT_IDS = (b"<client id of A>", b"<client id of B>", None)

#: Rooms in an order in which few entries of one room follow each other, and ids are missing.
ROOMS = ("lobby", "cinema", "lobby", "lobby", "cinema", "lobby")


def made(path: Path, version: int, count: int = 30) -> list[tuple[Entry, bytes | None]]:
    """A database of that version, with ``count`` entries; and these, each with its client id."""
    entries: list[tuple[Entry, bytes | None]] = []
    rooms: dict[str, tuple[int, int, bytes]] = {}
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for script in schema_scripts()[:version]:
            connection.executescript(script)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("PRAGMA journal_mode = WAL")
        for n in range(count):
            room = ROOMS[n % len(ROOMS)]
            id, number, previous = rooms.get(room, (len(rooms) + 1, 0, START))
            client_id = CLIENT_IDS[n % len(CLIENT_IDS)]
            author = author_key(client_id) if client_id and version >= 3 else client_id
            kind: Kind = "topic" if n == 7 else "act" if n % 5 == 1 else "say"
            message_id = f"m{n}" if client_id else None
            content = (number + 1, 1_700_000_000_000_000 + n, kind, "Ana", f"word{n} café 電")
            hash = link(previous, room, *content, author, message_id)
            if number == 0:
                connection.execute(
                    "INSERT INTO room (id, name, base_hash) VALUES (?, ?, ?)", (id, room, START)
                )
            rooms[room] = id, number + 1, hash
            connection.execute(
                "INSERT INTO entry (id, room, number, time, kind, nickname, text, client_id,"
                " message_id, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (n + 1 + n // 20, id, *content, author, message_id, hash),
            )
            entries.append((Entry(room, *content, NOBODY, message_id, hash), client_id))
        for id, number, _ in rooms.values():
            connection.execute("UPDATE room SET last = ? WHERE id = ?", (number, id))
        if version >= 2:
            connection.execute("UPDATE room SET topic = 'word7 café 電' WHERE name = 'cinema'")
    return entries


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_upgraded_whole(tmp_path: Path, version: int) -> None:
    path = tmp_path / "chat.db"
    before = made(path, version)
    path.chmod(0o644)
    with closing(Store(str(path))) as store:
        logs: dict[str, list[Entry]] = {"lobby": [], "cinema": []}
        for entry, client_id in before:
            logs[entry.room].append(entry)
            key = author_key(client_id) if client_id else None
            author = guest_number(key, store.secret) if key else NOBODY
            stored = log_of(store, entry.room)[entry.number - 1]
            assert stored.author == author
            assert (stored.text, stored.message_id) == (entry.text, entry.message_id)
            if version >= 3:
                assert stored.hash == entry.hash
        assert store.rooms() == [
            RoomState("lobby", 0, 20, ""),
            RoomState("cinema", 0, 10, "word7 café 電", "Ana"),
        ]
        assert found(store, "word7") == ["word7 café 電"]
        entry, client_id = before[4]
        assert client_id is not None
        again = draft(
            entry.text,
            room=entry.room,
            author=guest_number(author_key(client_id), store.secret),
            message_id=entry.message_id,
        )
        (outcome,) = store.commit([again])
        assert isinstance(outcome, Saved)
        assert (outcome.fresh, outcome.entry.number) == (False, entry.number)
        commit(store, draft("after"), draft("after", room="cinema"), draft("after"))
        for room in logs:
            numbers = [entry.number for entry in log_of(store, room)]
            assert numbers == list(range(1, len(numbers) + 1))
            check_chain(store, room)
        index_all(store)
    with open_archive(str(path)) as archive:
        assert list(Verification(archive, Progress(None, "en")).findings()) == []
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        secret = file.name == f"chat.db.backup-{version}" and version < 3
        assert (b"<client id of" in file.read_bytes()) == secret, file
    assert (tmp_path / f"chat.db.backup-{version}").exists()


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_the_database_of_an_earlier_version_can_be_verified_without_an_upgrade(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "chat.db"
    before = made(path, version)
    with open_archive(str(path)) as archive:
        assert list(Verification(archive, Progress(None, "en")).findings()) == []
        room = archive.room("lobby")
        texts = [entry.text for page in archive.entries(room) for entry in page]
        assert texts == [entry.text for entry, _ in before if entry.room == "lobby"]
        last = [entry.number for page in archive.entries(room, 3) for entry in page]
        assert last == [18, 19, 20]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entry SET nickname = 'Eva' WHERE room = 2 AND number = 3")
    with open_archive(str(path)) as archive:
        (finding,) = Verification(archive, Progress(None, "en")).findings()
    assert str(finding) == "#cinema: entry 3 is damaged"


@pytest.mark.parametrize("column", ["author", "seal", "nickname", "message_id", "format"])
def test_what_changes_in_an_old_entry_after_the_upgrade_is_found(
    tmp_path: Path, column: str
) -> None:
    """Also the author's number, which the old hash does not cover."""
    path = tmp_path / "chat.db"
    made(path, VERSIONS[-1])
    Store(str(path)).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        other = f"SELECT {column} FROM entry WHERE room = 1 AND number = 4"
        where = "room = 1 AND number = 5"
        other = {"format": "2", "nickname": "'Eva'"}.get(column, other)
        connection.execute(f"UPDATE OR IGNORE entry SET {column} = ({other}) || '' WHERE {where}")
    with open_archive(str(path)) as archive:
        (finding,) = Verification(archive, Progress(None, "en")).findings()
    assert str(finding) == "#lobby: entry 5 is damaged"


def test_an_upgrade_reads_entries_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a log of any size fits in memory."""
    monkeypatch.setattr(upgrade, "STEP", 7)
    path = tmp_path / "chat.db"
    before = made(path, 2, 100)
    with closing(Store(str(path))) as store:
        assert sum(len(log_of(store, room)) for room in ("lobby", "cinema")) == len(before)
        (count,) = store._connection.execute("SELECT sum(count) FROM block").fetchone()
        assert count == 100


def test_an_upgrade_that_is_killed_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chat.db"
    before = made(path, VERSIONS[-1])
    with monkeypatch.context() as patched:
        patched.setattr(upgrade, "_copy_people", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Store(str(path))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSIONS[-1],)
    with closing(Store(str(path))) as store:
        assert sum(len(log_of(store, room)) for room in ("lobby", "cinema")) == len(before)


#: Rows that no server writes: what is set in two of them, and whether the log is intact with it.
ODD = {
    "no author, and the id of another entry": ("client_id = NULL, message_id = 'm4'", True),
    "a text as the author, and a repeated id": ("client_id = 'x', message_id = 'm4'", False),
    "a text that is not UTF-8 as the author": ("client_id = CAST(x'ff' AS TEXT)", False),
    "an empty text as the author": ("client_id = ''", False),
    "an empty author": ("client_id = x''", True),
    "an empty message id": ("message_id = ''", True),
    "both empty": ("client_id = x'', message_id = ''", True),
    "the id of the same person's other entry": ("message_id = 'm9'", True),
    "the least id": ("id = -9223372036854775808", True),
    "a negative number": ("number = -5", False),
    "a number that another entry has": ("number = 4", False),
    "a number that is too large": ("number = 9223372036854775807", False),
    "an id of another type": ("message_id = x'6d34'", False),
    "NULL in a text": ("text = NULL", False),
    "a hash of another type": ("hash = 5", False),
    "a room that does not exist": ("room = 77", False),
}


def verified(path: Path) -> list[str]:
    with open_archive(str(path)) as archive:
        return [str(finding) for finding in Verification(archive, Progress(None, "en")).findings()]


def made_odd(path: Path, version: int, change: str, which: str, late: bool = False) -> None:
    """A database with the rows ``which`` (ids) changed, before they are chained or ``late``."""
    made(path, version)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP INDEX entry_message")
        connection.execute("DROP INDEX entry_number")
        schema = "UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'entry'"
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(schema)
        connection.execute("PRAGMA writable_schema = RESET")
        odd = f"UPDATE entry SET {change} WHERE id IN ({which})"
        if not late:
            connection.execute(odd)
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        previous = START
        columns = "number, time, kind, nickname, text, client_id, message_id"
        for id, *content in connection.execute(
            f"SELECT id, {columns} FROM entry WHERE room = 1 ORDER BY number"
        ).fetchall():
            previous = link(previous, "lobby", *content)
            connection.execute("UPDATE entry SET hash = ? WHERE id = ?", (previous, id))
        if late:
            connection.execute(odd)
        connection.execute("CREATE INDEX entry_number ON entry (room, number)")


@pytest.mark.parametrize("version", [1, 2, 3, VERSIONS[-1]])
@pytest.mark.parametrize(("change", "intact"), ODD.values(), ids=ODD.keys())
def test_odd_rows_do_not_stop_an_upgrade_and_are_as_sound_as_before(
    tmp_path: Path, version: int, change: str, intact: bool
) -> None:
    path = tmp_path / "chat.db"
    which = "1" if change.startswith("id") else "4, 6"
    made_odd(path, version, change, which, late=not intact and "client" not in change)
    if version > 1:
        assert (verified(path) == []) == intact, "before"
    with closing(Store(str(path))) as store:
        for _ in range(2):
            commit(store, draft("after"), draft("after", room="cinema"), draft("after"))
        assert log_of(store, "cinema")[-1].number == 12
        index_all(store)
        if change.startswith("id"):
            assert found(store, "word0") == ["word0 café 電"]
        ids = [row[0] for row in store._connection.execute("SELECT id FROM entry ORDER BY id")]
        assert ids[0] > 0
        assert len(ids) == 36
    assert (verified(path) == []) == intact, "after"
    for file in tmp_path.iterdir():
        if ".backup-" not in file.name:
            assert b"<client id of" not in file.read_bytes()


def test_an_upgrade_leaves_ids_for_later_entries(tmp_path: Path) -> None:
    """Also those of the runs are others then: no client takes the log for another one."""
    path = tmp_path / "chat.db"
    made_odd(path, VERSIONS[-1], "id = 9223372036854775807", "31")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO run VALUES (1, x'010203040506', 9223372036854775807)")
    assert verified(path) == []
    with closing(Store(str(path))) as store:
        for _ in range(3):
            commit(store, draft("after"), draft("after", room="cinema"))
        assert store._connection.execute("SELECT max(id) FROM entry").fetchone() == (36,)
        (epoch,) = store._connection.execute("SELECT epoch FROM log").fetchone()
        assert epoch == 1, "no entry was lost"
        index_all(store)
    assert verified(path) == []


def test_damaged_people_do_not_stop_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    made(path, VERSIONS[-1])
    bad = ("x'01'", "NULL", "5", "'x'", "'y'")
    with closing(sqlite3.connect(path)) as connection, connection:
        for author in bad:
            connection.execute(
                f"INSERT INTO person VALUES ({author}, x'00', CAST(x'ff' AS TEXT), 'en', 1, '[]',"
                " '[]')"
                if author != "NULL"
                else "INSERT INTO person VALUES (x'02', x'00', 'Ana', 'en', 1, '[]', '[]')"
            )
    with closing(Store(str(path))) as store:
        assert [person.nickname for person in store.people()] == ["Ana"]

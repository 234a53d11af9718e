"""The log in SQLite: what is committed comes back as it was, and nothing else does."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_chat.errors import (
    CannotStart,
    DatabaseForeign,
    DatabaseInUse,
    DatabaseNewer,
    DatabaseUnusable,
)
from twisted_chat.journal import Draft, RoomState
from twisted_chat.journal.chain import SIZE, START, link
from twisted_chat.journal.store import APPLICATION_ID, MEMORY, Store, schema_scripts
from twisted_chat.messages import Entry, Kind

_clock = count(1_795_463_820_000_000)


def draft(
    text: str = "hello",
    *,
    room: str = "lobby",
    kind: Kind = "say",
    nickname: str = "Ana",
    client_id: bytes | None = b"c" * 16,
    message_id: str | None = None,
) -> Draft:
    return Draft(room, next(_clock), kind, nickname, text, client_id, message_id, None)


def log_of(store: Store, room: str = "lobby") -> list[Entry]:
    return store.reader().after(room, 0, 10**9, 10**9)


def check_chain(entries: Sequence[Entry], previous: bytes = START) -> None:
    """Each stored hash is that of the entry before it and of its own content."""
    for entry in entries:
        content = msgspec.structs.astuple(entry)[:-1]
        assert entry.hash == link(previous, *content)
        previous = entry.hash


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def memory() -> Iterator[Store]:
    with closing(Store(MEMORY)) as store:
        yield store


# -- what is written comes back ---------------------------------------------------------------

HOSTILE = (
    "",
    "'",
    '"; DROP TABLE entry; --',
    "'); DELETE FROM room; --",
    "../../x",
    "/etc/passwd",
    "?1 :name @x $y",
    "%s {0} \\",
    "\0 before and after \0",
    "\x1b]52;c;aGk=\x07",
    "José 李雷 🙂 \u202e \u0301",
    "NULL",
    "1e3",
    " spaces and a line break \r\n",
)

hostile = st.one_of(st.sampled_from(HOSTILE), st.text())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_only_a_text(memory: Store, text: str) -> None:
    """As a text, a nickname, a message id, a topic and a room's name."""
    given_ = draft(text, room=text, nickname=text, message_id=text, kind="topic")
    (entry,) = memory.commit([given_])
    assert log_of(memory, text) == [entry]
    assert (entry.room, entry.nickname, entry.text, entry.message_id) == (text,) * 4
    assert memory.rooms() == [RoomState(text, 1, text)]


@given(
    st.lists(
        st.builds(
            draft,
            hostile,
            room=hostile,
            kind=st.sampled_from(["say", "act", "topic"]),
            nickname=hostile,
            client_id=st.one_of(st.none(), st.binary(min_size=16, max_size=16)),
        ),
        max_size=8,
    )
)
@settings(deadline=None, max_examples=60)
def test_any_draft_comes_back_as_it_was(drafts: list[Draft]) -> None:
    with closing(Store(MEMORY)) as store:
        entries = store.commit(drafts)
        assert len(entries) == len(drafts)
        for entry, given_ in zip(entries, drafts, strict=True):
            fields = msgspec.structs.asdict(given_)
            del fields["sender"]
            assert msgspec.structs.asdict(entry) == {
                **fields,
                "number": entry.number,
                "hash": entry.hash,
            }
        for room in {given_.room for given_ in drafts}:
            log = [entry for entry in entries if entry.room == room]
            assert log_of(store, room) == log
            assert [entry.number for entry in log] == list(range(1, len(log) + 1))
            check_chain(log)


def test_a_file_is_opened_in_no_other_place(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with closing(Store(str(folder / "chat.db"))) as store:
        store.commit([draft("../../x", room="../../x", nickname="../../x")])
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("name", ["a?mode=memory", "a#b.db", "a%20b.db", "olá mundo.db", ":x:"])
def test_a_file_of_any_name_can_be_written_and_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with closing(Store(str(path))) as store:
        entries = store.commit([draft()])
        assert path.is_file()
        assert log_of(store) == entries


# -- numbers ----------------------------------------------------------------------------------


def test_numbers_are_contiguous_in_each_room_over_commits_and_reopening(path: Path) -> None:
    logs: dict[str, list[Entry]] = {"lobby": [], "cinema": []}
    for _ in range(3):
        with closing(Store(str(path))) as store:
            for _ in range(3):
                group = [draft(room=room) for room in ("lobby", "cinema", "lobby")]
                for entry in store.commit(group):
                    logs[entry.room].append(entry)
    with closing(Store(str(path))) as store:
        for room, length in (("lobby", 18), ("cinema", 9)):
            assert [entry.number for entry in logs[room]] == list(range(1, length + 1))
            assert log_of(store, room) == logs[room]
            check_chain(logs[room])
        assert store.rooms() == [RoomState("lobby", 18, ""), RoomState("cinema", 9, "")]


def test_an_empty_group_writes_nothing(memory: Store) -> None:
    assert memory.commit([]) == []
    assert memory.rooms() == []


def test_a_failed_commit_leaves_nothing_and_the_next_goes_on(path: Path) -> None:
    with closing(Store(str(path))) as store:
        before = store.commit([draft("one", message_id="m1")])
        doomed = [
            draft("two", message_id="m2"),
            draft("new room", room="cinema"),
            draft("again", message_id="m1"),
        ]
        with pytest.raises(sqlite3.IntegrityError):
            store.commit(doomed)
        assert log_of(store) == before
        assert log_of(store, "cinema") == []
        assert store.rooms() == [RoomState("lobby", 1, "")]

        after = store.commit([draft("three"), draft("first", room="cinema")])
        assert [(entry.room, entry.number) for entry in after] == [("lobby", 2), ("cinema", 1)]
        assert log_of(store) == [before[0], after[0]]
        check_chain(log_of(store))
        check_chain(log_of(store, "cinema"))
    with closing(Store(str(path))) as store:
        assert store.rooms() == [RoomState("lobby", 2, ""), RoomState("cinema", 1, "")]


def test_a_draft_that_cannot_be_written_fails_its_group_only(memory: Store) -> None:
    with pytest.raises(Exception, match="surrogates"):
        memory.commit([draft("fine"), draft("\ud800")])
    (entry,) = memory.commit([draft("next")])
    assert log_of(memory) == [entry]
    assert entry.number == 1


def test_a_message_id_is_stored_once_for_each_client(memory: Store) -> None:
    memory.commit([draft(client_id=b"a" * 16, message_id="m")])
    memory.commit([draft(client_id=b"b" * 16, message_id="m")])
    memory.commit([draft(), draft()])
    with pytest.raises(sqlite3.IntegrityError):
        memory.commit([draft(client_id=b"a" * 16, message_id="m", room="cinema")])


# -- reading ----------------------------------------------------------------------------------


def test_after_gives_the_first_ones_above_a_number_in_order(memory: Store) -> None:
    entries = memory.commit([draft(str(number)) for number in range(1, 11)])
    reader = memory.reader()
    assert reader.after("lobby", 0, 10, 100) == entries
    assert reader.after("lobby", 3, 10, 4) == entries[3:7]
    assert reader.after("lobby", 3, 5, 4) == entries[3:5]
    assert reader.after("lobby", 10, 10, 4) == []
    assert reader.after("lobby", 5, 5, 4) == []
    assert reader.after("cinema", 0, 10, 4) == []


def test_before_gives_the_last_ones_below_a_number_in_order(memory: Store) -> None:
    entries = memory.commit([draft(str(number)) for number in range(1, 11)])
    reader = memory.reader()
    assert reader.before("lobby", 11, 100) == entries
    assert reader.before("lobby", 11, 3) == entries[7:]
    assert reader.before("lobby", 8, 3) == entries[4:7]
    assert reader.before("lobby", 2, 3) == entries[:1]
    assert reader.before("lobby", 1, 3) == []
    assert reader.before("cinema", 11, 3) == []


def test_a_reader_sees_what_is_committed_and_writes_nothing(path: Path) -> None:
    with closing(Store(str(path))) as store, closing(store.reader()) as reader:
        assert reader.after("lobby", 0, 10, 10) == []
        entries = store.commit([draft()])
        assert reader.after("lobby", 0, 10, 10) == entries
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM entry")


def test_closing_a_reader_leaves_the_writer_alone(memory: Store) -> None:
    """In memory too, where both have one connection."""
    memory.reader().close()
    assert len(memory.commit([draft()])) == 1


def test_the_topic_is_the_last_one_set(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit(
            [
                draft("Old films", kind="topic", room="cinema"),
                draft("hi", room="cinema"),
                draft("New films", kind="topic", room="cinema"),
                draft("hi", room="cinema"),
                draft("hi"),
                draft("x", kind="topic", room="empty"),
                draft("", kind="topic", room="empty"),
            ]
        )
    with closing(Store(str(path))) as store:
        topics = {state.name: state.topic for state in store.rooms()}
        assert topics == {"cinema": "New films", "lobby": "", "empty": ""}


def test_what_is_in_memory_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Store(MEMORY)) as one, closing(Store(MEMORY)) as other:
        one.commit([draft()])
        assert other.rooms() == []
        assert one.in_memory
    assert list(tmp_path.iterdir()) == []


# -- the chain --------------------------------------------------------------------------------


def test_the_hash_depends_on_every_field() -> None:
    content = ("lobby", 1, 2, "say", "Ana", "hello", b"c" * 16, "m")
    changed = ("Lobby", 2, 3, "act", "Anb", "hellp", b"d" * 16, None)
    hashes = {link(START, *content), link(b"\1" * SIZE, *content)}
    for place, value in enumerate(changed):
        other = (*content[:place], value, *content[place + 1 :])
        hashes.add(link(START, *other))  # type: ignore[arg-type]
    assert len(hashes) == 2 + len(changed)
    assert all(len(hash_) == SIZE for hash_ in hashes)


def test_neighbouring_fields_do_not_run_into_each_other() -> None:
    one = link(START, "lobby", 1, 2, "say", "Ana", "oi", None, None)
    other = link(START, "lobby", 1, 2, "say", "An", "aoi", None, None)
    assert one != other
    assert one != link(START, "lobby", 1, 2, "say", "Ana", "oi", None, "")


def test_an_edited_row_breaks_the_chain(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit([draft("one"), draft("two"), draft("three")])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entry SET text = 'twa' WHERE text = 'two'")
    with closing(Store(str(path))) as store, pytest.raises(AssertionError):
        check_chain(log_of(store))


# -- opening ----------------------------------------------------------------------------------


def refusal_of(path: Path) -> CannotStart:
    with pytest.raises(CannotStart) as refused:
        Store(str(path))
    assert str(path) in str(refused.value)
    return refused.value


def test_a_second_server_is_refused_with_the_file_and_the_process(path: Path) -> None:
    with closing(Store(str(path))) as store:
        for _ in range(2):
            refusal = refusal_of(path)
            assert isinstance(refusal, DatabaseInUse)
            assert refusal.details["process"] == str(os.getpid())
        store.commit([draft()])
    Store(str(path)).close()


def test_the_process_is_this_one_and_not_one_of_the_past(path: Path) -> None:
    Path(f"{path}.lock").write_text("99999999999999\n")
    with closing(Store(str(path))):
        assert refusal_of(path).details["process"] == str(os.getpid())


@pytest.mark.parametrize("link_", ["symbolic", "relative"])
def test_another_spelling_of_its_path_is_the_same_file(
    path: Path, link_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writers that do not know of each other would give a number twice."""
    monkeypatch.chdir(path.parent)
    other = Path("link.db")
    if link_ == "symbolic":
        other.symlink_to(path)
    else:
        other = Path("..", path.parent.name, path.name)
    with closing(Store(str(path))):
        assert isinstance(refusal_of(other), DatabaseInUse)


def test_the_lock_ends_with_its_process(path: Path) -> None:
    """However it ends: it leaves the lock file, which holds nobody up."""
    program = (
        "import os, sys; from twisted_chat.journal.store import Store;"
        "store = Store(sys.argv[1]); print('open', flush=True); os._exit(9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        check=False,
    )
    assert (done.stdout, done.returncode) == (b"open\n", 9)
    Store(str(path)).close()


def foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE room (x)", "INSERT INTO room VALUES ('mine')"),
        ("PRAGMA application_id = 42", "CREATE TABLE x (y)"),
        ("PRAGMA application_id = 42",),
        ("PRAGMA journal_mode = WAL", "CREATE TABLE x (y)"),
    ],
)
def test_a_database_of_another_program_is_left_as_it_is(
    path: Path, statements: tuple[str, ...]
) -> None:
    foreign(path, *statements)
    before = path.read_bytes()
    assert isinstance(refusal_of(path), DatabaseForeign)
    assert path.read_bytes() == before


def test_a_crashed_database_of_another_program_is_left_as_it_is(path: Path) -> None:
    """With a write-ahead log that its own program will want to recover."""
    origin = path.with_name("origin.db")
    log = path.with_name("chat.db-wal")
    with closing(sqlite3.connect(origin, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE x (y)")
        shutil.copy(origin, path)
        shutil.copy(f"{origin}-wal", log)
    before = (path.read_bytes(), log.read_bytes())
    assert isinstance(refusal_of(path), DatabaseForeign)
    assert (path.read_bytes(), log.read_bytes()) == before


def test_garbage_in_the_header_is_refused_and_left_as_it_is(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit([draft()])
    content = bytearray(path.read_bytes())
    content[:16] = b"garbage garbage!"
    path.write_bytes(content)
    assert isinstance(refusal_of(path), DatabaseUnusable)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content", [b"notes\n" * 50, b"notes\n" * 1000, b"SQLite format 3\0", b"\xff" * 4096]
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    assert isinstance(refusal_of(path), CannotStart)
    assert path.read_bytes() == content


def test_a_newer_database_is_refused_and_left_as_it_is(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit([draft()])
    foreign(path, "PRAGMA journal_mode = DELETE", "PRAGMA user_version = 99")
    before = path.read_bytes()
    assert isinstance(refusal_of(path), DatabaseNewer)
    assert path.read_bytes() == before


def test_ours_without_its_tables_is_refused(path: Path) -> None:
    foreign(path, f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 1")
    assert isinstance(refusal_of(path), DatabaseUnusable)


def test_no_folder_and_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    missing = refusal_of(tmp_path / "missing" / "chat.db")
    assert isinstance(missing, DatabaseUnusable)
    assert "No such file or directory" in str(missing)
    (tmp_path / "folder").mkdir()
    assert isinstance(refusal_of(tmp_path / "folder"), DatabaseUnusable)


def test_a_refused_database_is_not_kept_locked(path: Path) -> None:
    """When the cause is gone, it opens: also within the same process."""
    path.write_bytes(b"garbage" * 100)
    refusal_of(path)
    path.unlink()
    Store(str(path)).close()
    foreign(path, "PRAGMA user_version = 99")
    refusal_of(path)
    foreign(path, f"PRAGMA user_version = {len(schema_scripts())}")
    Store(str(path)).close()


def test_an_empty_file_is_a_new_database(path: Path) -> None:
    path.touch()
    with closing(Store(str(path))) as store:
        assert store.rooms() == []


# -- the schema -------------------------------------------------------------------------------


def schema_of(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 2").fetchall()


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_fresh_database_says_what_it_is(path: Path) -> None:
    Store(str(path)).close()
    assert pragma(path, "application_id") == APPLICATION_ID == int.from_bytes(b"Chat", "big")
    assert pragma(path, "user_version") == len(schema_scripts()) > 0
    assert pragma(path, "journal_mode") == "wal"


def test_an_upgraded_schema_equals_a_fresh_one(tmp_path: Path) -> None:
    """From each version that there was before this one."""
    fresh = tmp_path / "fresh.db"
    Store(str(fresh)).close()
    for version in range(1, len(schema_scripts())):
        old = tmp_path / f"{version}.db"
        with closing(sqlite3.connect(old)) as connection:
            for script in schema_scripts()[:version]:
                connection.executescript(script)
        foreign(
            old, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {version}"
        )
        Store(str(old)).close()
        assert schema_of(old) == schema_of(fresh)
        assert pragma(old, "user_version") == len(schema_scripts())


def test_reopening_changes_nothing(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit([draft()])
    before = path.read_bytes()
    Store(str(path)).close()
    assert path.read_bytes() == before


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_durability_is_how_the_disk_is_waited_for(
    path: Path, durability: str, synchronous: int
) -> None:
    with closing(Store(str(path), durability)) as store:  # type: ignore[arg-type]
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)


def test_full_durability_is_the_default(path: Path) -> None:
    with closing(Store(str(path))) as store:
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_database_itself_refuses_a_number_twice(memory: Store) -> None:
    memory.commit([draft()])
    with pytest.raises(sqlite3.IntegrityError):
        memory._connection.execute(
            "INSERT INTO entry (room, number, time, kind, nickname, text, hash)"
            " SELECT room, number, time, kind, nickname, text, hash FROM entry"
        )

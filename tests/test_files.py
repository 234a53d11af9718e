"""The files of a database: for their owner alone, one of them after a stop, no secret in them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.database_files import (
    author_in,
    foreign,
    made_by_the_first_version,
    refusal_of,
    upgraded,
)
from tests.support.store import commit, draft, log_of
from twisted_chat.archive.database import open_archive
from twisted_chat.archive.progress import Progress
from twisted_chat.archive.verify import Verification
from twisted_chat.core.errors import BackupFailed, DatabaseInUse
from twisted_chat.journal.sqlite import files, upgrade
from twisted_chat.journal.sqlite.store import MEMORY, Store
from twisted_chat.journal.sqlite.upgrade import STEP


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "database"
    folder.mkdir()
    return folder / "chat.db"


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def names(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()}


def modes(path: Path) -> dict[str, str]:
    return {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}


ALL = {"chat.db", "chat.db-wal", "chat.db-shm", "chat.db.lock"}


# -- for their owner alone --------------------------------------------------------------------


@pytest.mark.usefixtures("umask")
def test_every_file_is_its_owner_s_alone_whatever_the_umask(path: Path) -> None:
    with closing(Store(str(path))) as store:
        commit(store, draft())
        log_of(store)
        assert modes(path) == dict.fromkeys(ALL, "0o600")
    assert modes(path) == {"chat.db": "0o600"}


def test_there_is_no_moment_in_which_a_file_can_be_read(path: Path) -> None:
    """Each one is made with its rights, instead of being given them afterwards."""
    looked: list[dict[str, str]] = []
    watching = True

    def look(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal watching
        if watching and event.startswith(("open", "sqlite3.", "os.", "fcntl.")):
            watching = False  # to look is an event too
            looked.append(modes(path))
            watching = True

    before = os.umask(0)
    sys.addaudithook(look)
    try:
        with closing(Store(str(path))) as store:
            commit(store, draft())
    finally:
        os.umask(before)
        watching = False
    assert {name for files_ in looked for name in files_} >= {"chat.db", "chat.db.lock"}
    assert {mode for files_ in looked for mode in files_.values()} == {"0o600"}


def test_files_that_were_open_to_others_are_closed_to_them(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Store(str(path)).close()
    path.chmod(0o644)
    caplog.clear()
    with closing(Store(str(path))):
        assert modes(path) == dict.fromkeys(ALL, "0o600")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"{path} was open to other users (644); now it is open to its owner alone"


def test_what_a_killed_server_left_is_closed_to_others_too(path: Path) -> None:
    program = (
        "import os, sys; from twisted_chat.journal.sqlite.store import Store;"
        " from tests.support.store import draft; Store(sys.argv[1]).commit([draft()]); os._exit(9)"
    )
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", program, str(path)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, check=False)
    assert names(path) == ALL
    for file in path.parent.iterdir():
        file.chmod(0o666)
    with closing(Store(str(path))) as store:
        assert modes(path) == dict.fromkeys(ALL, "0o600")
        assert len(log_of(store)) == 1


def test_a_database_of_another_program_keeps_its_rights(path: Path) -> None:
    foreign(path, "CREATE TABLE x (y)")
    path.chmod(0o644)
    refusal_of(path)
    assert modes(path) == {"chat.db": "0o644"}


def test_the_copy_that_an_upgrade_makes_is_its_owner_s_alone(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that there are secrets in it."""
    made_by_the_first_version(path, ["one"])
    Store(str(path)).close()
    assert modes(path) == {"chat.db": "0o600", "chat.db.backup-1": "0o600"}
    assert f"{path}.backup-1 is a copy of it as it was, with secrets in it" in caplog.text


def test_an_upgrade_that_is_finished_later_tells_of_every_copy(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was killed after some versions: the first copy is the one with client ids in it."""
    made_by_the_first_version(path, ["one"])
    with monkeypatch.context() as patched:
        scripts = upgrade.schema_scripts()
        patched.setattr(upgrade, "schema_scripts", lambda: [*scripts[:4], "SELECT nothing;"])
        refusal_of(path)
    assert "with secrets in it" not in caplog.text
    Store(str(path)).close()
    for version in (1, 4):
        assert f"{path}.backup-{version} is a copy of it" in caplog.text


def test_a_copy_for_which_there_is_no_space_leaves_nothing(path: Path) -> None:
    class Full(sqlite3.Connection):
        def backup(self, target: sqlite3.Connection, **options: object) -> None:
            target.execute("CREATE TABLE half (a)")
            raise sqlite3.OperationalError("database or disk is full")

    with closing(sqlite3.connect(":memory:", factory=Full)) as connection:
        for there in (False, True):  # what was there before stays
            backup = path.with_name("chat.db.backup-1")
            if there:
                backup.touch()
            with pytest.raises(BackupFailed):
                upgrade._back_up(connection, str(path), str(backup))
            assert names(path) == ({"chat.db.backup-1"} if there else set())


# -- no secret in them ------------------------------------------------------------------------


def test_an_upgrade_leaves_no_client_id(path: Path) -> None:
    """Nor in what was removed earlier, nor in the log beside it."""
    entries = made_by_the_first_version(path, [f"this is {n}" for n in range(STEP + 500)])
    secret = b"c" * 16
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM entry WHERE number > ?", (STEP + 300,))
        connection.execute("UPDATE room SET last = ?", (STEP + 300,))
    entries = entries[: STEP + 300]
    assert secret in path.read_bytes()
    with closing(Store(str(path))) as store:
        commit(store, draft("later", author=-5))
        for file in path.parent.glob("chat.db*"):
            assert (secret in file.read_bytes()) == (file.name == "chat.db.backup-1"), file
        assert log_of(store)[:-1] == upgraded(entries, author_in(store))
    with open_archive(str(path)) as archive:
        assert list(Verification(archive, Progress(None, "en")).findings()) == []


@pytest.mark.parametrize("column", ["text", "client_id", "hash"])
def test_what_was_damaged_before_an_upgrade_is_found_after_it(
    path: Path, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    """To chain it anew must not make it look sound."""
    made_by_the_first_version(path, [f"this is {n}" for n in range(9)])
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE entry SET {column} = x'00ff' WHERE number = 4")
    Store(str(path)).close()
    with open_archive(str(path)) as archive:
        findings = [str(f) for f in Verification(archive, Progress(None, "en")).findings()]
    assert findings[0] == "#lobby: entry 4 is damaged"
    assert "#lobby: entry 4 was damaged before the upgrade, and still is" in caplog.text


def test_an_upgrade_that_breaks_off_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = made_by_the_first_version(path, ["one", "two"])
    with monkeypatch.context() as patched:
        patched.setattr(upgrade, "author_key", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Store(str(path))
    with closing(Store(str(path))) as store:
        assert log_of(store) == upgraded(entries, author_in(store))


# -- one of them after a stop -----------------------------------------------------------------


def test_a_clean_stop_leaves_one_file_whatever_was_read(path: Path) -> None:
    """A reader that is still open would keep all of it in the write-ahead log."""
    with closing(Store(str(path))) as store:
        entries = commit(store, draft("one"), draft("two"))
        readers = [store.reader() for _ in range(3)]
        assert [reader.after("lobby", 0, 9, 9) for reader in readers] == [entries] * 3
        assert names(path) == ALL
    assert names(path) == {"chat.db"}
    alone = path.with_name("copy.db")
    alone.write_bytes(path.read_bytes())
    with closing(Store(str(alone))) as store:
        assert log_of(store) == entries


def test_a_start_that_fails_leaves_nothing(path: Path) -> None:
    with pytest.raises(Exception, match="folder"):
        Store(str(path.parent / "folder" / "chat.db"))
    path.write_bytes(b"notes")
    refusal_of(path)
    assert names(path) == {"chat.db"}
    path.unlink()
    with closing(Store(str(path))) as store:
        commit(store, draft())
    foreign(path, "PRAGMA user_version = 99")
    refusal_of(path)
    assert names(path) == {"chat.db"}


def test_a_reader_of_another_program_is_told_of(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was written after it began to read stays in the log beside the database."""
    store = Store(str(path))
    first = commit(store, draft("one"))
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM entry").fetchall()
        second = commit(store, draft("two"))
        store.close()
        assert "chat.db-wal" in names(path)
        assert f"another program reads {path}: keep chat.db-wal with it" in caplog.text
    with closing(Store(str(path))) as store:
        assert log_of(store) == first + second
    assert names(path) == {"chat.db"}


def test_the_lock_is_never_two_s_though_its_file_is_removed(path: Path) -> None:
    """Many that take it and let it go: whoever has it is alone."""
    inside: list[files.Lock] = []
    together: list[int] = []
    taken: list[files.Lock] = []

    def take() -> None:
        while len(taken) < 50:
            try:
                lock = files.Lock(str(path))
            except DatabaseInUse:
                continue
            inside.append(lock)
            together.append(len(inside))
            taken.append(lock)
            inside.remove(lock)
            lock.release()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(together) == {1}
    assert names(path) == set()


def test_in_memory_there_are_no_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with closing(Store(MEMORY)) as store:
        commit(store, draft())
    assert names(path) == set()


def test_a_link_to_a_database_that_is_not_there_yet(tmp_path: Path) -> None:
    link, database = tmp_path / "link.db", tmp_path / "chat.db"
    link.symlink_to(database)
    before = os.umask(0)
    try:
        with closing(Store(str(link))):
            modes = {path.stat().st_mode & 0o777 for path in tmp_path.glob("chat.db*")}
    finally:
        os.umask(before)
    assert modes == {0o600}


def test_what_is_no_file_is_called_so(tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "fifo")
    assert "it is not a regular file" in str(refusal_of(fifo))
    assert "Is a directory" in str(refusal_of(tmp_path))

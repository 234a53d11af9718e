"""What keeps the log from taking entries: files that are gone, a ceiling. Nothing false is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.store import commit, draft, log_of, remove_all_before
from tests.support.writer import Setup
from tests.support.writer import draft as say
from twisted_chat.core.accounts import Account
from twisted_chat.core.changes import Failed, Saved
from twisted_chat.core.errors import NotSaved, Refusal
from twisted_chat.core.mailboxes import StoredMessage
from twisted_chat.core.names import nickname
from twisted_chat.journal.sqlite import guard
from twisted_chat.journal.sqlite.files import CEILING_REACHED, MISPLACED, Lock
from twisted_chat.journal.sqlite.guard import Guard
from twisted_chat.journal.sqlite.store import MEMORY, Store

MB = 2**20


class FakeStore:
    """A store whose sizes and files are as a test says."""

    path = "chat.db"
    in_memory = False

    def __init__(self) -> None:
        self.bytes = 0
        self.log = 0
        self.in_place = True
        self.shortened = 0

    def is_in_place(self) -> bool:
        return self.in_place

    def size(self) -> int:
        return self.bytes + self.log

    def shorten_log(self) -> None:
        self.log = 0
        self.shortened += 1


class Watched:
    def __init__(self) -> None:
        self.store = FakeStore()
        self.now = 100.0
        self.guard = Guard(self.store, lambda: self.now)
        self.guard.most = 100 * MB

    def at(self, megabytes: float, *texts: str) -> tuple[int, str]:
        self.store.bytes = int(megabytes * MB)
        return self.guard.allows([draft(text) for text in texts or ("a line",)])


def test_the_operator_is_told_before_the_ceiling_is_reached(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched()
    for megabytes in (10, 79, 80, 85, 89, 90, 95, 99, 70, 81):
        assert watched.at(megabytes) == (1, "")
    assert [record.args[-1] for record in caplog.records if record.args] == [80, 90, 81]  # type: ignore[index]


def test_at_the_ceiling_nothing_is_saved_until_there_is_space(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged once, and once that it is over."""
    watched = Watched()
    for _ in range(3):
        assert watched.at(100) == (0, CEILING_REACHED)
    assert watched.guard.obstacle == CEILING_REACHED
    assert [record.levelname for record in caplog.records] == ["WARNING", "CRITICAL"]
    watched.store.bytes = 60 * MB
    watched.guard.look()
    assert watched.guard.obstacle == ""
    assert watched.at(60) == (1, "")
    assert [record.levelname for record in caplog.records] == ["WARNING", "CRITICAL", "WARNING"]


def test_more_can_be_allowed_at_any_time() -> None:
    watched = Watched()
    assert watched.at(100) == (0, CEILING_REACHED)
    for most in (200 * MB, 0):
        watched.guard.most = most
        assert watched.at(100) == (1, "")


def test_the_first_lines_of_a_group_are_saved_where_the_others_do_not_fit() -> None:
    watched = Watched()
    allowed, reason = watched.at(100 - 20_000 / MB, *["x" * 1000] * 20)
    assert (0 < allowed < 20, reason) == (True, "")
    assert watched.at(100, *["x" * 1000] * 20) == (0, CEILING_REACHED)


def test_a_write_ahead_log_that_is_in_the_way_is_written_back_first() -> None:
    watched = Watched()
    watched.store.log = 16 * MB
    assert watched.at(90) == (1, "")
    assert (watched.store.shortened, watched.store.log) == (1, 0)
    watched.store.log = 16 * MB
    assert watched.at(90) == (0, CEILING_REACHED)  # not at each group
    watched.now += 1
    assert watched.at(90) == (1, "")


def test_without_a_ceiling_nothing_is_measured_at_each_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched()
    watched.guard.most = 0
    monkeypatch.setattr(watched.store, "size", lambda: 1 / 0)
    assert watched.at(10**6) == (1, "")


def test_files_that_are_not_in_their_place_are_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched()
    watched.store.in_place = False
    for _ in range(3):
        assert watched.at(1) == (0, MISPLACED)
    watched.store.in_place = True
    watched.guard.look()
    assert watched.at(1) == (1, "")
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "WARNING"]


# -- with files -------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "database"
    folder.mkdir()
    return folder / "chat.db"


def deleted(path: Path) -> None:
    path.unlink()


def without_its_log(path: Path) -> None:
    path.with_name("chat.db-wal").unlink()


def without_its_memory(path: Path) -> None:
    path.with_name("chat.db-shm").unlink()


def replaced(path: Path) -> None:
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    os.replace(copy, path)


def log_replaced(path: Path) -> None:
    replaced(path.with_name("chat.db-wal"))


def folder_deleted(path: Path) -> None:
    shutil.rmtree(path.parent)


def folder_renamed(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize(
    "harm",
    [
        deleted,
        without_its_log,
        without_its_memory,
        replaced,
        log_replaced,
        folder_deleted,
        folder_renamed,
    ],
)
def test_nothing_is_acknowledged_that_is_not_in_the_database(
    path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    setup = Setup(str(path))
    setup.say(say("before"))
    harm(path)
    setup.say(say("after"), say("again"))
    assert [type(outcome) for outcome in setup.loop.outcomes] == [Saved, Failed, Failed]
    failed = setup.loop.outcomes[-1]
    assert isinstance(failed, Failed)
    assert isinstance(failed.refusal, NotSaved)
    assert failed.refusal.details["reason"] == MISPLACED
    assert setup.journal.obstacle == MISPLACED
    setup.stop()
    critical = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert len(critical) == 1


def test_what_is_put_back_in_its_place_goes_on(path: Path) -> None:
    setup = Setup(str(path))
    setup.say(say("before"))
    elsewhere = path.parent.with_name("elsewhere")
    path.parent.rename(elsewhere)
    setup.say(say("lost"))
    elsewhere.rename(path.parent)
    setup.say(say("after"))
    assert [entry.text for entry in setup.read_all()] == ["before", "after"]
    assert setup.journal.obstacle == ""
    setup.stop()
    with closing(Store(str(path))) as store:
        assert [entry.text for entry in log_of(store)] == ["before", "after"]


def test_a_lock_that_somebody_removed_is_taken_again(path: Path) -> None:
    with closing(Store(str(path))) as store:
        Path(f"{path}.lock").unlink()
        assert store.is_in_place()
        assert Path(f"{path}.lock").exists()
        Path(f"{path}.lock").unlink()
        other = Lock(str(path))
        assert not store.is_in_place()
        other.release()
        assert store.is_in_place()


def test_a_stop_leaves_the_files_that_took_the_place_of_ours_alone(path: Path) -> None:
    """The log of another database, which was killed, is not removed for our own."""
    other = path.with_name("other.db")
    program = (
        "import os, sys; from twisted_chat.journal.sqlite.store import Store;"
        " from tests.support.store import draft;"
        " Store(sys.argv[1]).commit([draft('in the log')]); os._exit(9)"
    )
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", program, str(other)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, check=False)
    store = Store(str(path))
    commit(store, draft("of ours"))
    for suffix in ("", "-wal", "-shm"):
        os.replace(f"{other}{suffix}", f"{path}{suffix}")
    before = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")}
    store.close()
    assert before == {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")}
    with closing(Store(str(path))) as store:
        assert [entry.text for entry in log_of(store)] == ["in the log"]


def test_a_stop_completes_a_database_that_was_moved_away(path: Path) -> None:
    """Its log stays at the old place, where another database would take it for its own."""
    backup, elsewhere = path.with_name("backup.db"), path.with_name("elsewhere.db")
    with closing(Store(str(path))) as store:
        commit(store, draft("first"))
    shutil.copy(path, backup)
    store = Store(str(path))
    commit(store, draft("second"))
    os.replace(path, elsewhere)
    os.replace(backup, path)
    store.close()
    assert {file.name for file in path.parent.iterdir()} == {"chat.db", "elsewhere.db"}
    for database, texts in ((path, ["first"]), (elsewhere, ["first", "second"])):
        with closing(Store(str(database))) as store:
            assert [entry.text for entry in log_of(store)] == texts


@pytest.mark.parametrize("harm", [without_its_log, without_its_memory, log_replaced])
def test_what_was_acknowledged_outlives_the_files_beside_the_database(
    path: Path, harm: Callable[[Path], None]
) -> None:
    store = Store(str(path))
    commit(store, draft("before"))
    harm(path)
    store.close()
    with closing(Store(str(path))) as store:
        assert [entry.text for entry in log_of(store)] == ["before"]


def test_the_ceiling_is_held_and_old_entries_make_room(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading goes on; what the files have is never much more than is allowed."""
    monkeypatch.setattr(guard, "SHORTENING_INTERVAL", 0)
    setup = Setup(str(path))
    setup.journal.max_size = 16 * MB
    sent = 0
    while sent == sum(isinstance(outcome, Saved) for outcome in setup.loop.outcomes):
        setup.say(*[say("x" * 4000, time=sent + n) for n in range(200)])
        sent += 200
        assert sent < 20_000
    files = sum(file.stat().st_size for file in path.parent.glob("chat.db*"))
    assert files < 20 * MB
    assert setup.journal.obstacle == CEILING_REACHED
    kept = sum(isinstance(outcome, Saved) for outcome in setup.loop.outcomes)
    assert 1500 < kept < sent
    assert len(setup.read_all()) == kept
    critical = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert len(critical) == 1  # lines are refused once there is no space for them, and not before
    setup.remove_before(kept // 2)
    assert len(setup.say(say("there is room again"))) == 1
    setup.stop()


def test_in_memory_there_is_a_ceiling_too() -> None:
    with closing(Store(MEMORY)) as store:
        watch = Guard(store)
        watch.most = store.size() + 10_000
        commit(store, *[draft("x" * 1000)] * 9)
        assert watch.allows([draft()]) == (0, CEILING_REACHED)
        remove_all_before(store, 2**62)
        watch.look()
        assert watch.allows([draft()]) == (1, "")


def test_the_ceiling_holds_for_kept_messages_and_not_for_accounts(path: Path) -> None:
    setup = Setup(str(path))
    setup.journal.max_size = 1
    done: list[Refusal | None] = []
    message = StoredMessage(1, 1, -1, 0, 130, "Bia", "oi", 1)
    setup.journal.store((message,), done.append)
    setup.journal.store((Account(1, nickname("Ana")),), done.append)
    setup.loop.run_until(lambda: len(done) == 2)
    assert done[0] is not None
    assert done[0].details["reason"] == CEILING_REACHED
    assert done[1] is None
    setup.stop()

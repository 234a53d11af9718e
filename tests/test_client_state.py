"""What a client keeps between its runs: what is in it, what damages it, and being killed."""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import gatherResults
from twisted.logger import capturedLogs

from tests.support.client_state import Place
from tests.support.processes import PATIENCE, environment
from twisted_chat.client import state_database as module
from twisted_chat.client.state import TYPED_LIMIT, Kept, MemoryState, NotKept, State
from twisted_chat.client.state_database import StateDamaged, StateInUse, StateUnusable
from twisted_chat.client.state_file import DELAY
from twisted_chat.core.errors import CannotStart, DatabaseForeign, DatabaseNewer, Refusal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "on the way" / "Ana.db"


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, path: Path) -> Place:
    return Place(path if request.param == "file" else None)


@pytest.fixture
def file(path: Path) -> Place:
    return Place(path)


def refusal(place: Place) -> CannotStart:
    """Why the state at ``place`` cannot be opened."""
    with pytest.raises(CannotStart) as refused:
        place.open()
    for language in ("en", "pt_BR"):
        assert len(refused.value.sentence(language).splitlines()) == 1
    return refused.value


# -- in a file as in memory -------------------------------------------------------------------


def test_at_first_there_is_a_client_id_and_nothing_else(place: Place) -> None:
    kept = place.look()
    assert kept == Kept(kept.client_id, {}, (), (), (), "")
    assert len(kept.client_id) == 32
    assert set(kept.client_id) <= set("0123456789abcdef")


def test_the_client_id_stays(place: Place) -> None:
    assert place.look().client_id == place.look().client_id


def test_two_places_have_two_client_ids(tmp_path: Path) -> None:
    places = [Place(None), Place(None), Place(tmp_path / "a.db"), Place(tmp_path / "b.db")]
    assert len({place.look().client_id for place in places}) == 4


def test_lines_wait_in_their_order_until_they_are_forgotten(place: Place) -> None:
    state, _ = place.open()
    for id in ("z", "a", "m"):
        place.loop.wait(state.keep(id, id.encode() * 2))
    state, kept = place.reopen(state)
    assert kept.waiting == (("z", b"zz"), ("a", b"aa"), ("m", b"mm"))
    state.forget("a")
    state.forget("never kept")
    place.loop.wait(state.keep("b", b"\xff\0\n"))
    _, kept = place.reopen(state)
    assert kept.waiting == (("z", b"zz"), ("m", b"mm"), ("b", b"\xff\0\n"))


def test_a_line_that_is_kept_again_keeps_its_place(place: Place) -> None:
    state, _ = place.open()
    both = [state.keep("1", b"old"), state.keep("2", b"two"), state.keep("1", b"new")]
    place.loop.wait(gatherResults(both))
    assert place.reopen(state)[1].waiting == (("1", b"new"), ("2", b"two"))


def test_keeping_and_forgetting_are_done_in_their_order(place: Place) -> None:
    """Also where all of it is one group."""
    state, _ = place.open()
    first = state.keep("0", b"makes the rest wait")
    state.keep("1", b"forgotten")
    state.forget("1")
    state.keep("2", b"forgotten, and back")
    state.forget("2")
    state.keep("2", b"back")
    place.loop.wait(first)
    assert place.reopen(state)[1].waiting == (("0", b"makes the rest wait"), ("2", b"back"))


def test_the_number_of_a_room_never_goes_back(place: Place) -> None:
    state, _ = place.open()
    for number in (0, 7, 9, 8, 3):
        state.seen("lobby", number)
    state, kept = place.reopen(state)
    assert kept.rooms == {"lobby": 9}
    state.seen("lobby", 4)
    assert place.reopen(state)[1].rooms == {"lobby": 9}


def test_rooms_are_in_the_order_in_which_one_came(place: Place) -> None:
    state, _ = place.open()
    for room in ("z", "a", "m"):
        state.seen(room, 1)
    state.left("z")
    state.left("never there")
    state, kept = place.reopen(state)
    assert list(kept.rooms.items()) == [("a", 1), ("m", 1)]
    state.seen("z", 0)  # another room may have its name by now
    state.seen("a", 2)
    assert list(place.reopen(state)[1].rooms.items()) == [("a", 2), ("m", 1), ("z", 0)]


def test_who_is_ignored_is_replaced(place: Place) -> None:
    state, _ = place.open()
    state.ignore(["Rui", "Eva"])
    state.ignore(["Zoé", "Rui"])
    state, kept = place.reopen(state)
    assert kept.ignored == ("Zoé", "Rui")
    state.ignore([])
    assert place.reopen(state)[1].ignored == ()


def test_the_last_typed_lines_are_kept(place: Place) -> None:
    state, _ = place.open()
    for number in range(TYPED_LIMIT + 5):
        state.typed(str(number))
    state, kept = place.reopen(state)
    assert kept.typed == tuple(str(number) for number in range(5, TYPED_LIMIT + 5))
    state.typed("one more")
    assert place.reopen(state)[1].typed == (*kept.typed[1:], "one more")


def test_the_draft_is_the_last_one(place: Place) -> None:
    state, _ = place.open()
    state.draft("o")
    state.draft("oi, é a Ana")
    state, kept = place.reopen(state)
    assert kept.draft == "oi, é a Ana"
    state.draft("")
    assert place.reopen(state)[1].draft == ""


def test_no_text_or_number_disturbs(place: Place) -> None:
    """Not what no database takes: half a character, a zero byte, a number without bounds."""
    state, _ = place.open()
    for text in ("\ud800", "a\0b", "\x1b[2J", "'); --"):
        state.typed(text)
        state.draft(text)
        state.ignore([text])
        state.seen(text, 10**30)
        place.loop.wait(state.keep(f"id {text!a}", b"line"))
    _, kept = place.reopen(state)
    assert kept.typed == ("\ud800", "a\0b", "\x1b[2J", "'); --")
    assert kept.draft == kept.ignored[0] == kept.typed[-1]
    assert kept.rooms == dict.fromkeys(kept.typed, 10**30)


def test_what_comes_after_closing_is_refused_or_ignored(place: Place) -> None:
    """Entries may still arrive."""
    state, before = place.open()
    place.loop.wait(state.close())
    state.seen("lobby", 1)
    state.left("lobby")
    state.forget("1")
    state.ignore(["Rui"])
    state.typed("oi")
    state.draft("oi")
    with pytest.raises(NotKept):
        place.loop.wait(state.keep("1", b"line"))
    place.loop.wait(state.close())
    assert place.look() == before


def test_closing_what_was_never_opened_is_done_at_once(place: Place) -> None:
    place.loop.wait(place.state().close())


# -- in memory --------------------------------------------------------------------------------


def test_a_client_id_can_be_given() -> None:
    assert Place(None).loop.wait(MemoryState("ab" * 16).open()).client_id == "ab" * 16


# -- in a file: when it is written ------------------------------------------------------------


@pytest.fixture
def opened(file: Place) -> Iterator[State]:
    state, _ = file.open()
    yield state
    file.loop.wait(state.close())


def on_disk(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def facts(path: Path) -> dict[str, str]:
    with closing(on_disk(path)) as connection:
        rows = dict(connection.execute("SELECT name, value FROM fact"))
    del rows["client_id"]
    return rows


def waiting(path: Path) -> list[str]:
    with closing(on_disk(path)) as connection:
        return [id for (id,) in connection.execute("SELECT id FROM waiting ORDER BY place")]


def test_only_the_owner_can_read_it(file: Place, path: Path, opened: State) -> None:
    """It holds a secret, and all that one writes."""
    file.loop.wait(opened.keep("1", b"line"))
    for each in path.parent.iterdir():
        assert each.stat().st_mode & 0o777 == 0o600, each
    assert {each.suffix for each in path.parent.iterdir()} >= {".db", ".lock", ".db-wal"}
    for folder in (path.parent, path.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_that_others_could_read_is_closed_to_them(file: Place, path: Path) -> None:
    file.look()
    path.chmod(0o644)
    file.look()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_client_id_is_on_disk_when_it_is_told(file: Place, path: Path) -> None:
    state, kept = file.open()
    with closing(on_disk(path)) as connection:
        row = connection.execute("SELECT value FROM fact WHERE name = 'client_id'").fetchone()
    assert row == (f'"{kept.client_id}"',)
    file.loop.wait(state.close())


def test_a_line_is_on_disk_when_that_is_told(file: Place, path: Path, opened: State) -> None:
    for id in ("1", "2", "3"):
        file.loop.wait(opened.keep(id, b"line"))
        assert waiting(path)[-1] == id


def test_a_line_takes_along_all_that_came_before(file: Place, path: Path, opened: State) -> None:
    opened.seen("lobby", 7)
    opened.draft("oi")
    file.loop.wait(opened.keep("1", b"line"))
    assert facts(path) == {"rooms": '{"lobby": 7}', "draft": '"oi"'}
    assert file.loop.getDelayedCalls() == []


def test_the_rest_is_written_within_a_moment(file: Place, path: Path, opened: State) -> None:
    opened.seen("lobby", 7)
    file.loop.advance(DELAY / 2)
    opened.seen("lobby", 8)
    assert facts(path) == {}
    file.loop.advance(DELAY / 2)
    file.loop.turn()
    assert facts(path) == {"rooms": '{"lobby": 8}'}


def test_what_is_no_news_is_not_written(file: Place, opened: State) -> None:
    opened.seen("lobby", 7)
    file.loop.wait(opened.keep("1", b"line"))
    opened.seen("lobby", 7)
    opened.left("cinema")
    assert file.loop.getDelayedCalls() == []


def test_what_comes_during_a_commit_is_one_group(
    file: Place, opened: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    write = module.StateDatabase.write

    def counted(self: module.StateDatabase, group: module.Group) -> None:
        assert threading.get_ident() != file.loop.thread
        sizes.append(len(group.changes))
        write(self, group)

    monkeypatch.setattr(module.StateDatabase, "write", counted)
    file.loop.wait(gatherResults([opened.keep(str(n), b"line") for n in range(50)]))
    assert sizes == [1, 49]


def test_each_line_is_told_in_its_order(file: Place, opened: State) -> None:
    told: list[int] = []
    keeping = []
    for n in range(20):
        kept = opened.keep(str(n), b"line")
        keeping.append(kept.addCallback(lambda _, n: told.append(n), n))
    file.loop.wait(gatherResults(keeping))
    assert told == list(range(20))


def test_closing_waits_for_what_is_being_written(file: Place) -> None:
    state, _ = file.open()
    kept: list[None] = []
    for id in ("1", "2"):
        state.keep(id, b"line").addCallback(kept.append)
    file.loop.wait(gatherResults([state.close(), state.close()]))
    assert len(kept) == 2
    assert [id for id, _ in file.look().waiting] == ["1", "2"]


def test_closing_while_opening_lets_go_of_the_file(file: Place) -> None:
    state = file.state()
    opening, closed = state.open(), state.close()
    kept = file.loop.wait(opening)
    file.loop.wait(closed)
    assert file.look() == kept


def test_no_file_is_touched_on_the_reactors_thread(
    file: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()

    def noted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            threads.add(threading.get_ident())
            return original(*arguments, **keywords)

        return call

    for where, name in (
        (os, "open"),
        (os, "close"),
        (os, "mkdir"),
        (fcntl, "flock"),
        (sqlite3, "connect"),
    ):
        monkeypatch.setattr(where, name, noted(name, getattr(where, name)))
    file.look()
    assert len(threads) == 1
    assert threading.get_ident() not in threads


# -- in a file: when that cannot be done ------------------------------------------------------


def test_a_state_is_open_once(file: Place) -> None:
    state, _ = file.open()
    refused = refusal(file)
    assert isinstance(refused, StateInUse)
    assert str(os.getpid()) in str(refused)
    file.loop.wait(state.close())
    file.look()


def test_a_link_to_a_state_is_the_same_state(file: Place, path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    state, _ = file.open()
    assert isinstance(refusal(Place(link)), StateInUse)
    file.loop.wait(state.close())


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be looked at" * 50, b"SQLite format 3\0" * 99]
)
def test_a_file_that_is_none_is_left_and_told(file: Place, path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    refused = refusal(file)
    assert isinstance(refused, StateDamaged)
    assert str(path) in str(refused)
    assert "move that file away" in str(refused)
    assert path.read_bytes() == content
    path.rename(path.with_suffix(".away"))
    file.look()


def test_damage_is_found_before_it_is_met(file: Place, path: Path) -> None:
    """Also where opening itself does not read: in the index of the messages."""
    file.look()
    with closing(on_disk(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'waiting'"
        ).fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"x" * size
    path.write_bytes(data)
    assert isinstance(refusal(file), StateDamaged)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE fact SET value = '\"short\"' WHERE name = 'client_id'",
        "UPDATE fact SET value = '{' WHERE name = 'client_id'",
        "INSERT INTO fact VALUES ('rooms', '[1]')",
        "INSERT INTO typed (line) VALUES ('7')",
        "INSERT INTO waiting (id, line) VALUES ('1', 'text')",
    ],
)
def test_what_makes_no_sense_is_damage(file: Place, path: Path, change: str) -> None:
    file.look()
    with closing(on_disk(path)) as connection:
        connection.execute(change)
    assert isinstance(refusal(file), StateDamaged)


def test_a_file_of_a_newer_version_is_left(file: Place, path: Path) -> None:
    file.look()
    with closing(on_disk(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    assert isinstance(refusal(file), DatabaseNewer)


def test_a_file_of_another_program_is_left(file: Place, path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(on_disk(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    assert isinstance(refusal(file), DatabaseForeign)
    assert path.read_bytes() == before


def test_a_folder_in_the_way_is_told(file: Place, path: Path) -> None:
    path.mkdir(parents=True)
    assert isinstance(refusal(file), StateDamaged)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = refusal(Place(tmp_path / "file" / "Ana.db"))
    assert type(refused) is StateUnusable


def test_after_a_refusal_the_file_can_be_opened(file: Place, path: Path) -> None:
    """Neither the lock nor the thread is left over."""
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database" * 500)
    state = file.state()
    for _ in range(2):
        with pytest.raises(StateDamaged):
            file.loop.wait(state.open())
    path.unlink()
    kept = file.loop.wait(state.open())
    file.loop.wait(state.close())
    assert file.look() == kept


def test_a_path_cannot_disturb_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "\x1b[2J").mkdir()
    (tmp_path / "\x1b[2J" / "Ana.db").mkdir()
    assert "\x1b" not in str(refusal(Place(tmp_path / "\x1b[2J" / "Ana.db")))


def test_a_failed_write_refuses_lines_and_repeats_the_rest(
    file: Place, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program holds the database; what it does to us is as a full disk."""
    monkeypatch.setattr(module, "BUSY_TIMEOUT", 0)
    state, _ = file.open()
    file.loop.wait(state.keep("old", b"line"))
    with capturedLogs() as logs, closing(on_disk(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        state.forget("old")
        state.seen("lobby", 7)
        state.typed("first")
        for id in ("1", "2"):
            with pytest.raises(NotKept) as refused:
                file.loop.wait(state.keep(id, b"line"))
            assert "database is locked" in refused.value.sentence("en")
            assert "banco de dados" in refused.value.sentence("pt_BR")
        assert len(file.loop.getDelayedCalls()) == 1, "it is tried again by itself"
        state.typed("second")
        other.execute("ROLLBACK")
        file.loop.wait(state.keep("3", b"line"))
        assert [log["log_level"].name for log in logs] == ["error"], "once"
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotKept):
            file.loop.wait(state.keep("4", b"line"))
        assert len(logs) == 2, "and again after a success"
        other.execute("ROLLBACK")
    kept = file.reopen(state)[1]
    assert [id for id, _ in kept.waiting] == ["3"]
    assert kept.rooms == {"lobby": 7}
    assert kept.typed == ("first", "second")


def test_nothing_is_kept_of_a_write_that_fails_half_way(
    file: Place, path: Path, opened: State
) -> None:
    with capturedLogs(), closing(on_disk(path)) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON fact"
            " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
        opened.seen("lobby", 7)
        with pytest.raises(NotKept, match="disk is full"):
            file.loop.wait(opened.keep("1", b"line"))
        other.execute("DROP TRIGGER full")
    assert waiting(path) == []
    file.loop.wait(opened.keep("2", b"line"))
    assert waiting(path) == ["2"]
    assert facts(path) == {"rooms": '{"lobby": 7}'}


def test_a_write_that_fails_on_closing_is_told_and_not_repeated(
    file: Place, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT", 0)
    state, _ = file.open()
    with capturedLogs() as logs, closing(on_disk(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        state.seen("lobby", 7)
        file.loop.wait(state.close())
        other.execute("ROLLBACK")
    assert len(logs) == 1
    assert file.look().rooms == {}


def test_a_defect_is_logged_with_its_traceback(
    file: Place, opened: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: module.StateDatabase, group: module.Group) -> None:
        raise LookupError("a defect")

    with monkeypatch.context() as patch, capturedLogs() as logs:
        patch.setattr(module.StateDatabase, "write", broken)
        with pytest.raises(Refusal):
            file.loop.wait(opened.keep("1", b"line"))
    assert logs[0]["log_failure"].check(LookupError)
    file.loop.wait(opened.keep("2", b"line"))


# -- killed -----------------------------------------------------------------------------------

CHILD = """
import os, sys
from pathlib import Path
from twisted.internet import reactor
from twisted_chat.client.state_file import FileState

state = FileState(reactor, Path(sys.argv[1]))
number = int(sys.argv[2])

def keep(_=None):
    global number
    id, number = str(number), number + 1
    state.seen("lobby", number)
    kept = state.keep(id, b"line " + id.encode())
    kept.addCallback(lambda _: os.write(1, id.encode() + b"\\n")).addCallback(keep)

def opened(kept):
    for _ in range(20):
        keep()

state.open().addCallback(opened).addErrback(lambda why: os.write(1, str(why).encode()))
reactor.run()
"""


@pytest.mark.slow
@pytest.mark.process
def test_nothing_that_was_told_to_be_kept_is_lost_by_a_kill(file: Place, path: Path) -> None:
    """``kill -9`` amid writing, several times on one file."""
    told: list[str] = []
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(len(told))],
            stdout=subprocess.PIPE,
            env=environment(),
        )
        assert child.stdout is not None
        with child.stdout as output:
            first = output.readline()
            time.sleep(random.uniform(0, 0.2))
            child.kill()
            lines = (first + output.read()).split(b"\n")
            child.wait(PATIENCE)
        told += [line.decode() for line in lines[:-1]]
        assert told == [str(number) for number in range(len(told))], "no error, none left out"
        state, kept = file.open()
        assert [id for id, _ in kept.waiting[: len(told)]] == told
        assert all(line == b"line " + id.encode() for id, line in kept.waiting)
        for id, _ in kept.waiting[len(told) :]:  # kept, but killed before that was told
            state.forget(id)
        file.loop.wait(state.close())
    assert told


def test_the_log_is_on_disk_when_it_is_told(file: Place, path: Path, opened: State) -> None:
    """Or else a client that is killed would know entries of a run that it never heard of."""
    noted = opened.of_log("log.run")
    assert not noted.called
    file.loop.wait(noted)
    with closing(on_disk(path)) as connection:
        row = connection.execute("SELECT value FROM fact WHERE name = 'log'").fetchone()
    assert row == ('"log.run"',)

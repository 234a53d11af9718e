"""The journal's threads: group commit, order, failures, the end."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.writer import Setup, draft
from twisted_chat.core.changes import Draft, Failed, Keep, KeptPerson, Ordered, Outcome, Saved
from twisted_chat.core.errors import HistoryUnavailable, IdReused, NotSaved, Refusal, SearchNotReady
from twisted_chat.core.events import Entry
from twisted_chat.core.journal import Found
from twisted_chat.journal import group_commit as writer
from twisted_chat.journal import indexing, removal
from twisted_chat.journal.group_commit import QUEUE_LIMIT
from twisted_chat.journal.readers import STOPPING
from twisted_chat.journal.sqlite.reader import Reader
from twisted_chat.journal.sqlite.store import Store


@pytest.fixture(params=["file", "memory"])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setup]:
    setup = Setup(str(tmp_path / "chat.db") if request.param == "file" else ":memory:")
    yield setup
    setup.stop()


def test_order_is_kept_and_numbers_are_contiguous(setup: Setup) -> None:
    for n in range(2000):
        setup.journal.submit((draft(str(n)),))
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 2000)
    saved = [outcome.entry for outcome in setup.loop.outcomes if isinstance(outcome, Saved)]
    assert [entry.text for entry in saved] == [str(n) for n in range(2000)]
    assert [entry.number for entry in saved] == list(range(1, 2001))
    assert setup.read_all() == saved


def test_what_comes_while_a_group_is_committing_is_one_group(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    busy, go_on = threading.Event(), threading.Event()
    commit = setup.stores[0].commit

    def slow_commit(drafts: Sequence[Draft]) -> list[Saved | Failed]:
        sizes.append(len(drafts))
        busy.set()
        go_on.wait(10)
        return commit(drafts)

    monkeypatch.setattr(setup.stores[0], "commit", slow_commit)
    setup.journal.submit((draft("first"),))
    busy.wait(10)
    for n in range(50):
        setup.journal.submit((draft(str(n)),))
    go_on.set()
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 51)
    assert sizes == [1, 50]


def test_an_entry_comes_back_only_when_it_is_on_disk(tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    setup = Setup(path)
    seen: list[int] = []
    reader = sqlite3.connect(path)

    def look() -> None:
        seen.append(reader.execute("SELECT count(*) FROM entry").fetchone()[0])

    for n in range(20):
        setup.journal.submit((draft(str(n)),))
        setup.mark(look)
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 40)
    assert all(count >= n + 1 for n, count in enumerate(seen))
    setup.stop()


def test_markers_keep_their_place(setup: Setup) -> None:
    order: list[str] = []
    for n in range(100):
        setup.journal.submit((draft(str(n)),))
        setup.mark(lambda n=n: order.append(f"marker {n}"))  # type: ignore[misc]
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 200)
    kinds = [type(outcome) for outcome in setup.loop.outcomes]
    assert kinds == [Saved, Ordered] * 100
    assert order == [f"marker {n}" for n in range(100)]


def test_an_exception_in_one_of_ten_commits_is_told_and_the_next_ones_succeed(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    commit = setup.stores[0].commit

    def failing_commit(drafts: Sequence[Draft]) -> list[Saved | Failed]:
        nonlocal calls
        calls += 1
        if calls % 10 == 0:
            raise sqlite3.OperationalError("disk I/O error")
        return commit(drafts)

    monkeypatch.setattr(setup.stores[0], "commit", failing_commit)
    for n in range(100):
        setup.journal.submit((draft(str(n)),))
        setup.loop.run_until(lambda n=n: len(setup.loop.outcomes) == n + 1)  # type: ignore[misc]
    failed = [o.draft.text for o in setup.loop.outcomes if isinstance(o, Failed)]
    saved = [o.entry for o in setup.loop.outcomes if isinstance(o, Saved)]
    assert failed == [str(n) for n in range(9, 100, 10)]
    assert setup.read_all() == saved
    assert [entry.number for entry in saved] == list(range(1, 91))


def test_a_database_that_is_locked_for_a_while_only_delays(tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    setup = Setup(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    setup.journal.submit((draft("patient"),))
    time.sleep(0.2)
    other.execute("ROLLBACK")
    setup.loop.run_until(lambda: bool(setup.loop.outcomes))
    assert isinstance(setup.loop.outcomes[0], Saved)
    setup.stop()


def test_a_full_queue_says_so_and_says_when_there_is_space(setup: Setup) -> None:
    space: list[bool] = []
    for _ in range(QUEUE_LIMIT):
        assert not setup.journal.full
        setup.journal.submit((draft("x"),))
    assert setup.journal.full
    setup.journal.when_space(lambda: space.append(setup.journal.full))
    setup.loop.run_until(lambda: bool(space))
    assert space == [False]
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == QUEUE_LIMIT)


def test_a_full_queue_has_space_when_half_of_it_is_free(setup: Setup) -> None:
    """Or those who wait would be let in and held again with each line."""
    outstanding: list[int] = []
    for _ in range(QUEUE_LIMIT):
        setup.journal.submit((draft("x"),))
    setup.journal.when_space(lambda: outstanding.append(setup.journal.outstanding))
    setup.loop.run_until(lambda: bool(outstanding))
    assert outstanding[0] <= QUEUE_LIMIT // 2


def test_people_are_kept_and_forgotten_while_the_server_runs(setup: Setup) -> None:
    """So that who could come back is known after a kill, too; the last word holds."""
    ana, bia = (
        KeptPerson(author, code * 32, name, "en", False, (("lobby", 7),))
        for author, code, name in ((-1, b"a", "Ana"), (7, b"b", "Bia"))
    )

    def kept_after(*changes: Keep) -> list[KeptPerson]:
        for change in changes:
            setup.journal.submit((change,))
        for text in "12":  # the second one comes behind what was kept
            setup.say(draft(text))
        return list(setup.journal.people())

    assert kept_after(Keep((ana, bia), ())) == [ana, bia]
    assert kept_after(Keep((), (ana.author,))) == [bia]
    assert kept_after(Keep((ana,), ()), Keep((), (ana.author, bia.author))) == []


def test_what_is_not_saved_is_logged(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    def commit(drafts: Sequence[Draft]) -> list[Saved | Failed]:
        raise sqlite3.OperationalError("disk I/O error")

    setup.stores[0].commit = commit  # type: ignore[method-assign]
    setup.say(draft("lost"))
    (record,) = caplog.records
    assert record.getMessage() == "1 messages were not saved: disk I/O error"
    assert record.__dict__["event"] == "not-saved"


def test_whom_the_chat_keeps_when_all_is_delivered_is_kept(tmp_path: Path) -> None:
    """Only then it knows what each of them was shown."""
    path = str(tmp_path / "chat.db")
    setup = Setup(path)
    ana = KeptPerson(-1, b"c" * 32, "Ana", "en", False, (("lobby", 7),))
    setup.mark(lambda: setup.journal.submit((Keep((ana,), ()),)))
    stopped: list[bool] = []
    setup.journal.stop(lambda: stopped.append(True))
    time.sleep(0.05)  # the chat is late
    setup.loop.run_until(lambda: bool(stopped))
    with closing(Store(path)) as store:
        assert store.people() == [ana]


def test_a_log_on_disk_lasts_and_one_in_memory_does_not(tmp_path: Path) -> None:
    for path, lasts in ((str(tmp_path / "chat.db"), True), (":memory:", False)):
        setup = Setup(path)
        assert setup.journal.lasts is lasts
        assert setup.journal.is_open is True
        setup.stop()
        assert setup.journal.is_open is False


def test_stopping_commits_what_is_queued_and_refuses_what_comes_later(tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    setup = Setup(path)
    for n in range(100):
        setup.journal.submit((draft(str(n)),))
    stopped: list[int] = []
    setup.journal.stop(lambda: stopped.append(len(setup.loop.outcomes)))
    setup.journal.submit((draft("late"),))
    setup.loop.run_until(lambda: bool(stopped))
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 101)
    late = [o for o in setup.loop.outcomes if isinstance(o, Failed)]
    assert [o.draft.text for o in late] == ["late"]
    assert isinstance(late[0].refusal, NotSaved)
    assert late[0].refusal.details == {"text": "late", "reason": STOPPING}
    reopened = Store(path)
    assert reopened.rooms()[0].last == 100
    reopened.close()


def test_stopping_does_not_wait_for_a_lock_group_after_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long queue before a database that stays locked: the first group waits, and no other."""
    monkeypatch.setattr(writer, "GROUP_LEAST", 10)
    monkeypatch.setattr(writer, "STOP_TIMEOUT", 0.1)
    setup = Setup(str(tmp_path / "chat.db"))
    tried: list[str] = []

    def locked(drafts: Sequence[Draft]) -> list[Saved | Failed]:
        tried.append(drafts[0].text)
        time.sleep(0.01)
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(setup.stores[0], "commit", locked)
    for n in range(1000):
        setup.journal.submit((draft(str(n)),))
    setup.stop()
    failed = [o for o in setup.loop.outcomes if isinstance(o, Failed)]
    assert [o.draft.text for o in failed] == [str(n) for n in range(1000)]
    assert len(set(tried)) == 1
    assert failed[-1].refusal.details["reason"] == STOPPING


def test_what_is_measured_of_each_group(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[list[str], float]] = []

    def measure(outcomes: Sequence[Outcome], seconds: float) -> None:
        measured.append(([type(outcome).__name__ for outcome in outcomes], seconds))
        raise ValueError("a defect there does not stop the journal")

    setup.journal.measured = measure
    setup.say(draft("one", message_id="1"))
    setup.mark(lambda: None)
    setup.journal.submit([draft("one", message_id="1"), draft("another", message_id="1")])
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 4)
    assert [kind for kinds, _ in measured for kind in kinds] == ["Saved", "Saved", "Failed"]
    assert all(seconds > 0 for _, seconds in measured)
    assert setup.journal.outstanding == 0
    assert setup.journal.is_open


def test_a_read_that_fails_is_a_refusal(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_page(*_: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(Reader, "after", no_page)
    found: list[Sequence[Entry] | Refusal] = []
    setup.journal.read_after("lobby", 0, 10, 10, found.append)
    setup.loop.run_until(lambda: bool(found))
    assert isinstance(found[0], HistoryUnavailable)


# -- the same message again -------------------------------------------------------------------


def test_a_repeat_comes_back_as_the_entry_that_it_was(setup: Setup) -> None:
    (first,) = setup.say(draft("oi", message_id="1"))
    again, reused, other = (
        draft("oi", message_id="1"),
        draft("another", message_id="1"),
        draft("next", message_id="2"),
    )
    setup.say(again, reused, other)
    repeat, refused, saved = setup.loop.outcomes[1:]
    assert repeat == Saved(again, first, fresh=False)
    assert isinstance(refused, Failed)
    assert refused.draft is reused
    assert isinstance(refused.refusal, IdReused)
    assert isinstance(saved, Saved)
    assert saved.fresh
    assert saved.entry.number == 2
    assert setup.read_all() == [first, saved.entry]


# -- search -----------------------------------------------------------------------------------


def test_a_search_finds_what_was_just_said(setup: Setup) -> None:
    """Without waiting for the index, which follows behind the commits."""
    for n in range(30):
        setup.say(draft(f"word{n} common"))
        assert setup.search(f"word{n}") == [f"word{n} common"]
    assert setup.search("common", "lobby", 2) == ["word29 common", "word28 common"]
    assert setup.search("common", "cinema") == []
    assert setup.search('"') == []


def test_a_search_finds_what_was_put_in_the_queue_before_it(setup: Setup) -> None:
    """More of it than is indexed at one go."""
    for n in range(3 * indexing.INDEX_STEP):
        setup.journal.submit((draft(f"word{n}"),))
    assert setup.search("word0") == ["word0"]
    assert setup.search(f"word{3 * indexing.INDEX_STEP - 1}") == [
        f"word{3 * indexing.INDEX_STEP - 1}"
    ]


def test_the_index_follows_also_when_it_is_never_quiet(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "INDEX_SHARE", 1.0)
    monkeypatch.setattr(indexing, "INDEX_DELAY", 1000.0)
    for n in range(30):
        setup.say(draft(f"word{n}"))
    assert setup.journal._indexing.behind < 30


def test_groups_are_as_large_as_can_be_shown_in_time(setup: Setup) -> None:
    journal, enough = setup.journal, writer.GROUP_SECONDS
    least = journal._group_limit
    journal._fit_groups(least, enough / 10)
    assert journal._group_limit == 2 * least
    journal._fit_groups(5, enough / 10_000)  # small ones say nothing of large ones
    assert journal._group_limit == 2 * least
    journal._fit_groups(2 * least, 1.25 * enough)
    assert journal._group_limit == int(1.6 * least)
    journal._fit_groups(10, 2 * enough)
    assert journal._group_limit == writer.GROUP_LEAST


def test_a_search_finds_what_was_said_before_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    first = Setup(path)
    first.say(draft("hello"))
    first.stop()
    second = Setup(path)
    assert second.search("hello") == ["hello"]
    second.stop()


def test_what_is_said_is_indexed_when_it_is_quiet(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "INDEX_DELAY", 0.001)
    indexed = threading.Event()
    index = setup.stores[0].index

    def seen_index(limit: int) -> int:
        done = index(limit)
        indexed.set()
        return done

    monkeypatch.setattr(setup.stores[0], "index", seen_index)
    setup.say(draft("hello"))
    assert indexed.wait(10)


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("disk I/O error"), RuntimeError("a defect")]
)
def test_an_index_that_fails_does_not_stop_the_thread_and_recovers(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Search lags behind, nothing else; when the cause is gone, everything is found, whether
    or not anything new was said.
    """
    setup.say(draft("before"))
    assert setup.search("before") == ["before"]

    def no_index(limit: int) -> int:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(setup.stores[0], "index", no_index)
        setup.say(*(draft(f"meanwhile word{n}") for n in range(2 * indexing.INDEX_STEP)))
        assert setup.search("before") == ["before"]
    assert setup.search("word0") == ["meanwhile word0"]
    setup.say(draft("afterwards"))
    assert setup.search("afterwards") == ["afterwards"]
    assert len(setup.search("meanwhile", limit=10**6)) == 2 * indexing.INDEX_STEP


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("disk I/O error"), RuntimeError("a defect")]
)
def test_a_search_that_fails_is_a_refusal(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def no_search(*_: object) -> None:
        raise error

    monkeypatch.setattr(Reader, "search", no_search)
    found: list[Found | Refusal] = []
    setup.journal.search("x", None, 10, found.append)
    setup.loop.run_until(lambda: bool(found))
    assert isinstance(found[0], HistoryUnavailable)
    setup.say(draft("goes on"))


def test_a_search_that_finds_the_index_damaged_has_it_made_anew(tmp_path: Path) -> None:
    setup = Setup(str(tmp_path / "chat.db"))
    setup.say(*(draft(f"word{n}") for n in range(3)))
    assert setup.search("word1") == ["word1"]
    with closing(sqlite3.connect(tmp_path / "chat.db")) as connection, connection:
        connection.execute("UPDATE entry_text_data SET block = randomblob(100)")
    found: list[Found | Refusal] = []
    for n in range(3):
        setup.journal.search("word1", None, 10, found.append, n)
    setup.loop.run_until(lambda: len(found) == 3)
    assert isinstance(found[0], SearchNotReady)
    assert setup.search("word1") == ["word1"]
    assert setup.stores[0].search_index.made_anew == 1, "once for all that found it so"
    setup.stop()


def test_a_search_waits_for_the_index_only_so_long(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "INDEX_WAIT", 0.0)
    monkeypatch.setattr(indexing, "INDEX_STEP", 1)
    monkeypatch.setattr(indexing, "INDEX_SHARE", 1e-9)
    setup.say(*(draft(f"word{n}") for n in range(5000)))
    found: list[Found | Refusal] = []
    setup.journal.search("word1", None, 10, found.append)
    setup.loop.run_until(lambda: bool(found))
    assert isinstance(found[0], SearchNotReady)


# -- old entries ------------------------------------------------------------------------------


def test_old_entries_go_in_steps_room_by_room(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "REMOVE_STEP", 4)
    drafts = [
        draft(f"word{n} {room}", room, time=n)
        for n in range(10)
        for room in ("lobby", "cinema", "young")
        if room != "young" or n == 9
    ]
    setup.say(*drafts)
    assert setup.remove_before(9) == [
        ("lobby", 4),
        ("lobby", 8),
        ("lobby", 9),
        ("cinema", 4),
        ("cinema", 8),
        ("cinema", 9),
    ]
    for room in ("lobby", "cinema", "young"):
        assert [entry.text for entry in setup.read_all(room)] == [f"word9 {room}"]
    assert setup.search("word0") == []
    assert setup.remove_before(9) == []


def test_commits_go_on_between_the_steps(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said while old entries are removed waits for one step at most."""
    monkeypatch.setattr(removal, "REMOVE_STEP", 1)
    setup.say(*(draft(str(n), time=n) for n in range(20)))
    order: list[str] = []
    stepping, said = threading.Event(), threading.Event()
    remove, commit = setup.stores[0].remove_before, setup.stores[0].commit

    def seen_remove(room: str, time: int, limit: int) -> tuple[int, bool]:
        order.append("step")
        stepping.set()
        said.wait(10)
        return remove(room, time, limit)

    def seen_commit(drafts: Sequence[Draft]) -> list[Saved | Failed]:
        order.append("commit")
        return commit(drafts)

    monkeypatch.setattr(setup.stores[0], "remove_before", seen_remove)
    monkeypatch.setattr(setup.stores[0], "commit", seen_commit)
    begin = len(setup.loop.outcomes)
    setup.journal.remove_before(15)
    stepping.wait(10)
    setup.journal.submit((draft("meanwhile", time=99),))
    said.set()
    assert [last for _, last in setup.removed(begin)] == list(range(1, 16))
    assert order[:3] == ["step", "commit", "step"]
    assert [entry.text for entry in setup.read_all()] == [*map(str, range(15, 20)), "meanwhile"]


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("disk I/O error"), RuntimeError("a defect")]
)
def test_a_removal_that_fails_does_not_stop_the_thread(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def no_removal(room: str, time: int, limit: int) -> tuple[int, bool]:
        raise error

    setup.say(draft("one", time=1), draft("two", time=2))
    with monkeypatch.context() as broken:
        broken.setattr(setup.stores[0], "remove_before", no_removal)
        assert setup.remove_before(2) == []
        setup.say(draft("three", time=3))
    assert setup.remove_before(2) == [("lobby", 1)]
    assert [entry.text for entry in setup.read_all()] == ["two", "three"]


def test_stopping_does_not_wait_for_old_entries(tmp_path: Path) -> None:
    """The rest of them go another time; what was said is saved."""
    path = str(tmp_path / "chat.db")
    setup = Setup(path)
    setup.say(*(draft(str(n), time=n) for n in range(2000)))
    setup.journal.remove_before(2000)
    setup.journal.submit((draft("last", time=2000),))
    setup.stop()
    reopened = Store(path)
    (room,) = reopened.rooms()
    assert room.last == 2001
    reopened.close()

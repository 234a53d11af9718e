"""The journal's threads: group commit, order, failures, the end."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from twisted_chat.errors import HistoryUnavailable, Refusal
from twisted_chat.journal import Draft, Failed, Marker, Outcome, Saved
from twisted_chat.journal.store import Store
from twisted_chat.journal.writer import QUEUE_LIMIT, STOPPING, GroupCommitJournal
from twisted_chat.messages import Entry


def draft(text: str, room: str = "lobby") -> Draft:
    return Draft(room, 0, "say", "Ana", text, None, None, None)


class Loop:
    """The thread that owns the chat: runs what other threads call."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.outcomes: list[Outcome] = []

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._calls.put(lambda: function(*arguments))

    def deliver(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes.extend(outcomes)
        for outcome in outcomes:
            if isinstance(outcome, Marker):
                outcome.callback()

    def run_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._calls.get(timeout=10)()


class Setup:
    def __init__(self, path: str) -> None:
        self.loop = Loop()
        self.stores: list[Store] = []
        self.journal = GroupCommitJournal(lambda: self._open(path), self.loop.call)
        self.journal.start(self.loop.deliver)

    def _open(self, path: str) -> Store:
        self.stores.append(Store(path))
        return self.stores[-1]

    def stop(self) -> None:
        stopped: list[bool] = []
        self.journal.stop(lambda: stopped.append(True))
        self.loop.run_until(lambda: bool(stopped))

    def read_all(self, room: str = "lobby") -> list[Entry]:
        found: list[Sequence[Entry] | Refusal] = []
        self.journal.read_before(room, 10**9, 10**6, found.append)
        self.loop.run_until(lambda: bool(found))
        assert not isinstance(found[0], Refusal)
        return list(found[0])


@pytest.fixture(params=["file", "memory"])
def setup(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setup]:
    setup = Setup(str(tmp_path / "chat.db") if request.param == "file" else ":memory:")
    yield setup
    setup.stop()


def test_order_is_kept_and_numbers_are_contiguous(setup: Setup) -> None:
    for n in range(2000):
        setup.journal.append(draft(str(n)))
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

    def slow_commit(drafts: Sequence[Draft]) -> list[Entry]:
        sizes.append(len(drafts))
        busy.set()
        go_on.wait(10)
        return commit(drafts)

    monkeypatch.setattr(setup.stores[0], "commit", slow_commit)
    setup.journal.append(draft("first"))
    busy.wait(10)
    for n in range(50):
        setup.journal.append(draft(str(n)))
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
        setup.journal.append(draft(str(n)))
        setup.journal.mark(look)
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 40)
    assert all(count >= n + 1 for n, count in enumerate(seen))
    setup.stop()


def test_markers_keep_their_place(setup: Setup) -> None:
    order: list[str] = []
    for n in range(100):
        setup.journal.append(draft(str(n)))
        setup.journal.mark(lambda n=n: order.append(f"marker {n}"))  # type: ignore[misc]
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 200)
    kinds = [type(outcome) for outcome in setup.loop.outcomes]
    assert kinds == [Saved, Marker] * 100
    assert order == [f"marker {n}" for n in range(100)]


def test_an_exception_in_one_of_ten_commits_is_told_and_the_next_ones_succeed(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    commit = setup.stores[0].commit

    def failing_commit(drafts: Sequence[Draft]) -> list[Entry]:
        nonlocal calls
        calls += 1
        if calls % 10 == 0:
            raise sqlite3.OperationalError("disk I/O error")
        return commit(drafts)

    monkeypatch.setattr(setup.stores[0], "commit", failing_commit)
    for n in range(100):
        setup.journal.append(draft(str(n)))
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
    setup.journal.append(draft("patient"))
    time.sleep(0.2)
    other.execute("ROLLBACK")
    setup.loop.run_until(lambda: bool(setup.loop.outcomes))
    assert isinstance(setup.loop.outcomes[0], Saved)
    setup.stop()


def test_a_full_queue_says_so_and_says_when_there_is_space(setup: Setup) -> None:
    space: list[bool] = []
    for _ in range(QUEUE_LIMIT):
        assert not setup.journal.full
        setup.journal.append(draft("x"))
    assert setup.journal.full
    setup.journal.when_space(lambda: space.append(setup.journal.full))
    setup.loop.run_until(lambda: bool(space))
    assert space == [False]
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == QUEUE_LIMIT)


def test_stopping_commits_what_is_queued_and_refuses_what_comes_later(tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    setup = Setup(path)
    for n in range(100):
        setup.journal.append(draft(str(n)))
    stopped: list[int] = []
    setup.journal.stop(lambda: stopped.append(len(setup.loop.outcomes)))
    setup.journal.append(draft("late"))
    setup.loop.run_until(lambda: bool(stopped))
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 101)
    late = [o for o in setup.loop.outcomes if isinstance(o, Failed)]
    assert [(o.draft.text, o.reason) for o in late] == [("late", STOPPING)]
    reopened = Store(path)
    assert reopened.rooms()[0].last == 100
    reopened.close()


def test_a_read_that_fails_is_a_refusal(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_reader() -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(setup.stores[0], "reader", no_reader)
    found: list[Sequence[Entry] | Refusal] = []
    setup.journal.read_after("lobby", 0, 10, 10, found.append)
    setup.loop.run_until(lambda: bool(found))
    assert isinstance(found[0], HistoryUnavailable)

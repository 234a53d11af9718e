"""Reading threads: searches wait for one another by source, are interrupted, and delay no page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_chat.core.changes import Draft
from twisted_chat.core.errors import HistoryUnavailable, Refusal, SearchBusy, SearchTooSlow
from twisted_chat.journal import readers
from twisted_chat.journal.fair_queue import FairQueue
from twisted_chat.journal.readers import Readers
from twisted_chat.journal.sqlite.reader import Reader
from twisted_chat.journal.sqlite.store import Store

PATIENCE = 10


# -- the queue ------------------------------------------------------------------------------------


def test_sources_take_turns() -> None:
    queue: FairQueue[int] = FairQueue(10, 100)
    for number in range(3):
        assert queue.put("a", number)
    assert queue.put("b", 10)
    assert queue.take() == ("a", 0)
    assert queue.take() == ("b", 10)
    assert queue.take() is None, "one thing of each at a time"
    queue.done("a")
    assert queue.put("b", 11)
    assert queue.take() == ("a", 1)
    queue.done("b")
    queue.done("a")
    assert queue.take() == ("b", 11)
    assert queue.take() == ("a", 2)
    queue.done("a")
    queue.done("b")
    assert queue.take() is None


def test_what_would_be_too_much_is_not_taken() -> None:
    queue: FairQueue[int] = FairQueue(2, 3)
    assert [queue.put("a", n) for n in range(3)] == [True, True, False]
    assert [queue.put("b", n) for n in range(2)] == [True, False]
    assert queue.take() == ("a", 0)
    assert queue.put("b", 2)


def test_a_full_queue_drops_the_last_of_the_source_with_the_most() -> None:
    queue: FairQueue[str] = FairQueue(4, 6)
    for item in ("a1", "a2", "a3", "a4", "b1", "b2"):
        assert queue.put_or_replace(item[0], item) is None
    assert queue.put_or_replace("a", "a5") == "a5"
    assert queue.put_or_replace("c", "c1") == "a4"
    assert queue.put_or_replace("c", "c2") == "a3"
    assert queue.put_or_replace("c", "c3") == "c3"
    assert queue.put_or_replace("d", "d1") == "a2"
    assert queue.put_or_replace("e", "e1") == "b2"
    taken = [queue.take() for _ in range(5)]
    assert [one and one[1] for one in taken] == ["a1", "b1", "c1", "d1", "e1"]
    queue.done("c")
    assert queue.take() == ("c", "c2")


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "done"]), st.integers(0, 2))))
def test_nothing_is_lost_and_each_source_has_one_at_a_time(steps: list[tuple[str, int]]) -> None:
    queue: FairQueue[int] = FairQueue(100, 1000)
    put: dict[object, list[int]] = {0: [], 1: [], 2: []}
    took: dict[object, list[int]] = {0: [], 1: [], 2: []}
    busy: set[object] = set()
    for number, (step, source) in enumerate(steps):
        if step == "put":
            assert queue.put(source, number)
            put[source].append(number)
        elif step == "done" and source in busy:
            queue.done(source)
            busy.discard(source)
        elif step == "take":
            taken = queue.take()
            if taken is None:
                assert all(put[s] == took[s] or s in busy for s in put)
            else:
                assert taken[0] not in busy
                took[taken[0]].append(taken[1])
                busy.add(taken[0])
    assert all(put[s][: len(took[s])] == took[s] for s in put)


# -- the threads ----------------------------------------------------------------------------------


class Setup:
    """Readers over a database whose answers come in a queue."""

    def __init__(self, path: Path) -> None:
        self.store = Store(str(path))
        line = " ".join("abc"[n % 3] for n in range(2000))
        self.store.commit([Draft("lobby", 1, "say", "Ana", line, 0, None) for _ in range(3000)])
        while self.store.index(500):
            pass
        self.answers: SimpleQueue[Any] = SimpleQueue()
        self.readers = Readers(self.store.reader, lambda reply, result: reply(result))
        self.readers.start(with_threads=True)

    def answer(self) -> Any:
        return self.answers.get(timeout=PATIENCE)

    def search(self, query: Callable[[Reader], Any], source: object = "a") -> None:
        self.readers.search(query, self.answers.put, source)


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    setup = Setup(tmp_path_factory.mktemp("readers") / "chat.db")
    yield setup
    setup.readers.close()
    setup.store.close()


#: One word of a phrase that takes seconds to look for, and is in no text.
SLOW = "-".join("abc"[n % 3] for n in range(900)) + "-c"


def test_a_search_is_interrupted(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "SEARCH_SECONDS", 0.1)
    setup.search(lambda reader: reader.find(SLOW, None, 10))
    assert isinstance(setup.answer(), SearchTooSlow)
    setup.search(lambda reader: len(reader.find("a b", None, 10).entries))
    assert setup.answer() == 10, "the next one is not"


def test_history_waits_for_no_search(setup: Setup) -> None:
    release = threading.Event()

    def stuck(reader: Reader) -> str:
        release.wait(PATIENCE)
        return "searched"

    for source in range(readers.SEARCH_THREADS + 1):
        setup.search(stuck, source)
    setup.readers.read(lambda reader: len(reader.before("lobby", 10, 5)), setup.answers.put)
    assert setup.answer() == 5
    release.set()
    assert [setup.answer() for _ in range(readers.SEARCH_THREADS + 1)] == ["searched"] * 3


def test_one_source_has_one_search_at_a_time(setup: Setup) -> None:
    """However many it asks for, another source finds a thread."""
    release = threading.Event()
    for _ in range(20):
        setup.search(lambda reader: release.wait(PATIENCE), "greedy")
    setup.search(lambda reader: "other", "other")
    assert setup.answer() == "other"
    release.set()
    assert [setup.answer() for _ in range(20)] == [True] * 20


def test_too_many_searches_are_refused(setup: Setup) -> None:
    release = threading.Event()
    results: Sequence[Any]
    for _ in range(readers.SEARCHES_OF_SOURCE + 5):
        setup.search(lambda reader: release.wait(PATIENCE), "greedy")
    refused = [setup.answer() for _ in range(4)]
    release.set()
    assert all(isinstance(answer, SearchBusy) for answer in refused)
    results = [setup.answer() for _ in range(readers.SEARCHES_OF_SOURCE + 1)]
    assert sum(isinstance(result, Refusal) for result in results) <= 1


def test_a_log_is_closed_under_a_reader_that_does_not_end(tmp_path: Path) -> None:
    """Its connection stays open: to close it would crash the interpreter."""
    setup = Setup(tmp_path / "chat.db")
    begun, release = threading.Event(), threading.Event()

    def stuck(reader: Reader) -> int:
        begun.set()
        release.wait(PATIENCE)
        return len(reader.before("lobby", 10, 5))

    setup.readers.read(stuck, setup.answers.put)
    assert begun.wait(PATIENCE)
    setup.store.close()
    release.set()
    assert setup.answer() == 5
    setup.readers.close()


def test_nothing_is_searched_after_closing(setup: Setup) -> None:
    """Nobody would interrupt it: it was waiting, or about to begin, when all was closed."""
    watch = readers.Watch()
    watch.start()
    watch.close()
    with pytest.raises(HistoryUnavailable):
        watch.search(setup.store.reader(), lambda reader: pytest.fail("it was begun"))


def test_closing_interrupts_searches_and_answers_everybody(tmp_path: Path) -> None:
    setup = Setup(tmp_path / "chat.db")
    with closing(setup.store):
        for _ in range(3):
            setup.search(lambda reader: reader.find(SLOW, None, 10))
        setup.readers.close()
        assert all(isinstance(setup.answer(), HistoryUnavailable) for _ in range(3))
        setup.search(lambda reader: None)
        setup.readers.read(lambda reader: None, setup.answers.put)
        assert all(isinstance(setup.answer(), HistoryUnavailable) for _ in range(2))

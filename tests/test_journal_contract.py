"""What every journal must do: one contract, for each implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import pytest
from msgspec import structs

from tests.support.writer import Setup, draft
from twisted_chat.core.accounts import Account
from twisted_chat.core.changes import (
    Announce,
    Barrier,
    Change,
    Draft,
    Failed,
    Group,
    JoinRooms,
    Keep,
    KeptPerson,
    Ordered,
    Outcome,
    Removed,
    RoomState,
    Saved,
)
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry
from twisted_chat.core.journal import Found, Journal
from twisted_chat.core.mailboxes import StoredMessage, key_of, prefix_of
from twisted_chat.core.names import nickname
from twisted_chat.core.records import Forgotten, Record
from twisted_chat.journal.memory import MemoryJournal, MemoryLog

ANA = KeptPerson(-1, b"c" * 32, "Ana", "en", False, (("lobby", 1),))


class Log(Protocol):
    """A journal under test, and what it has handed back."""

    journal: Journal
    outcomes: list[Outcome]

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Let it work until that holds."""

    def again(self) -> Log:
        """The same log, opened once more after this one was stopped."""


class Threads:
    """The journal with its threads, in a file or in memory."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._setup = Setup(path)
        self.journal: Journal = self._setup.journal
        self.outcomes = self._setup.loop.outcomes
        self.run_until = self._setup.loop.run_until

    def again(self) -> Log:
        return Threads(self._path)


class Memory:
    """The journal without threads."""

    def __init__(self, log: MemoryLog | None = None) -> None:
        self._log = log or MemoryLog()
        self._journal = MemoryJournal(self._log)
        self.journal: Journal = self._journal
        self.outcomes: list[Outcome] = []
        opened: list[object] = []
        self.journal.open(self._apply, opened.append)
        assert not isinstance(opened[0], Refusal)

    def _apply(self, group: Group) -> None:
        self.outcomes.extend(group.outcomes)

    def run_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._journal.turn()

    def again(self) -> Log:
        return Memory(MemoryLog(self._log.store))


@pytest.fixture(params=["threads", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    log: Log = Threads(str(tmp_path / "chat.db")) if request.param == "threads" else Memory()
    yield log
    if log.journal.is_open:
        stop(log)


def stop(log: Log) -> None:
    stopped: list[bool] = []
    log.journal.stop(lambda: stopped.append(True))
    log.run_until(lambda: bool(stopped))


def submit(log: Log, *changes: Change) -> list[Outcome]:
    """Submit ``changes`` together, and wait for what becomes of them."""
    before = len(log.outcomes)
    log.journal.submit(changes)
    log.run_until(lambda: len(log.outcomes) == before + len(changes))
    return log.outcomes[before:]


def read(log: Log, room: str = "lobby") -> list[str]:
    found: list[Sequence[Entry] | Refusal] = []
    log.journal.read_after(room, 0, 10**9, 1000, found.append)
    log.run_until(lambda: bool(found))
    assert not isinstance(found[0], Refusal)
    return [entry.text for entry in found[0]]


def test_changes_come_back_in_the_order_in_which_they_were_submitted(log: Log) -> None:
    for number in range(50):
        log.journal.submit((draft(str(number)), Barrier(number)))
        log.journal.submit((Announce(str(number), None),))
    log.run_until(lambda: len(log.outcomes) == 150)
    entries = [outcome.entry for outcome in log.outcomes if isinstance(outcome, Saved)]
    assert [(entry.number, entry.text) for entry in entries] == [
        (number + 1, str(number)) for number in range(50)
    ]
    kinds = [type(o.change) if isinstance(o, Ordered) else Draft for o in log.outcomes]
    assert kinds == [Draft, Barrier, Announce] * 50
    assert all(one.time <= other.time for one, other in pairwise(entries))


def test_an_entry_that_came_back_is_in_the_log_also_after_it_is_opened_again(log: Log) -> None:
    submit(log, draft("one"), draft("two", room="cinema"))
    assert read(log) == ["one"]
    stop(log)
    assert not log.journal.is_open
    again = log.again()
    assert (read(again), read(again, "cinema")) == (["one"], ["two"])
    (outcome,) = submit(again, draft("three"))
    assert isinstance(outcome, Saved)
    assert outcome.entry.number == 2
    stop(again)


def test_a_message_that_comes_again_has_its_first_place(log: Log) -> None:
    first, other = submit(log, draft("one", message_id="1"), draft("two", message_id="2"))
    (again,) = submit(log, draft("one", message_id="1"))
    assert isinstance(first, Saved)
    assert isinstance(other, Saved)
    assert isinstance(again, Saved)
    assert (first.fresh, other.fresh, again.fresh) == (True, True, False)
    assert again.entry.number == first.entry.number


def test_the_sender_of_a_draft_comes_back_with_it(log: Log) -> None:
    (outcome,) = submit(log, Draft("lobby", 1, "say", "Ana", "oi", -1, None, 7))
    assert isinstance(outcome, Saved)
    assert outcome.draft.sender == 7


def test_who_comes_into_rooms_learns_what_the_log_knows_of_them(log: Log) -> None:
    join = JoinRooms(-1, ("lobby", "cinema"), 1)
    _, first = submit(log, draft("one"), join)
    (second,) = submit(log, join)
    assert isinstance(first, Ordered)
    assert isinstance(second, Ordered)
    assert "cinema" not in {**first.rooms, **second.rooms}
    assert second.rooms["lobby"] == RoomState("lobby", 0, 1, "")


def test_a_search_finds_all_that_was_submitted_before(log: Log) -> None:
    log.journal.submit([draft(f"fish {number}") for number in range(20)])
    found: list[Found | Refusal] = []
    log.journal.search("fish", None, 100, found.append)
    log.run_until(lambda: bool(found))
    assert isinstance(found[0], Found)
    assert [entry.number for entry in found[0].entries] == list(range(20, 0, -1))


def test_a_removal_comes_back_as_a_change(log: Log) -> None:
    submit(log, *(draft(str(time), time=time) for time in range(1, 6)))
    before = len(log.outcomes)
    begun: list[bool] = []
    log.journal.remove_before(4, None, {}, lambda: begun.append(True))
    log.run_until(lambda: len(log.outcomes) > before and bool(begun))
    assert begun == [True]
    (outcome,) = log.outcomes[before:]
    assert isinstance(outcome, Ordered)
    assert outcome.change == Removed("lobby", 3)
    assert read(log) == ["4", "5"]


def test_people_are_kept_and_are_no_outcome_here(log: Log) -> None:
    log.journal.submit((Keep((ANA,)),))
    submit(log, Barrier(1))
    assert len(log.outcomes) == 1
    stop(log)
    again = log.again()
    assert list(again.journal.people()) == [ANA]
    again.journal.submit((Keep((), (ANA.author,)),))
    stop(again)
    last = again.again()
    assert list(last.journal.people()) == []
    stop(last)


def test_its_secret_is_its_own_and_stays(log: Log) -> None:
    secret = log.journal.secret
    assert len(secret) == 32
    assert secret != bytes(32)
    stop(log)
    again = log.again()
    assert again.journal.secret == secret
    stop(again)
    assert Memory().journal.secret != secret


def stored(log: Log, *records: Record | Forgotten) -> list[Refusal | None]:
    done: list[Refusal | None] = []
    log.journal.store(records, done.append)
    assert done == []  # it comes later
    log.run_until(lambda: bool(done))
    return done


def test_records_are_stored_replaced_and_forgotten(log: Log) -> None:
    assert list(log.journal.records()) == []
    one, two = (Account(number, nickname(name)) for number, name in ((1, "Ana"), (10, "Bia")))
    assert stored(log, one, two) == [None]
    assert stored(log, structs.replace(one, status="closed"), Forgotten("account", "7")) == [None]
    stop(log)
    again = log.again()
    assert list(again.journal.records()) == [structs.replace(one, status="closed"), two]
    assert stored(again, Forgotten("account", "1")) == [None]
    stop(again)
    last = again.again()
    assert list(last.journal.records()) == [two]
    stop(last)


def message(recipient: int, number: int) -> StoredMessage:
    return StoredMessage(recipient, number, -1, 2, 130, "Bia", f"text {number}", number)


def test_messages_stay_on_disk_and_are_read_by_their_recipient(log: Log) -> None:
    """When the log is opened, only their keys are read."""
    ana = [message(1, number) for number in (9, 10, 100)]
    assert stored(log, *ana, message(10, 5), Account(1, nickname("Ana"))) == [None]
    assert stored(log, Forgotten("message", key_of(1, ana[1]))) == [None]
    found: list[Sequence[Record] | Refusal] = []
    log.journal.read_records("message", prefix_of(1), found.append)
    assert found == []  # it comes later
    log.run_until(lambda: bool(found))
    assert found == [[ana[0], ana[2]]]
    stop(log)
    again = log.again()
    assert list(again.journal.records()) == [Account(1, nickname("Ana"))]
    keys = [key_of(one.recipient, one) for one in (ana[0], ana[2], message(10, 5))]
    assert sorted(again.journal.keys("message")) == sorted(keys)
    again.journal.read_records("message", "nobody", found.append)
    again.run_until(lambda: len(found) == 2)
    assert found[1] == []
    stop(again)


def test_records_of_the_last_group_are_stored(log: Log) -> None:
    """The change that made them is applied after the log was told to stop."""
    log.journal.submit((Barrier(1),))
    stopped: list[bool] = []
    done: list[Refusal | None] = []
    log.journal.stop(lambda: stopped.append(True))
    log.run_until(lambda: bool(log.outcomes) or bool(stopped))
    log.journal.store((Account(1, nickname("Ana")),), done.append)
    log.run_until(lambda: bool(stopped) and bool(done))
    again = log.again()
    if done == [None]:
        assert list(again.journal.records()) == [Account(1, nickname("Ana"))]
    else:
        assert list(again.journal.records()) == []
    stop(again)


def test_what_is_kept_while_the_last_group_is_applied_is_written(log: Log) -> None:
    log.journal.submit((draft("last"),))
    stopped: list[bool] = []
    log.journal.stop(lambda: stopped.append(True))
    log.run_until(lambda: bool(log.outcomes) or bool(stopped))
    if not stopped:
        log.journal.submit((Keep((ANA,)),))
        log.run_until(lambda: bool(stopped))
        again = log.again()
        assert list(again.journal.people()) == [ANA]
        stop(again)
    assert [type(outcome) for outcome in log.outcomes] == [Saved]


def test_a_draft_after_the_stop_fails(log: Log) -> None:
    stop(log)
    before = len(log.outcomes)
    log.journal.submit((draft("late"), Barrier(1)))
    log.run_until(lambda: len(log.outcomes) == before + 2)
    late, barrier = log.outcomes[before:]
    assert isinstance(late, Failed)
    assert isinstance(barrier, Ordered)
    again = log.again()
    assert read(again) == []
    stop(again)


def test_where_it_was_replaced_a_client_can_tell(log: Log) -> None:
    submit(log, draft("one"), draft("two"))
    told = log.journal.told
    assert told.isascii()
    assert len(told) <= 512
    found: list[object] = []
    log.journal.common({"lobby": 2}, told, found.append)
    log.run_until(lambda: bool(found))
    assert found == [{"lobby": 2}]
    log.journal.common({"lobby": 2}, "something else", found.append)
    log.run_until(lambda: len(found) == 2)
    assert found[1] == {"lobby": 0}


def test_it_tells_the_operator_how_it_is(log: Log) -> None:
    assert log.journal.is_open
    assert log.journal.obstacle == ""
    assert not log.journal.full
    log.journal.submit((draft("one"), Barrier(1)))
    assert log.journal.outstanding == 2
    log.run_until(lambda: len(log.outcomes) == 2)
    assert log.journal.outstanding == 0
    stop(log)
    assert log.journal.obstacle

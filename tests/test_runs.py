"""A client is told that the log was replaced: nothing that it did not see is taken for seen."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fakes import Visitor, World
from tests.support.programs import ANA, numbers, of, program
from tests.support.store import commit, draft
from twisted_chat import cli
from twisted_chat.core.events import Entered, Entry, Welcomed
from twisted_chat.core.requests import Hello
from twisted_chat.journal import runs
from twisted_chat.journal.runs import Runs, superfluous
from twisted_chat.journal.sqlite.store import MEMORY, Store

IDENTITY = bytes(16)


def token(number: int) -> bytes:
    return number.to_bytes(6, "big")


def rows(*ends: int) -> list[tuple[bytes, int]]:
    return [(token(number), end) for number, end in enumerate(ends)]


def test_the_run_that_a_client_spoke_to_says_what_it_can_have_seen() -> None:
    log = Runs(IDENTITY, rows(0, 10, 10, 25))
    assert log.common(Runs(IDENTITY, rows(0)).told) == 10
    assert log.common(Runs(IDENTITY, rows(0, 10)).told) == 10
    assert log.common(Runs(IDENTITY, rows(0, 10, 10)).told) == 25
    assert log.common(log.told) == float("inf")


def test_a_run_that_the_log_does_not_know_is_of_another_log() -> None:
    """What came before it, and is known, is common: up to where either of the two went on."""
    log = Runs(IDENTITY, [*rows(0, 10), (token(77), 25)])
    assert log.common(Runs(IDENTITY, rows(0, 10, 30, 40)).told) == 25
    assert log.common(Runs(IDENTITY, rows(0, 10, 20, 40)).told) == 20
    assert log.common(Runs(IDENTITY, [(token(99), 0)]).told) == 0
    assert log.common(Runs(bytes(15) + b"x", rows(0, 10)).told) == 0


@pytest.mark.parametrize("told", ["", "x", ".", "....", "0" * 32, "é.ü", "0" * 32 + ".AAAA" * 500])
def test_whatever_a_client_tells_is_no_error(told: str) -> None:
    assert Runs(IDENTITY, rows(0, 10)).common(told) == 0


def test_what_is_told_is_short_and_the_runs_that_are_kept_are_bounded() -> None:
    many = rows(*range(0, 20_000, 10))
    assert len(Runs(IDENTITY, many).told) <= 512
    assert superfluous(many) == [token(number) for number in range(1000)]


def test_runs_in_which_nothing_was_said_are_forgotten_first() -> None:
    """A server that starts again and again must not make the log forget those who know it."""
    ends = [*range(900), *[900] * 300]
    forgotten = superfluous(rows(*ends))
    assert len(forgotten) == 200
    assert set(forgotten) <= {token(number) for number in range(900, 1200)}


def test_a_log_keeps_no_more_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUNS_KEPT", 5)
    with closing(Store(MEMORY)) as store:
        for _ in range(20):
            commit(store, draft())
            store.begin_run()
        assert store._connection.execute("SELECT count(*) FROM run").fetchone() == (5,)


def epoch(store: Store) -> int:
    (found,) = store._connection.execute("SELECT epoch FROM log").fetchone()
    return int(found)


def test_the_epoch_grows_when_entries_were_lost_or_a_backup_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    for _ in range(3):
        with closing(Store(str(path))) as store:
            commit(store, draft())
            assert epoch(store) == 1
    assert cli.main(["backup", str(path), str(tmp_path / "copy.db")]) == 0
    with closing(Store(str(tmp_path / "copy.db"))) as copy:
        assert epoch(copy) == 2
    with closing(Store(str(path))) as store:
        assert epoch(store) == 1
        store._connection.execute("DELETE FROM entry WHERE id = 3")
    for _ in range(2):
        with closing(Store(str(path))) as store:
            assert epoch(store) == 2
            commit(store, draft(room="cinema"))
            commit(store, draft(room="cinema"))


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_lost_and_little_is_shown_twice_whatever_is_put_back(seed: int) -> None:
    """Against a model: clients, restarts, backups that are put back, in any order."""
    chance = random.Random(seed)
    store = Store(MEMORY)
    backups = [store.copy()]
    seen: dict[int, tuple[str, dict[str, list[bytes]]]] = {}  # by client: told, and hashes by room
    rooms = ("lobby", "cinema")
    for _ in range(60):
        match chance.randrange(6):
            case 0 | 1:
                commit(store, *[draft(str(chance.random()), room=chance.choice(rooms))] * 2)
            case 2:
                store.begin_run()
            case 3:
                backups.append(store.copy())
            case 4 if chance.random() < 0.5:
                store = chance.choice(backups).copy()
            case _:
                client = chance.randrange(4)
                told, had = seen.get(client, ("", {room: [] for room in rooms}))
                positions = {room: len(had[room]) for room in rooms}
                end = store.runs.common(told)
                common = store.reader().common(positions, end)
                for room in rooms:
                    log = [e.hash for e in store.reader().after(room, 0, 10**9, 10**9)]
                    number = common[room]
                    assert number <= positions[room]
                    # What is not shown again is the same; what is the same was seen.
                    assert log[:number] == had[room][:number]
                    if told and end > 0 and number < positions[room]:
                        assert log[: number + 1] != had[room][: number + 1]
                    had[room] = log
                seen[client] = store.runs.told, had


# -- what a program is told -------------------------------------------------------------------


def test_a_program_that_saw_less_than_there_is_goes_on_in_the_same_log() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    ana = program(world, "Ana", ANA, lobby=0)
    bia.types("one", "two")
    (welcome,) = of(ana, Welcomed)
    back = Visitor(world, program=True)
    bia.types("three")
    back.ask(Hello("Ana", ANA, resume={"lobby": 2}, log=welcome.log))
    (entered,) = of(back, Entered)
    assert (entered.last, entered.replaced) == (2, False)
    assert [e.text for e in of(back, Entry)] == ["three"]


def test_a_program_that_saw_more_than_there_is_sees_all_that_is_new() -> None:
    """It has the numbers of what it saw, and other entries have them now."""
    world = World()
    (bia,) = world.enter("Bia")
    bia.types("one", "two")
    old = world.journal.log.store.copy()
    ana = program(world, "Ana", ANA, lobby=0)
    bia.types("three", "four")
    assert numbers(ana) == [1, 2, 3, 4]
    (welcome,) = of(ana, Welcomed)
    other = World(store=old)
    (bia,) = other.enter("Bia")
    bia.types("THREE", "FOUR", "FIVE")
    back = Visitor(other, program=True)
    back.ask(Hello("Ana", ANA, resume={"lobby": 4}, log=welcome.log))
    (entered,) = of(back, Entered)
    assert (entered.last, entered.replaced) == (2, True)
    assert [e.text for e in of(back, Entry)] == ["THREE", "FOUR", "FIVE"]

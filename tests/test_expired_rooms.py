"""A room in which nothing is kept any more goes; if it comes again, its numbers go on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.support.fakes import World
from tests.support.programs import ANA, numbers, of, program
from tests.support.store import check_chain, commit, draft, log_of, remove_all_before
from tests.support.writer import Setup
from tests.support.writer import draft as say
from twisted_chat.archive.database import open_archive
from twisted_chat.archive.progress import Progress
from twisted_chat.archive.verify import Verification
from twisted_chat.core.changes import JoinRooms, Ordered, RoomState
from twisted_chat.core.events import Entered, Welcomed
from twisted_chat.journal.sqlite import entries
from twisted_chat.journal.sqlite.store import MEMORY, Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


def test_what_is_left_of_an_expired_room_is_its_number_and_hash(path: Path) -> None:
    with closing(Store(str(path))) as log:
        entries = commit(log, *[draft(str(n), room="old") for n in range(5)])
        commit(log, draft("Films", room="old", kind="topic"), draft("new"))
        assert remove_all_before(log, 2**62, room="old") == 6
        assert log.rooms() == [RoomState("lobby", 0, 1, "")]
        assert log.room("old") == RoomState("old", 6, 6, "")
    with open_archive(str(path)) as archive:
        assert list(Verification(archive, Progress(None, "en")).findings()) == []
    with closing(Store(str(path))) as log:
        assert log.rooms() == [RoomState("lobby", 0, 1, "")]
        again = commit(log, draft("again", room="old"))
        assert [entry.number for entry in again] == [7]
        assert again[0].hash != entries[0].hash
    with open_archive(str(path)) as archive:
        assert list(Verification(archive, Progress(None, "en")).findings()) == []


def test_the_last_entry_of_the_log_stays(path: Path) -> None:
    """Ids of entries, by which searches and restored logs are told apart, are not used again."""
    with closing(Store(str(path))) as log:
        commit(log, draft("one", room="a"), draft("two", room="b"))
        assert remove_all_before(log, 2**62, room="b") == 0
        assert remove_all_before(log, 2**62, room="a") == 1
        assert [entry.text for entry in log_of(log, "b")] == ["two"]


def test_the_ends_of_rooms_that_are_kept_in_memory_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others are read when they are needed: numbers and hashes go on."""
    monkeypatch.setattr(entries, "HEADS_KEPT", 10)
    with closing(Store(MEMORY)) as log:
        for _ in range(3):
            for room in range(50):
                commit(log, draft(room=f"r{room}"))
                assert len(log._entries._heads) <= 10
        for room in range(50):
            assert [entry.number for entry in log_of(log, f"r{room}")] == [1, 2, 3]
            check_chain(log, f"r{room}")


def test_a_journal_finds_a_room_in_its_turn(path: Path) -> None:
    setup = Setup(str(path))
    join = JoinRooms(-1, ("cinema",), 1)
    setup.journal.submit((join, say("one", room="cinema"), join))
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 3)
    setup.journal.submit((join,))
    setup.loop.run_until(lambda: len(setup.loop.outcomes) == 4)
    rooms = [o.rooms for o in setup.loop.outcomes if isinstance(o, Ordered)]
    assert rooms[0] == {}
    assert rooms[2] == {"cinema": RoomState("cinema", 0, 1, "")}
    setup.stop()


def test_an_expired_room_that_nobody_is_in_is_forgotten_and_its_numbers_go_on() -> None:
    world = World(keep_days=0.0001)
    bia, caio = world.enter("Bia", "Caio")
    bia.types("/join cinema", "one", "two", "three")
    ana = program(world, "Ana", ANA, cinema=0)
    assert numbers(ana) == [1, 2, 3]
    (welcome,) = of(ana, Welcomed)
    ana.session.connection_lost(ana.connection)
    bia.types("/leave")
    caio.types(*["later"] * 60)  # the clock moves a second at each look
    before = world.chat.room_count
    world.chat.remove_old()
    world.journal.run()
    assert "cinema" in world.chat._rooms  # the program may come back
    world.clock.advance(60)
    bia.types("/join cinema", "four")
    world.journal.run()
    assert world.chat.reading.room(bia.session, "cinema").last == 4
    assert before >= 2
    back = program(world, "Ana", ANA, cinema=3)
    assert numbers(back)[-1] == 4
    assert not any(entered.replaced for entered in of(back, Entered))
    assert welcome.log


def test_a_room_without_anybody_goes_from_memory() -> None:
    world = World(keep_days=0.0001)
    bia, caio = world.enter("Bia", "Caio")
    bia.types("/join cinema", "one", "two", "/leave")
    caio.types(*["later"] * 60)
    world.chat.remove_old()
    world.journal.run()
    assert "cinema" not in world.chat._rooms
    bia.types("/join cinema", "three")
    assert world.chat.reading.room(bia.session, "cinema").last == 3
    entries = log_of(world.journal.log.store, "cinema")
    assert [(entry.number, entry.text) for entry in entries] == [(3, "three")]

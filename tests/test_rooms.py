"""The rooms there are: lists of them, and what those cost in which nobody is."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest
from msgspec import structs

from tests.support.fakes import Visitor, World
from tests.support.store import commit, draft
from twisted_chat.core import room as room_module
from twisted_chat.core.events import Entry, RoomsListed, TopicShown
from twisted_chat.core.requests import ListRooms, Say
from twisted_chat.core.room import COALESCE_SECONDS, TAIL_BYTES, Room
from twisted_chat.core.rooms import Rooms
from twisted_chat.journal.sqlite.store import MEMORY, Store


def listed(visitor: Visitor, **fields: Any) -> tuple[list[str], int]:
    """The names that are listed, and of how many."""
    visitor.connection.events.clear()
    visitor.ask(ListRooms(**fields))
    (event,) = (e for e in visitor.connection.events if isinstance(e, RoomsListed))
    return [room.room for room in event.rooms], event.count


def rooms_of(number: int) -> Rooms:
    rooms = Rooms(lambda seconds, callback: None)
    rooms.start((f"room{n:06}", 0, 5, f"topic {n % 10}", "Ana") for n in range(number))
    return rooms


def test_rooms_are_listed_by_their_people_and_the_empty_ones_if_wanted() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/join old", "words", "/leave old", "/join cinema", "/topic Films of the week")
    bia.types("/join games")
    assert listed(ana) == (["lobby", "cinema", "games"], 3)
    assert listed(ana, all=True) == (["lobby", "cinema", "games", "old"], 4)
    assert listed(ana, after="cinema") == (["games"], 3)
    assert listed(ana, after="games", all=True) == (["old"], 4)
    assert listed(ana, word="FILMS") == (["cinema"], 1)
    assert listed(ana, word="ol", all=True) == (["old"], 1)
    assert listed(ana, word="nothing") == ([], 0)


def test_all_pages_together_are_all_rooms_once() -> None:
    rooms = rooms_of(250)
    for n in (7, 70, 170):
        rooms.wake(f"room{n:06}").members[object()] = object()  # type: ignore[index, assignment]
    names: list[str] = []
    while page := rooms.page(100, "", names[-1] if names else "", True).rooms:
        names += [room.room for room in page]
    assert len(names) == len(set(names)) == 250
    assert names[:4] == ["room000007", "room000070", "room000170", "room000000"]


def test_a_word_is_looked_for_page_by_page_among_all_rooms() -> None:
    rooms = rooms_of(5000)
    rooms.wake("zebra").members[object()] = object()  # type: ignore[index, assignment]
    found: list[str] = []
    pages = 0
    page = rooms.page(100, "Room00499", "", True)
    while page.more:
        found += [room.room for room in page.rooms]
        page = rooms.page(100, page.word, page.after, page.all)
        pages += 1
    found += [room.room for room in page.rooms]
    assert found == [f"room00499{n}" for n in range(10)]
    assert pages == 2
    assert not rooms.page(100, "room0049", "", False).more


def test_rooms_are_found_under_every_spelling_of_a_part_of_their_names() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.types("/join straße", "/join İZMİR")
    for word, room in (("#LOB", "lobby"), ("STRASS", "straße"), ("İZ", "izmir"), ("ｉｚ", "izmir")):
        assert listed(ana, word=word) == ([room], 1)
    assert listed(ana, word="#") == (["izmir", "lobby", "straße"], 3)


def test_what_shows_the_next_page_has_the_word_and_all() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    for n in range(3):
        ana.types(f"/join films{n}", "x")
    world.chat.limits = structs.replace(world.chat.limits, page=2)
    assert ana.types("/rooms fil")[-1].strip() == ("/rooms fil after films1 shows the next ones.")
    assert ana.types("/rooms fil after films1")[1:] == ["      1  #films2"]
    assert ana.types("/rooms all")[-1].strip() == ("/rooms all after films1 shows the next ones.")
    ana.types("/leave films1")
    assert ana.types("/rooms fil after films1")[1:] == ["      1  #films2"]
    assert ana.types("/rooms all nothing") == ["[SERVER]: No room matches."]


def test_a_list_among_very_many_rooms_costs_no_look_at_each() -> None:
    rooms = rooms_of(100_000)
    start = time.process_time()
    for _ in range(100):
        assert rooms.page(100, "", "room050000", True).count == 100_000
        rooms.page(100, "5", "", True)
    assert time.process_time() - start < 5  # 10 ms for each would be 100,000 looks


def test_a_topic_can_be_cleared() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/topic Films", "/topic -")
    assert bia.sees()[-1] == "[SERVER]: Ana cleared the topic."
    ana.types("/topic")
    assert isinstance(ana.connection.events[-1], TopicShown)
    assert ana.connection.events[-1].topic == ""


def test_a_topic_that_is_the_same_is_told_to_nobody_else() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/topic -")
    assert bia.sees() == []
    ana.types("/topic Films")
    bia.sees()
    assert ana.types("/topic Films") == ["[SERVER]: Topic, set by Ana: Films"]
    assert bia.sees() == []


def test_a_room_without_members_costs_little() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    text = "x" * 4000
    tracemalloc.start()
    try:
        ana.types("/join warm", text, "/leave warm")
        ana.connection.events.clear()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(25):
            ana.types(f"/join room{number}", text, f"/leave room{number}")
            ana.connection.events.clear()
            world.clock.advance(COALESCE_SECONDS)
            world.journal.run()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The journal of these tests keeps what was said in memory itself, as SQLite does.
    assert (after - before) / 25 < 4000
    assert world.chat.room_count == 27
    bia = Visitor(world)
    bia.types("Bia")
    assert f"[Ana]: {text}" in bia.types("/join room7")[-1]


def test_the_end_of_a_log_in_memory_is_bounded_in_bytes_too() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.connection.ready = False
    for _ in range(20):
        ana.types(*["x" * 4000] * 100)
        ana.connection.events.clear()
    room: Room = world.chat.reading.room(ana.session, "lobby")
    assert room._tail_size <= TAIL_BYTES
    assert room._tail_size == sum(len(entry.text) for run in room._tail for entry in run.events)  # type: ignore[attr-defined,misc]


def test_a_room_is_found_by_its_old_name_when_somebody_has_left_it() -> None:
    """The names of rooms were folded in another way."""
    store = Store(MEMORY)
    commit(store, draft(room="straße"))
    world = World(store=store)
    ana, bia, caio = world.enter("Ana", "Bia", "Caio")
    for visitor in (ana, bia):
        visitor.types("/join STRASSE")
    bia.types("/leave")
    caio.types("/join strasse")
    assert caio.session.current is ana.session.current
    assert sorted(listed(caio, all=True)[0]) == ["lobby", "straße"]


def published(*numbers: int, text: str = "x") -> Room:
    """A room in which each of these entries was published as a run of its own."""
    room = Room("lobby")
    for number in numbers:
        room.publish([Entry("lobby", number, 0, "say", "Ana", text, 0, None, b"")], set())
    return room


def numbers_after(room: Room, position: int, limit: int = 100) -> list[int] | None:
    """The entries that memory gives to a reader at ``position``; None if the disk has them."""
    batch = room.after(position, limit)
    return None if batch is None else [e.number for e in batch.events if isinstance(e, Entry)]


def test_short_runs_in_memory_are_given_together() -> None:
    room = published(1, 2, 3, 4, 5)
    assert numbers_after(room, 0) == [1, 2, 3, 4, 5]
    assert numbers_after(room, 1, limit=2) == [2, 3]
    assert numbers_after(room, 4) == [5]


def test_texts_above_the_bound_of_the_memory_are_read_from_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_module, "TAIL_BYTES", 1000)
    room = published(*range(1, 21), text="x" * 100)
    assert numbers_after(room, 9) is None
    assert numbers_after(room, 10) == list(range(11, 21))


def test_deliveries_are_the_entries_that_connections_took() -> None:
    world = World()
    ana, bia, caio = world.enter("Ana", "Bia", "Caio")
    before = world.chat.deliveries
    for text in ("one", "two"):  # one group
        ana.session.handle(Say(text))
    world.journal.run()
    assert world.chat.deliveries - before == 2 * 3
    bia.connection.ready = caio.connection.ready = False
    ana.types("three")
    assert world.chat.deliveries - before == 2 * 3 + 1
    bia.connection.ready = True
    bia.session.on_ready()
    assert world.chat.deliveries - before == 2 * 3 + 2

"""Coming back after a lost connection: nothing missed, nothing twice, one connection each."""

from __future__ import annotations

import re

import pytest
from msgspec import structs
from twisted.internet.task import Clock

from tests.support.fakes import NOON, Visitor, World, code_of
from tests.support.programs import ANA, BIA, numbers, of, program
from twisted_chat.core import catch_up
from twisted_chat.core.author import author_key
from twisted_chat.core.catch_up import PAGE
from twisted_chat.core.events import (
    Acknowledged,
    Entered,
    EntriesRemoved,
    Entry,
    HistoryShown,
    Joined,
    Left,
    LinesSkipped,
    PresenceSummary,
    Refused,
    Renamed,
    Replaced,
    Replayed,
    RoomLeft,
    SearchShown,
    Welcomed,
)
from twisted_chat.core.limits import Limits
from twisted_chat.core.login import WRONG_SECRETS_LIMIT
from twisted_chat.core.requests import (
    ChooseName,
    Hello,
    Join,
    Leave,
    Quit,
    ReadHistory,
    Resume,
    Say,
    Search,
)
from twisted_chat.core.room import COALESCE_SECONDS, TAIL
from twisted_chat.core.sources import Source, Sources
from twisted_chat.journal.sqlite.store import MEMORY, Store

# -- programs -----------------------------------------------------------------------------------


def test_a_program_is_welcomed_without_a_replay_and_gets_its_own_lines_in_order() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    bia.types("before")
    ana = program(world, "Ana", ANA)
    (welcome,) = of(ana, Welcomed)
    assert (welcome.rooms, welcome.client_id.hex(), welcome.resumed) == ({"lobby": 1}, ANA, False)
    bia.types("hers")
    ana.ask(Say("mine", id="1"))
    assert numbers(ana) == [2, 3]
    assert [e.number for a in of(ana, Acknowledged) for e in a.entries] == [3]
    assert bia.sees() == ["[Ana]: mine"]


def test_a_program_must_say_hello_first_and_once() -> None:
    world = World()
    ana = Visitor(world, program=True)
    ana.ask(Say("hi", id="x"), Hello("Ana"), Hello("Ana", id="y"))
    assert ana.connection.refusals() == ["name-first", "already-here"]
    assert [refused.id for refused in of(ana, Refused)] == ["x", "y"]


def test_a_message_that_is_sent_again_is_stored_and_shown_once_and_acknowledged_alike() -> None:
    world = World()
    ana, bia = program(world, "Ana", ANA), program(world, "Bia", BIA)
    ana.ask(Say("one", id="1"), Say("one", id="1"), Say("two", id="1"), Say("two", id="2"))
    acknowledged = [e for a in of(ana, Acknowledged) for e in a.entries]
    assert [e.number for e in acknowledged] == [1, 1, 2]
    assert acknowledged[0] == acknowledged[1]
    assert ana.connection.refusals() == ["id-reused"]
    assert [e.text for e in of(bia, Entry)] == ["one", "two"]
    bia.ask(Say("three", id="1"))  # another author's ids are apart
    assert bia.connection.refusals() == []


def test_within_the_grace_period_a_program_was_never_away() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    ana = program(world, "Ana", ANA)
    ana.ask(Join("cinema"), Say("popcorn", id="1"))
    bia.types("seen")
    bia.sees()
    assert ana.breaks_off() is not None
    bia.types("missed 1", "missed 2")
    again = program(world, "Ana", ANA, lobby=1, cinema=1)
    bia.types("live")
    assert bia.sees() == []  # neither a leave nor a join
    assert [(e.room, e.number) for e in of(again, Entry)] == [
        ("lobby", 2),
        ("lobby", 3),
        ("lobby", 4),
    ]
    assert of(again, Welcomed)[0].resumed
    again.ask(Say("still in cinema", room="cinema", id="2"))
    assert again.connection.refusals() == []


def test_a_line_said_between_a_join_and_a_return_is_not_taken_for_one_that_was_seen() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    ana = Visitor(world, program=True)
    ana.session.handle(Hello("Ana", ANA))
    bia.session.handle(Say("missed"))
    ana.session.connection_lost(ana.connection)
    world.journal.run()
    again = program(world, "Ana", ANA)
    assert of(again, Welcomed)[0].rooms == {"lobby": 0}
    assert [entered.last for entered in of(again, Entered)] == [0]
    assert numbers(again) == [1]


@pytest.mark.parametrize("grace", [True, False])
def test_entered_has_the_number_after_which_each_room_goes_on(grace: bool) -> None:
    world = World()
    (bia,) = world.enter("Bia")
    bia.types("/join cinema", "c 1", "c 2", "/join lobby", "l 1", "l 2", "l 3")
    ana = program(world, "Ana", ANA)
    over = ana.breaks_off()
    assert over is not None
    if not grace:
        over()
        world.journal.run()
    again = program(world, "Ana", ANA, lobby=1, cinema=0)
    assert of(again, Welcomed)[0].rooms == {"lobby": 1, "cinema": 0}
    assert {entered.room: entered.last for entered in of(again, Entered)} == of(again, Welcomed)[
        0
    ].rooms
    assert [(e.room, e.number) for e in sorted(of(again, Entry), key=lambda e: e.room)] == [
        ("cinema", 1),
        ("cinema", 2),
        ("lobby", 2),
        ("lobby", 3),
    ]


def test_who_is_behind_and_joins_a_room_again_is_told_how_far_it_was_shown() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    ana = program(world, "Ana", ANA)
    ana.connection.ready = False
    bia.types("one", "two")
    ana.ask(Join("lobby"))
    assert [entered.last for entered in of(ana, Entered)] == [0, 0]
    ana.connection.ready = True
    ana.session.on_ready()
    world.journal.run()
    assert numbers(ana) == [1, 2]
    ana.ask(Join("lobby"))
    assert of(ana, Entered)[-1].last == 2


def test_a_move_under_way_is_answered_before_another_connection_takes_over() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    ana = program(world, "Ana", ANA)
    ana.session.handle(Join("lobby"))  # where it is already
    ana.session.connection_lost(ana.connection)
    bia.session.handle(Say("missed"))
    again = Visitor(world, program=True)
    again.session.handle(Hello("Ana", ANA, None, {"lobby": 0}))
    world.journal.run()
    assert [entered.room for entered in of(ana, Entered)] == ["lobby", "lobby"]
    assert [entered.last for entered in of(again, Entered)] == [0]
    assert numbers(again) == [1]


def test_after_the_grace_period_the_leave_is_told() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    ana = program(world, "Ana", ANA)
    over = ana.breaks_off()
    assert bia.sees() == ["[SERVER]: Ana joined the chat."]
    assert over is not None
    over()
    world.journal.run()
    assert bia.sees() == ["[SERVER]: Ana left the chat."]
    bia.types("missed")
    again = program(world, "Ana", ANA, lobby=0)
    assert numbers(again) == [1]


def test_a_grace_period_that_is_over_later_does_not_end_a_new_absence() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    first = program(world, "Ana", ANA).breaks_off()
    second = program(world, "Ana", ANA).breaks_off()
    bia.sees()
    assert first is not None
    assert second is not None
    first()
    world.journal.run()
    assert bia.sees() == []
    second()
    world.journal.run()
    assert bia.sees() == ["[SERVER]: Ana left the chat."]


def test_a_program_without_a_client_id_leaves_at_once() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    assert program(world, "Ana").breaks_off() is None
    assert bia.sees() == ["[SERVER]: Ana joined the chat.", "[SERVER]: Ana left the chat."]


def test_a_program_that_quits_has_no_grace_period() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    ana = program(world, "Ana", ANA)
    ana.ask(Quit())
    assert bia.sees() == ["[SERVER]: Ana joined the chat.", "[SERVER]: Ana left the chat."]
    assert ana.connection.closed
    assert ana.breaks_off() is None


def test_of_two_connections_with_one_identity_the_newer_wins_and_the_older_is_told() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    old = program(world, "Ana", ANA)
    bia.sees()
    new = program(world, "Ana", ANA, lobby=0)
    assert bia.sees() == []  # neither a leave nor a join
    assert of(old, Replaced)
    assert old.connection.closed
    assert old.breaks_off() is None  # the end of the old connection is nothing to the new one
    bia.types("oi")
    assert numbers(new) == [1]
    assert bia.sees() == []


def test_coming_back_with_another_nickname() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    program(world, "Ana", ANA).breaks_off()
    again = program(world, "Carla", ANA)
    world.journal.run()
    assert again.session.name == "Carla"
    assert bia.sees()[-1] == "[SERVER]: Ana is Carla now."


def test_resuming_after_a_restart_of_the_server_replays_exactly_what_is_missing() -> None:
    """From disk, in order, in every room, and then live; whatever is said meanwhile."""
    store = Store(MEMORY)
    world = World(store=store)
    (bia,) = world.enter("Bia")
    bia.types("/join cinema", *(f"c{n}" for n in range(3)), "/join lobby")
    bia.types(*(str(n) for n in range(PAGE * 3)))
    world = World(store=store)
    (bia,) = world.enter("Bia")
    ana = Visitor(world, program=True)
    ana.session.handle(Hello("Ana", ANA, None, {"lobby": 7, "cinema": 1}))
    for turn in range(10):
        bia.session.handle(Say(f"meanwhile {turn}"))
        world.journal.step()
        reads, world.journal.reads = world.journal.reads, []
        bia.session.handle(Say(f"between {turn}"))
        world.journal.step()
        for read in reads:
            read()
    world.journal.run()
    lobby = [e.number for e in of(ana, Entry) if e.room == "lobby"]
    assert lobby == list(range(8, PAGE * 3 + 20 + 1))
    assert [e.text for e in of(ana, Entry) if e.room == "cinema"] == ["c1", "c2"]


def test_a_program_gets_every_entry_however_far_it_is_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catch_up, "CATCH_UP_LIMIT", limit := 3000)
    world = World()
    (bia,) = world.enter("Bia")
    total = limit + PAGE * 2
    for n in range(total):
        bia.session.handle(Say(str(n)))
    world.journal.run()
    ana = program(world, "Ana", ANA, lobby=0)
    assert numbers(ana) == list(range(1, total + 1))


def test_if_entries_were_removed_the_program_is_told_from_which_number_there_are_some() -> None:
    world = World(keep_days=1 / 86_400 / 2)  # half a second: the clock moves on by one each time
    (bia,) = world.enter("Bia")
    bia.types(*(str(n) for n in range(10)))
    world.chat.remove_old()
    ana = program(world, "Ana", ANA, lobby=2)
    assert [(e.room, e.first) for e in of(ana, EntriesRemoved)] == [("lobby", 10)]
    assert numbers(ana) == [10]


def test_whoever_catches_up_from_the_disk_is_shown_all_and_told_of_nothing_else() -> None:
    world = World()
    bia, caio = world.enter("Bia", "Caio")
    caio.connection.ready = False
    total = 3 * TAIL
    bia.types(*(str(n) for n in range(total)))  # each is a run of its own
    ana = Visitor(world, program=True)
    ana.session.handle(Hello("Ana", ANA, None, {"lobby": 1}))
    caio.connection.ready = True
    caio.session.on_ready()
    assert len(world.journal.reads) > 0
    world.journal.run()
    assert numbers(ana) == list(range(2, total + 1))
    assert numbers(caio) == list(range(1, total + 1))
    assert of(ana, EntriesRemoved, LinesSkipped) == of(caio, EntriesRemoved, LinesSkipped) == []


def test_whoever_leaves_a_room_while_its_log_is_read_for_them_is_shown_nothing_of_it() -> None:
    world = World()
    bia, caio = world.enter("Bia", "Caio")
    caio.connection.ready = False
    bia.types(*(str(n) for n in range(3 * TAIL)))
    caio.connection.ready = True
    caio.session.on_ready()
    caio.session.handle(Leave())
    world.journal.step()  # they have left, and the log is read after that
    world.journal.run()
    events = caio.connection.events
    left = next(n for n, event in enumerate(events) if isinstance(event, RoomLeft))
    assert [event for event in events[left:] if isinstance(event, Entry)] == []


def test_what_is_younger_than_the_days_to_keep_stays() -> None:
    world = World(keep_days=10 / 86_400)
    (bia,) = world.enter("Bia")
    bia.types(*(str(n) for n in range(30)))  # one a second
    kept = [entry.time for entry in world.journal.log.store.reader().after("lobby", 0, 100, 100)]
    world.chat.remove_old()
    world.journal.run()
    times = [entry.time for entry in world.journal.log.store.reader().after("lobby", 0, 100, 100)]
    assert times == [time for time in kept if time >= kept[-1] - 9 * 1_000_000]


def test_entries_that_are_removed_while_they_are_read_are_told() -> None:
    """Retention passes between the commit and its notice to the chat."""
    world = World()
    (bia,) = world.enter("Bia")
    bia.types(*(str(n) for n in range(TAIL + 50)))
    ana = Visitor(world, program=True)
    ana.session.handle(Hello("Ana", ANA, None, {"lobby": 2}))
    world.journal.step()
    world.journal.log.store.remove_before("lobby", NOON + 25 * 1_000_000, 1_000)  # not told yet
    world.journal.run()
    (removed,) = of(ana, EntriesRemoved)
    assert numbers(ana) == list(range(removed.first, TAIL + 50 + 1))
    assert removed.first > 10


def test_entries_that_are_all_removed_while_they_are_read_are_told() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    bia.types(*(str(n) for n in range(2 * TAIL)))
    ana = Visitor(world, program=True)
    ana.session.handle(Hello("Ana", ANA, None, {"lobby": 10}))
    world.journal.step()
    bia.session.handle(Say("last"))
    world.journal.step()
    world.journal.log.store.remove_before("lobby", NOON + 10**12, 10_000)
    world.journal.run()
    assert [e.first for e in of(ana, EntriesRemoved)] == [2 * TAIL + 1]
    assert numbers(ana) == [2 * TAIL + 1]


def test_a_program_that_says_hello_again_before_the_answer_is_welcomed_once() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    first, second = Visitor(world, program=True), Visitor(world, program=True)
    for visitor in (first, second):
        visitor.session.handle(Hello("Ana", ANA))
    world.journal.run()
    assert len(of(second, Welcomed)) == 1
    assert of(second, Joined) == []
    assert of(first, Replaced)
    assert bia.sees() == ["[SERVER]: Ana joined the chat."]


def test_a_client_id_that_was_refused_gives_no_grace_period() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    ana = program(world, "Bia", ANA)
    assert ana.connection.refusals() == ["name-taken"]
    ana.ask(Hello("Ana"))
    bia.sees()
    assert ana.breaks_off() is None
    assert bia.sees() == ["[SERVER]: Ana left the chat."]


def test_a_client_id_that_was_refused_is_not_that_of_what_is_said_later() -> None:
    """A message id is one for each client id: two clients may use the same one."""
    world = World()
    world.enter("Bia")
    ana = program(world, "Bia", ANA)
    assert ana.connection.refusals() == ["name-taken"]
    ana.ask(Hello("Ana"), Say("hers", id="1"))
    caio = program(world, "Caio", ANA)
    caio.ask(Say("his", id="1"))
    assert ana.connection.refusals() == ["name-taken"]
    assert caio.connection.refusals() == []
    first, second = of(caio, Entry)[-1], of(ana, Entry)[0]
    assert (second.text, first.text) == ("hers", "his")
    assert first.author == world.chat.guest(author_key(bytes.fromhex(ANA))) != second.author


def test_a_log_that_cannot_be_read_while_catching_up() -> None:
    """A program is closed and will resume; a person is told which lines they are not shown."""
    world = World()
    bia, caio = world.enter("Bia", "Caio")
    caio.connection.ready = False
    bia.types("seen", *(str(n) for n in range((2 * TAIL) + 10)))
    ana = Visitor(world, program=True)
    ana.session.handle(Hello("Ana", ANA, None, {"lobby": 1}))
    world.journal.step()
    world.journal.broken = "disk I/O error"
    caio.connection.ready = True
    caio.session.on_ready()
    world.journal.run()
    assert ana.connection.refusals() == ["history-unavailable"]
    assert ana.connection.closed
    assert not numbers(ana)
    assert caio.connection.refusals() == ["history-unavailable"]
    assert [(e.first, e.last) for e in of(caio, LinesSkipped)] == [(1, (2 * TAIL) + 11)]
    world.journal.broken = None
    bia.types("later")
    assert caio.sees()[-1] == "[Bia]: later"


@pytest.mark.parametrize("name", ["Ana", "Ane"])
def test_a_program_that_takes_over_is_renamed_only_to_another_name(name: str) -> None:
    world = World()
    (bia,) = world.enter("Bia")
    program(world, "Ana", ANA)
    bia.sees()
    again = program(world, name, ANA)
    assert [e.new for e in of(again, Renamed)] == [name] * (name != "Ana")
    assert len(bia.sees()) == (name != "Ana")


def test_a_program_that_is_back_stays_when_its_grace_period_would_be_over() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    ana = program(world, "Ana", ANA)
    over = ana.breaks_off()
    assert over is not None
    (room,) = {visitor.session.cursors["lobby"].room for visitor in (ana, bia)}
    assert room.away == 1
    again = program(world, "Ana", ANA, lobby=0)
    assert room.away == 0
    bia.sees()
    over()
    world.journal.run()
    assert bia.sees() == []
    bia.types("oi")
    assert numbers(again) == [1]
    assert len(world.registry.snapshot()) == 2
    last = again.breaks_off()
    assert last is not None
    last()
    world.journal.run()
    assert bia.sees() == ["[SERVER]: Ana left the chat."]
    assert len(world.registry.snapshot()) == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Ana", ["[SERVER]: Ana joined the chat.", "[SERVER]: Ana left the chat."]),
        ("Bia", []),  # which is taken
    ],
)
def test_a_program_whose_grace_period_ends_before_its_hello_is_answered_is_gone(
    name: str, told: list[str]
) -> None:
    world = World()
    (bia,) = world.enter("Bia")
    ana = Visitor(world, program=True)
    ana.session.handle(Hello(name, ANA))
    over = ana.session.connection_lost(ana.connection)
    assert over is not None
    over()
    world.journal.run()
    assert bia.sees() == told
    assert len(world.registry.snapshot()) == 1


def test_whom_a_program_ignores_holds_also_when_it_takes_over() -> None:
    world = World()
    (bia,) = world.enter("Bia")
    program(world, "Ana", ANA)
    again = Visitor(world, program=True)
    again.ask(Hello("Ana", ANA, ignored={str(bia.session.author): "Bia"}))
    bia.types("oi")
    assert numbers(again) == []


def test_a_return_that_is_refused_can_be_tried_again() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/join cinema")
    code = ana.session.code
    ana.breaks_off()
    bia.sees()
    limits, again = world.chat.limits, Visitor(world)
    world.chat.limits = structs.replace(limits, rooms=1)
    for _ in range(2):
        again.types(f"/resume {code}")
    assert again.connection.refusals() == ["too-many-rooms"] * 2
    assert len(world.registry.snapshot()) == 2  # Bia, and somebody without a name
    world.chat.limits = limits
    assert again.types(f"/resume {code}")[0] == "[SERVER]: Welcome back, Ana."
    assert bia.sees() == ["[SERVER]: Ana joined the chat."]
    assert len(world.registry.snapshot()) == 2


def test_rooms_that_are_new_to_a_take_over_are_entered_in_their_turn() -> None:
    world = World()
    bia, ana = world.enter("Bia")[0], program(world, "Ana", ANA)
    bia.types("/join cinema", "oi")
    again = program(world, "Ana", ANA, lobby=0, cinema=0)
    (welcome,) = of(again, Welcomed)
    assert welcome.rooms == {"lobby": 0, "cinema": 0}
    assert numbers(again) == [1]
    assert again.session.current is again.session.cursors["lobby"].room
    assert "#cinema [SERVER]: Ana joined the room." not in bia.sees()  # it is Bia's current room
    full = {f"r{n}": 0 for n in range(Limits().rooms)}
    late = program(world, "Ana", ANA, **full)
    assert late.connection.refusals() == ["too-many-rooms"]
    assert not again.connection.closed
    assert ana.connection.closed


def test_whoever_was_in_as_many_rooms_as_one_can_be_comes_back_to_them() -> None:
    """The lobby, which they had left, would be one too many."""
    rooms = {f"r{n}": 0 for n in range(Limits().rooms)}
    (welcome,) = of(program(World(), "Ana", ANA, **rooms), Welcomed)
    assert welcome.rooms == rooms


@pytest.mark.parametrize("seen", [-5, 10**12])
def test_numbers_that_cannot_be_are_taken_for_the_nearest_that_can(seen: int) -> None:
    world = World()
    (bia,) = world.enter("Bia")
    bia.types("one", "two")
    ana = program(world, "Ana", ANA, lobby=seen)
    assert numbers(ana) == [1, 2]  # if it saw more, that was of another log
    bia.types("three")
    assert numbers(ana)[-1] == 3


@pytest.mark.parametrize(
    ("resume", "code"),
    [({"a b": 1}, "name-invalid"), ({f"r{n}": 0 for n in range(30)}, "too-many-rooms")],
)
def test_a_resume_that_is_refused_can_be_tried_again(resume: dict[str, int], code: str) -> None:
    world = World()
    ana = program(world, "Ana", ANA, **resume)
    assert ana.connection.refusals() == [code]
    ana.ask(Hello("Ana", ANA))
    assert of(ana, Welcomed)


def test_a_client_id_is_nobodys_before_hello_is_answered_with_welcome() -> None:
    world = World()
    world.enter("Bia")
    refused = program(world, "Bia", ANA)
    refused.ask(ChooseName("Carla"))
    assert refused.connection.refusals() == ["name-taken", "name-first"]


# -- people -------------------------------------------------------------------------------------


def test_a_person_is_told_a_code_and_gets_exactly_the_lines_that_they_missed() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/join cinema", "mine")
    bia.types("seen", "/join cinema", "seen too", "/join lobby")
    ana.sees()
    ana.breaks_off()
    assert bia.sees()[-1] == "[SERVER]: Ana left the chat."
    bia.types("missed in lobby", "/join cinema", "missed in cinema")
    again = Visitor(world)
    shown = again.types(f"/resume {code_of(ana)}")
    assert [line for line in shown if re.match(r"(#lobby )?\d{4}-", line)] == [
        "2026-11-23 19:57 [Bia]: missed in cinema",
        "#lobby 2026-11-23 19:57 [Bia]: missed in lobby",
    ]
    assert shown[0] == "[SERVER]: Welcome back, Ana."
    assert bia.sees()[-1] == "[SERVER]: Ana joined the chat."
    again.types("back")
    assert bia.sees() == ["[Ana]: back"]
    bia.types("live")
    assert again.sees() == ["[Bia]: live"]


def test_language_ignored_people_and_room_come_back_too() -> None:
    world = World()
    ana, bia, _ = world.enter("Ana", "Bia", "Caio")
    ana.types("/lang pt", "/ignore Caio", "/join cinema")
    ana.breaks_off()
    again = Visitor(world)
    shown = again.types(f"/RETOMAR {code_of(ana).upper().replace('-', '')}")
    assert any("[SERVIDOR]" in line for line in shown)
    assert again.types("/ignorar") == ["[SERVIDOR]: Você está ignorando: Caio."]
    bia.types("/join cinema")
    again.sees()
    again.types("in the cinema")
    assert bia.sees()[-1] == "[Ana]: in the cinema"


def test_a_person_whose_old_connection_is_still_there_takes_it_over() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    again = Visitor(world)
    again.types(f"/resume {code_of(ana)}")
    assert of(ana, Replaced)
    assert ana.connection.closed
    assert bia.sees() == []
    bia.types("oi")
    assert again.sees() == ["[Bia]: oi"]


def test_what_the_old_connection_did_not_confirm_is_shown_again() -> None:
    """A laptop that was carried away: its connection is still there, but nothing arrives."""
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.types("arrived", "lost 1")
    ana.types("own")
    bia.types("lost 2")
    ana.connection.unread = 2
    again = Visitor(world)
    shown = again.types(f"/resume {code_of(ana)}")
    assert [line[-6:] for line in shown if "[Bia]: " in line] == ["lost 1", "lost 2"]


def test_what_did_not_arrive_is_shown_again_of_each_room_however_much_it_is() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/join cinema")
    bia.types("/join cinema")
    bia.types(*(f"cinema {n}" for n in range(3 * TAIL)))
    bia.types("/join lobby", *(f"lobby {n}" for n in range(3 * TAIL)))
    ana.connection.unread = 5 * TAIL
    again = Visitor(world)
    again.types(f"/resume {code_of(ana)}")
    shown = [e.entry if isinstance(e, Replayed) else e for e in of(again, Replayed, Entry)]
    assert sorted(e.text for e in shown) == sorted(
        [*(f"cinema {n}" for n in range(TAIL, 3 * TAIL)), *(f"lobby {n}" for n in range(3 * TAIL))]
    )


def test_lines_that_are_published_between_the_loss_and_the_return_come_once() -> None:
    """The leave, the return and what is said are one queue; nothing of it is shown twice."""
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.session.handle(Say("one"))
    ana.session.connection_lost(ana.connection)
    bia.session.handle(Say("two"))
    again = Visitor(world)
    again.session.handle(Resume(code_of(ana)))
    bia.session.handle(Say("three"))
    world.journal.run()
    shown = [re.sub(r"^.*\[", "[", line) for line in again.sees() if "[Bia]" in line]
    assert shown == ["[Bia]: one", "[Bia]: two", "[Bia]: three"]


def test_a_code_is_good_for_the_window_only() -> None:
    world = World()
    ana, _ = world.enter("Ana", "Bia")
    ana.breaks_off()
    world.clock.advance(301)
    late = Visitor(world)
    late.types(f"/resume {code_of(ana)}")
    assert late.connection.refusals() == ["unknown-code"]


def test_whoever_left_for_good_cannot_come_back_with_the_code() -> None:
    world = World()
    ana, _ = world.enter("Ana", "Bia")
    ana.types("sair")
    again = Visitor(world)
    again.types(f"/resume {code_of(ana)}")
    assert again.connection.refusals() == ["unknown-code"]


def test_if_the_nickname_is_somebody_elses_by_now_another_one_can_be_chosen() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.breaks_off()
    world.enter("Ana")
    again = Visitor(world)
    again.types(f"/resume {code_of(ana)}")
    assert again.connection.refusals() == ["name-taken"]
    assert again.types("Carla")[0].startswith("[SERVER]: You are Carla now.")


def test_a_code_changes_when_it_is_used_and_the_new_one_is_shown() -> None:
    world = World()
    ana, _ = world.enter("Ana", "Bia")
    first = code_of(ana)
    again = Visitor(world)
    shown = again.types(f"/resume {first}")
    second = code_of(again)
    assert shown[1] == f"[SERVER]: If the connection is lost, /resume {second} brings you back."
    assert first != second
    thief = Visitor(world)
    thief.types(f"/resume {first}")
    assert thief.connection.refusals() == ["unknown-code"]
    again.breaks_off()
    back = Visitor(world)
    back.types(f"/resume {second}")
    assert back.session.name == "Ana"
    assert code_of(back) not in (first, second)


@pytest.mark.parametrize("left", [False, True])
def test_a_code_holds_until_the_new_one_has_arrived(left: bool) -> None:
    """Or else somebody whose connection breaks off again at once could not come back."""
    world = World()
    ana, _ = world.enter("Ana", "Bia")
    first = code_of(ana)
    again = Visitor(world)
    again.connection.arrives = False
    again.types(f"/resume {first}")
    if left:
        again.breaks_off()
    third = Visitor(world)
    third.types(f"/resume {first}")
    assert third.session.name == "Ana"
    late = Visitor(world)
    late.types(f"/resume {first}")
    assert late.connection.refusals() == ["unknown-code"]


def test_a_code_that_could_not_be_used_stays_as_it_is() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.breaks_off()
    (other,) = world.enter("Ana")
    code = code_of(ana)
    again = Visitor(world)
    again.types(f"/resume {code}")
    assert again.connection.refusals() == ["name-taken"]
    other.types("sair")
    again.types(f"/resume {code}")
    assert again.session.name == "Ana"


def test_guesses_are_limited_for_their_source_and_told_to_the_operator() -> None:
    """Whatever connections they come over, and also if one of them is right."""
    world = World()
    (ana,) = world.enter("Ana")
    guessers = [Visitor(world) for _ in range(4)]
    for guesser in guessers:
        guesser.connection.source = guessers[0].connection.source
        guesser.types("/resume aaaa", "/resume bbbb")
    told = [guesser.connection.wrong_codes for guesser in guessers]
    assert told == [2, 2, 1, 0]
    assert guessers[-1].types(f"/resume {code_of(ana)}") == [
        "[SERVER]: Too many wrong codes came from your address. "
        "Try again in 12 seconds, or type a name."
    ]
    assert Visitor(world).types(f"/resume {code_of(ana)}")[0] == "[SERVER]: Welcome back, Ana."


def test_guessing_codes_closes_the_connection() -> None:
    world = World()
    guesser = Visitor(world)
    guesser.types(*(f"/resume {n}" for n in range(WRONG_SECRETS_LIMIT)))
    assert guesser.connection.closed


def test_receipts_show_the_number_of_each_own_line() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/receipts on")
    assert ana.types("oi") == ["[SERVER]: Saved as number 1 of #lobby."]
    ana.types("/recibos desligado")
    assert ana.types("oi") == []
    assert bia.sees() == ["[Ana]: oi", "[Ana]: oi"]


def test_names_of_too_many_rooms_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of JSON has place for more than a thousand."""
    looked: list[str] = []
    world = World()
    monkeypatch.setattr(world.chat.reading, "room_called", looked.append)
    bot = program(world, "Bot", ANA, **{f"r{n}": 0 for n in range(1300)})
    assert bot.connection.refusals() == ["too-many-rooms"]
    assert looked == []


@pytest.mark.parametrize("limit", [2, 3, 4, None])
def test_history_between_two_numbers_holds_neither_of_them(limit: int | None) -> None:
    world = World()
    bia, ana = world.enter("Bia", "Ana")
    bia.types(*(str(n) for n in range(9)))
    ana.ask(ReadHistory(after=2, before=6, limit=limit))
    (page,) = of(ana, HistoryShown)
    assert [entry.number for entry in page.entries] == [3, 4, 5][:limit]


def test_searching() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.types("um café, por favor", "我喜欢聊天", "/join cinema", "another cafe")
    assert ana.types("/search CAFE") == [
        "[SERVER]: Found, newest first (times are UTC):",
        "  #cinema 1 2026-11-23 19:57 [Ana]: another cafe",
        "  #lobby 1 2026-11-23 19:57 [Ana]: um café, por favor",
    ]
    assert ana.types("/buscar #lobby 聊天")[1:] == ["  #lobby 2 2026-11-23 19:57 [Ana]: 我喜欢聊天"]
    assert ana.types("/search nothing") == ["[SERVER]: Nothing was found for: nothing"]
    ana.types("/search !!", "/search #nowhere x")
    assert ana.connection.refusals() == ["nothing-to-search", "no-such-room"]


def test_a_search_for_very_much_is_refused() -> None:
    """Without a look at each of its words: it would take a second for 4 kB of them."""
    (ana,) = World().enter("Ana")
    for words in ("a " * 17, "é" * 129, "a-" * 129, "word " * 1000):
        ana.types(f"/search {words}")
    assert ana.connection.refusals() == ["search-too-long"] * 4
    ana.types(f"/search {'a ' * 16}", f"/search {'é' * 128}")
    assert ana.connection.refusals() == ["search-too-long"] * 4


def test_how_long_it_is_kept_is_told_on_joining() -> None:
    world = World(keep_days=365)
    assert Visitor(world).types("Ana")[-1].endswith("Messages here are kept for 365 days.")


def test_a_page_of_long_lines_is_shorter() -> None:
    """To show it is the work of one turn; the next page begins where it ends."""
    world = World(limits=Limits(rate=None))
    (ana,) = world.enter("Ana")
    ana.types(*("word " + "x" * 3995 for _ in range(30)))
    ana.connection.events.clear()
    ana.ask(ReadHistory(limit=100))
    ana.ask(ReadHistory(limit=100, before=6))
    ana.ask(ReadHistory(limit=100, after=0))
    latest, rest, first = of(ana, HistoryShown)
    assert [entry.number for entry in latest.entries] == list(range(6, 31))
    assert [entry.number for entry in rest.entries] == list(range(1, 6))
    assert [entry.number for entry in first.entries] == list(range(1, 26))
    ana.ask(Search("word", limit=100))
    (found,) = of(ana, SearchShown)
    assert [entry.number for entry in found.entries] == list(range(30, 5, -1))
    assert len(found.snippets) == 25


def test_history_read_right_after_a_line_has_the_line() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.session.handle(Say("just said"))
    assert ana.types("/history")[-1].endswith("[Ana]: just said")


# -- those who are away ---------------------------------------------------------------------------


def from_one_address(
    world: World, *, program: bool = False, like: Visitor | None = None
) -> Visitor:
    """A visitor whose connection is of the same source as that of ``like``."""
    visitor = Visitor(world, program=program)
    visitor.connection.source = (like or visitor).connection.source
    return visitor


def another_address() -> Source:
    return Sources(lambda: Limits(), Clock()).open("198.51.100.1").source


def test_those_who_are_away_count_for_their_source_and_the_first_to_go_is_forgotten_first() -> None:
    """However many client ids come from it, in however many connections."""
    world = World()
    (bia,) = world.enter("Bia")
    first = from_one_address(world, program=True)
    visitors = []
    for number in range(40):
        visitor = from_one_address(world, program=True, like=first)
        visitor.ask(Hello(f"Bot{number}", f"{number:032x}"))
        visitors.append(visitor)
        visitor.breaks_off()
    here = [client.name for client, name in world.registry.snapshot() if name is not None]
    assert here == ["Bia", *(f"Bot{number}" for number in range(24, 40))]
    world.clock.advance(COALESCE_SECONDS)
    left = [event.nickname for event in of(bia, Left)]
    left += [
        name for event in of(bia, PresenceSummary) if not event.joined for name in event.people
    ]
    assert left == [f"Bot{number}" for number in range(len(left))]  # the last never came, it seems
    assert 20 <= len(left) <= 24
    again = from_one_address(world, program=True, like=first)
    again.ask(Hello("Bot30", f"{30:032x}"))
    assert of(again, Welcomed)[0].resumed


def test_a_stranger_s_code_is_not_pushed_out_by_visits_from_elsewhere() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.breaks_off()
    first = from_one_address(world)
    codes = []
    for number in range(500):
        visitor = from_one_address(world, like=first)
        visitor.types(f"name{number}")
        codes.append(code_of(visitor))
        visitor.breaks_off()
    assert [world.chat.identities.by_code(code) is not None for code in codes[-17:]] == [
        False,
        *[True] * 16,
    ]
    assert Visitor(world).types(f"/resume {code_of(ana)}")[0] == "[SERVER]: Welcome back, Ana."


def test_a_name_is_kept_for_its_owner_while_they_can_come_back() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.breaks_off()
    stranger = Visitor(world)
    stranger.connection.source = another_address()
    kept = (
        "[SERVER]: The name {} is held for somebody who lost the connection and can come back. "
        "Please choose another."
    )
    assert stranger.types("ANA") == [kept.format("ANA")]
    assert stranger.types("Аnа")[0].startswith("[SERVER]: That name cannot be used")
    stranger.types("Bia")
    assert stranger.types("/nick Ana") == [kept.format("Ana")]
    assert stranger.types("/msg Ana oi") == [
        "[SERVER]: There is nobody here called Ana. /who shows who is here."
    ]
    again = Visitor(world)
    assert again.types(f"/resume {code_of(ana)}")[0] == "[SERVER]: Welcome back, Ana."
    again.breaks_off()
    world.clock.advance(301)
    assert stranger.types("/nick Ana") == ["[SERVER]: You are Ana now."]


def test_whoever_comes_from_the_same_address_without_the_code_has_the_name_too() -> None:
    """Most who connect again have just closed their terminal."""
    world = World()
    (ana,) = world.enter("Ana")
    ana.breaks_off()
    again = Visitor(world)
    assert again.types("Ana")[0].startswith("[SERVER]: You are Ana now.")
    again.breaks_off()
    stranger = Visitor(world)
    stranger.connection.source = another_address()
    assert "is held" in stranger.types("Ana")[0]


def test_a_name_is_not_kept_for_those_who_said_goodbye() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.types("sair")
    stranger = Visitor(world)
    stranger.connection.source = another_address()
    assert stranger.types("Ana")[0].startswith("[SERVER]: You are Ana now.")


def test_nobody_waits_for_those_who_are_away() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    bots = []
    for number in range(60):
        bot = program(world, f"Bot{number}", f"{number:032x}")
        bot.connection.source = another_address()
        bots.append(bot)
    for bot in bots:
        bot.breaks_off()
    ana.types("one", "two", "three")
    room = world.chat.reading.room(ana.session, "lobby")
    assert not room.readers_lagging
    assert len(room.members) == 61
    for number in range(60):
        program(world, f"Bot{number}", f"{number:032x}").connection.ready = False
    ana.types("one", "two", "three")
    assert room.readers_lagging
    assert room.away == 0


def test_two_connections_with_one_code_at_once_are_served_one_after_the_other() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    code = code_of(ana)
    ana.breaks_off()
    bia.types("missed")
    first, second = Visitor(world), Visitor(world)
    first.connection.arrives = False  # so the code still holds
    first.send(Resume(code))
    second.send(Resume(code))
    world.journal.run()
    assert first.sees()[0] == "[SERVER]: Welcome back, Ana."
    assert second.sees()[0] == "[SERVER]: Welcome back, Ana."
    assert first.connection.closed
    assert second.types("here") == []
    assert bia.sees()[-1] == "[Ana]: here"
    assert [person.name for person, _ in world.registry.snapshot()] == ["Bia", "Ana"]
    assert not world.chat._state.waiting

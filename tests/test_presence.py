"""Coming, going and renaming in a loop costs the others nothing; what they are told is true."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.fakes import Visitor, World
from twisted_chat.core.events import (
    Entered,
    Entry,
    Event,
    Joined,
    Left,
    PeopleListed,
    PresenceSummary,
    Renamed,
    RoomLeft,
    Told,
    Welcomed,
)
from twisted_chat.core.presence import BURST, Move, Presence
from twisted_chat.core.requests import ChooseName, Hello, Join, Leave
from twisted_chat.core.room import COALESCE_SECONDS, LARGE, NAMES

#: What tells somebody of the presence of others.
PRESENCE = (PresenceSummary, Joined, Left, Renamed)


class Somebody:
    def __init__(self, name: str, source: str = "", author: int = 0) -> None:
        self.name = name
        self.source = source
        self.author = author


def test_an_account_that_leaves_and_returns_over_another_connection_did_neither() -> None:
    first, second = Somebody("Ana", author=7), Somebody("Ana", author=7)
    presence: Presence[Somebody] = Presence()
    presence.left(first, True, Move())
    assert list(presence.roster([], None)) == ["Ana"]
    presence.came(second, True, Move())
    assert list(presence.roster([second], None)) == ["Ana"]
    assert presence.take() == []


def taken(presence: Presence[Somebody]) -> list[tuple[str | None, str | None]]:
    return [(change.told, change.now) for _, change in presence.take()]


def world_of(people: int) -> tuple[World, list[Visitor], Visitor]:
    """A world, those in its lobby, and one of them who watches."""
    world = World()
    everybody = world.enter(*(f"p{n}" for n in range(people)))
    moment(world)
    for person in everybody:
        person.connection.events.clear()
    return world, everybody, everybody[0]


def moment(world: World) -> None:
    """It is over."""
    for _ in range(3):
        world.clock.advance(COALESCE_SECONDS)
        world.journal.run()


def told(visitor: Visitor) -> list[Event]:
    """What the visitor was told of others since the last look."""
    events: list[Event] = [e for e in visitor.connection.events if isinstance(e, PRESENCE)]
    visitor.connection.events.clear()
    return events


# -- the changes of one room ----------------------------------------------------------------------


def test_what_cancels_out_is_not_told() -> None:
    ana, bia, caio = Somebody("Ana"), Somebody("Bia"), Somebody("Caio")
    presence: Presence[Somebody] = Presence()
    presence.came(ana, True, Move())
    presence.left(ana, True, Move())
    presence.left(bia, False, Move())
    presence.came(bia, False, Move())
    presence.renamed(caio, "Caio", "Cadu", Move())
    presence.renamed(caio, "Cadu", "Caio", Move())
    assert taken(presence) == []


def test_several_changes_are_told_as_one() -> None:
    ana, bia, caio = map(Somebody, ("A3", "B2", "Caio"))
    presence: Presence[Somebody] = Presence()
    presence.renamed(ana, "A1", "A2", Move())
    presence.renamed(ana, "A2", "A3", Move())
    presence.came(bia, True, Move())
    presence.renamed(bia, "B1", "B2", Move())
    presence.renamed(caio, "Cadu", "Caio", Move())
    presence.left(caio, True, Move())
    assert taken(presence) == [("A1", "A3"), (None, "B2"), ("Cadu", None)]


# -- in a room ------------------------------------------------------------------------------------


def test_in_a_large_room_who_comes_and_goes_in_a_loop_is_not_told() -> None:
    world, _, watcher = world_of(LARGE + 1)
    for _ in range(50):
        visitor = Visitor(world)
        visitor.types("Ana")
        visitor.breaks_off()
    moment(world)
    assert told(watcher) == []


@pytest.mark.parametrize("count", [NAMES, NAMES + 1])
def test_of_a_crowd_no_more_than_so_many_names_are_told(count: int) -> None:
    """Its count is that of all of them."""
    world, _, watcher = world_of(LARGE + 1)
    crowd = world.enter(*(f"c{n}" for n in range(count)))
    moment(world)
    names = tuple(f"c{n}" for n in range(NAMES))
    assert told(watcher) == [PresenceSummary("lobby", True, True, names, count)]
    for visitor in crowd:
        visitor.types("/quit")
    moment(world)
    assert told(watcher) == [PresenceSummary("lobby", False, True, names, count)]


@pytest.mark.parametrize("people", [3, LARGE + 2])
def test_a_loop_of_leaving_and_joining_is_told_a_few_times(people: int) -> None:
    world, everybody, watcher = world_of(people)
    for _ in range(50):
        everybody[1].ask(Leave("lobby"), Join("lobby"))
    assert len(told(watcher)) <= (2 * BURST if people <= LARGE else 0)
    moment(world)
    assert told(watcher) == []
    everybody[1].ask(Leave("lobby"))
    moment(world)
    assert told(watcher) == [Left("lobby", "p1", departed=False)]


def test_in_a_large_room_renames_are_told_as_one() -> None:
    world, everybody, watcher = world_of(LARGE + 1)
    everybody[1].ask(*(ChooseName(f"name{n}") for n in range(50)))
    assert told(watcher) == []
    moment(world)
    assert told(watcher) == [Renamed("p1", "name49")]
    everybody[1].ask(ChooseName("other"), ChooseName("name49"))
    moment(world)
    assert told(watcher) == []


def test_in_a_small_room_a_loop_of_renames_is_told_a_few_times() -> None:
    world, everybody, watcher = world_of(3)
    everybody[1].ask(*(ChooseName(f"name{n}") for n in range(50)))
    names = ["p1", *(f"name{n}" for n in range(BURST))]
    assert told(watcher) == [Renamed(old, new) for old, new in pairwise(names)]
    moment(world)
    assert told(watcher) == [Renamed(names[-1], "name49")]
    moment(world)
    everybody[1].ask(ChooseName("calm"))
    assert told(watcher) == [Renamed("name49", "calm")]


def test_a_loop_that_goes_on_is_told_once_in_a_moment() -> None:
    world, everybody, watcher = world_of(3)
    everybody[1].ask(*(ChooseName(f"name{n}") for n in range(5)))
    told(watcher)
    for at in range(5):
        world.clock.advance(COALESCE_SECONDS)
        world.journal.run()
        everybody[1].ask(*(ChooseName(f"name{at}{n}") for n in range(5)))
        assert len(told(watcher)) == 1


def test_people_of_other_sources_are_told_at_once_also_meanwhile() -> None:
    world, everybody, watcher = world_of(3)
    everybody[1].ask(*(ChooseName(f"name{n}") for n in range(5)))
    told(watcher)
    world.enter("Ana")
    assert told(watcher) == [Joined("lobby", "Ana", arrived=True)]


def test_one_is_not_told_of_oneself() -> None:
    world, everybody, _ = world_of(LARGE + 1)
    everybody[1].ask(ChooseName("other"))
    everybody[2].ask(ChooseName("another"))
    told(everybody[1])
    moment(world)
    assert told(everybody[1]) == [Renamed("p2", "another")]
    assert told(everybody[2])[1:] == [Renamed("p1", "other")]
    assert told(everybody[3]) == [Renamed("p1", "other"), Renamed("p2", "another")]


def test_nobody_is_told_of_a_name_that_they_knew_no_more() -> None:
    """Who shares a small room with them knows each name before the large one tells any."""
    world, everybody, watcher = world_of(LARGE + 1)
    everybody[0].ask(Join("cinema"))
    everybody[1].ask(Join("cinema"))
    moment(world)
    told(watcher)
    everybody[1].ask(ChooseName("b"), ChooseName("c"))
    moment(world)
    assert told(watcher) == [Renamed("p1", "b"), Renamed("b", "c")]
    assert told(everybody[2])[-1] == Renamed("b", "c")
    everybody[1].ask(ChooseName("d"), Leave("lobby"))
    moment(world)
    assert told(watcher) == [Renamed("c", "d"), Left("lobby", "d", departed=False)]


def test_newcomers_are_told_again_of_a_rename_that_their_list_does_not_have_yet() -> None:
    """They were told of it in a small room, before they joined the large one."""
    world, everybody, watcher = world_of(LARGE + 2)
    watcher.ask(Leave("lobby"), Join("cinema"))
    everybody[1].ask(Join("cinema"))
    moment(world)
    told(watcher)
    everybody[1].ask(ChooseName("other"))
    assert told(watcher) == [Renamed("p1", "other")]
    watcher.ask(Join("lobby"))
    (entered,) = (e for e in watcher.connection.events if isinstance(e, Entered))
    assert "p1" in entered.people
    moment(world)
    assert told(watcher) == [Renamed("p1", "other")]


def test_a_person_who_took_another_name_outside_left_and_another_one_joined() -> None:
    """Also in a large room, where both is told together."""
    world, everybody, watcher = world_of(LARGE + 2)
    everybody[1].ask(Leave("lobby"), ChooseName("other"), Join("lobby"))
    moment(world)
    assert told(watcher) == [
        Left("lobby", "p1", departed=False),
        Joined("lobby", "other", arrived=False),
    ]


def test_a_private_message_comes_after_the_name_of_its_sender() -> None:
    _, everybody, watcher = world_of(LARGE + 1)
    everybody[1].types("/nick other", "/msg p0 psst")
    kinds = [type(event) for event in watcher.connection.events]
    assert kinds == [Renamed, Told]


def test_who_is_in_a_room_has_the_names_that_were_told() -> None:
    _, everybody, watcher = world_of(LARGE + 1)
    everybody[1].ask(ChooseName("other"))
    watcher.types("/who")
    (listed,) = (e for e in watcher.connection.events if isinstance(e, PeopleListed))
    assert listed.people[:2] == ("p0", "p1")


# -- a model --------------------------------------------------------------------------------------

WATCHERS = 3
ACTORS = 4

actors = st.integers(0, ACTORS - 1)


class PresenceMachine(RuleBasedStateMachine):
    """Programs that come, go, and are renamed at any time, in two rooms; each knows from what it is
    told who is in the rooms that it is in.
    """

    @initialize(people=st.sampled_from([2, LARGE, LARGE + 1]))
    def start(self, people: int) -> None:
        self.world = World()
        self.names = (f"n{n}" for n in range(10_000))
        self.actors: list[Visitor | None] = [None] * ACTORS
        self.views: dict[Visitor, dict[str, set[str]]] = {}
        self.read: dict[Visitor, int] = {}
        for at in range(people):
            self.enter(watches=at < WATCHERS)

    def enter(self, *, watches: bool = True) -> Visitor:
        visitor = Visitor(self.world, program=True)
        visitor.ask(Hello(next(self.names)))
        if watches:
            self.views[visitor] = {}
        return visitor

    def here(self, actor: int) -> Iterator[Visitor]:
        visitor = self.actors[actor]
        if visitor is not None:
            yield visitor

    @rule(actor=actors)
    def come(self, actor: int) -> None:
        if self.actors[actor] is None:
            self.actors[actor] = self.enter()

    @rule(actor=actors)
    def go(self, actor: int) -> None:
        for visitor in self.here(actor):
            self.views.pop(visitor, None)
            visitor.breaks_off()
            self.actors[actor] = None

    @rule(actor=actors)
    def rename(self, actor: int) -> None:
        for visitor in self.here(actor):
            visitor.ask(ChooseName(next(self.names)))

    @rule(actor=actors, room=st.sampled_from(["lobby", "cinema"]))
    def join(self, actor: int, room: str) -> None:
        for visitor in self.here(actor):
            visitor.ask(Join(room))

    @rule(actor=actors, room=st.sampled_from(["lobby", "cinema"]))
    def leave(self, actor: int, room: str) -> None:
        for visitor in self.here(actor):
            if room in visitor.session.cursors:
                visitor.ask(Leave(room))

    @rule(actor=actors)
    def speak(self, actor: int) -> None:
        for visitor in self.here(actor):
            if visitor.session.current is not None:
                visitor.types("oi")

    @rule(seconds=st.sampled_from([0.01, 0.1, 1]))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.journal.run()

    @invariant()
    def nobody_unknown_speaks(self) -> None:
        for visitor, view in getattr(self, "views", {}).items():
            events = visitor.connection.events
            for event in events[self.read.get(visitor, 0) :]:
                self.see(visitor, view, event)
            self.read[visitor] = len(events)

    def see(self, visitor: Visitor, view: dict[str, set[str]], event: Event) -> None:
        if isinstance(event, Welcomed):
            view.clear()
        elif isinstance(event, Entered):
            assert event.people_count == len(event.people)
            view[event.room] = {*event.people}
        elif isinstance(event, RoomLeft):
            del view[event.room]
        elif isinstance(event, Joined):
            view[event.room].add(event.nickname)
        elif isinstance(event, PresenceSummary):
            change = view[event.room].update if event.joined else view[event.room].difference_update
            change(event.people)
        elif isinstance(event, Left):
            for room in view if event.departed else (event.room,):
                view[room].discard(event.nickname)
        elif isinstance(event, Renamed) and event.own:
            for names in view.values():
                names.discard(event.old)  # a crowd may have had it
        elif isinstance(event, Renamed):
            assert any(event.old in names for names in view.values())
            for names in view.values():
                if event.old in names:
                    names.remove(event.old)
                    names.add(event.new)
        elif isinstance(event, Entry) and event.nickname != visitor.session.name:
            everybody = set().union(*view.values())
            assert event.nickname in everybody

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        moment(self.world)
        self.nobody_unknown_speaks()
        for visitor, view in self.views.items():
            own = visitor.session.name
            for room, names in view.items():
                there = {
                    member.name
                    for member in self.world.chat.reading.room(visitor.session, room).members
                }
                everywhere = set().union(*view.values())
                assert names - {own} <= there, "told of somebody who is not there"
                assert there <= everywhere | {own}, "not told of somebody who is there"


TestPresenceMachine = PresenceMachine.TestCase
TestPresenceMachine.settings = settings(stateful_step_count=40, deadline=None)

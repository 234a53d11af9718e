"""What happens to a person while something that they asked for waits for its place in the order."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from msgspec import structs
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from tests.support.fakes import NO_RATE, Visitor, World, code_of
from tests.support.logs import InternalErrors
from tests.support.nodes import Nodes, view
from tests.support.protocol import Client, House
from twisted_chat.core import sources
from twisted_chat.core.errors import NotSaved
from twisted_chat.core.events import Refused
from twisted_chat.core.requests import ChooseName, Hello, Join, Leave, Quit, Resume, Say
from twisted_chat.core.sources import Sources

CLIENT = "0f" * 16


@pytest.fixture(autouse=True)
def no_internal_error() -> Iterator[None]:
    errors = InternalErrors()
    yield
    errors.check()


def names(world: World) -> list[str]:
    return [name for name, _ in view(world)[None]]


def elsewhere(visitor: Visitor, host: str | None = "198.51.100.7") -> Visitor:
    """``visitor`` comes from another address, or over a Unix socket."""
    visitor.connection.source = Sources(lambda: NO_RATE, Clock()).open(host).source
    return visitor


def typed(house: House, client: Client, data: bytes) -> None:
    """Bytes arrive, and nothing is applied yet."""
    client.protocol.dataReceived(data)


def reset(client: Client) -> None:
    client.protocol.connectionLost(Failure(ConnectionLost()))


def settle(house: House) -> None:
    for _ in range(3):
        house.world.journal.run()
        house.clock.advance(1)


# -- the connection is lost ------------------------------------------------------------------------


def test_who_is_lost_while_entering_or_joining_comes_and_goes() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.types("/join cinema", "one", "two")
    bia.send(Join("cinema"))
    bia.lose()
    caio = Visitor(world)
    caio.send(ChooseName("Caio"))
    caio.lose()
    world.journal.run()
    assert names(world) == ["Ana"]
    assert not world.chat._state.waiting
    assert "[SERVER]: Bia joined the room." in ana.sees()
    assert elsewhere(Visitor(world)).types("Caio") == [
        "[SERVER]: The name Caio is held for somebody who lost the connection and can come back."
        " Please choose another."
    ]


@pytest.mark.parametrize("goes_on", [b"", b"hello\n"])
def test_a_resume_that_is_lost_before_it_is_applied_can_be_made_again(goes_on: bytes) -> None:
    """With what was missed, and what was not saved or not sent."""
    house = House()
    bia = house.enter("Bia")
    ana = house.connect()
    ana.send(b"Ana\n")
    session = ana.protocol.session
    code = session.code.encode()
    ana.lose()
    session.show_surely(Refused(NotSaved(text="oi", reason="disk full")))
    bia.send(b"missed\n")
    lost = house.connect()
    typed(house, lost, b"/resume " + code + b"\n" + goes_on)
    reset(lost)
    settle(house)
    again = house.connect()
    again.send(b"/resume " + code + b"\n")
    settle(house)
    lines = again.lines()
    assert "[SERVER]: Welcome back, Ana." in lines
    assert any("missed" in line for line in lines)
    assert any("disk full" in line for line in lines)
    if goes_on:
        said = "[Ana]: hello" in bia.lines()
        assert said is not any("not sent" in line for line in lines)


def test_a_program_that_is_lost_while_entering_has_its_grace_period() -> None:
    world = World()
    world.enter("Ana")
    bot = Visitor(world, program=True)
    bot.send(Hello("Bot", CLIENT, None, {}))
    over = bot.lose()
    world.journal.run()
    assert names(world) == ["Ana", "Bot"]
    assert over is not None
    over()
    world.journal.run()
    assert names(world) == ["Ana"]


# -- others with the same code or client id --------------------------------------------------------


@pytest.mark.parametrize("second", ["waits", "is lost", "quits"])
def test_two_connections_with_one_code_are_served_one_after_the_other(second: str) -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.breaks_off()
    code = code_of(ana)
    first, other = Visitor(world), Visitor(world)
    first.connection.arrives = False  # so the code still holds
    first.send(Resume(code))
    other.send(Resume(code))
    if second == "is lost":
        other.lose()
    if second == "quits":
        other.send(Quit())
    world.journal.run()
    assert first.sees()[0] == "[SERVER]: Welcome back, Ana."
    if second == "waits":
        assert other.sees()[0] == "[SERVER]: Welcome back, Ana."
        other.types("here")
        assert bia.sees()[-1] == "[Ana]: here"
    else:
        assert names(world) == ["Bia"]
        assert bia.sees()[-1] == "[SERVER]: Ana left the chat."
    assert first.connection.closed
    assert not world.chat._state.waiting
    assert (first.connection.holds, other.connection.holds) <= (1, 1)


def test_who_cannot_come_back_as_the_name_is_taken_may_choose_another() -> None:
    world = World()
    ana, _ = world.enter("Ana", "Bia")
    ana.breaks_off()
    thief, first, other = Visitor(world), Visitor(world), Visitor(world)
    thief.send(ChooseName("Ana"))
    first.send(Resume(code_of(ana)))
    other.send(Resume(code_of(ana)))
    world.journal.run()
    assert (first.connection.refusals(), other.connection.refusals()) == (["name-taken"],) * 2
    assert first.types("Zoe")[0].startswith("[SERVER]: You are Zoe now.")
    assert other.types("Eva")[0].startswith("[SERVER]: You are Eva now.")
    thief.types("/quit")
    again = Visitor(world)
    assert again.types(f"/resume {code_of(ana)}")[0] == "[SERVER]: Welcome back, Ana."
    assert set(again.session.cursors) == {"lobby"}


def test_hellos_of_one_client_id_at_once_make_no_more_rooms_than_one_may_be_in() -> None:
    world = World(limits=structs.replace(NO_RATE, rooms=5))
    visitors = []
    for number in range(4):
        visitor = Visitor(world, program=True)
        rooms = {f"r{number}-{n}": 0 for n in range(5)}
        visitor.send(Hello("Bot", CLIENT, None, rooms))
        visitors.append(visitor)
    world.journal.run()
    assert [v.connection.refusals() for v in visitors] == [[], *[["too-many-rooms"]] * 3]
    assert len(visitors[0].session.cursors) == 5


def test_lines_that_wait_behind_a_join_are_said_in_that_room_over_the_new_connection() -> None:
    house = House()
    ana = house.connect()
    ana.send(b"Ana\n")
    found = re.search(rb"/resume (\S+) brings", ana.read())
    assert found is not None
    bia = house.enter("Bia")
    typed(house, ana, b"/join secrets\nfor the secret room\n")
    again = house.connect()
    typed(house, again, b"/resume " + found[1] + b"\n")
    settle(house)
    assert "[Ana]: for the secret room" not in bia.lines()
    assert house.world.chat._rooms.get("secrets").last == 1  # type: ignore[union-attr]


def test_what_a_program_says_behind_hello_is_said_in_the_rooms_that_it_comes_into() -> None:
    house = House()
    hello = b'{"type":"hello","nickname":"Bot","client":"%s"%s}\n'
    house.connect().send(hello % (CLIENT.encode(), b""))
    again = house.connect()
    say = b'{"type":"say","room":"cinema","text":"oi","id":"1"}\n'
    rooms = b',"resume":{"lobby":0,"cinema":0}'
    typed(house, again, hello % (CLIENT.encode(), rooms) + say)
    settle(house)
    assert any('"type":"ack"' in line for line in again.lines())


# -- time, limits and what is kept -----------------------------------------------------------------


def test_a_code_whose_time_ends_while_it_is_used_is_replaced_all_the_same() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.breaks_off()
    world.clock.advance(299.9)
    again = Visitor(world)
    again.send(Resume(code_of(ana)))
    world.clock.advance(1)
    world.chat.keeper.look()
    world.journal.run()
    again.breaks_off()
    third = Visitor(world)
    assert third.types(f"/resume {code_of(again)}")[0] == "[SERVER]: Welcome back, Ana."


def test_nothing_is_kept_of_who_is_refused_and_what_was_kept_stays() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    for visitor in (ana, bia):
        visitor.types("/join cinema")
    ana.breaks_off()
    bia.types("missed")
    thief = Visitor(world)
    thief.types("Ana")
    for _ in range(3):
        world.chat.keeper.look()
    before = world.journal.people()
    refused, newcomer = Visitor(world), Visitor(world)
    refused.send(Resume(code_of(ana)))
    newcomer.send(ChooseName("Bia"))
    for _ in range(3):
        world.chat.keeper.look()
    world.journal.run()
    assert world.journal.people() == before
    thief.types("/quit")
    assert refused.types(f"/resume {code_of(ana)}")[0] == "[SERVER]: Welcome back, Ana."
    assert set(refused.session.cursors) == {"lobby", "cinema"}


def test_a_refused_name_gives_no_rooms_of_the_hour_back_that_another_made() -> None:
    limits = structs.replace(NO_RATE, rooms_per_hour=5)
    world = World(limits=limits)
    world.enter("Ana")
    source = Sources(lambda: limits, world.clock).open("192.0.2.9").source
    for number in range(4):
        rooms = {f"r{number}-{n}": 0 for n in range(5)}
        for name, client in (("Ana", 2 * number), (f"Bot{number}", 2 * number + 1)):
            visitor = Visitor(world, program=True)
            visitor.connection.source = source
            visitor.send(Hello(name, f"{client + 1:032x}", None, rooms))
        world.journal.run()
    assert world.chat.room_count == 6


def test_where_nobody_more_may_be_away_the_name_is_free_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "ABSENT_LIMIT", 0)
    world = World()
    ana, _ = world.enter("Ana", "Bia")
    ana.breaks_off()
    assert elsewhere(Visitor(world)).types("Ana")[0].startswith("[SERVER]: You are Ana now.")


def test_a_new_name_may_be_one_that_is_kept_for_the_same_source_and_no_other() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.breaks_off()
    assert bia.types("/nick Ana") == ["[SERVER]: You are Ana now."]
    local = elsewhere(Visitor(world), None)
    local.types("Uli")
    local.breaks_off()
    bia.types("/nick Uli")
    assert bia.connection.refusals() == ["name-taken"]


# -- leaving ---------------------------------------------------------------------------------------


def test_who_has_left_is_shown_nothing_more() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.send(Quit())
    bia.session.handle(Say("after"))
    world.enter("Caio")
    assert ana.sees() == ["[SERVER]: Goodbye!"]


def test_entries_that_are_read_for_who_has_left_are_shown_when_they_come_back() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.connection.ready = False
    for number in range(700):
        bia.session.handle(Say(f"line {number}"))
        world.journal.run()
    ana.connection.ready = True
    ana.session.on_ready()
    ana.session.ended()
    reads, world.journal.reads = world.journal.reads, []
    for read in reads:
        read()
    world.journal.run()
    shown = [line for line in ana.sees() if "line" in line]
    ana.lose()
    world.journal.run()
    again = Visitor(world)
    lines = [line for line in again.types(f"/resume {code_of(ana)}") if "]: line" in line]
    assert len(shown) + len(lines) == 700


def test_a_room_that_one_is_no_longer_in_is_answered() -> None:
    world = World()
    bot = Visitor(world, program=True)
    bot.ask(Hello("Bot", CLIENT, None, {}), Join("cinema"))
    for id in "12":
        bot.session.handle(Leave("cinema", id=id))
    world.journal.run()
    assert bot.connection.refusals() == ["not-in-room"]


# -- several nodes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("is_away", [True, False])
def test_one_code_at_two_nodes_at_once(first: int, is_away: bool) -> None:
    nodes = Nodes()
    ana, _ = nodes.enter(0, "Ana", "Bia")
    nodes[0].chat.keeper.look()
    nodes.settle()
    if is_away:
        ana.breaks_off()
        nodes.settle()
    visitors = [Visitor(world) for world in nodes.worlds]
    for number in (first, 1 - first):
        visitors[number].send(Resume(code_of(ana)))
    nodes.settle()
    assert [visitor.connection.closed for visitor in visitors].count(False) == 1
    assert nodes.views()[0] == nodes.views()[1]
    assert names(nodes[0]) == ["Ana", "Bia"]
    for visitor in (*visitors, ana):
        visitor.lose()
    nodes.settle()
    assert [names(world) for world in nodes.worlds] == [["Bia"], ["Bia"]]


def test_a_name_is_kept_for_the_same_source_on_all_nodes() -> None:
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    again = elsewhere(Visitor(nodes[0]))
    nodes.types(again, f"/resume {code_of(ana)}")
    again.breaks_off()
    nodes.settle()
    nodes.types(elsewhere(Visitor(nodes[0])), "Ana")
    assert names(nodes[0]) == names(nodes[1]) == ["Ana"]


def test_who_comes_back_under_an_older_name_keeps_no_newer_one() -> None:
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    nodes[0].chat.keeper.look()
    nodes.settle()
    ana.types("/nick Nova")
    ana.lose()
    again = Visitor(nodes[1])
    again.send(Resume(code_of(ana)))
    nodes.settle()
    assert again.sees()[0] == "[SERVER]: Welcome back, Ana."
    nova = nodes.types(elsewhere(Visitor(nodes[0])), "Nova")
    assert nova[0].startswith("[SERVER]: You are Nova now.")

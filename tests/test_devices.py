"""Several connections of one account are one person to everybody else."""

from __future__ import annotations

from collections.abc import Iterator
from logging import ERROR

import pytest

from tests.support.accounts import device, make_account
from tests.support.fakes import Visitor, World
from tests.support.nodes import Nodes
from twisted_chat.core.account_state import DEVICE_LIMIT
from twisted_chat.core.accounts import PASSWORD, Credential
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.errors import Refusal, TooManyRooms
from twisted_chat.core.events import Acknowledged, Entered, Marked
from twisted_chat.core.names import nickname
from twisted_chat.core.requests import Hello, NewToken, Register, Say

ANA = 1


@pytest.fixture(autouse=True)
def _no_internal_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A change that cannot be carried out is logged, and the next one goes on."""
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.levelno >= ERROR] == []


@pytest.fixture
def world() -> World:
    world = World()
    make_account(world)
    return world


def test_two_devices_join_once_and_leave_once(world: World) -> None:
    (bia,) = world.enter("Bia")
    first = device(world)
    second = device(world)
    assert bia.sees() == ["[SERVER]: Ana joined the chat."]
    assert bia.types("/who") == ["[SERVER]: In #lobby (2): Bia, Ana."]
    entered = [e for e in second.connection.events if isinstance(e, Entered)][-1]
    assert (entered.people, entered.people_count) == (("Bia",), 1)
    first.breaks_off()
    assert bia.sees() == []
    assert [name and name.text for _, name in world.registry.snapshot()] == ["Bia", "Ana"]
    assert second.types("oi") == []
    assert bia.sees() == ["[Ana]: oi"]
    second.breaks_off()
    assert [name and name.text for _, name in world.registry.snapshot()] == ["Bia"]
    assert bia.sees() == ["[SERVER]: Ana left the chat."]
    assert bia.types("/who") == ["[SERVER]: In #lobby (1): Bia."]


def test_each_device_sees_what_is_said_on_the_other(world: World) -> None:
    (bia,) = world.enter("Bia")
    first, second = device(world), device(world)
    first.sees(), second.sees()
    assert first.types("from the first") == []
    assert second.sees() == ["[Ana]: from the first"]
    assert bia.types("/msg ana a secret") == ["[to Ana, in private]: a secret"]
    assert first.sees() == second.sees() == ["[Bia, in private]: a secret"]


def test_devices_share_their_rooms_and_the_name(world: World) -> None:
    (bia,) = world.enter("Bia")
    first, second = device(world), device(world)
    bia.sees()
    first.types("/join cinema")
    assert "cinema" in second.session.cursors
    entered = [e for e in second.connection.events if isinstance(e, Entered)][-1]
    assert (entered.room, entered.current) == ("cinema", False)
    assert second.session.current is not None
    assert second.session.current.name == "lobby"
    first.sees()
    second.types("/nick Anita")
    assert first.sees() == ["[SERVER]: You are Anita now."]
    assert first.session.name == "Anita"
    assert bia.sees() == ["[SERVER]: Ana is Anita now."]
    second.types("/leave cinema")
    assert "cinema" not in first.session.cursors
    third = device(world)
    assert list(third.session.cursors) == ["lobby"]


def test_the_first_device_leaves_and_the_other_keeps_the_name_and_the_rooms(world: World) -> None:
    (bia,) = world.enter("Bia")
    first, second = device(world), device(world)
    second.types("/join cinema")
    bia.types("/join cinema")
    first.types("/quit")
    assert bia.types("/who") == ["[SERVER]: In #cinema (2): Ana, Bia."]
    assert bia.types("/who lobby") == ["[SERVER]: In #lobby (2): Bia, Ana."]
    assert bia.types("/msg Ana oi") == ["[to Ana, in private]: oi"]
    assert "[Bia, in private]: oi" in second.sees()
    guest = Visitor(world, program=True)
    guest.ask(Hello("Ana"))
    assert guest.connection.refusals() == ["name-reserved"]


def test_a_device_on_another_node_is_the_same_person() -> None:
    nodes = Nodes()
    (bia,) = nodes.enter(1, "Bia")
    nodes[0].chat.desk.make(0, nickname("Ana"), (), lambda refusal: None)
    nodes.settle()
    first, second = device(nodes[0]), device(nodes[1])
    nodes.settle()
    assert bia.sees() == ["[SERVER]: Ana joined the chat."]
    assert nodes.views()[0] == nodes.views()[1]
    assert nodes.types(first, "/join cinema") != []
    assert "cinema" in second.session.cursors
    assert nodes.types(bia, "/msg Ana oi") == ["[to Ana, in private]: oi"]
    assert "[Bia, in private]: oi" in first.sees()
    assert "[Bia, in private]: oi" in second.sees()
    nodes.types(second, "/nick Anita")
    assert first.session.name == second.session.name == "Anita"
    bia.sees()
    nodes.gone(0)
    assert bia.sees() == []
    assert nodes.types(bia, "/who") == ["[SERVER]: In #lobby (2): Bia, Anita."]


def test_a_limited_token_shares_no_rooms(world: World) -> None:
    (bia,) = world.enter("Bia")
    person = device(world)
    bot = device(world, rooms="lobby")
    person.types("/join cinema")
    assert list(bot.session.cursors) == ["lobby"]
    bia.sees()
    person.types("/leave lobby")
    assert bia.sees() == []
    bot.breaks_off()
    assert bia.sees() == ["[SERVER]: Ana left the room."]


def test_the_programs_of_one_account_share_the_ids_of_its_messages(world: World) -> None:
    """As ``docs/protocol.rst`` says: so their ids must be random."""
    (bia,) = world.enter("Bia")
    first, second = device(world, program=True), device(world, program=True)
    bia.sees()
    for visitor, text in (first, "built"), (second, "built"), (second, "other"):
        visitor.ask(Say(text, id="1"))
    assert bia.sees() == ["[Ana]: built"]
    numbers = [
        [
            entry.number
            for e in v.connection.events
            if isinstance(e, Acknowledged)
            for entry in e.entries
        ]
        for v in (first, second)
    ]
    assert numbers == [[1], [1]]
    assert (first.connection.refusals(), second.connection.refusals()) == ([], ["id-reused"])


def test_a_mark_is_shown_on_the_other_devices(world: World) -> None:
    """Not at telnet or netcat, where nobody counts unread lines."""
    first, second = device(world, program=True), device(world, program=True)
    telnet = device(world)
    desk = world.chat.desk
    desk.mark_read(ANA, "lobby", 7, first.session.number)
    desk.mark_read(ANA, "lobby", 5, first.session.number)
    world.journal.run()
    people = (first, second, telnet)
    marks = [[e for e in v.connection.events if isinstance(e, Marked)] for v in people]
    assert marks == [[], [Marked("lobby", 7)], []]
    world.chat.look()
    world.journal.run()
    assert [record.read for record in world.journal.records()] == [{"lobby": 7}]  # type: ignore[union-attr]


def test_whom_a_device_ignores_the_others_ignore_too(world: World) -> None:
    (bia,) = world.enter("Bia")
    first, second = device(world), device(world)
    first.types("/ignore Bia")
    bia.types("oi")
    assert "[Bia]: oi" not in second.sees()
    third = device(world)
    assert third.types("/ignore") == ["[SERVER]: You are ignoring: Bia."]


def test_a_guest_who_registers_stays_ignored(world: World) -> None:
    bia, eva = world.enter("Bia", "Eva")
    eva.types("/ignore Bia")
    got: list[Refusal | None] = []
    world.chat.desk.make(bia.session.author, nickname("Bia"), (), got.append)
    world.journal.run()
    assert got == [None]
    assert bia.session.author == 2
    bia.types("oi")
    assert eva.sees() == []
    assert bia.types("/quit")
    assert eva.sees() == []


def test_a_guest_leaves_whose_name_an_operator_gives_away(world: World) -> None:
    bia, eva = world.enter("Bia", "Eva")
    assert make_account(world, "BIA") == 2
    assert bia.connection.closed
    assert bia.connection.refusals() == ["name-claimed"]
    assert eva.sees() == ["[SERVER]: Bia left the chat."]


def test_devices_of_a_disabled_or_closed_account_are_closed(world: World) -> None:
    (bia,) = world.enter("Bia")
    first, second = device(world), device(world)
    world.chat.desk.set_status(ANA, "disabled", lambda refusal: None)
    world.journal.run()
    assert [v.connection.closed for v in (first, second)] == [True, True]
    assert second.connection.refusals() == ["account-disabled"]
    assert device(world).connection.refusals() == ["account-disabled"]
    assert bia.sees()[-1] == "[SERVER]: Ana left the chat."
    world.chat.desk.set_status(ANA, "active", lambda refusal: None)
    world.journal.run()
    third = device(world)
    assert third.connection.refusals() == []
    world.chat.desk.set_status(ANA, "closed", lambda refusal: None)
    world.journal.run()
    assert third.connection.refusals() == ["logged-out"]
    assert device(world).connection.refusals() == ["wrong-secret"]
    guest = Visitor(world, program=True)
    guest.ask(Hello("Ana"))
    assert guest.connection.refusals() == ["name-reserved"]


def test_connections_of_a_revoked_token_are_closed(world: World) -> None:
    got: list[Refusal | None] = []
    world.chat.desk.set_credential(ANA, Credential("t1", "token", "00", "bot"), got.append)
    world.journal.run()
    bot, person = device(world, credential="t1"), device(world)
    world.chat.desk.drop_credentials(ANA, ("t1",), got.append)
    world.journal.run()
    assert got == [None, None]
    assert (bot.connection.closed, person.connection.closed) == (True, False)
    assert device(world, credential="t1").connection.refusals() == ["wrong-secret"]


def test_a_code_is_used_up(world: World) -> None:
    world.chat.desk.set_credential(ANA, Credential("c", "code", "00"), lambda refusal: None)
    world.journal.run()
    assert device(world, credential="c").connection.refusals() == []
    assert device(world, credential="c").connection.refusals() == ["wrong-secret"]


def test_an_account_that_cannot_be_saved_is_saved_later(world: World) -> None:
    world.journal.broken = "database or disk is full"
    got: list[Refusal | None] = []
    world.chat.desk.make(0, nickname("Bia"), (), got.append)
    world.journal.run()
    assert [refusal and refusal.code for refusal in got] == ["account-not-saved"]
    world.journal.broken = None
    world.chat.look()
    world.journal.run()
    names = {record.nickname.text for record in world.journal.records()}  # type: ignore[union-attr]
    assert names == {"Ana", "Bia"}


def test_an_account_has_few_former_names(world: World) -> None:
    ana = device(world)
    for name in ("B1", "B2", "B3", "B4"):
        ana.types(f"/nick {name}")
    ana.types("/nick B5", "/nick Ana", "/nick B1")
    assert ana.connection.refusals() == ["too-many-names"]
    guest = Visitor(world, program=True)
    guest.ask(Hello("b3"))
    assert guest.connection.refusals() == ["name-reserved"]


@pytest.mark.parametrize("is_connected", [True, False])
def test_an_operator_renames_an_account_that_has_had_many_names(
    world: World, is_connected: bool
) -> None:
    got: list[Refusal | None] = []
    ana = device(world) if is_connected else None
    names = ("B1", "B2", "B3", "B4", "B5", "B6")
    for name in names:
        world.chat.desk.rename(ANA, nickname(name), got.append)
        world.journal.run()
    assert got == [None] * len(names)
    for name in ("Ana", *names):
        guest = Visitor(world, program=True)
        guest.ask(Hello(name))
        assert guest.connection.refusals() == ["name-reserved"], "each name stays reserved"
    ana = device(world) if ana is None else ana
    ana.types("/nick Ana", "/nick ANA", "/nick B1", "/nick B7")
    assert ana.connection.refusals() == ["too-many-names"], "the person can go back only"


def _credentials(nodes: Nodes) -> list[list[str]]:
    """The credentials of Ana's connections, as each node has them."""
    return [[one.credential for one in w.chat.people.connections(ANA)] for w in nodes.worlds]


def test_every_node_knows_with_what_each_connection_came_in() -> None:
    """Or else they would not agree on whom to close when it is revoked."""
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    ana.send(Register("correct horse"))
    nodes.settle()
    assert _credentials(nodes) == [[PASSWORD], [PASSWORD]]
    ana.send(NewToken("phone", device=True))
    nodes.settle()
    (phone,) = {id for ids in _credentials(nodes) for id in ids}
    assert phone != PASSWORD
    code = Credential("code", "code", "hash", expires=2**62)
    nodes[1].chat.desk.set_credential(ANA, code, nothing)
    nodes.settle()
    other = device(nodes[1], credential="code")
    nodes.settle()
    assert other.session.author == ANA
    assert sorted(_credentials(nodes)[0]) == sorted(_credentials(nodes)[1]) == ["", phone]
    nodes[1].chat.desk.drop_credentials(ANA, ("code",), nothing)
    nodes.settle()
    assert _credentials(nodes)[0] == _credentials(nodes)[1]
    nodes[1].chat.desk.drop_credentials(ANA, (phone,), nothing)
    nodes.settle()
    assert _credentials(nodes) == [[""], [""]]
    assert ana.connection.closed


def test_a_guest_whom_an_account_ignores_stays_ignored_when_it_is_away(world: World) -> None:
    ana = device(world)
    (gus,) = world.enter("Gus")
    ana.types("/ignore Gus")
    ana.breaks_off()
    got: list[Refusal | None] = []
    world.chat.desk.make(gus.session.author, nickname("Gus"), (), got.append)
    world.journal.run()
    ana = device(world)
    ana.sees()
    gus.types("hear me")
    assert ana.sees() == []
    assert ana.types("/ignore") == ["[SERVER]: You are ignoring: Gus."]


def test_whoever_leaves_and_returns_in_a_large_room_within_a_moment_was_always_there() -> None:
    world = World()
    make_account(world)
    crowd = world.enter(*(f"guest{number}" for number in range(40)))
    first = device(world)
    world.clock.advance(5)
    world.journal.run()
    for visitor in crowd:
        visitor.sees()
    first.breaks_off()
    second, third = device(world), device(world)
    second.breaks_off()
    world.clock.advance(5)
    world.journal.run()
    assert crowd[0].sees() == []
    assert "Ana" not in "".join(third.sees()[1:])
    assert crowd[0].types("/who")[0].startswith("[SERVER]: In #lobby (41): ")
    third.breaks_off()
    world.clock.advance(5)
    world.journal.run()
    assert crowd[0].sees() == ["[SERVER]: Ana left the chat."]


def test_the_limit_of_rooms_is_that_of_the_person(world: World) -> None:
    """Not of each connection, which the others would follow into its rooms."""
    first = device(world)
    first.types(*(f"/join room{number}" for number in range(15)))
    second = Visitor(world)
    second.session.author = ANA
    others = {f"other{number}": 0 for number in range(10)}
    with pytest.raises(TooManyRooms):
        world.chat.enter(second.session, nickname("Ana"), others, nothing)
    assert len(first.session.cursors) == 16


def test_one_token_does_not_take_all_connections_of_the_account(world: World) -> None:
    world.chat.desk.set_credential(ANA, Credential("t1", "token", "00", "bot"), lambda _: None)
    world.journal.run()
    bots = [device(world, credential="t1") for _ in range(DEVICE_LIMIT + 1)]
    assert bots[-1].connection.refusals() == ["too-many-devices"]
    assert device(world).connection.refusals() == []

"""Two chats of two nodes that apply one log: what is true at one is true at the other."""

from __future__ import annotations

from collections.abc import Iterator
from logging import ERROR
from typing import get_args

import msgspec
import pytest
from twisted.internet.task import Clock

from tests.support.accounts import make_account
from tests.support.fakes import NO_RATE, Visitor, World, code_of
from tests.support.nodes import Nodes
from twisted_chat.core import changes
from twisted_chat.core.account_changes import (
    DropCredentials,
    MakeAccount,
    MarkRead,
    RenameAccount,
    SetCredential,
    SetIgnored,
    SetStatus,
)
from twisted_chat.core.accounts import Credential
from twisted_chat.core.changes import Change, Draft, Enter, announcement
from twisted_chat.core.events import Acknowledged, Entry, Replaced, Told
from twisted_chat.core.mail_changes import DropMessages, DropOldMessages, KeepMessage
from twisted_chat.core.names import nickname
from twisted_chat.core.proofs import Proof
from twisted_chat.core.requests import ChooseName, Hello, Join, Quit, Say
from twisted_chat.core.room_changes import Invite, SetRole, SetRoom
from twisted_chat.core.sources import Sources

CLIENT = "0f" * 16


@pytest.fixture(autouse=True)
def _no_internal_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A change that cannot be carried out is logged, and the next one goes on."""
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.levelno >= ERROR] == []


def program(world: World, nodes: Nodes, name: str, client: str = CLIENT, **seen: int) -> Visitor:
    """A program that has come in."""
    visitor = Visitor(world, program=True)
    visitor.send(Hello(name, client, None, seen))
    nodes.settle()
    return visitor


def from_elsewhere(world: World) -> Visitor:
    """Somebody who comes from another address than all others."""
    visitor = Visitor(world)
    visitor.connection.source = Sources(lambda: NO_RATE, Clock()).open("198.51.100.7").source
    return visitor


def test_of_a_hundred_claims_from_two_nodes_one_wins_on_both() -> None:
    nodes = Nodes()
    visitors = [Visitor(world) for _ in range(50) for world in nodes.worlds]
    for visitor in visitors:
        visitor.send(ChooseName("Ana"))
    nodes.settle()
    winners = [visitor for visitor in visitors if visitor.session.has_name]
    assert len(winners) == 1
    assert [v.connection.refusals() for v in visitors if v not in winners] == [["name-taken"]] * 99
    for world in nodes.worlds:
        assert world.chat.person("ANA").author == winners[0].session.author
    assert nodes.views()[0] == nodes.views()[1]


def test_what_people_do_reaches_the_other_node() -> None:
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    (bia,) = nodes.enter(1, "Bia")
    assert ana.sees() == ["[SERVER]: Bia joined the chat."]
    nodes.types(bia, "oi", "/nick Bea", "/topic fish", "/me waves")
    assert ana.sees() == [
        "[Bia]: oi",
        "[SERVER]: Bia is Bea now.",
        "[SERVER]: Bea changed the topic to: fish",
        "* Bea waves",
    ]
    assert nodes.types(ana, "/who") == ["[SERVER]: In #lobby (2): Ana, Bea."]
    nodes.types(ana, "/join cinema")
    assert nodes.types(bia, "/rooms") == nodes.types(ana, "/rooms")
    nodes.types(bia, "/join cinema", "/leave")
    assert ana.sees() == [
        "[SERVER]: Bea joined the room.",
        "[SERVER]: Bea left the room.",
    ]
    assert nodes.views()[0] == nodes.views()[1]
    nodes.types(bia, "/quit")
    assert nodes.views()[0] == nodes.views()[1]
    assert ana.sees()[-1] == "#lobby [SERVER]: Bea left the chat."
    assert nodes.enter(0, "Bia", "Bea")


def test_a_private_message_is_confirmed_by_the_node_of_the_recipient() -> None:
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    (bia,) = nodes.enter(1, "Bia")
    nodes.types(ana, "/msg Bia hello")
    assert [line for line in bia.sees() if "hello" in line]
    assert [event.own for event in ana.connection.events if isinstance(event, Told)] == [True]
    assert [line for line in nodes.types(bia, "/reply yes") if "yes" in line]
    assert [line for line in ana.sees() if "yes" in line]
    bia.connection.ready = False
    nodes.types(ana, "/msg Bia hello")
    assert ana.connection.refusals() == ["not-reading"]
    bia.connection.ready = True
    bia.connection.arrives = False
    nodes.types(ana, "/msg Bia again")
    for world in nodes.worlds:
        world.clock.pump([1] * 20)
    nodes.settle()
    assert ana.connection.refusals() == ["not-reading", "not-confirmed"]


def test_a_private_message_to_somebody_who_leaves_meanwhile_at_another_node() -> None:
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    (bia,) = nodes.enter(1, "Bia")
    bia.session.handle(Quit())
    ana.types("/msg Bia hello")
    nodes.settle()
    assert ana.connection.refusals() == ["no-such-person"]
    (bia,) = nodes.enter(1, "Bia")
    nodes.types(ana, "/msg Bia hello")
    assert ana.connection.refusals() == ["no-such-person"]


def test_an_announcement_reaches_everybody() -> None:
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    (bia,) = nodes.enter(1, "Bia")
    nodes[0].chat.announce(announcement("soon"))
    nodes.settle()
    assert ana.sees()[-1] == bia.sees()[-1] == "[SERVER]: soon"


def test_nobody_waits_for_people_at_the_other_node() -> None:
    nodes = Nodes()
    ana, bia = *nodes.enter(0, "Ana"), *nodes.enter(1, "Bia")
    rooms = [
        world.chat.reading.room(v.session, "lobby")
        for world, v in zip(nodes.worlds, (ana, bia), strict=True)
    ]
    assert [room.away for room in rooms] == [1, 1]
    nodes.types(bia, "/leave")
    assert [room.away for room in rooms] == [0, 1]
    nodes.types(bia, "/join lobby", "/quit")
    assert [room.away for room in rooms] == [0, 1]


def test_when_a_node_disappears_its_people_leave() -> None:
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    bia, _ = nodes.enter(1, "Bia", "Caio")
    nodes.types(bia, "/join cinema")
    bia.connection.arrives = False
    nodes.types(ana, "/msg Bia hello")
    ana.sees()
    nodes.gone(1)
    assert [line for line in ana.sees() if "left" in line] == [
        "[SERVER]: Bia left the chat.",
        "[SERVER]: Caio left the chat.",
    ]
    assert ana.connection.refusals() == ["not-confirmed"]
    assert nodes.enter(0, "Bia", "Caio")
    assert "cinema" not in nodes.views()[0]


def test_a_client_id_that_returns_at_the_other_node_takes_over() -> None:
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    bot = program(nodes[0], nodes, "Bot")
    bot.ask(Join("cinema"))
    nodes.types(ana, "one", "two")
    ana.sees()
    again = program(nodes[1], nodes, "Bot", lobby=1, cinema=0)
    assert ana.sees() == []  # nobody notices
    assert [type(e) for e in bot.connection.events][-1] is Replaced
    assert bot.connection.closed
    assert [e.text for e in again.connection.events if isinstance(e, Entry)] == ["two"]
    assert set(again.session.cursors) == {"lobby", "cinema"}
    assert nodes.views()[0] == nodes.views()[1]
    bot.lose()
    nodes.types(ana, "three")
    assert [e.text for e in again.connection.events if isinstance(e, Entry)] == ["two", "three"]
    again.ask(Say("from the other side", "lobby", id="1"))
    nodes.settle()
    assert [e for e in again.connection.events if isinstance(e, Acknowledged)]
    assert ana.sees() == ["[Bot]: from the other side"]
    over = again.breaks_off()
    assert over is not None
    over()
    nodes.settle()
    assert ana.sees() == ["[SERVER]: Bot left the chat."]


def test_a_program_that_returns_at_the_other_node_under_another_name_is_renamed() -> None:
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    program(nodes[0], nodes, "Bot")
    ana.sees()
    program(nodes[1], nodes, "Robot")
    assert ana.sees() == ["[SERVER]: Bot is Robot now."]
    assert nodes.views()[0] == nodes.views()[1]


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_code_that_returns_at_the_other_node_takes_over(is_connected: bool) -> None:
    nodes = Nodes()
    ana, bia = nodes.enter(0, "Ana", "Bia")
    nodes.types(ana, "/join cinema")
    if not is_connected:
        ana.breaks_off()
    nodes[0].chat.keeper.look()
    nodes.settle()
    nodes.types(bia, "missed")
    stranger = from_elsewhere(nodes[1])
    nodes.types(stranger, "Ana")
    assert stranger.connection.refusals() == ["name-taken"]
    again = Visitor(nodes[1])
    lines = nodes.types(again, f"/resume {code_of(ana)}")
    assert lines[0] == "[SERVER]: Welcome back, Ana."
    assert [line for line in lines if "missed" in line]
    assert set(again.session.cursors) == {"lobby", "cinema"}
    assert ana.connection.closed or not is_connected
    assert nodes.views()[0] == nodes.views()[1]
    nodes.types(bia, "/msg Ana hello")
    assert [line for line in again.sees() if "hello" in line]
    # The code before it leads nowhere any more, and the new one back to the first node.
    third = Visitor(nodes[0])
    nodes.types(third, f"/resume {code_of(ana)}")
    assert third.connection.refusals() == ["unknown-code"]
    nodes[1].chat.keeper.look()
    nodes.settle()
    assert nodes.types(third, f"/resume {code_of(again)}")[0] == "[SERVER]: Welcome back, Ana."
    assert nodes.views()[0] == nodes.views()[1]


def test_a_name_that_is_kept_at_one_node_is_kept_at_the_other_until_it_is_forgotten() -> None:
    nodes = Nodes()
    (ana,) = nodes.enter(0, "Ana")
    nodes.enter(0, "Bia")
    ana.breaks_off()
    nodes.settle()
    thief = from_elsewhere(nodes[1])
    nodes.types(thief, "Ana")
    assert thief.connection.refusals() == ["name-taken"]
    nodes[0].clock.advance(301)
    nodes[0].chat.keeper.look()
    nodes.settle()
    nodes.types(thief, "Ana")
    assert thief.session.has_name


def test_every_change_is_made_of_names_numbers_and_texts() -> None:
    """It can be written down and read again: nothing of a process is in it."""
    kept = changes.KeptPerson(1, b"c", "Ana", "en", False, (("lobby", 1),))
    credential = Credential("t", "token", "00", "bot", ("lobby",), 1, 2)
    examples: list[Change] = [
        Draft("lobby", 1, "say", "Ana", "oi", 1, "1", 7),
        Enter(1, nickname("Ana"), "192.0.2.1", ("lobby",), 7),
        changes.Rename(1, nickname("Bia"), None, 7),
        changes.JoinRooms(1, ("cinema",), 7),
        changes.LeaveRoom(1, "cinema", 7),
        changes.Depart(1, True, "192.0.2.1", 7),
        changes.Forget(1),
        changes.TellPerson(1, 2, "Bia", "oi", 1, 7),
        changes.Answered("a", 7, "delivered"),
        changes.Announce("soon", None),
        changes.Barrier(7),
        changes.Removed("lobby", 3),
        changes.Keep((kept,), (2,)),
        changes.NodeGone("a"),
        SetRoom(1, "Ana", "den", 7, join="invited", keep=None),
        SetRole(1, "Ana", "den", 2, "Bia", "moderator", 7),
        Invite(1, "Ana", "den", -2, "Caio", 7),
        MakeAccount(-1, nickname("Ana"), (credential,), 1, 7),
        SetCredential(1, credential, 7),
        DropCredentials(1, ("t",), 7),
        SetStatus(1, "disabled", 7),
        RenameAccount(1, nickname("Bia"), 7),
        SetIgnored(1, ((-2, "Caio"),)),
        MarkRead(1, "lobby", 3, 7),
        KeepMessage(1, 2, "Bia", "Ana", "oi", 1, 1, 7),
        DropMessages(2, (1,)),
        DropOldMessages(1),
        KeepMessage(1, 2, "Bia", "Ana", "oi", 1, 9, 7),
        DropMessages(2, (1, 2)),
        DropOldMessages(5),
    ]
    assert {type(change) for change in examples} == set(get_args(Change))
    for change in examples:
        packed = msgspec.msgpack.encode(change)
        assert msgspec.msgpack.decode(packed, type=type(change)) == change


def test_rules_of_rooms_and_invitations_hold_on_both_nodes() -> None:
    nodes = Nodes()
    ana = Visitor(nodes[0])
    make_account(nodes[0], "Ana")
    nodes.settle()
    account = nodes[0].chat.accounts.named(nickname("Ana"))
    assert account is not None
    ana.enter_as(Proof(account.number, account.nickname, "", "password"))
    nodes.settle()
    gil, dora = nodes.enter(1, "Gil", "Dora")
    nodes.types(ana, "/join den", "/room join invited", "/room hidden on")
    assert nodes.types(dora, "/join den") == ["[SERVER]: You cannot join #den."]
    assert "den" not in "".join(nodes.types(gil, "/rooms all"))
    gil.sees()
    nodes.types(ana, "/invite Gil")
    assert gil.sees() == ["[SERVER]: Ana invites you to #den: /join den"]
    assert "Ana" in nodes.types(gil, "/join den")[0]
    assert dora.sees() == []
    first, second = (list(world.chat._state.rules) for world in nodes.worlds)
    assert first == second
    nodes.types(ana, "/room speak speakers")
    assert gil.sees() == [
        "[SERVER]: Ana has set a rule of #den:",
        "  People with a role may write.",
    ]
    nodes.types(gil, "/quit")
    assert [w.chat._state.rules._admitted for w in nodes.worlds] == [{}, {}]

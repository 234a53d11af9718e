"""What one person is shown that is not in the log: it arrives, or is shown again."""

from __future__ import annotations

import json

import pytest

from tests.support.fakes import Visitor, World
from tests.support.protocol import HELLO, House
from twisted_chat.core.changes import announcement
from twisted_chat.core.events import Told
from twisted_chat.core.requests import Hello, Say, Tell
from twisted_chat.core.unconfirmed import LIMIT, LOOKS, Unconfirmed

CLIENT = "a" * 32
NOT_CONFIRMED = (
    "[SERVER]: Ana may not have received your message: their side has not confirmed it. "
    "If they come back in time, they are shown it again."
)


def passes(world: World, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        world.clock.advance(0.1)
        world.journal.run()


def of(visitor: Visitor, *, own: bool = False) -> list[str]:
    """The private messages that were shown."""
    shown = [event for event in visitor.connection.events if isinstance(event, Told)]
    return [event.text for event in shown if event.own == own]


def test_what_has_arrived_is_reported_as_delivered_at_once() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.types("/msg Ana oi")
    assert (of(bia, own=True), of(ana)) == (["oi"], ["oi"])
    assert world.clock.getDelayedCalls() == []


def test_what_arrives_a_little_later_is_reported_then() -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.connection.arrives = False
    bia.types("/msg Ana oi")
    passes(world, 1)
    assert of(bia, own=True) == []
    ana.connection.arrives = True
    passes(world, 1)
    assert of(bia, own=True) == ["oi"]
    assert world.clock.getDelayedCalls() == []


def test_an_answer_is_shown_after_the_confirmation_of_what_it_answers() -> None:
    """However soon it comes, as that of a bot."""
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.connection.arrives = False
    bia.types("/msg Ana oi")
    assert of(bia, own=True) == []
    ana.connection.arrives = True
    ana.types("/msg Bia ola")
    told = [event.text for event in bia.connection.events if isinstance(event, Told)]
    assert told == ["oi", "ola"]
    passes(world, 1)
    assert of(bia, own=True) == ["oi"]
    assert world.clock.getDelayedCalls() == []


def test_a_message_to_somebody_whose_host_has_vanished_is_not_reported_as_delivered() -> None:
    """And is shown again when they come back, to their right correspondent."""
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    bia.types("/msg Ana before")
    ana.connection.arrives = False
    bia.types("/msg Ana oi", "/msg Ana tudo bem?")
    bia.sees()
    passes(world, sum(LOOKS) + 1.5)
    assert bia.sees() == [NOT_CONFIRMED] * 2
    assert of(bia, own=True) == ["before"]
    again = Visitor(world)
    again.types(f"/resume {ana.session.code}")
    assert of(again) == ["oi", "tudo bem?"]
    again.types("/reply agora sim")
    assert of(bia) == ["agora sim"]
    third = Visitor(world)
    third.types(f"/resume {again.session.code}")
    assert of(third) == []


@pytest.mark.parametrize("lost", [False, True])
def test_whoever_comes_back_soon_confirms_it_then(lost: bool) -> None:
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    ana.connection.arrives = False
    bia.types("/msg Ana oi")
    if lost:
        ana.breaks_off()
    passes(world, 2)
    again = Visitor(world)
    again.types(f"/resume {ana.session.code}")
    assert of(again) == ["oi"]
    passes(world, 2)
    assert of(bia, own=True) == ["oi"]


def test_programs_are_shown_again_what_did_not_arrive() -> None:
    world = World()
    ana = Visitor(world, program=True)
    ana.ask(Hello("Ana", CLIENT))
    (bia,) = world.enter("Bia")
    ana.connection.arrives = False
    bia.types("/msg Ana oi")
    ana.breaks_off()
    assert bia.types("/msg Ana hello?") == [
        "[SERVER]: Ana is not reading at the moment. Your message was not delivered."
    ]
    again = Visitor(world, program=True)
    again.ask(Hello("Ana", CLIENT))
    assert of(again) == ["oi"]
    passes(world, 2)
    assert of(bia, own=True) == ["oi"]


def test_a_message_to_a_program_that_breaks_off_before_its_turn_is_not_delivered() -> None:
    world = World()
    ana = Visitor(world, program=True)
    ana.ask(Hello("Ana", CLIENT))
    (bia,) = world.enter("Bia")
    bia.session.handle(Tell("Ana", "oi"))
    ana.session.connection_lost(ana.connection)
    world.journal.run()
    assert bia.connection.refusals() == ["not-reading"]
    assert of(bia, own=True) == []


def test_what_could_not_be_saved_while_its_author_was_away_is_told_when_they_are_back() -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.session.handle(Say("lost line"))
    world.journal.broken = "disk I/O error"
    ana.session.connection_lost(ana.connection)
    world.journal.run()
    world.journal.broken = None
    again = Visitor(world)
    shown = again.types(f"/resume {ana.session.code}")
    assert any("was not saved" in line and "lost line" in line for line in shown)


def test_an_announcement_that_did_not_arrive_is_shown_again() -> None:
    world = World()
    ana, _ = world.enter("Ana", "Bia")
    ana.connection.arrives = False
    world.chat.announce(announcement("The build is green."))
    world.journal.run()
    again = Visitor(world)
    shown = again.types(f"/resume {ana.session.code}")
    assert "[SERVER]: The build is green." in shown


def test_only_so_many_are_kept_and_those_that_arrived_are_not() -> None:
    unconfirmed = Unconfirmed()
    events = [Told("Bia", "Ana", str(number), 0) for number in range(LIMIT + 5)]
    for event in events:
        unconfirmed.add(event)
    assert [shown.event for shown in unconfirmed.missing()] == events[5:]
    for shown in unconfirmed.missing()[:-1]:
        shown.sent(lambda: True)
    assert [shown.event for shown in unconfirmed.missing()] == events[-1:]


def test_a_program_is_told_so_with_the_id_of_its_request() -> None:
    house = House()
    ana = house.enter("Ana")
    bot = house.connect()
    bot.send(HELLO)
    bot.read()
    ana.protocol.arrival = lambda: lambda: False  # type: ignore[method-assign]
    bot.send(b'{"type":"tell","name":"Ana","text":"oi","id":"7"}\n')
    assert bot.lines() == []
    for _ in range(120):
        house.world.clock.advance(0.1)
        house.world.journal.run()
    (told,) = [json.loads(line) for line in bot.lines()]
    assert (told["type"], told["id"], told["code"]) == ("error", "7", "not-confirmed")

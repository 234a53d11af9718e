"""Each flag of a profile decides about one thing, whatever the others are."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs
from twisted.internet.task import Clock

from tests.support.fakes import NO_RATE, Visitor, World
from twisted_chat.core import catch_up
from twisted_chat.core.events import (
    Acknowledged,
    Entered,
    Entry,
    Event,
    Goodbye,
    LinesSkipped,
    NotSent,
    Refused,
    Replayed,
    ReplayStarts,
    Welcomed,
)
from twisted_chat.core.profile import PERSON, PROGRAM, Profile
from twisted_chat.core.requests import ChooseName, Hello, Join, Quit, Say, Topic
from twisted_chat.core.sources import Sources

CLIENT = "a" * 32


def with_flag(profile: Profile, flag: str, on: bool) -> Profile:
    return structs.replace(profile, **{flag: on})


BOTH = pytest.mark.parametrize("profile", [PERSON, PROGRAM], ids=["person", "program"])
ON_AND_OFF = pytest.mark.parametrize("on", [True, False], ids=["on", "off"])


def enter(world: World, profile: Profile, name: str, client: str | None = None) -> Visitor:
    visitor = Visitor(world, profile=profile)
    visitor.ask(Hello(name, client))
    return visitor


def of(visitor: Visitor, kind: type[Event]) -> list[Any]:
    return [event for event in visitor.connection.events if isinstance(event, kind)]


def said(visitor: Visitor) -> list[str]:
    return [entry.text for entry in of(visitor, Entry)]


def test_every_flag_has_a_test() -> None:
    tests = [name for name in globals() if name.startswith("test_")]
    for flag in Profile.__struct_fields__:
        assert any(flag in name for name in tests), flag


@BOTH
@ON_AND_OFF
def test_introduces_itself_a_plain_line_is_no_nickname(profile: Profile, on: bool) -> None:
    visitor = Visitor(World(), profile=with_flag(profile, "introduces_itself", on))
    visitor.ask(Say("Ana"))
    assert visitor.session.has_name is not on
    assert visitor.connection.refusals() == (["name-first"] if on else [])
    visitor.ask(ChooseName("Ana"))
    assert visitor.session.has_name is not on


@BOTH
@ON_AND_OFF
def test_enters_default_room(profile: Profile, on: bool) -> None:
    world = World()
    profile = with_flag(profile, "enters_default_room", on)
    bare, asking = Visitor(world, profile=profile), Visitor(world, profile=profile)
    bare.ask(Hello("Ana"))
    asking.ask(Hello("Bia", None, None, {"den": 0}))
    assert [e.room for e in of(bare, Entered)] == (["lobby"] if on else [])
    assert [e.room for e in of(asking, Entered)] == (["lobby", "den"] if on else ["den"])
    assert of(bare, Welcomed)
    bare.ask(Join("den"))
    assert [e.room for e in of(bare, Entered)][-1] == "den"


@BOTH
@ON_AND_OFF
def test_wants_replay(profile: Profile, on: bool) -> None:
    world = World()
    (ana,) = world.enter("Ana")
    ana.ask(Say("oi"))
    bia = enter(world, with_flag(profile, "wants_replay", on), "Bia")
    assert [event.entry.text for event in of(bia, Replayed)] == (["oi"] if on else [])
    assert len(of(bia, ReplayStarts)) == on
    ana.ask(Say("you"))
    assert said(bia) == ["you"]


@BOTH
@ON_AND_OFF
def test_receives_own_lines(profile: Profile, on: bool) -> None:
    world = World()
    ana = enter(world, with_flag(profile, "receives_own_lines", on), "Ana")
    ana.ask(Say("oi", id="m1"))
    assert said(ana) == (["oi"] if on else [])


@BOTH
@ON_AND_OFF
def test_receives_acknowledgements(profile: Profile, on: bool) -> None:
    world = World()
    ana = enter(world, with_flag(profile, "receives_acknowledgements", on), "Ana")
    for id in ("m1", "m2"):  # the second one changes nothing
        ana.ask(Topic("the same", id=id))
    numbers = [entry.number for event in of(ana, Acknowledged) for entry in event.entries]
    assert numbers == ([1, 2] if on else [])
    assert world.chat.reading.room(ana.session, "lobby").last == (2 if on else 1)


@BOTH
@ON_AND_OFF
def test_deduplicates(profile: Profile, on: bool) -> None:
    world = World()
    ana = enter(world, with_flag(profile, "deduplicates", on), "Ana", "a" * 32)
    for _ in range(2):
        ana.ask(Say("oi", id="m1"))
    assert world.chat.reading.room(ana.session, "lobby").last == (1 if on else 2)


@BOTH
@ON_AND_OFF
def test_deduplicates_so_what_was_not_saved_is_sent_again_by_the_client(
    profile: Profile, on: bool
) -> None:
    """It needs the id for that. Any other client is told again, if it missed that."""
    world = World()
    profile = with_flag(profile, "deduplicates", on)
    ana = enter(world, profile, "Ana", CLIENT)
    world.journal.broken = "disk full"
    ana.connection.arrives = False
    ana.ask(Say("oi", id="m1"))
    assert [event.id for event in of(ana, Refused)] == ["m1" if on else None]
    assert len(of(enter(world, profile, "Ana", CLIENT), Refused)) == (0 if on else 1)


@BOTH
@ON_AND_OFF
def test_deduplicates_so_lines_that_wait_do_not_follow_it_to_another_connection(
    profile: Profile, on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are sent again; those of any other client are handled over the new one."""
    world = World()
    profile = with_flag(profile, "deduplicates", on)
    ana, again = enter(world, profile, "Ana", CLIENT), Visitor(world, profile=profile)
    put: list[bytes] = []
    monkeypatch.setattr(ana.connection, "take_lines", lambda: [b"oi"])
    monkeypatch.setattr(ana.connection, "drop_lines", lambda: 1)
    monkeypatch.setattr(again.connection, "put_lines", put.extend)
    again.ask(Hello("Ana", CLIENT))
    assert put == ([] if on else [b"oi"])
    assert [event.count for event in of(again, NotSent)] == ([1] if on else [])


@BOTH
@ON_AND_OFF
def test_resumes_by_number_or_else_with_what_did_not_arrive(profile: Profile, on: bool) -> None:
    world = World()
    (bia,) = world.enter("Bia")
    profile = with_flag(profile, "resumes_by_number", on)
    ana = enter(world, profile, "Ana", CLIENT)
    bia.ask(Say("one"), Say("two"), Say("three"))
    ana.connection.unread = 2
    again = enter(world, profile, "Ana", CLIENT)  # it tells no numbers
    replayed = [event.entry.text for event in of(again, Replayed)]
    assert replayed + said(again) == ([] if on else ["two", "three"])


@BOTH
@ON_AND_OFF
def test_resumes_by_number_or_else_the_name_is_kept_for_the_code(
    profile: Profile, on: bool
) -> None:
    world = World()
    ana = enter(world, with_flag(profile, "resumes_by_number", on), "Ana")
    world.clock.advance(60)
    world.journal.run()
    assert [kept.nickname for kept in world.journal.people()] == ([] if on else ["Ana"])
    ana.breaks_off()
    other = Visitor(world)
    other.connection.source = Sources(lambda: NO_RATE, Clock()).open("192.0.2.2").source
    other.ask(ChooseName("Ana"))
    assert other.connection.refusals() == ([] if on else ["name-taken"])


@BOTH
@ON_AND_OFF
def test_resumes_by_number(profile: Profile, on: bool) -> None:
    """Or else there is a code, and the place where the connection broke."""
    world = World()
    ana = enter(world, with_flag(profile, "resumes_by_number", on), "Ana")
    (welcomed,) = of(ana, Welcomed)
    assert bool(welcomed.code) is not on
    ana.breaks_off()
    assert (world.chat.identities.by_code(welcomed.code) is ana.session) is not on


@BOTH
@ON_AND_OFF
def test_never_skips(profile: Profile, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "CATCH_UP_LIMIT", 100)
    monkeypatch.setattr(catch_up, "PAGE", 10)
    world = World()
    (ana,) = world.enter("Ana")
    bia = enter(world, with_flag(profile, "never_skips", on), "Bia")
    bia.connection.ready = False
    for number in range(200):
        ana.ask(Say(f"line {number}"))
    bia.connection.ready = True
    bia.session.on_ready()
    world.journal.run()
    assert len(of(bia, LinesSkipped)) == (0 if on else 1)
    assert (len(said(bia)) == 200) is on


@BOTH
@ON_AND_OFF
def test_never_skips_what_cannot_be_read_at_the_moment(profile: Profile, on: bool) -> None:
    """It is closed instead, and asks for it when it comes back."""
    world = World()
    (ana,) = world.enter("Ana")
    bia = enter(world, with_flag(profile, "never_skips", on), "Bia")
    bia.connection.ready = False
    for number in range(200):
        ana.ask(Say(f"line {number}"))
    world.journal.broken = "disk I/O error"
    bia.connection.ready = True
    bia.session.on_ready()
    world.journal.run()
    assert bia.connection.refusals() == ["history-unavailable"]
    assert bia.connection.closed is on
    assert len(of(bia, LinesSkipped)) == (0 if on else 1)


@BOTH
@ON_AND_OFF
def test_ignores_blank_lines(profile: Profile, on: bool) -> None:
    world = World()
    ana = enter(world, with_flag(profile, "ignores_blank_lines", on), "Ana")
    ana.ask(Say("  "))
    assert ana.connection.refusals() == ([] if on else ["bad-request"])
    assert world.chat.reading.room(ana.session, "lobby").last == 0


@BOTH
@ON_AND_OFF
def test_receives_goodbye(profile: Profile, on: bool) -> None:
    ana = enter(World(), with_flag(profile, "receives_goodbye", on), "Ana")
    ana.ask(Quit())
    assert len(of(ana, Goodbye)) == on
    assert ana.connection.closed

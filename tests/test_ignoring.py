"""A person is ignored, not a name."""

from __future__ import annotations

import re

import pytest

from tests.support.fakes import Visitor, World, code_of
from tests.support.programs import of
from twisted_chat.client.ignored import IgnoredPeople
from twisted_chat.core import reading
from twisted_chat.core.author import author_key
from twisted_chat.core.events import Entry, HistoryShown, IgnoredListed, Ignoring
from twisted_chat.core.ignoring import IGNORED_LIMIT, author_of
from twisted_chat.core.requests import Hello, Ignore, ReadHistory, Say, Unignore
from twisted_chat.core.room import LARGE

#: The client id of a program.
CLIENT = "0123456789abcdef" * 2


def test_ignoring_follows_the_person_and_not_the_name() -> None:
    """Also if they take another name where nobody sees it, and somebody else takes the old one."""
    world = World()
    ana, troll = world.enter("Ana", "Troll")
    ana.types("/ignore troll")
    troll.types("/leave lobby", "/nick Elf", "/join lobby", "one", "/msg Ana psst")
    (other,) = world.enter("Troll")
    other.types("hello", "/msg Ana hi")
    assert ana.sees() == [
        "[SERVER]: Troll joined the chat.",
        "[Troll]: hello",
        "[Troll, in private]: hi",
    ]
    assert ana.types("/ignore") == ["[SERVER]: You are ignoring: Elf."]
    assert ana.types("/unignore Elf") == ["[SERVER]: You are no longer ignoring Elf."]
    troll.types("two")
    assert ana.sees() == ["[Elf]: two"]


def test_what_an_ignored_person_does_is_not_told() -> None:
    world = World()
    ana, troll, caio = world.enter("Ana", "Troll", "Caio")
    ana.types("/ignore Troll")
    troll.types("/leave lobby", "/join lobby", "/nick Elf", "/topic x", "/quit")
    assert ana.sees() == []
    assert len(caio.sees()) == 5


def test_in_a_large_room_others_who_come_are_told_without_them() -> None:
    world = World()
    ana, troll, *others = world.enter("Ana", "Troll", *(f"u{n}" for n in range(LARGE + 5)))
    ana.types("/ignore Troll")
    world.clock.advance(2)
    ana.sees()
    for person in (troll, *others[:3]):
        person.types("/leave lobby")
    world.clock.advance(2)
    assert ana.sees() == ["[SERVER]: u0, u1, u2 left the room."]
    troll.types("/join lobby")
    world.clock.advance(2)
    assert ana.sees() == []


def test_renames_do_not_fill_the_list() -> None:
    world = World()
    ana, troll = world.enter("Ana", "Troll")
    for n in range(IGNORED_LIMIT + 50):
        ana.types(f"/ignore {troll.session.name}")
        troll.types(f"/nick t{n}")
    assert ana.connection.refusals() == []
    last = f"t{IGNORED_LIMIT + 49}"
    assert ana.types("/ignore") == [f"[SERVER]: You are ignoring: {last}."]
    assert ana.types("/unignore troll") == [f"[SERVER]: You are no longer ignoring {last}."]


def test_an_author_key_of_an_earlier_server_still_names_the_person() -> None:
    world = World()
    bia, ana = (Visitor(world, program=True) for _ in range(2))
    bia.ask(Hello("Bia", CLIENT))
    key = author_key(bytes.fromhex(CLIENT)).hex()
    ana.ask(Hello("Ana", ignored={key: "Bea"}))
    bia.ask(Say("oi"))
    ana.ask(Unignore("Bia"))
    assert of(ana, Entry) == []
    assert of(ana, Ignoring) == [Ignoring("Bia", on=False, person=str(bia.session.author))]


@pytest.mark.parametrize("text", ["0", "-0", "+1", "01", str(2**63), "1 ", "a" * 33, "A" * 32, ""])
def test_other_texts_name_nobody(text: str) -> None:
    assert author_of(text) is None


def test_a_client_forgets_a_person_whom_it_knows_by_an_author_key() -> None:
    ignored = IgnoredPeople()
    ignored.restore(["ab" * 16 + " Bia", "cd" * 16 + " Caio"])
    assert ignored.change(Ignoring("Bia", on=False, person="-5"))
    assert ignored.told() == {"cd" * 16: "Caio"}


def test_of_the_people_whom_a_program_ignores_as_many_count_as_a_person_may_ignore() -> None:
    world = World()
    bot = Visitor(world, program=True)
    bot.ask(Hello("bot", ignored={f"{n:032x}": f"t{n}" for n in range(IGNORED_LIMIT + 1)}))
    bot.ask(Ignore())
    listed = next(e for e in bot.connection.events if isinstance(e, IgnoredListed))
    assert listed.people == tuple(f"t{n}" for n in range(IGNORED_LIMIT))


def test_history_and_search_go_on_behind_what_ignored_people_said() -> None:
    world = World()
    ana, troll, bia = world.enter("Ana", "Troll", "Bia")
    bia.types("word 1", "word 2", "word 3")
    for n in range(700):
        troll.types(f"word noise {n}")
    bia.types("word 4")
    ana.types("/ignore Troll")
    page = ana.types("/history lobby 3")
    assert [line.split()[0] for line in page[1:4]] == ["2", "3", "704"]
    assert page[4] == "[SERVER]: /history lobby 3 before 2 shows earlier messages."
    assert ana.types("/history lobby 3 before 2")[1].startswith("     1 ")
    assert [line.split()[1] for line in ana.types("/search word")[1:]] == ["704", "3", "2", "1"]
    assert len(ana.types("/search noise")) == 1


def test_where_all_that_came_before_is_of_ignored_people_the_page_is_the_last() -> None:
    world = World()
    ana, troll, bia = world.enter("Ana", "Troll", "Bia")
    troll.types("one", "two")
    bia.types("three")
    troll.types("four")
    bia.types("five")
    ana.types("/ignore Troll")
    page = ana.types("/history")
    assert [line.split()[0] for line in page[1:]] == ["3", "5"]
    assert ana.types("/history lobby 1")[-1].endswith(
        "/history lobby 1 before 5 shows earlier messages."
    )


def test_a_search_goes_on_behind_any_number_of_lines_of_ignored_people() -> None:
    world = World()
    ana, troll, bia = world.enter("Ana", "Troll", "Bia")
    bia.types("word of Bia", "/topic word too")
    troll.types(*["word noise"] * 1500)
    ana.types("/ignore Troll")
    found = ana.types("/search word")
    assert [line.split()[1] for line in found[1:]] == ["2", "1"]


@pytest.mark.parametrize(("said", "before"), [(5, 0), (6, 2)])
def test_a_page_goes_on_as_long_as_there_is_one_entry_more(
    said: int, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "READS", 1)
    world = World()
    ana, troll = world.enter("Ana", "Troll")
    troll.types(*(f"noise {n}" for n in range(said)))
    ana.types("/ignore Troll")
    ana.ask(ReadHistory(limit=5))
    (page,) = (e for e in ana.connection.events if isinstance(e, HistoryShown))
    assert (page.entries, page.before) == ((), before)


def test_where_very_much_was_said_by_them_the_page_says_where_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "READ", 5)
    monkeypatch.setattr(reading, "READS", 3)
    world = World()
    ana, troll, bia = world.enter("Ana", "Troll", "Bia")
    bia.types("first")
    for n in range(30):
        troll.types(f"noise {n}")
    ana.types("/ignore Troll")
    pages = [ana.types("/history lobby 2")]
    while match := re.search(r"/history lobby \d+ before (\d+)", pages[-1][-1]):
        pages.append(ana.types(f"/history lobby 2 before {match[1]}"))
    assert [len(page) for page in pages] == [2, 2, 2]
    bia.types("last")
    ana.connection.events.clear()
    after, found = 1, []
    while after:
        ana.ask(ReadHistory(after=after))
        (page,) = (e for e in ana.connection.events if isinstance(e, HistoryShown))
        ana.connection.events.clear()
        found += [entry.text for entry in page.entries]
        after = page.after
    assert found == ["last"]
    assert pages[-1][1].endswith("[Bia]: first")


def test_whoever_comes_back_stays_ignored() -> None:
    world = World()
    ana, troll = world.enter("Ana", "Troll")
    ana.types("/ignore Troll")
    code = code_of(troll)
    troll.breaks_off()
    world.journal.run()
    again = Visitor(world)
    again.types(f"/resume {code}", "boo", "/nick Elf")
    assert ana.sees() == []
    assert ana.types("/ignore") == ["[SERVER]: You are ignoring: Elf."]


def test_what_they_said_before_is_hidden_from_whoever_comes_into_the_room() -> None:
    world = World()
    ana, troll = world.enter("Ana", "Troll")
    troll.types("/join cinema", "boo", "/nick Elf", "boo again")
    ana.types("/ignore Elf")
    assert not [line for line in ana.types("/join cinema") if "boo" in line]

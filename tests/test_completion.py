"""What the Tab key offers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.characters import any_text
from twisted_chat.core.characters import find_unsafe
from twisted_chat.terminal.commands import table
from twisted_chat.terminal.completion import Known, complete
from twisted_chat.terminal.view import Tab

TABS = {
    "lobby": Tab("lobby", people=["alice", "Zoé", "albert", "me"]),
    "cinema": Tab("cinema", people=["bob", "alice"]),
    "ci": Tab("ci"),
}
KNOWN = Known(TABS, "lobby", "me", "en")
PORTUGUESE = KNOWN._replace(language="pt_BR")


def completed(before: str, known: Known = KNOWN) -> list[str]:
    """The whole text before the cursor, with each candidate in its place."""
    found = complete(before, known)
    return [before[: len(before) - found.length] + text for text in found.candidates]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # nicknames: whoever spoke last comes first, oneself never
        ("ali", ["alice: "]),
        ("al", ["alice: ", "albert: "]),
        ("AL", ["alice: ", "albert: "]),
        ("zoe", ["Zoé: "]),
        ("hello al", ["hello alice ", "hello albert "]),
        ("m", []),
        ("bo", []),
        # nothing to go by
        ("", []),
        ("hello ", []),
        # rooms
        ("#ci", ["#cinema ", "#ci "]),
        ("see #ci", ["see #cinema ", "see #ci "]),
        ("#", ["#lobby ", "#cinema ", "#ci "]),
        ("/join ci", ["/join #cinema ", "/join #ci "]),
        ("/join #cin", ["/join #cinema "]),
        ("/leave ", ["/leave #lobby ", "/leave #cinema ", "/leave #ci "]),
        ("/who lo", ["/who #lobby "]),
        ("/history cin", ["/history #cinema "]),
        ("/search #cin", ["/search #cinema "]),
        ("/search ali", ["/search alice "]),
        ("/entrar ci", ["/entrar #cinema ", "/entrar #ci "]),
        # commands
        ("/jo", ["/join "]),
        ("/JO", ["/join "]),
        ("/roo", ["/rooms ", "/room "]),
        ("/ent", ["/entrar "]),
        ("/x", []),
        # arguments
        ("/msg ", ["/msg alice ", "/msg Zoé ", "/msg albert ", "/msg bob "]),
        ("/msg bo", ["/msg bob "]),
        ("/ignore b", ["/ignore bob "]),
        ("/unignore b", ["/unignore bob "]),
        ("/msg bob al", ["/msg bob alice ", "/msg bob albert "]),
        ("/timestamps ", ["/timestamps on ", "/timestamps off "]),
        ("/receipts of", ["/receipts off "]),
        ("/lang p", ["/lang pt_BR "]),
        ("/help jo", ["/help join "]),
        ("/help /jo", ["/help join "]),
        ("/me ali", ["/me alice "]),
        ("/rooms ", []),
        ("/nonsense al", []),
        # a line that only looks like a command
        ("//al", []),
        ("//x al", ["//x alice ", "//x albert "]),
    ],
)
def test_what_is_offered(before: str, after: list[str]) -> None:
    assert completed(before) == after


def test_commands_are_offered_in_the_persons_language_first() -> None:
    assert completed("/e", PORTUGUESE) == ["/entrar ", "/eu ", "/encerrar "]
    assert completed("/join", PORTUGUESE) == ["/join "]
    assert completed("/horarios l", PORTUGUESE) == ["/horarios ligar "]


def test_accents_can_be_left_out_of_commands() -> None:
    assert completed("/histór", PORTUGUESE) == ["/historico "]


@pytest.mark.parametrize("language", ["en", "pt_BR"])
def test_every_command_can_be_completed(language: str) -> None:
    offered = completed("/", KNOWN._replace(language=language))
    assert [text.strip() for text in offered] == [f"/{one.name(language)}" for one in table().typed]


def test_before_one_is_in_a_room_commands_are_there_and_people_are_not() -> None:
    nowhere = Known({}, None, None, "en")
    assert completed("/jo", nowhere) == ["/join "]
    assert completed("al", nowhere) == []
    assert completed("/msg ", nowhere) == []
    assert completed("#", nowhere) == []


def test_what_is_common_to_all_candidates_can_be_typed_at_once() -> None:
    assert complete("a", KNOWN).common == "al"
    assert complete("ali", KNOWN).common == "alice: "
    assert complete("nobody", KNOWN).common == ""


@given(any_text, any_text, any_text)
def test_nothing_that_is_offered_steers_the_terminal(before: str, room: str, name: str) -> None:
    known = Known({room: Tab(room, people=[name])}, room, None, "en")
    for text in (before, before[:1], f"/msg {name[:1]}", "/join ", "#", name[:1]):
        found = complete(text, known)
        assert found.length <= len(text)
        assert all(find_unsafe(candidate) is None for candidate in found.candidates)
        assert all(candidate.startswith(found.common) for candidate in found.candidates)


@given(st.text("abz", max_size=3), st.lists(st.text("abz", min_size=1), max_size=5))
def test_each_candidate_begins_with_what_was_typed(typed: str, names: list[str]) -> None:
    known = Known({"x": Tab("x", people=names)}, "x", None, "en")
    expected = [name for name in dict.fromkeys(names) if typed and name.startswith(typed)]
    assert [c.removesuffix(": ") for c in complete(typed, known).candidates] == expected

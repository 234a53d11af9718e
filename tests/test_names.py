"""Which names there are, and which two of them cannot be told apart."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twisted_chat.characters import find_unsafe
from twisted_chat.errors import (
    NameInvalid,
    NameMissing,
    NameMixesScripts,
    NameReserved,
    NameTooLong,
    Refusal,
)
from twisted_chat.names import (
    NICKNAME_LIMIT,
    RESERVED,
    ROOM_LIMIT,
    Nickname,
    folded,
    nickname,
    room_name,
    skeleton,
)

any_text = st.text(st.characters(exclude_categories=()), max_size=NICKNAME_LIMIT + 8)

_ALPHABETS = (
    "abcilmnorswIOLSZéñĞ",
    "İıßẞÅKſǅﬁＡａ",
    "асеорхуАВСОЅѕі",
    "ΑΒΟοασςΣὈ",
    "山田たろうヤマダﾔﾏﾀﾞ",
    "한국어하",
    "नमस्ते",
    "نوراשלום١",
)

#: Texts that are names more often than not: of one script, with marks and lookalikes.
name_like = st.one_of(
    *(
        st.text(
            st.one_of(st.sampled_from(letters), st.sampled_from("015_-.'\u0301\u0307\u0338\u0327")),
            min_size=1,
            max_size=NICKNAME_LIMIT,
        )
        for letters in _ALPHABETS
    )
)


def collide(one: str, other: str) -> bool:
    return bool(nickname(one).keys & nickname(other).keys)


GOOD = (
    "José",
    "李雷",
    "Оля",
    "山田たろう",
    "नमस्ते",
    "한국어",
    "نورا",
    "שלום",
    "Ἀθηνᾶ",
    "ไทย",
    "O'Neil",
    "a.b",
    "_x-",
    "7up",
    "x" * NICKNAME_LIMIT,
)


@pytest.mark.parametrize("name", GOOD)
def test_names_of_many_scripts_are_good_and_shown_as_typed(name: str) -> None:
    assert nickname(name).text == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("name", GOOD)
def test_what_is_a_nickname_is_a_room_name_with_and_without_its_sign(name: str) -> None:
    assert room_name(name) == room_name(f"#{name}") == nickname(name).folded


def test_spaces_around_a_name_do_not_count() -> None:
    assert nickname("  Ana\t") == nickname("Ana")
    assert room_name("  #Cinema ") == "cinema"


def test_a_name_is_composed_and_of_usual_width() -> None:
    assert nickname("Jose\u0301") == nickname("José")
    assert nickname("Ａｎａ").text == "Ana"
    assert nickname("ﾔﾏﾀﾞ").text == "ヤマダ"


REFUSED: tuple[tuple[str, type[Refusal]], ...] = (
    ("", NameMissing),
    ("   ", NameMissing),
    ("x" * (NICKNAME_LIMIT + 1), NameTooLong),
    ("a b", NameInvalid),
    ("a\u00a0b", NameInvalid),
    ("a\u3000b", NameInvalid),
    ("🙂", NameInvalid),
    ("Ana🙂", NameInvalid),
    ("An\u200ba", NameInvalid),
    ("An\u200da", NameInvalid),
    ("An\ufeffa", NameInvalid),
    ("An\u00ada", NameInvalid),
    ("\u202eAna", NameInvalid),
    ("A\u2066na", NameInvalid),
    ("A\u200ena", NameInvalid),
    ("A\x1bna", NameInvalid),
    ("A\x00na", NameInvalid),
    ("A\x9bna", NameInvalid),
    ("A\nna", NameInvalid),
    ("A\ud800na", NameInvalid),
    ("-Ana", NameInvalid),
    (".Ana", NameInvalid),
    ("'Ana", NameInvalid),
    ("\u0301Ana", NameInvalid),
    ("Ana\u0489", NameInvalid),
    ("#Ana", NameInvalid),
    ("/Ana", NameInvalid),
    ("../../x", NameInvalid),
    ("[Ana]:", NameInvalid),
    ("<Ana>", NameInvalid),
    ("ﬁsh", NameInvalid),
    ("аlice", NameMixesScripts),
    ("Οlga", NameMixesScripts),
    ("李Оля", NameMixesScripts),
    ("SERVER", NameReserved),
    ("server", NameReserved),
    ("Servidor", NameReserved),
    ("SERVlDOR", NameReserved),
    ("SERV1DOR", NameReserved),
    ("SERVID0R", NameReserved),
    ("ＳＥＲＶＥＲ", NameReserved),
)


@pytest.mark.parametrize(("name", "refusal"), REFUSED)
def test_a_name_that_is_none_is_refused_by_its_class(name: str, refusal: type[Refusal]) -> None:
    with pytest.raises(Refusal) as refused:
        nickname(name)
    assert type(refused.value) is refusal


@pytest.mark.parametrize(
    "name", ["", "#", "a b", "a\x1bb", "🙂", "-a", "##a", "# a", "a\u202eb", "x" * (ROOM_LIMIT + 1)]
)
def test_a_room_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Refusal):
        room_name(name)


def test_a_refusal_says_which_scripts_are_mixed_and_how_long_a_name_may_be() -> None:
    with pytest.raises(NameMixesScripts, match=r"\(Cyrillic, Latin\)"):
        nickname("аlice")
    with pytest.raises(NameTooLong, match="32"):
        nickname("x" * 33)


@pytest.mark.parametrize("reserved", RESERVED)
def test_what_the_server_calls_itself_is_reserved_in_any_case(reserved: str) -> None:
    for name in (reserved, reserved.lower(), reserved.title()):
        with pytest.raises(NameReserved):
            nickname(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "ALICE"),
        ("Оля", "ОЛЯ"),
        ("Ana", "Ａｎａ"),
        ("Ana", "An\u0338a"),  # a stroke over the n, which composes with nothing
        ("scope", "ѕсоре"),
        ("SCOPE", "ЅСОРЕ"),
        ("BOB", "ВОВ"),
        ("ANNA", "ΑΝΝΑ"),
        ("oo", "οο"),
        ("Alice", "AIice"),
        ("Ian", "lan"),
        ("Bob", "B0b"),
        ("O1", "0l"),
        ("user1", "userl"),
        ("user1", "userI"),
        ("modern", "modem"),
        ("José", "Jose\u0301"),
        ("José", "JOSÉ"),
    ],
)
def test_lookalikes_collide(one: str, other: str) -> None:
    assert collide(one, other)
    assert collide(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("José", "Jose"),
        ("user1", "user2"),
        ("Ana", "Anna"),
        ("Ana", "Ani"),
        ("Maria", "Mario"),
        ("a.b", "ab"),
        ("a_b", "a-b"),
        ("Оля", "Коля"),
        ("李雷", "李明"),
        ("박", "백"),
        ("नम", "नमः"),
    ],
)
def test_names_that_the_eye_tells_apart_stay_distinct(one: str, other: str) -> None:
    assert not collide(one, other)


def test_the_lookup_form_is_the_folded_name_or_the_text_itself() -> None:
    assert folded("JOSÉ") == folded("Jose\u0301") == "josé"
    assert folded("no name!") == "no name!"


def test_every_letter_that_has_a_small_one_is_a_nickname_or_refused() -> None:
    """A capital letter can be forbidden although its small one is allowed."""
    refused = set()
    for letter in map(chr, range(sys.maxunicode + 1)):
        if letter.lower() != letter:
            try:
                nickname(letter)
            except Refusal:
                refused.add(letter)
    assert "\u03f4" in refused
    assert "A" not in refused


@given(st.one_of(any_text, name_like))
@settings(max_examples=400, deadline=None)
@example("İ" * NICKNAME_LIMIT)
def test_any_text_is_a_nickname_or_refused(text: str) -> None:
    try:
        name = nickname(text)
    except Refusal:
        return
    assert isinstance(name, Nickname)
    assert find_unsafe(name.text) is None
    assert not any(character.isspace() for character in name.text)
    assert 0 < len(name.text) <= NICKNAME_LIMIT
    assert name.keys
    assert "" not in name.keys, "it would collide with every other name of this kind"
    assert nickname(name.text) == name, "what is shown must spell the same name"
    assert folded(name.folded) == name.folded


@given(name_like)
@settings(max_examples=200, deadline=None)
def test_a_name_collides_with_its_lower_case(text: str) -> None:
    try:
        name, lower = nickname(text), nickname(text.lower())
    except Refusal:
        return
    assert name.folded == lower.folded
    assert name.keys & lower.keys


@given(st.one_of(any_text, name_like))
@settings(max_examples=400, deadline=None)
@example("İ" * ROOM_LIMIT)
def test_any_text_is_a_room_name_or_refused(text: str) -> None:
    try:
        room = room_name(text)
    except Refusal:
        return
    assert find_unsafe(room) is None
    assert not any(character.isspace() for character in room)
    assert 0 < len(room) <= ROOM_LIMIT
    assert room_name(room) == room_name(f"#{room}") == room


@given(st.text(max_size=20))
@settings(deadline=None)
def test_the_skeleton_of_a_skeleton_is_itself(text: str) -> None:
    """As UTS 39 asks of its prototypes."""
    assert skeleton(skeleton(text)) == skeleton(text)

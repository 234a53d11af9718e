"""Which names there are, and which two of them cannot be told apart."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twisted_chat.core.characters import find_unsafe
from twisted_chat.core.errors import (
    NameCharacter,
    NameDirection,
    NameMarks,
    NameMissing,
    NameMixesScripts,
    NameReserved,
    NameStart,
    NameTooLong,
    Refusal,
    RoomNameMissing,
)
from twisted_chat.core.names import (
    ALWAYS_RESERVED,
    NICKNAME_LIMIT,
    RESERVED,
    ROOM_LIMIT,
    Nickname,
    Reserved,
    RoomNames,
    fold,
    folded,
    nickname,
    room_among,
    room_key,
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
    "น้ำ",
    "ນ້ຳ",
    "ㅋㅋ",
    "1º",
    "ﬁsh",
    "می\u200cخواهم",
    "ප්\u200dරියා",
    "दिल्",
    "নমস্কার",
    "தமிழ்",
    "မြန်မာ",
    "နွဲ့နွဲ့",
    "ជំរាបសួរ",
    "བསྟན་འཛིན",
    "שָׁלוֹם",
    "מֹשֶּׁה",
    "مُحَمَّد",
    "צ׳רלי",
    "ジョン・スミス",
    "Gal·la",
    "COL·LABORAR",
    "Nguyễn",
    "ẹ́",
    "ʻIolani",
    "Strauß",
    "Οδυσσεύς",
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
    assert room_name(name) == room_name(f"#{name}") == room_name(room_name(name))
    assert room_key(room_name(name)) == nickname(name).folded


def test_spaces_around_a_name_do_not_count() -> None:
    assert nickname("  Ana\t") == nickname("Ana")
    assert room_name("  #Cinema ") == "cinema"


def test_a_name_is_composed_and_of_usual_width() -> None:
    assert nickname("Jose\u0301") == nickname("José")
    assert nickname("Ａｎａ").text == "Ana"
    assert nickname("ﾔﾏﾀﾞ").text == "ヤマダ"
    assert nickname("𝔄𝔫𝔞").text == "Ana"
    assert nickname("O’Neil").text == "O'Neil"


REFUSED: tuple[tuple[str, type[Refusal]], ...] = (
    ("", NameMissing),
    ("   ", NameMissing),
    ("x" * (NICKNAME_LIMIT + 1), NameTooLong),
    ("a b", NameCharacter),
    ("a\u00a0b", NameCharacter),
    ("a\u3000b", NameCharacter),
    ("🙂", NameCharacter),
    ("Ana🙂", NameCharacter),
    ("An\u200ba", NameCharacter),
    ("An\u200da", NameCharacter),
    ("An\ufeffa", NameCharacter),
    ("An\u00ada", NameCharacter),
    ("\u202eAna", NameCharacter),
    ("A\u2066na", NameCharacter),
    ("A\u200ena", NameCharacter),
    ("A\x1bna", NameCharacter),
    ("A\x00na", NameCharacter),
    ("A\x9bna", NameCharacter),
    ("A\nna", NameCharacter),
    ("A\ud800na", NameCharacter),
    ("-Ana", NameStart),
    (".Ana", NameStart),
    ("'Ana", NameStart),
    ("\u0301Ana", NameStart),
    ("Ana\u0489", NameCharacter),
    ("#Ana", NameCharacter),
    ("/Ana", NameCharacter),
    ("../../x", NameCharacter),
    ("[Ana]:", NameCharacter),
    ("<Ana>", NameCharacter),
    ("An\u3164a", NameCharacter),
    ("Ana①", NameCharacter),
    ("½", NameCharacter),
    ("ﷺ", NameCharacter),
    ("An\u200ca", NameCharacter),
    ("Ana\u00b7", NameCharacter),
    ("Ana\u0640", NameCharacter),
    ("Z" + "".join(map(chr, range(0x300, 0x31C))), NameMarks),
    ("Z\u0300\u0301\u0302", NameMarks),
    ("Z\u0300\u0300", NameMarks),
    ("ก\u0e34\u0e48\u0e49", NameMarks),
    ("7שלום", NameDirection),
    ("שלום-", NameDirection),
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


@pytest.mark.parametrize("name", ["", " ", "#"])
def test_a_room_without_a_name_is_asked_for_the_name_of_a_room(name: str) -> None:
    with pytest.raises(RoomNameMissing, match="name of a room"):
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
        ("José", "Jose"),
        ("bob", "ḅob"),
        ("bob", "ʙᴏʙ"),
        ("bob", "вов"),
        ("Tom", "ТОМ"),
        ("wanda", "vvanda"),
        ("WANDA", "VVANDA"),
        ("bernardo", "Bernarclo"),
        ("bob_", "bob__"),
        ("Victor", "V1ctor"),
        ("Łukasz", "Lukasz"),
        ("Straße", "Strasse"),
        ("می\u200cخواهم", "میخواهم"),
    ],
)
def test_lookalikes_collide(one: str, other: str) -> None:
    assert collide(one, other)
    assert collide(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
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
        ("दिल", "दाल"),
        ("かき", "がき"),
        ("น้ำ", "นำ"),
        ("Clara", "Dara"),
        ("Anna", "Ama"),
        ("bob", "bob_"),
        ("Kai", "Kal"),
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
    assert refused.isdisjoint("AĀÉÇΣЖႠİẞ\u03f4ǅ")
    assert len(refused) < 60, "circled letters"


@given(st.one_of(any_text, name_like))
@settings(max_examples=4 * settings().max_examples, deadline=None)
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
    assert "" not in name.keys, "it would collide with every other name of this kind"
    assert nickname(name.text) == name, "what is shown must spell the same name"
    assert folded(name.folded) == name.folded


def forms(text: str) -> list[str]:
    """``text`` in all cases and normal forms."""
    cases = [text, text.lower(), text.upper(), text.title(), text.swapcase(), text.casefold()]
    return [unicodedata.normalize(f, c) for c in cases for f in ("NFC", "NFD", "NFKC", "NFKD")]


@given(st.one_of(any_text, name_like))
@settings(max_examples=3 * settings().max_examples, deadline=None)
@example("İZMİR")
@example("ızmır")
@example("ὈΔΥΣΣΕΎΣ")
@example("Straße")
@example("น้ำ")
@example("ㅋㅋ")
@example("ŉǰΐᾳﬁĳǅ")
@example("Ị̇́")
def test_a_name_is_one_name_in_all_its_cases_and_forms(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert {fold(form) for form in forms(text)} == {fold(text)}
    try:
        name, room = nickname(text), room_name(text)
    except Refusal:
        return
    for form in forms(text):
        try:
            other, place = nickname(form), room_name(form)
        except (NameTooLong, NameMarks, NameCharacter):  # the form is longer, or an old one
            continue
        assert other.folded == name.folded
        assert other.keys & name.keys
        assert room_key(place) == room_key(room)


def test_izmir_is_one_room() -> None:
    assert room_name("İZMİR") == room_name("izmir") == "izmir"
    assert room_key(room_name("ızmır")) == room_key(room_name("IZMIR")) == "izmir"
    assert room_key(room_name("ΟΔΟΣ")) == room_key(room_name("οδος")) == room_key("οδοσ")


def test_rooms_keep_the_names_they_were_made_under() -> None:
    rooms = RoomNames()
    old = "i\u0307zmi\u0307r"  # what İZMİR was folded to
    assert rooms.find("İZMİR") == "izmir"
    rooms.add(old)
    assert rooms.find("İZMİR") == rooms.find("#izmir") == old
    rooms.add("izmir")
    assert rooms.find("İZMİR") == rooms.find("Izmir") == "izmir"
    assert rooms.find(old) == old
    rooms.add("straße")
    assert rooms.find("STRASSE") == rooms.find("Straße") == "straße"
    rooms.add("z\u0300\u0301\u0302")  # no name today
    assert rooms.find("#z\u0300\u0301\u0302") == "z\u0300\u0301\u0302"
    assert rooms.find("Z\u0300\u0301\u0302") == rooms.find("#z\u0300\u0301\u0302")
    assert room_among("#Z\u0300\u0301\u0302", ["z\u0300\u0301\u0302"]) == "z\u0300\u0301\u0302"
    rooms.add("strasse")
    assert rooms.find("Straße") == rooms.find("STRAßE") == "straße"
    assert rooms.find("STRASSE") == "strasse"
    rooms.remove("straße")
    assert rooms.find("Straße") == "strasse"
    rooms.remove("strasse")
    rooms.remove("izmir")
    assert rooms.find("IZMIR") == old
    assert rooms.find("STRASSE") == "strasse"
    with pytest.raises(Refusal):
        rooms.find("no room")
    assert room_among("STRASSE", ["lobby", "straße"]) == "straße"
    assert room_among(old, [old, "izmir"]) == old
    assert room_among("İzmir", [old, "izmir"]) == "izmir"
    assert room_among("İzmir", ["lobby"]) == "izmir"


def test_reserved_names_are_so_in_any_case_punctuation_and_digits() -> None:
    reserved = Reserved((*ALWAYS_RESERVED, "Diretoria", "Team5"))
    with_digits = ("Adm1n", "diret0ria", "S3RVER", "5ERVER", "S3rv3r", "4dm1n", "r007", "Team5")
    for name in ("admin", "ADMIN", "a.d.m.i.n", "_admin_", "ᴀᴅᴍɪɴ", "Admín", *with_digits):
        with pytest.raises(NameReserved):
            reserved.check(nickname(name))
    for name in ("Ana", "Adminda", "modesto", "Rooter", "diretor", "R2D2", "Ana4", "mod3rn"):
        reserved.check(nickname(name))


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("a b", r"U\+0020 \(SPACE\)"),
        ("Ana🙂", r"U\+1F642 \(🙂, SLIGHTLY SMILING FACE\)"),
        ("A\u200bna", r"U\+200B \(ZERO WIDTH SPACE\)"),
        ("A\x1bna", r"U\+001B;"),
        ("-Ana", r"U\+002D \(-, HYPHEN-MINUS\)"),
        ("Z\u0300\u0301\u0302", r"U\+0302 \(◌\u0302, COMBINING CIRCUMFLEX ACCENT\).* 2 marks"),
    ],
)
def test_a_refusal_names_the_character(name: str, named: str) -> None:
    with pytest.raises(Refusal, match=named) as refused:
        nickname(name)
    assert find_unsafe(refused.value.sentence("pt_BR")) is None
    assert refused.value.code == "name-invalid"


@given(st.one_of(any_text, name_like))
@settings(max_examples=4 * settings().max_examples, deadline=None)
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


@pytest.mark.parametrize("like", ["ƅob", "ⲃⲟⲃ"])
def test_letters_that_are_drawn_like_small_latin_ones_look_like_them(like: str) -> None:
    assert not nickname("bob").keys.isdisjoint(nickname(like).keys)

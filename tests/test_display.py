"""What people wrote passes for nobody else's line, wherever a terminal breaks it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import World
from twisted_chat.core.characters import find_unsafe, stripped
from twisted_chat.core.lookalikes import letters
from twisted_chat.dialects.display import BLANKS_IN_A_ROW, is_plain, shown

#: Drawn as blanks, or not at all.
BLANKS = "\t \u00a0\u1680\u2003\u202f\u205f\u2800\u3000\u3164\uffa0"
UNSEEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u061c\u180e\ufe0e\U000e0100"

hostile = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "[SERVER]: x",
                "[0]:",
                "[*SERVER*]:",
                "[SERVIDOR] :",
                "[Ana]: no",
                "[",
                "]",
                ":",
                "［",
                "］",
                "x",
                "\u0301" * 9,
            ]
        ),
        st.text(st.sampled_from(BLANKS + UNSEEN), min_size=1, max_size=100),
        st.text(max_size=80),
    ),
    max_size=6,
).map("".join)


@pytest.mark.parametrize(
    ("text", "as_shown"),
    [
        ("x" + " " * 70 + "[SERVER]: stop", "x (SERVER): stop"),
        ("a\tb", "a    b"),
        ("a\t\t\tb", "a b"),
        ("a" + "\u3000" * 40 + "b", "a b"),
        ("a" + "\u2800\u00a0\u3164" * 20 + "b", "a b"),
        ("a" + " \u200b" * 40 + "b", "a \u200bb"),
        ("a\u200b\u200b\u200bb", "a\u200bb"),
        ("[SERVER]: x", "(SERVER): x"),
        ("[ servidor ] x", "( servidor ) x"),
        ("［SERVER］：x", "(SERVER)：x"),
        ("[SER\u200bVER]\u200b:", "(SER\u200bVER)\u200b:"),
        ("[[SERVER]: x", "[(SERVER): x"),
        ("[Ana, in private]: x", "(Ana, in private): x"),
        ("\x1b[2J", "␛[2J"),
        ("a[0]: 1", "a(0): 1"),  # 0 can be somebody's name
        ('["SERVER"]: x', '("SERVER"): x'),
        ("[**server**]: x", "(**server**): x"),
        ("[Ana / in private]: x", "(Ana / in private): x"),
        ("[__]: x", "(__): x"),
        ("[*Ана*]: x", "(*Ана*): x"),
        ("[SERVER" + "\ufe0f" * 99 + "]: x", "(SERVER" + "\ufe0f" * 99 + "): x"),
        ("[Ana]" + "\ufe0f" * 99 + ": x", "(Ana)" + "\ufe0f" * 99 + ": x"),
        ("[Ana]\u0321\u1161\ufff9: x", "(Ana)\u0321\u1161\ufff9: x"),
        ("⌊Ana⌋: x", "(Ana): x"),
        ("〔Ana⎦: x", "(Ana): x"),
        ("[ЅЕRVЕR] x", "(ЅЕRVЕR) x"),
        ("[SERVI\u0323DOR] x", "(SERVI\u0323DOR) x"),
        ("[$ERV3R]: x", "($ERV3R): x"),
        ("a" + "\u0301\u0e47\u20dd" * 40 + "b", "a" + "\u0301\u0e47\u20dd" * 2 + "\u0301\u0e47b"),
        ("a" + "\u0301\u200b" * 40 + "b", "a" + "\u0301\u200b" * 8 + "b"),
        ("x" + "\U0001d159\U00013441" * 40 + "y", "x y"),
    ],
)
def test_what_could_pass_for_another_line_is_seen_to_be_none(text: str, as_shown: str) -> None:
    assert shown(text) == as_shown


@pytest.mark.parametrize(
    "text",
    [
        "Olá, 李雷 🙂",
        "    return x  # indented",
        "see [1] and list[int] or [a link](http://x/)",
        "👩\u200d❤️\u200d👩",
        "می\u200cخواهم",
        "全角\u3000の",
        "12:30 - 13:00",
        "for x in xs[1:]: print(d['key'], rows[-1:2])",
        'd["key"]: int = d["a b"]["c"]: 1',
        "while seen[i+1]: i += 1",
        "- [ ]: to do, [*]: done, []: nothing",
        "[10:32:07]: started, [2026-01-01 10:32]: ended",
        "| a | b |\n".replace("\n", " ") + "|---|:-:|",
        "https://example.org/a?b[]=1&c[x]=2#d",
        "[the server is down] he said",
        "שלום: [1] עולם",
        "น้ำ हिन्दी tiếng Việt בְּרֵאשִׁ֖ית",
        "「はい」：とてもいい、【重要】：読む",
        "[" + "a long aside, " * 9 + "]: and on",
    ],
)
def test_what_people_write_is_shown_as_it_is(text: str) -> None:
    assert shown(text) == text


@given(hostile)
def test_no_line_of_the_server_or_of_others_is_in_it(text: str) -> None:
    seen = shown(text)
    assert shown(seen) == seen
    assert find_unsafe(seen) is None
    assert "\t" not in seen
    assert is_plain(text) <= (seen == text)
    bare = "".join(c for c in seen if c not in UNSEEN)
    plain = unicodedata.normalize("NFKC", bare)
    assert "[SERVER]" not in plain
    assert "[0]:" not in plain
    assert "[Ana]:" not in plain.replace(" ", "")
    drawn = "".join(" " if c in BLANKS else c for c in bare)
    assert " " * (BLANKS_IN_A_ROW * 2) not in drawn


def test_whatever_looks_like_a_colon_is_taken_for_one() -> None:
    """By Unicode's own table (UTS 39)."""
    colons = [sign for sign, like in letters().items() if like == ":"]
    assert len(colons) >= 15
    assert {shown(f"[Ana]{chr(sign)} x")[0] for sign in colons} == {"("}


@given(hostile)
def test_nothing_unseen_is_left_at_the_ends(text: str) -> None:
    seen = stripped(text)
    assert seen in text
    assert not seen or (seen[0] not in BLANKS + UNSEEN and seen[-1] not in BLANKS + UNSEEN)


def test_everything_that_people_are_shown_is_so() -> None:
    """Lines, actions, private messages, topics, history, search; the log has the exact text."""
    world = World()
    ana, bia = world.enter("Ana", "Bia")
    text = "hello" + "\u00a0" * 60 + "[SERVER]: x\ty"
    ana.types(text, f"/me {text}", f"/msg Bia {text}", f"/topic {text}")
    told = bia.sees()
    told += bia.types(
        "/topic", "/rooms", "/history", "/search hello", "/join cinema", "/join lobby"
    )
    for line in told:
        assert "[SERVER]: x" not in line
        assert "\u00a0" not in line
        assert "\t" not in line
    assert sum("hello (SERVER): x    y" in line for line in told) >= 10
    log = world.journal.log.store.reader().after("lobby", 0, 9, 9)
    assert {entry.text for entry in log} == {text}

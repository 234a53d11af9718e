"""What reaches a terminal: nothing that could steer it or disguise a line."""

from __future__ import annotations

import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tests.support.characters import BIDI_CONTROLS, any_text
from twisted_chat.core.characters import find_unsafe, is_printable, visible, visible_lines


def steers(character: str) -> bool:
    """Whether a terminal acts on ``character``, by Unicode's own properties."""
    return character != "\t" and (
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(character) in BIDI_CONTROLS
    )


def test_unsafe_are_exactly_those_that_steer_a_terminal() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        assert (find_unsafe(character) == character) == steers(character), hex(ord(character))


@given(any_text)
def test_visible_text_holds_nothing_unsafe(text: str) -> None:
    shown = visible(text)
    assert not any(steers(character) for character in shown)
    assert find_unsafe(shown) is None
    shown.encode("utf-8")


@given(any_text)
def test_visible_keeps_safe_text_and_the_length(text: str) -> None:
    """Every unsafe character is replaced by one other, and nothing else is touched."""
    shown = visible(text)
    assert len(shown) == len(text)
    assert all(
        (after == before) != steers(before) for before, after in zip(text, shown, strict=True)
    )
    assert visible(shown) == shown


@given(any_text)
def test_find_unsafe_names_the_first_one(text: str) -> None:
    assert find_unsafe(text) == next((c for c in text if steers(c)), None)


@given(any_text | st.text(st.characters(codec="ascii")))
def test_the_fast_test_for_long_texts_says_the_same(text: str) -> None:
    assert is_printable(text) == text.isprintable()


@given(any_text)
def test_lines_that_are_visible_are_those_of_the_text(text: str) -> None:
    assert visible_lines(text).split("\n") == [visible(line) for line in text.split("\n")]


def test_the_pictures() -> None:
    """Unicode's own picture of each C0 control has its name in it."""
    for code in (*range(9), *range(10, 32), 127):
        assert unicodedata.name(visible(chr(code))).startswith("SYMBOL FOR ")
    assert visible("\x1b]52;c;aGk=\x07") == "␛]52;c;aGk=␇"
    assert visible("a\x7fb\x9bc\u202ed\ud800") == "a␡b\ufffdc\ufffdd\ufffd"
    assert visible("tab\tstays, Olá 李雷 🙂") == "tab\tstays, Olá 李雷 🙂"

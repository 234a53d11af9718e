"""Where long lines are broken."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_chat.terminal.colours import Look, paint, width
from twisted_chat.terminal.view import Line
from twisted_chat.terminal.wrapping import ROW_END, hanging, plain, rows, wrap

words = st.lists(st.text("ab語é", min_size=1, max_size=12), min_size=1, max_size=40)


def test_a_line_that_fits_is_left_alone() -> None:
    assert wrap("[Ana]: oi  there", 80, 2) == "[Ana]: oi  there"


def test_a_row_ends_at_a_blank_and_the_next_is_indented() -> None:
    assert wrap("[Ana]: one two three four five", 20, 2).split(ROW_END) == [
        "[Ana]: one two three",
        "  four five",
    ]


def test_the_help_hangs_below_its_second_column() -> None:
    text = "  /history [ROOM] [COUNT] [before NUMBER]  Show earlier messages, each with its number"
    _, second = wrap(text, 80, hanging(text, 80)).split(ROW_END)
    assert second.index("number") == text.index("Show") == hanging(text, 80)


def test_a_long_word_stays_in_one_piece() -> None:
    address = "https://example.org/" + "x" * 40
    assert wrap(f"[Ana]: {address} oi", 30, 2) == f"[Ana]: {address} oi"
    assert address in wrap(f"[Ana]: see this page {address} oi", 30, 2)


def test_a_narrow_terminal_breaks_lines_itself() -> None:
    assert wrap("one two three four five", 10, 2) == "one two three four five"


@pytest.mark.parametrize(
    ("text", "indent"),
    [
        ("  /join ROOM    Go to a room.", 16),
        ("[SERVER]: You are Ana now.", 2),
        ("     3 2026-01-01 10:00 [Ana]: oi", 7),
        ("    12  #lobby  A topic", 8),
    ],
)
def test_the_second_row_hangs_below_the_text(text: str, indent: int) -> None:
    assert hanging(text, 80) == indent


@given(words, st.integers(20, 60), st.integers(0, 80))
def test_no_word_is_broken_lost_or_moved(given: list[str], columns: int, indent: int) -> None:
    text = " ".join(given)
    broken = wrap(text, columns, indent)
    assert broken.replace(ROW_END, " ").split() == given
    for row in broken.split(ROW_END):
        assert width(row) <= columns or len(row.split()) == 1
    assert rows(broken, columns) >= broken.count(ROW_END) + 1


@given(words, st.integers(20, 60))
def test_colours_change_nothing(given: list[str], columns: int) -> None:
    line = Line(text="[Ana]: " + " ".join(given), kind="said", nickname="Ana", time=0)
    painted = paint(line, Look(256), columns, timestamps=True)
    uncoloured = paint(line, Look(0), columns, timestamps=True)
    broken = wrap(painted, columns, 8)
    assert plain(broken) == wrap(plain(uncoloured), columns, 8)
    assert re.sub(r"\r\n *| +", " ", broken) == re.sub(" +", " ", painted)

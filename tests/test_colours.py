"""How lines look: understandable without colour, readable with it, harmless always."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.characters import any_text
from twisted_chat.core.characters import find_unsafe
from twisted_chat.terminal.colours import (
    PALETTES,
    Look,
    clip,
    local_time,
    look,
    nickname_colour,
    paint,
    rule,
    usable,
    width,
)
from twisted_chat.terminal.view import Line

SGR = re.compile(r"\x1b\[[0-9;]*m")

LOOKS = [Look(0), *(Look(n, b) for n in (16, 256) for b in ("dark", "light"))]

looks = st.sampled_from(LOOKS)
lines = st.builds(
    Line,
    text=any_text,
    kind=st.sampled_from(["said", "act", "private", "notice", "error", "mark"]),
    nickname=st.none() | any_text,
    body=st.none() | any_text,
    time=st.none() | st.integers(),
    own=st.booleans(),
    mentions=st.booleans(),
)


def plain(text: str) -> str:
    return SGR.sub("", text)


def said(text: str = "[Ana]: oi", *, mentions: bool = False, time: int | None = None) -> Line:
    return Line(text=text, kind="said", nickname="Ana", mentions=mentions, time=time)


# -- what a terminal can show -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm"}, Look(16, "dark")),
        ({"TERM": "xterm-256color"}, Look(256, "dark")),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, Look(256, "dark")),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, Look(0, "dark")),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, Look(256, "dark")),
        ({"TERM": "xterm", "COLORFGBG": "0;15"}, Look(16, "light")),
        ({"TERM": "xterm", "COLORFGBG": "0;default;7"}, Look(16, "light")),
        ({"TERM": "xterm", "COLORFGBG": "15;0"}, Look(16, "dark")),
        ({"TERM": "xterm", "COLORFGBG": "?"}, Look(16, "dark")),
    ],
)
def test_the_environment_says_what_the_terminal_can(
    environment: dict[str, str], expected: Look
) -> None:
    assert look(environment) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "XTERM_VERSION": "XTerm(379)"}, False),
        ({"TERM": "screen", "STY": "1.pts"}, False),
        ({"TERM": "linux"}, False),
        ({"TERM": "screen", "TMUX": "/tmp/x", "XTERM_VERSION": "XTerm(379)"}, True),
    ],
)
def test_what_wraps_anew_is_known(environment: dict[str, str], expected: bool) -> None:
    assert look(environment).reflows == expected


def test_the_person_knows_the_background_better() -> None:
    assert look({"TERM": "xterm", "COLORFGBG": "15;0"}, "light").background == "light"


def test_a_prompt_needs_a_terminal_on_both_sides_that_is_not_dumb() -> None:
    for term, there, expected in (("xterm", True, True), ("dumb", True, False), ("", True, False)):
        assert usable({"TERM": term}, input_is_terminal=there, output_is_terminal=True) == expected
    assert not usable({"TERM": "xterm"}, input_is_terminal=False, output_is_terminal=True)
    assert not usable({"TERM": "xterm"}, input_is_terminal=True, output_is_terminal=False)
    assert not usable({}, input_is_terminal=True, output_is_terminal=True)


# -- colours of nicknames ---------------------------------------------------------------------


def test_a_nickname_has_the_same_colour_in_another_process() -> None:
    """Python's own ``hash`` would differ."""
    program = "from twisted_chat.terminal.colours import *; print(nickname_colour('Zoé', Look()))"
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stdout
    assert int(printed) == nickname_colour("Zoé", Look())


def test_the_case_of_a_nickname_does_not_change_its_colour() -> None:
    assert nickname_colour("ANA", Look()) == nickname_colour("ana", Look())


def test_nicknames_differ_in_colour() -> None:
    for one in LOOKS[1:]:
        seen = {nickname_colour(f"n{number}", one) for number in range(500)}
        assert seen == set(PALETTES[one.colours, one.background])


def test_no_colours_are_no_colours() -> None:
    assert nickname_colour("Ana", Look(0)) is None


def test_colours_of_the_cube_have_contrast() -> None:
    """WCAG 2.1: 4.5 to 1, on #262626 and on #eeeeee."""
    for colour in PALETTES[256, "dark"]:
        assert _contrast(_luminance(*_cube(colour)), _luminance(38, 38, 38)) >= 4.5, colour
    for colour in PALETTES[256, "light"]:
        assert _contrast(_luminance(*_cube(colour)), _luminance(238, 238, 238)) >= 4.5, colour


def _cube(colour: int) -> tuple[int, int, int]:
    levels = (0, 95, 135, 175, 215, 255)
    red, rest = divmod(colour - 16, 36)
    return levels[red], levels[rest // 6], levels[rest % 6]


def _luminance(*channels: int) -> float:
    linear = (
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in channels)
    )
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


# -- lines ------------------------------------------------------------------------------------


@given(lines, looks, st.integers(1, 200), st.booleans())
def test_nothing_in_a_line_steers_the_terminal(
    line: Line, look: Look, columns: int, timestamps: bool
) -> None:
    shown = plain(paint(line, look, columns, timestamps=timestamps))
    assert find_unsafe(shown) is None
    if line.kind != "mark":
        assert len(shown) == len(line.text) + (6 if timestamps and local_time(line.time) else 0)


@given(lines, looks)
def test_colours_end_with_their_line(line: Line, look: Look) -> None:
    painted = paint(line, look, 80, timestamps=True)
    codes = SGR.findall(painted)
    assert not codes or codes[-1] == "\x1b[0m"


def test_without_colours_only_attributes_are_left() -> None:
    for kind in ("said", "act", "private", "notice", "error"):
        line = Line(text="[Ana]: oi", kind=kind, nickname="Ana", mentions=True)
        codes = "".join(SGR.findall(paint(line, Look(0), 80, timestamps=True)))
        assert set(re.findall(r"[0-9]+", codes)) <= {"0", "1", "2", "7"}


def test_the_nickname_has_its_colour_and_nothing_else_does() -> None:
    line = said("#Ana [Ana]: Ana")
    colour = nickname_colour("Ana", Look())
    assert paint(line, Look(), 80, timestamps=False) == (
        f"#Ana [\x1b[38;5;{colour}mAna\x1b[0m]: Ana"
    )


def test_an_action_is_coloured_at_its_beginning() -> None:
    line = Line(text="* Ana greets [Ana]", kind="act", nickname="Ana")
    assert paint(line, Look(16), 80, timestamps=False).startswith("* \x1b[")
    assert paint(line, Look(16), 80, timestamps=False).endswith(" greets [Ana]")


def test_a_mention_is_highlighted_also_without_colours() -> None:
    mention = paint(said(mentions=True), Look(0), 80, timestamps=False)
    assert "\x1b[7m" in mention
    assert mention != paint(said(), Look(0), 80, timestamps=False)


def test_private_lines_notices_and_errors_differ_from_what_is_said() -> None:
    for one in LOOKS:
        styles = {
            paint(Line(text="x", kind=kind), one, 80, timestamps=False)
            for kind in ("said", "notice", "error")
        }
        assert len(styles) == 3
    private = Line(text="[Ana, in private]: x", kind="private", nickname="Ana")
    as_said = said("[Ana, in private]: x")
    assert paint(private, Look(), 80, timestamps=False) != paint(
        as_said, Look(), 80, timestamps=False
    )


def test_the_time_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Sao_Paulo")
    time.tzset()
    try:
        assert local_time(1_795_464_000_000_000) == "17:00"
        line = said(time=1_795_464_000_000_000)
        assert re.match(r"\d\d:\d\d \[Ana\]: oi$", plain(paint(line, Look(), 80, timestamps=True)))
        assert plain(paint(line, Look(), 80, timestamps=False)) == "[Ana]: oi"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_impossible_time_is_not_shown() -> None:
    assert local_time(10**40) == ""
    assert local_time(-(10**40)) == ""
    assert local_time(None) == ""


# -- widths -----------------------------------------------------------------------------------


@given(any_text, st.integers(2, 100))
def test_a_rule_is_as_wide_as_the_terminal_but_for_one_column(text: str, columns: int) -> None:
    line = Line(text=text, kind="mark")
    shown = plain(paint(line, Look(), columns, timestamps=False))
    # A character of two columns may leave one free.
    assert columns - 2 <= width(shown) <= columns - 1


def test_a_rule_has_its_text_in_it() -> None:
    assert rule("new", 20) == "── new ────────────"
    assert rule("", 5) == "────"


@given(st.text(), st.integers(0, 40))
def test_clipped_text_has_room(text: str, columns: int) -> None:
    clipped = clip(text, columns)
    assert width(clipped) <= columns
    assert clipped == text or clipped.rstrip("…") == text[: len(clipped.rstrip("…"))]


def test_an_ellipsis_says_that_something_is_left_out() -> None:
    assert clip("abcdef", 4) == "abc…"
    assert clip("日本語", 5) == "日本…"
    assert clip("abcd", 4) == "abcd"

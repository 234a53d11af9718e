"""How lines look on a terminal: what it can show, a colour for each nickname, a line as text.

Pure, and it must not know where the text is written, nor what a line is there for.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from typing import Literal

import msgspec
from wcwidth import wcwidth

from twisted_chat.core.characters import visible
from twisted_chat.terminal.view import Line

Background = Literal["dark", "light"]


class Look(msgspec.Struct, frozen=True):
    """What a terminal can show. ``colours`` is 0 for none, 16 or 256."""

    colours: Literal[0, 16, 256] = 256
    background: Background = "dark"
    #: Whether it wraps anew what it shows when it becomes narrower.
    reflows: bool = True


def usable(
    environment: Mapping[str, str], *, input_is_terminal: bool, output_is_terminal: bool
) -> bool:
    """Whether a prompt can stay at the bottom, with lines appearing above it.

    Where it cannot (a pipe, ``TERM=dumb``), lines are written one below the other.
    """
    term = environment.get("TERM", "")
    return input_is_terminal and output_is_terminal and term not in ("", "dumb", "unknown")


def look(environment: Mapping[str, str], background: Background | None = None) -> Look:
    """What the environment says about the terminal; ``background`` if the person knows better.

    No colour with a NO_COLOR that is not empty (https://no-color.org). COLORFGBG, which some
    terminals set, ends with the number of the background's colour.
    """
    return Look(
        _colours(environment), background or _background(environment), _reflows(environment)
    )


def _colours(environment: Mapping[str, str]) -> Literal[0, 16, 256]:
    if environment.get("NO_COLOR"):
        return 0
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return 256
    return 256 if "256color" in environment.get("TERM", "") else 16


def _reflows(environment: Mapping[str, str]) -> bool:
    """Most terminals do. xterm, the console and GNU screen do not; within them, tmux does."""
    if environment.get("TMUX"):
        return True
    others = environment.get("XTERM_VERSION") or environment.get("STY")
    return not others and environment.get("TERM") != "linux"


#: Of the sixteen colours, white and the bright ones but for dark grey.
_LIGHT_COLOURS = {"7", *map(str, range(9, 16))}


def _background(environment: Mapping[str, str]) -> Background:
    last = environment.get("COLORFGBG", "").split(";")[-1]
    return "light" if last in _LIGHT_COLOURS else "dark"


# -- nicknames --------------------------------------------------------------------------------

#: Colours that can be read and told apart; none is red, which errors have.
PALETTES: Mapping[tuple[int, Background], tuple[int, ...]] = {
    (16, "dark"): (2, 3, 5, 6, 10, 11, 12, 13, 14),
    (16, "light"): (2, 4, 5, 6),
    # Of xterm's cube, with a contrast of 4.5 (WCAG 2.1) on a background that is not quite
    # black, or not quite white.
    (256, "dark"): (
        *(34, 35, 37, 39, 46, 48, 70, 71, 74, 87),
        *(118, 120, 136, 141, 173, 201, 202, 205, 220, 228),
    ),
    (256, "light"): (
        *(17, 18, 19, 20, 21, 22, 23, 24, 25, 26),
        *(53, 54, 55, 56, 57, 61, 89, 94, 126, 128),
    ),
}

_RED = 1
_MAGENTA = 5


def nickname_colour(nickname: str, look: Look) -> int | None:
    """The number of its colour, the same at every start and on every machine; None for none."""
    if not look.colours:
        return None
    palette = PALETTES[look.colours, look.background]
    return palette[zlib.crc32(nickname.casefold().encode("utf-8", "replace")) % len(palette)]


# -- lines ------------------------------------------------------------------------------------

# ECMA-48, SGR.
_RESET = "\x1b[0m"
_BOLD = "1"
_DIM = "2"
_REVERSE = "7"


def paint(line: Line, look: Look, columns: int, *, timestamps: bool) -> str:
    """``line`` for a terminal of so many ``columns``, without a line break at its end.

    The only escape sequences in it are SGR ones, and nothing depends on the colours alone.
    """
    if line.kind == "mark":
        return _styled(rule(visible(line.text), columns), _DIM)
    text = visible(line.text)
    clock = local_time(line.time) if timestamps else ""
    return (_styled(clock, _DIM) + " " if clock else "") + _body(line, text, look)


def _body(line: Line, text: str, look: Look) -> str:
    if line.kind == "error":
        return _styled(text, _BOLD, _foreground(_RED, look))
    if line.kind == "notice":
        return _styled(text, _DIM)
    head, name, rest = _split(line, text)
    emphasis = _BOLD if line.mentions or line.kind == "private" else ""
    colour = _foreground(_MAGENTA, look) if line.kind == "private" else ""
    return (
        _styled(head, emphasis, colour)
        + _styled(
            name,
            _BOLD if line.own else "",
            _REVERSE if line.mentions else "",
            _foreground(nickname_colour(name, look), look),
        )
        + _styled(rest, emphasis, colour)
    )


def _split(line: Line, text: str) -> tuple[str, str, str]:
    """``text`` before, in and after the nickname that it is from."""
    name = visible(line.nickname or "")
    before = "* " if line.kind == "act" else "["  # the room's name may be the same
    found = text.find(before + name)
    if not name or found < 0:
        return text, "", ""
    start = found + len(before)
    return text[:start], name, text[start + len(name) :]


def local_time(microseconds: int | None) -> str:
    """``HH:MM`` where the person is; nothing for a time that there is none of."""
    if microseconds is None:
        return ""
    try:
        return time.strftime("%H:%M", time.localtime(microseconds / 1_000_000))
    except (OverflowError, ValueError, OSError):  # a hostile server's
        return ""


def rule(text: str, columns: int) -> str:
    """A line across the width with ``text`` in it. The last column stays free."""
    head = clip(f"── {text} " if text else "", columns - 1)
    return head + "─" * (columns - 1 - width(head))


def _foreground(colour: int | None, look: Look) -> str:
    if colour is None or not look.colours:
        return ""
    if colour < 8:
        return str(30 + colour)
    return str(82 + colour) if colour < 16 else f"38;5;{colour}"


def _styled(text: str, *codes: str) -> str:
    wanted = ";".join(filter(None, codes))
    return f"\x1b[{wanted}m{text}{_RESET}" if text and wanted else text


# -- widths -----------------------------------------------------------------------------------


def width(text: str) -> int:
    """The columns that ``text`` takes on a terminal."""
    return len(text) if text.isascii() else sum(max(0, wcwidth(c)) for c in text)


def clip(text: str, columns: int) -> str:
    """As much of ``text`` as has room in ``columns``, with an ellipsis if it is not all."""
    if width(text) <= columns:
        return text
    taken, used = 0, 1
    for character in text:
        used += max(0, wcwidth(character))
        if used > columns:
            break
        taken += 1
    return text[:taken] + "…" if columns > 0 else ""

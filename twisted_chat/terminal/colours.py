"""The look of lines: a terminal's abilities, a colour for each nickname, a painted line, widths.

Pure. This module must not know where the text is written.
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
    """The abilities of a terminal. ``colours`` is 16, 256, or 0 for none."""

    colours: Literal[0, 16, 256] = 256
    background: Background = "dark"
    #: Whether it wraps the shown text anew when it becomes narrower.
    reflows: bool = True


def usable(
    environment: Mapping[str, str], *, input_is_terminal: bool, output_is_terminal: bool
) -> bool:
    """Whether the terminal can keep a prompt at the bottom, with new lines above it.

    If it cannot (a pipe, ``TERM=dumb``), lines are written one below the other.
    """
    term = environment.get("TERM", "")
    return input_is_terminal and output_is_terminal and term not in ("", "dumb", "unknown")


def look(environment: Mapping[str, str], background: Background | None = None) -> Look:
    """The abilities of the terminal, by its environment variables.

    A NO_COLOR that is not empty switches colours off (https://no-color.org). COLORFGBG, which some
    terminals set, ends with the number of the background's colour.

    :param environment: the environment variables.
    :param background: the configured background; None to use COLORFGBG.
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
    """Whether the terminal wraps text anew.

    Most do. xterm, the Linux console and GNU screen do not, but tmux within them does.
    """
    if environment.get("TMUX"):
        return True
    others = environment.get("XTERM_VERSION") or environment.get("STY")
    return not others and environment.get("TERM") != "linux"


#: The light ones of the sixteen colours: white, and the bright ones except for dark grey.
_LIGHT_COLOURS = {"7", *map(str, range(9, 16))}


def _background(environment: Mapping[str, str]) -> Background:
    last = environment.get("COLORFGBG", "").split(";")[-1]
    return "light" if last in _LIGHT_COLOURS else "dark"


# -- nicknames --------------------------------------------------------------------------------

#: Colours that are readable and distinct. None is red, the colour of errors.
PALETTES: Mapping[tuple[int, Background], tuple[int, ...]] = {
    (16, "dark"): (2, 3, 5, 6, 10, 11, 12, 13, 14),
    (16, "light"): (2, 4, 5, 6),
    # From xterm's colour cube, with a contrast of at least 4.5 (WCAG 2.1) on a background that is
    # nearly black, or nearly white.
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
    """The number of the nickname's colour, or None without colours.

    It is the same in every run and on every machine.
    """
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
    """``line`` as text for a terminal, without a line break at its end.

    Its only escape sequences are SGR (ECMA-48), and no meaning depends on the colours alone.

    :param line: the line.
    :param look: the abilities of the terminal.
    :param columns: the width of the terminal.
    :param timestamps: whether to show the line's time.
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
    """The parts of ``text`` before, in and after the sender's nickname."""
    name = visible(line.nickname or "")
    before = "* " if line.kind == "act" else "["  # the name alone could match the room's name
    found = text.find(before + name)
    if not name or found < 0:
        return text, "", ""
    start = found + len(before)
    return text[:start], name, text[start + len(name) :]


def local_time(microseconds: int | None) -> str:
    """``HH:MM`` in the person's time zone; empty for None or a time that cannot be shown."""
    if microseconds is None:
        return ""
    try:
        return time.strftime("%H:%M", time.localtime(microseconds / 1_000_000))
    except (OverflowError, ValueError, OSError):  # from a hostile server
        return ""


def rule(text: str, columns: int) -> str:
    """A rule across the terminal with ``text`` in it. The last column stays free."""
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
    """The number of columns that ``text`` takes on a terminal."""
    return len(text) if text.isascii() else sum(max(0, wcwidth(c)) for c in text)


def clip(text: str, columns: int) -> str:
    """``text``, shortened with an ellipsis if it takes more than ``columns`` columns."""
    if width(text) <= columns:
        return text
    taken, used = 0, 1
    for character in text:
        used += max(0, wcwidth(character))
        if used > columns:
            break
        taken += 1
    return text[:taken] + "…" if columns > 0 else ""

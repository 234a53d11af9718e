"""Which characters may reach another person's terminal.

Pure functions on text. Unsafe characters are refused in a request, and made visible in an event.
This module must not know where a text comes from or goes to.
"""

from __future__ import annotations

import re
import unicodedata

# C0 controls except TAB, DEL, C1 controls (ECMA-48); line and paragraph separators;
# bidirectional embeddings, overrides and isolates (Unicode UAX 9), which can make a line look
# like another one; lone surrogates, which are not characters.
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

#: Characters that are drawn as blanks: spaces, the empty pattern of Braille, Hangul fillers, blank
#: hieroglyphs and a blank note. This and the next constant are character classes of :mod:`re`.
BLANKS = (
    "\t \u00a0\u115f\u1160\u1680\u2000-\u200a\u202f\u205f\u2800\u3000\u3164\uffa0"
    "\U00013441\U00013442\U0001d159"
)

#: Characters that are not drawn: Unicode's Default_Ignorable_Code_Point; separators of annotations;
#: joiners and fillers of a few scripts.
INVISIBLE = (
    "\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f\u2d7f"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufffb\U0001107f\U00013430-\U00013440\U00016fe4"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)

#: Also the spaces of Python, for line ends.
_UNSEEN = re.compile(rf"[\s{BLANKS}{INVISIBLE}]")

#: The printable characters of ASCII.
PRINTABLE = bytes(range(0x20, 0x7F))

#: The first of Unicode's pictures of the C0 controls: U+241B is the picture of ESC (U+001B).
_CONTROL_PICTURES = 0x2400


def find_unsafe(text: str) -> str | None:
    """The first character of ``text`` that must not reach a terminal, or None."""
    if text.isprintable():  # fast, and true of nearly every text
        return None
    found = _UNSAFE.search(text)
    return found.group() if found else None


def is_printable(text: str) -> bool:
    """As ``text.isprintable()``, which takes ten times as long for a long text of ASCII."""
    if text.isascii():
        return not text.encode().translate(None, PRINTABLE)
    return text.isprintable()


def visible(text: str) -> str:
    """``text`` with each unsafe character replaced by a picture of it, or by U+FFFD."""
    return text if text.isprintable() else _UNSAFE.sub(_picture, text)


def visible_lines(text: str) -> str:
    """As :func:`visible`, but LF stays: for the text of a message, which can have several lines."""
    return text if text.isprintable() else "\n".join(map(visible, text.split("\n")))


def named(character: str) -> str:
    """The description of ``character`` in a refusal, such as ``U+1F642 (🙂, SLIGHTLY SMILING
    FACE)``.
    """
    number = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    category = unicodedata.category(character)
    if category[0] in "LNPS":
        name = f"{character}, {name}" if name else character
    elif category[0] == "M":
        name = f"\u25cc{character}, {name}"  # U+25CC is a base for marks
    return f"{number} ({name})" if name else number


def _picture(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def stripped(text: str) -> str:
    """``text`` without blanks and invisible characters at its beginning and end."""
    start, end = 0, len(text)
    while start < end and _UNSEEN.match(text[start]):
        start += 1
    while start < end and _UNSEEN.match(text[end - 1]):
        end -= 1
    return text[start:end]

"""How what people wrote is shown to people: so that none of it passes for somebody else's line.

A terminal breaks a long line where it is full, at any place; what comes after the break looks
like a line of its own. So, in texts (not in names, which cannot hold any of it):

* a long run of blanks becomes one, and TAB is blanks: nothing is moved to the next line unseen;
* a run of characters without width becomes one;
* ``[anything]:``, and the server's name in brackets, are shown in round brackets, which no line
  of the server and no nickname begins with; but not what is clearly no name, as in ``x[1:]:``,
  ``d["key"]:`` or ``[ ]:``.

Pure functions. What is stored, and what programs are sent, is the exact text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from twisted_chat.characters import visible
from twisted_chat.names import RESERVED

#: Characters that are drawn as blanks (as in a class of :mod:`re`): spaces, the empty pattern of
#: Braille, Hangul fillers.
BLANKS = "\t \u00a0\u115f\u1160\u1680\u2000-\u200a\u202f\u205f\u2800\u3000\u3164\uffa0"

#: Characters that are not drawn at all (Unicode's Default_Ignorable_Code_Point).
INVISIBLE = (
    "\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)

#: Those of them that make no emoji, so that two in a row have no use.
_WITHOUT_WIDTH = "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f\ufeff"

#: More blanks than this in a row are one.
BLANKS_IN_A_ROW = 8
_TAB = " " * 4

_OPENING = "[\uff3b\u2045\u27e6\u301a\u298b\u298d\u298f\u2772\u2e22\u2308\u23a1"
_CLOSING = "]\uff3d\u2046\u27e7\u301b\u298c\u298e\u2990\u2773\u2e23\u2309\u23a4"
_COLON = ":\uff1a\u2236\ua789\u02d0\u02f8\u0589\u05c3\ufe13\ufe55"

_LONG = " " * (BLANKS_IN_A_ROW + 1)
_LONG_BLANK_RUN = re.compile(f"[{BLANKS}][{BLANKS}{INVISIBLE}]{{{BLANKS_IN_A_ROW - 1},}}[{BLANKS}]")
_INVISIBLE_RUN = re.compile(f"([{_WITHOUT_WIDTH}])[{_WITHOUT_WIDTH}]+")
_BRACKETS = re.compile(
    f"[{re.escape(_OPENING)}]([^{re.escape(_OPENING + _CLOSING)}]{{1,80}})[{re.escape(_CLOSING)}]"
    f"([{BLANKS}{INVISIBLE}]{{0,16}}[{_COLON}])?"
)
#: What stands in the brackets of no line: times and slices, punctuation alone, a text in quotes,
#: and code without blanks. Only in ASCII, whose signs look like no others.
_NO_NAME = re.compile(
    r"[-+0-9: ]*:[-+0-9: ]*|[!-/:-@\\^`{|}~ ]+|\"[^\"]*\"|'[^']*'|[!-~]*[\"=<>{}\\+*/$%&^][!-~]*"
)
_WORD = re.compile("[a-z]+")
_UNSEEN = re.compile(f"[{BLANKS}{INVISIBLE}]")
_SERVER = frozenset(name.casefold() for name in RESERVED)


def _members(ranges: str) -> Iterator[str]:
    """The characters of a class of :mod:`re`."""
    for first, last in re.findall("(.)(?:-(.))?", ranges, re.DOTALL):
        yield from map(chr, range(ord(first), ord(last or first) + 1))


#: The printable ones of all these characters, beyond ASCII.
_SUSPECT = frozenset(_OPENING[1:]) | {
    character
    for character in _members(BLANKS + INVISIBLE)
    if character > "\x7f" and character.isprintable()
}

#: Every character that cannot be seen, or is seen as a blank, and is printable.
BLANKS_AND_INVISIBLE = frozenset(" ") | _SUSPECT - frozenset(_OPENING)


def is_plain(text: str) -> bool:
    """Whether :func:`shown` would change nothing; False where it may. Nearly every text is."""
    return (
        text.isprintable()
        and "[" not in text
        and _LONG not in text
        and (text.isascii() or _SUSPECT.isdisjoint(text))
    )


def shown(text: str) -> str:
    """``text``, which somebody wrote, as it is shown to people."""
    if is_plain(text):
        return text
    text = _INVISIBLE_RUN.sub(r"\1", visible(text))
    text = _LONG_BLANK_RUN.sub(" ", text.replace("\t", _TAB))
    return _BRACKETS.sub(_rounded, text)


def stripped(text: str) -> str:
    """``text`` without what cannot be seen at its beginning and end."""
    start, end = 0, len(text)
    while start < end and _UNSEEN.match(text[start]):
        start += 1
    while start < end and _UNSEEN.match(text[end - 1]):
        end -= 1
    return text[start:end]


def _rounded(found: re.Match[str]) -> str:
    inside, colon = found.groups()
    if _is_no_name(inside) if colon else not _is_server(inside):
        return found.group()
    return f"({inside}){colon or ''}"


@lru_cache(maxsize=1024)
def _is_no_name(inside: str) -> bool:
    if not inside.isascii() or not _NO_NAME.fullmatch(inside):
        return False
    return _SERVER.isdisjoint(_WORD.findall(inside.lower()))


@lru_cache(maxsize=1024)
def _is_server(name: str) -> bool:
    if not name.isascii():
        name = unicodedata.normalize("NFKC", _UNSEEN.sub("", name))
    return name.strip().casefold() in _SERVER

"""Makes people's texts safe to show to people, so that no part looks like somebody else's line.

A terminal breaks a long line at any place, and the part after the break looks like a line of its
own. So texts are changed as follows (nicknames cannot contain any of this):

* A long run of blanks becomes one blank, and TAB becomes blanks, so that blanks cannot push the
  rest of a text to the next line.
* A run of characters without width becomes one character, and a letter keeps only a few marks, so
  that they do not reach into other lines.
* The further lines of a message begin with :data:`CONTINUATION`, as no other line does.
* ``[anything]:``, and the server's name in brackets, are shown with round brackets, with which no
  line of the server and no nickname begins. Text in brackets that is clearly not a name is left as
  it is: ``x[1:]:``, ``d["key"]:``, ``[ ]:``.

Pure functions. The log and programs get the exact texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from twisted_chat.core.characters import BLANKS, INVISIBLE, is_printable, visible
from twisted_chat.core.lookalikes import letters
from twisted_chat.core.names import RESERVED

#: The invisible characters that are not part of emoji sequences: two in a row have no use.
_WITHOUT_WIDTH = "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f\ufeff"

#: The beginning of each line of a message but the first. Other lines that begin with blanks are
#: tables of the server, without a bar there; a name has a bracket, # or * in front.
CONTINUATION = "  | "

#: A run of more blanks than this becomes one blank.
BLANKS_IN_A_ROW = 8
_TAB = " " * 4

#: Marks that are drawn above or below a letter, of the scripts for which most terminals do that.
_MARKS = (
    "\u0300-\u034e\u0350-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1"
    "\u0eb4-\u0ebc\u0ec8-\u0ece\u0f71-\u0f7e\u0f80-\u0f84\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
    "\ufe20-\ufe2f"
)

#: The most marks on one letter that are shown; no language has more.
MARKS_ON_A_LETTER = 8

_OPENING = (
    "[\uff3b\u2045\u27e6\u27ec\u301a\u298b\u298d\u298f\u2772\u2997\u3014\u3018\ufe5d"
    "\u2308\u230a\u23a1\u23a2\u23a3\u2e22\u2e24\u2e55\u2e57"
)
_CLOSING = (
    "]\uff3d\u2046\u27e7\u27ed\u301b\u298c\u298e\u2990\u2773\u2998\u3015\u3019\ufe5e"
    "\u2309\u230b\u23a4\u23a5\u23a6\u2e23\u2e25\u2e56\u2e58"
)

#: Characters that look like a colon by Unicode (UTS 39), and a few more: small and upright colons,
#: colons of other scripts, vowel signs that are two dots.
_COLON = (
    ":\uff1a\u02d0\u02f8\u0589\u05c3\u0703\u0704\u0903\u0983\u0a03\u0a83\u0b03\u0c03\u0c83\u0d03"
    "\u0d83\u1038\u1361\u1365\u1366\u16ec\u17c7\u1803\u1804\u1809\u205a\u205d\u2236\u2982\ua4fd\ua6f4"
    "\ua789\ufe13\ufe30\ufe55"
)

#: The most visible characters in brackets that are taken for a name, perhaps with a few more.
_LONGEST = 80

_LONG = " " * (BLANKS_IN_A_ROW + 1)
_LONG_BLANK_RUN = re.compile(f"[{BLANKS}][{BLANKS}{INVISIBLE}]{{{BLANKS_IN_A_ROW - 1},}}[{BLANKS}]")
_INVISIBLE_RUN = re.compile(f"([{_WITHOUT_WIDTH}])[{_WITHOUT_WIDTH}]+")
_MARK_RUN = re.compile(
    f"((?:[{_MARKS}][{INVISIBLE}]*){{{MARKS_ON_A_LETTER}}})(?:[{_MARKS}][{INVISIBLE}]*)+"
)
_BRACKETS = re.compile(  # in linear time: no character can match two adjacent parts
    f"[{re.escape(_OPENING)}]([^{re.escape(_OPENING + _CLOSING)}]+)[{re.escape(_CLOSING)}]"
    f"([{BLANKS}{INVISIBLE}{_MARKS}\u1161-\u11ff\ud7b0-\ud7ff]*[{_COLON}])?"
)
#: Texts in brackets that are clearly not a name: times and slices, punctuation alone, a text in
#: quotes, code without blanks. Only ASCII texts, as other characters may look like letters.
_NO_NAME = re.compile(
    r"[-+0-9: ]*:[-+0-9: ]*|[!-/:-@\\^`{|}~ ]+|\"[^\"]*\"|'[^']*'|[!-~]*[\"=<>{}\\+*/$%&^][!-~]*"
)
_WORD = re.compile("[a-z]+")
_UNSEEN_AND_MARKS = re.compile(f"[{BLANKS}{INVISIBLE}{_MARKS}]")


def _members(ranges: str) -> Iterator[str]:
    """The characters of the :mod:`re` character class ``ranges``."""
    for first, last in re.findall("(.)(?:-(.))?", ranges, re.DOTALL):
        yield from map(chr, range(ord(first), ord(last or first) + 1))


#: All printable characters that are drawn as blanks or not at all.
BLANKS_AND_INVISIBLE = frozenset(filter(str.isprintable, _members(BLANKS + INVISIBLE)))

#: A text beyond ASCII without any of these characters is shown unchanged.
_SUSPECT = BLANKS_AND_INVISIBLE.union(_OPENING, _members(_MARKS)) - frozenset(" [")


def is_plain(text: str, brackets: int = 0) -> bool:
    """Whether :func:`shown` surely changes nothing in ``text``, as in nearly every text.

    :param brackets: the number of ``[`` that do not count, as they are the server's own.
    """
    return (
        text.count("[") == brackets
        and (is_printable(text) if brackets else text.isprintable())
        and _LONG not in text
        and (text.isascii() or _SUSPECT.isdisjoint(text))
    )


def shown(text: str) -> str:
    """``text``, which somebody wrote, in the form that is shown to people."""
    if is_plain(text):
        return text
    text = _MARK_RUN.sub(r"\1", _INVISIBLE_RUN.sub(r"\1", visible(text)))
    text = _LONG_BLANK_RUN.sub(" ", text.replace("\t", _TAB))
    return _BRACKETS.sub(_rounded, text)


def rows(text: str) -> list[str]:
    """``text`` of a message in the form that is shown to people, which may have several lines."""
    if "\n" not in text:
        return [shown(text)]
    first, *others = map(shown, text.split("\n"))
    return [first, *(f"{CONTINUATION}{other}".rstrip() for other in others)]


def _rounded(found: re.Match[str]) -> str:
    inside, colon = found.groups()
    if not 0 < len(_UNSEEN_AND_MARKS.sub("", inside)) <= _LONGEST:
        return found.group()
    if _is_no_name(inside) if colon else _plainest(inside) not in _SERVER:
        return found.group()
    return f"({inside}){colon or ''}"


@lru_cache(maxsize=1024)
def _is_no_name(inside: str) -> bool:
    if not inside.isascii() or not _NO_NAME.fullmatch(inside):
        return False
    return _SERVER.isdisjoint(_WORD.findall(inside.lower())) and _plainest(inside) not in _SERVER


@lru_cache(maxsize=1024)
def _plainest(text: str) -> str:
    """``text`` in the ASCII letters as which it could be read, without its case.

    This is faster, and less exact, than a skeleton of :mod:`twisted_chat.core.lookalikes`.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", _UNSEEN_AND_MARKS.sub("", text))
        text = _UNSEEN_AND_MARKS.sub("", text).translate(letters())
    return text.strip().translate(_DIGITS).casefold()


#: Digits and signs that stand for letters; a small L looks like a capital I.
_DIGITS = str.maketrans("0135$l|", "oiessii")
_SERVER = frozenset(map(_plainest, RESERVED))

"""Full-text search: how texts become tokens, queries and snippets. Pure functions.

This module splits texts into tokens, and not SQLite, whose Unicode tables differ between versions:
FTS5 gets tokens separated by blanks, in texts and queries alike. The rules, some of which are from
UAX 29:

* Marks (vowel signs, tones) belong to the letter before them, so दिल is not दाल.
* Some differences do not matter: case, width, the accents of Latin, Greek and Cyrillic, the points
  of Arabic, Hebrew and Syriac, joiners (ZWJ, ZWNJ), soft hyphens, variation selectors. Digits of
  any script are those of ASCII.
* In scripts that are written without spaces (Chinese, Japanese, Thai, Khmer …), and in Korean,
  each character with its marks is a token. A word of several tokens is searched for as a phrase.
* Unlike in UAX 29, any punctuation ends a token: ``it's``, ``well-known``, ``snake_case``,
  ``3.14``, an address and a URL are several tokens, and are searched for as a phrase. So ``brien``
  finds ``O'Brien``, and an apostrophe of either form finds the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache

#: Grows with each change of the rules for tokens: then the index is made anew.
VERSION = 1

#: Scripts in which words are not separated by spaces. Tibetan, which separates syllables by marks,
#: is not among them.
_UNSPACED = "".join(
    (
        "\u0e01-\u0e3a\u0e40-\u0e45\u0e80-\u0ebd\u0ec0-\u0ec6\u0edc-\u0edf",  # Thai, Lao
        "\u1000-\u103f\u1050-\u108f\ua9e0-\ua9ef\uaa60-\uaa7f",  # Myanmar
        "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff",  # Hangul
        "\u1780-\u17d3\u17dc",  # Khmer
        "\u1950-\u19df\u1a20-\u1a7f\uaa80-\uaadf",  # Tai
        "\u1b00-\u1b4b\ua980-\ua9c0",  # Balinese, Javanese
        "\u3005-\u3007\u3021-\u3029\u3041-\u309f\u30a1-\u30fa\u30fc-\u312f\u31a0-\u31bf\u31f0-\u31ff",
        "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b2ff\U00020000-\U0003ffff",  # Han
    )
)

#: The characters of decomposed texts that do not matter.
_IGNORED = re.compile(
    "["
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"  # accents
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew points
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"
    "\u0898-\u089f\u08ca-\u08e1\u08e3-\u08ff"  # Arabic points, and the letter that only stretches
    "\u0711\u0730-\u074a"  # Syriac points
    "\u00ad\u061c\u180b-\u180f\u200c-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef"
    "]"
)

_WORD = re.compile("[a-z0-9]+")

#: A tone before SARA AM, as it is typed; in decomposed text it is moved between the two parts.
_THAI_TONE = re.compile("([\u0e48-\u0e4b\u0ec8-\u0ecb])([\u0e4d\u0ecd])")

#: Small letters that :meth:`str.casefold` does not replace by the same letter of other alphabets.
_LETTERS = str.maketrans({"ı": "i"})

#: Characters before and after the first match in a snippet.
_BEFORE, _AFTER = 30, 60


def tokens(text: str) -> list[str]:
    """The tokens of ``text``. They contain no blanks, and no capitals or punctuation of ASCII."""
    if text.isascii():
        return _WORD.findall(text.lower())
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    folded = _IGNORED.sub("", folded)
    if folded.isascii():  # nearly always so for European languages
        return _WORD.findall(folded)
    pattern, special, digits = _patterns()
    if special.search(folded):
        folded = _THAI_TONE.sub(r"\2\1", folded).translate(_LETTERS)
        folded = digits.sub(_digit, folded)
    return pattern.findall(unicodedata.normalize("NFC", folded))


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Three patterns: a token, a character that must be replaced before, and a digit of those.

    They are made once a text needs them, from the interpreter's Unicode tables.
    """
    marks, digits = [], []
    for code in (*range(0x80, 0x20000), *range(0xE0100, 0xE01F0)):
        category = unicodedata.category(chr(code))
        if category in ("Mn", "Mc"):
            marks.append(code)
        elif category == "Nd":
            digits.append(code)
    mark = f"[{_ranges(marks)}]"
    letter = f"[^\\W_{_UNSPACED}]"
    pattern = f"[{_UNSPACED}]{mark}*|{letter}(?:{letter}|{mark})*"
    digit = _ranges(digits)
    special = f"[{digit}ı\u0e48-\u0e4b\u0ec8-\u0ecb]"
    return re.compile(pattern), re.compile(special), re.compile(f"[{digit}]")


def _ranges(codes: Iterable[int]) -> str:
    """The character class of ``codes``, which ascend, without its brackets."""
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def _digit(found: re.Match[str]) -> str:
    return str(unicodedata.decimal(found.group()))


def segmented(text: str) -> str:
    """The form in which ``text`` is indexed: its tokens, separated by blanks."""
    return " ".join(tokens(text))


def room_token(room: int) -> str:
    """The token that stands for the room with this id."""
    return f"r{room}"


def query(words: str, room: int | None) -> str | None:
    """The FTS5 query for entries with all of ``words``; None if ``words`` contains no token.

    ``room`` is the id of the only room to search; None: all rooms.
    """
    phrases = dict.fromkeys(f'"{phrase}"' for word in words.split() if (phrase := segmented(word)))
    if not phrases:
        return None
    found = f"text : ({' AND '.join(phrases)})"
    return found if room is None else f"room : {room_token(room)} AND {found}"


def snippets(words: str) -> Callable[[str], str]:
    """A function that cuts a long text to the part around the first of ``words`` in it."""
    wanted = [folded for word in words.split() if (folded := _folded(word))]
    alike = [word.lower() for word in words.split()]

    def snippet(text: str) -> str:
        if len(text) <= _BEFORE + _AFTER:
            return text
        first = _first(text.lower(), alike)
        if first is None:
            first = _first(_folded(text), wanted) or 0
        start, end = max(0, first - _BEFORE), min(len(text), first + _AFTER)
        return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")

    return snippet


def _first(text: str, words: Iterable[str]) -> int | None:
    """The lowest index at which ``text`` contains one of ``words``; None if it contains none."""
    return min((at for word in words if (at := text.find(word)) >= 0), default=None)


def _folded(text: str) -> str:
    """``text`` without case and accents, character by character."""
    return (text if text.isascii() else text.translate(_bases())).lower()


@cache
def _bases() -> dict[int, str]:
    """The plain letter for letters with accents (Latin, Greek, Cyrillic) and of full width."""
    bases = {code: chr(code) for code in range(0x80)}  # characters not in the table take longer
    for code in (*range(0xC0, 0x530), *range(0x1E00, 0x2000), *range(0xFF00, 0xFFF0)):
        base = unicodedata.normalize("NFKD", chr(code))[0]
        if ord(base) != code:
            bases[code] = base
    return bases

"""What a person takes for one character, of whatever many code points: a grapheme cluster. Pure.

Unicode says where one ends (UAX 29); wcwidth has the rules. How many columns a terminal gives
to one of several code points is known of no two terminals: an emoji of a family can be two or
eight. Where the place of the cursor depends on it, only its first code point is shown.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from wcwidth import iter_graphemes

#: From the first to the last of the letters that flags are made of, and what 0 stands for: A.
_FLAGS = range(0x1F1E6, 0x1F200)


def clusters(text: str) -> Iterator[str]:
    """``text``, taken apart."""
    return iter(text) if text.isascii() else iter_graphemes(text)


def before(text: str, at: int) -> int:
    """How many code points of the line of ``text`` before ``at`` are one character."""
    start = text.rfind("\n", 0, at) + 1
    if start >= at:
        return min(at, 1)  # a line break, if there is one
    last = ""
    for last in clusters(text[start:at]):  # noqa: B007
        pass
    return len(last)


def after(text: str, at: int) -> int:
    """How many code points of ``text`` after ``at`` are one character."""
    end = text.find("\n", at)
    rest = text[at:] if end < 0 else text[at : max(end, at + 1)]
    return len(next(clusters(rest), ""))


def simple(cluster: str) -> str:
    """``cluster`` as all terminals show it in as many columns.

    Letters keep their signs and marks; of an emoji, the first code point; of a flag, its letters.
    """
    if len(cluster) == 1 or unicodedata.category(cluster[0])[0] in "LM":
        return cluster
    if all(ord(character) in _FLAGS for character in cluster):
        return "".join(chr(ord(character) - _FLAGS[0] + ord("A")) for character in cluster)
    return cluster[0]


def simplified(text: str) -> str:
    """``text`` with all its characters :func:`simple`."""
    return text if text.isascii() else "".join(map(simple, clusters(text)))

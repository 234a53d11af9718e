"""Grapheme clusters: code points that a person takes for one character. Pure.

The rules are those of Unicode (UAX 29), by wcwidth. Terminals differ in the number of columns for a
cluster of several code points: an emoji of a family can take two or eight. Where the cursor's place
depends on it, only the first code point is shown.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from wcwidth import iter_graphemes

#: The regional indicator letters A to Z, of which flags are made.
_FLAGS = range(0x1F1E6, 0x1F200)


def clusters(text: str) -> Iterator[str]:
    """The clusters of ``text``."""
    return iter(text) if text.isascii() else iter_graphemes(text)


def before(text: str, at: int) -> int:
    """The number of code points of the character before the index ``at`` of ``text``."""
    start = text.rfind("\n", 0, at) + 1
    if start >= at:
        return min(at, 1)  # a line break, if there is one
    last = ""
    for last in clusters(text[start:at]):  # noqa: B007
        pass
    return len(last)


def after(text: str, at: int) -> int:
    """The number of code points of the character at the index ``at`` of ``text``."""
    end = text.find("\n", at)
    rest = text[at:] if end < 0 else text[at : max(end, at + 1)]
    return len(next(clusters(rest), ""))


def simple(cluster: str) -> str:
    """``cluster`` in a form for which all terminals use the same number of columns.

    A letter keeps its marks; an emoji becomes its first code point; a flag becomes its letters.
    """
    if len(cluster) == 1 or unicodedata.category(cluster[0])[0] in "LM":
        return cluster
    if all(ord(character) in _FLAGS for character in cluster):
        return "".join(chr(ord(character) - _FLAGS[0] + ord("A")) for character in cluster)
    return cluster[0]


def simplified(text: str) -> str:
    """``text`` with each cluster in its :func:`simple` form."""
    return text if text.isascii() else "".join(map(simple, clusters(text)))

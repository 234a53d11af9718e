"""Unicode's tables of scripts (UAX 24) and of confusable characters (UTS 39).

``tools/unicode_tables.py`` makes the files in the folder ``tables`` from Unicode's own; each names
its version of Unicode. A character that was added to Unicode later has an unknown script, and looks
like no other character. This module must not know what the tables are used for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("tables")

#: The script of a character that is in no row of the table (UAX 24, section 1).
UNKNOWN = "UNKNOWN"


@cache
def prototypes() -> Mapping[str, str]:
    """For each confusable character, the text that replaces it in a skeleton (UTS 39, section 4).

    No character of such a text is confusable itself. A character that is not in the table is not
    replaced.
    """
    return {
        chr(code): "".join(chr(int(each, 16)) for each in prototype.split())
        for prototype, members in _rows("confusables.txt")
        for codes in members
        for code in codes
    }


@lru_cache(maxsize=4096)
def script(character: str) -> str:
    """The script of a character, by its name in capital letters (``LATIN``, ``OLD_ITALIC``).

    ``COMMON`` is the script of characters that many scripts use, ``INHERITED`` that of marks.
    """
    starts, runs = _scripts()
    code = ord(character)
    codes, name = runs[max(0, bisect_right(starts, code) - 1)]
    return name if code in codes else UNKNOWN


@cache
def _scripts() -> tuple[list[int], list[tuple[range, str]]]:
    """The first code point of each run of one script, in their order, and the runs."""
    runs = [(codes, name.upper()) for name, members in _rows("scripts.txt") for codes in members]
    runs.sort(key=lambda run: run[0].start)
    return [codes.start for codes, _ in runs], runs


def _rows(name: str) -> Iterator[tuple[str, list[range]]]:
    """The key of each row of a table, and the code points that belong to it."""
    for line in (_FOLDER / name).read_text("ascii").splitlines():
        if not line.startswith("#"):
            key, _, members = line.partition(" ; ")
            yield key, [_range(member) for member in members.split()]


def _range(text: str) -> range:
    first, _, last = text.partition("..")
    return range(int(first, 16), int(last or first, 16) + 1)

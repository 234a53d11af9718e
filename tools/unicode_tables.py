"""Make the tables in ``twisted_chat/core/tables`` of Unicode's own files. In the checkout::

    python -m tools.unicode_tables confusables.txt Scripts.txt

The files of a version V of Unicode are ``security/V/confusables.txt`` and ``V/ucd/Scripts.txt``
below https://www.unicode.org/Public/; take both of one version. Debian has ``Scripts.txt`` in the
package ``unicode-data``, and ``confusables.txt`` in the source of ``icu``, in
``source/data/unidata``. If the copyright line or the licence has changed, change
``twisted_chat/core/tables/LICENSE`` as well.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

TABLES = Path(__file__).parent.parent / "twisted_chat" / "core" / "tables"

CONFUSABLES = """\
# The confusable characters of Unicode {version} (UTS 39): {name}, in another form that
# tools/unicode_tables.py made.
# {copyright} Licence: Unicode-DFS-2016, in the file LICENSE beside this one.
# Prototype ; the characters that look like it, as code points and ranges of them.
"""

SCRIPTS = """\
# The scripts of Unicode {version} (UAX 24): {name}, in another form that
# tools/unicode_tables.py made.
# {copyright} Licence: Unicode-DFS-2016, in the file LICENSE beside this one.
# Script ; its characters, as code points and ranges of them.
"""

_VERSION = re.compile(r"(?m)^# (?:Version: |\w+-)([0-9]+\.[0-9]+\.[0-9]+)(?:\.txt)?$")
_COPYRIGHT = re.compile(r"(?m)^# © ([0-9]{4}) Unicode®, Inc\.$")


def confusables(text: str) -> str:
    """The table of ``text``, which is Unicode's ``confusables.txt``.

    :raises ValueError: its form is not the one that this program knows.
    """
    sources: dict[str, list[int]] = defaultdict(list)
    for source, prototype, kind in _rows(text, 3):
        if kind != "MA":  # the only kind since Unicode 8
            raise ValueError(f"unknown kind of row: {kind}")
        sources[prototype].append(int(source, 16))
    return _head(CONFUSABLES, "confusables.txt", text) + _table(sources)


def scripts(text: str) -> str:
    """The table of ``text``, which is Unicode's ``Scripts.txt``.

    :raises ValueError: its form is not the one that this program knows.
    """
    characters: dict[str, list[int]] = defaultdict(list)
    for members, script in _rows(text, 2):
        first, _, last = members.partition("..")
        characters[script].extend(range(int(first, 16), int(last or first, 16) + 1))
    return _head(SCRIPTS, "Scripts.txt", text) + _table(characters)


def _rows(text: str, columns: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        row = [column.strip() for column in line.partition("#")[0].split(";")]
        if row != [""]:
            if len(row) != columns:
                raise ValueError(f"not {columns} columns: {line}")
            yield row


def _head(head: str, name: str, text: str) -> str:
    version, year = _VERSION.search(text), _COPYRIGHT.search(text)
    if version is None or year is None:
        raise ValueError(f"{name} tells no version or no copyright")
    copyright_line = f"Copyright (c) 1991-{year[1]} Unicode, Inc."
    return head.format(version=version[1], name=name, copyright=copyright_line)


def _table(rows: dict[str, list[int]]) -> str:
    return "".join(f"{key} ; {' '.join(_ranges(codes))}\n" for key, codes in sorted(rows.items()))


def _ranges(codes: Iterable[int]) -> Iterator[str]:
    runs: list[list[int]] = []
    for code in sorted(codes):
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    for first, last in runs:
        yield f"{first:04X}" if first == last else f"{first:04X}..{last:04X}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the tables of Unicode that we ship.")
    parser.add_argument("confusables", type=Path, help="Unicode's confusables.txt")
    parser.add_argument("scripts", type=Path, help="Unicode's Scripts.txt")
    options = parser.parse_args()
    for name, make, source in (
        ("confusables.txt", confusables, options.confusables),
        ("scripts.txt", scripts, options.scripts),
    ):
        (TABLES / name).write_text(make(source.read_text("utf-8-sig")), "ascii")


if __name__ == "__main__":
    main()

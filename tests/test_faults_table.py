"""The table in ``docs/reliability.rst``: each row stands there once, whole, in its order."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROWS = 49
CELLS = 5

#: Files of tests that a row names, in the short form and in full.
_FAULTS = re.compile(r"``((?!test_)[a-z_]+)``: |``(test_\w+\.py)``")


def rows() -> list[list[str]]:
    """The cells of each row, without the head."""
    text = (ROOT / "docs" / "reliability.rst").read_text(encoding="utf-8")
    table = text.partition(".. list-table::")[2]
    lines = [
        line for line in table.splitlines() if line.startswith(("   * - ", "     -", "      "))
    ]
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("   * - "):
            found.append([line.removeprefix("   * - ")])
        elif line.startswith("     - "):
            found[-1].append(line.removeprefix("     - "))
        else:
            found[-1][-1] += " " + line.strip()
    return found[1:]


def test_each_row_stands_once_in_its_order() -> None:
    assert [row[0] for row in rows()] == [str(number) for number in range(1, ROWS + 1)]


def test_each_row_is_whole() -> None:
    assert [row for row in rows() if len(row) != CELLS or not all(row)] == []


def test_each_row_names_tests_that_there_are() -> None:
    for row in rows():
        named = {short or full for short, full in _FAULTS.findall(row[3])}
        assert named, row
        for name in named:
            file = name if name.endswith(".py") else f"test_{name}.py"
            assert (ROOT / "tests" / file).exists(), (row[0], name)

"""The rows that prompt_toolkit drew, and where they are after the terminal has been resized.

It must not know what they show, nor how they are erased.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prompt_toolkit.data_structures import Point
from prompt_toolkit.layout.screen import Char, Screen


class Drawn(NamedTuple):
    """Where the cursor is among the rows that were drawn: what a resize needs to know."""

    columns: int
    #: The width of each row above that of the cursor.
    above: Sequence[int]
    #: The column of the cursor; behind all that is in its row, that of the last character: where
    #: a row is just full then, terminals leave the cursor at its end.
    x: int

    def rows_more(self, columns: int) -> int:
        """How many rows higher it begins after the terminal has wrapped it anew, if narrower."""
        if columns >= self.columns:
            return 0
        return sum(max(0, row - 1) // columns for row in self.above) + self.x // columns


def drawn(screen: Screen, cursor: Point, columns: int) -> Drawn:
    """The rows of ``screen`` down to the ``cursor``, on a terminal of ``columns`` columns."""
    *above, last = (_used(screen.data_buffer[y]) for y in range(cursor.y + 1))
    return Drawn(columns, above, min(cursor.x, max(0, last - 1)))


def _used(row: Mapping[int, Char]) -> int:
    """How many columns of a row are drawn."""
    return max((x + cell.width for x, cell in row.items() if cell.char != " "), default=0)

"""The rows that prompt_toolkit has drawn, and their place after the terminal was resized.

This module must not know the contents of the rows, or how they are erased.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prompt_toolkit.data_structures import Point
from prompt_toolkit.layout.screen import Char, Screen


class Drawn(NamedTuple):
    """The place of the cursor among the drawn rows, as a resize needs it."""

    #: The columns of the terminal.
    columns: int
    #: The used columns of each row above the row of the cursor.
    above: Sequence[int]
    #: The column of the cursor, but at most that of the last character in its row: if a row is
    #: exactly full after a resize, terminals leave the cursor at its end.
    x: int

    def rows_more(self, columns: int) -> int:
        """The rows that a terminal adds above the cursor when it is narrower and wraps anew."""
        if columns >= self.columns:
            return 0
        return sum(max(0, row - 1) // columns for row in self.above) + self.x // columns


def drawn(screen: Screen, cursor: Point, columns: int) -> Drawn:
    """The rows of ``screen`` down to the ``cursor``, on a terminal of ``columns`` columns."""
    *above, last = (_used(screen.data_buffer[y]) for y in range(cursor.y + 1))
    return Drawn(columns, above, min(cursor.x, max(0, last - 1)))


def _used(row: Mapping[int, Char]) -> int:
    """The number of used columns of a row."""
    return max((x + cell.width for x, cell in row.items() if cell.char != " "), default=0)

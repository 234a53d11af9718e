"""Wraps lines that are longer than the terminal is wide, at spaces. Pure.

This module must not know the meaning of a line; escape sequences take no columns.
"""

from __future__ import annotations

import re

from twisted_chat.terminal.colours import width

#: Columns below which the terminal itself breaks lines.
NARROWEST = 20

#: Separates the rows of one line.
ROW_END = "\r\n"

# An SGR sequence (ECMA-48), spaces, or a piece with neither of them.
_PIECES = re.compile(r"\x1b\[[0-9;]*m| +|[^ \x1b]+|\x1b")
_SGR = re.compile(r"\x1b\[[0-9;]*m")


def plain(painted: str) -> str:
    """``painted`` without colours."""
    return _SGR.sub("", painted)


def wrap(painted: str, columns: int, indent: int) -> str:
    """Wrap a line at spaces; its rows are separated by :data:`ROW_END`.

    A word that fits into no row, such as a long address, stays in one piece, so that it can be
    copied.

    :param painted: the line, which may have SGR sequences.
    :param columns: the columns of a row, at most.
    :param indent: the indent of all rows but the first, in columns.
    """
    if columns < NARROWEST or width(plain(painted)) <= columns:
        return painted
    indent = min(indent, _deepest(columns))
    rows: list[str] = []
    row, used = "", 0  # the row that is being filled, and its used columns
    word, size, blanks = "", 0, ""  # the next word, its columns, and the spaces before it

    def take() -> None:
        nonlocal row, used, word, size, blanks
        fits = used + len(blanks) + size <= columns
        if not fits and blanks and plain(row).strip() and size <= columns:
            rows.append(row)
            used = min(indent, columns - size)
            row, blanks = " " * used, ""
        row += blanks + word
        used += len(blanks) + size
        if used > columns:
            used = (used - 1) % columns + 1
        word, size, blanks = "", 0, ""

    for piece in _PIECES.findall(painted):
        if piece.startswith("\x1b["):
            word += piece
        elif piece.startswith(" "):
            take()
            blanks = piece
        else:
            word += piece
            size += width(piece)
    take()
    return ROW_END.join([*rows, row])


def _deepest(columns: int) -> int:
    """The deepest indent, in columns; with 80 columns, it is that of the table of ``/help``."""
    return columns // 2 + 5


def rows(painted: str, columns: int) -> int:
    """The number of rows that ``painted`` takes on a terminal."""
    return sum(max(1, -(-width(plain(row)) // columns)) for row in painted.split(ROW_END))


def hanging(text: str, columns: int) -> int:
    """The indent of the second row, in columns: that of a table's second column, or two more than
    the line's own.
    """
    table = re.match(r"( +\S.*?  +)\S", text)
    if table and width(table[1]) <= _deepest(columns):
        return width(table[1])
    return len(text) - len(text.lstrip(" ")) + 2

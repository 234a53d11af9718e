"""Lines that are longer than the terminal is wide, broken at blanks. Pure.

It must not know what a line means; of escape sequences, it knows that they take no columns.
"""

from __future__ import annotations

import re

from twisted_chat.terminal.colours import width

#: With fewer columns, breaking is left to the terminal.
NARROWEST = 20

#: What separates the rows of one line.
ROW_END = "\r\n"

# ECMA-48, SGR; blanks; and what has neither.
_PIECES = re.compile(r"\x1b\[[0-9;]*m| +|[^ \x1b]+|\x1b")
_SGR = re.compile(r"\x1b\[[0-9;]*m")


def plain(painted: str) -> str:
    """``painted`` without colours."""
    return _SGR.sub("", painted)


def wrap(painted: str, columns: int, indent: int) -> str:
    """``painted`` in rows of at most ``columns``, the second and all others indented.

    A row is broken at a blank. A word that has no room in any row, such as a long address, is left
    in one piece, so that it can be copied.
    """
    if columns < NARROWEST or width(plain(painted)) <= columns:
        return painted
    indent = min(indent, _deepest(columns))
    rows: list[str] = []
    row, used = "", 0  # the row that is being filled, and its columns
    word, size, blanks = "", 0, ""  # what comes next, and the blanks before it

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
    """The deepest indent: at 80 columns, that of the table of ``/help``."""
    return columns // 2 + 5


def rows(painted: str, columns: int) -> int:
    """How many rows it takes."""
    return sum(max(1, -(-width(plain(row)) // columns)) for row in painted.split(ROW_END))


def hanging(text: str, columns: int) -> int:
    """The indent of the second row: below the second column of a table, or else two columns."""
    table = re.match(r"( +\S.*?  +)\S", text)
    if table and width(table[1]) <= _deepest(columns):
        return width(table[1])
    return len(text) - len(text.lstrip(" ")) + 2

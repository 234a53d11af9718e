"""What is typed: bytes of a file descriptor, made into lines.

It must not know what becomes of the lines.
"""

from __future__ import annotations

import contextlib
import os
from codecs import BOM_UTF8
from collections.abc import Callable

#: No server takes a longer line: what lies beyond, in bytes, is not kept.
LINE_LIMIT = 65536


class LineSplitter:
    """Makes lines of pieces that end anywhere, also amid a character.

    A byte order mark, with which files begin that some editors wrote, is no part of the first.
    """

    def __init__(self) -> None:
        self._partial = b""
        self._has_begun = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete with ``data``, without their LF or CRLF.

        Bytes that are not UTF-8 become lone surrogates (``surrogateescape``), so that the line
        can be refused instead of being sent altered.
        """
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()[:LINE_LIMIT]
        return [self._decode(line) for line in lines]

    def end(self) -> list[str]:
        """What stood after the last line break, if anything did."""
        rest, self._partial = self._partial, b""
        return [self._decode(rest)] if rest else []

    def _decode(self, line: bytes) -> str:
        if not self._has_begun:
            self._has_begun = True
            line = line.removeprefix(BOM_UTF8)
        return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")


def read_lines(
    descriptor: int, typed: Callable[[list[str]], None], ended: Callable[[], None]
) -> None:
    """Read until the input ends. Blocks: this is for a thread of its own.

    A plain ``os.read``: the lock of a Python file, held by a thread that waits for input,
    aborts the interpreter at its exit.
    """
    with contextlib.suppress(OSError):
        os.set_blocking(descriptor, True)  # another program may have left it otherwise
    splitter = LineSplitter()
    while data := _read(descriptor):
        typed(splitter.feed(data))
    typed(splitter.end())
    ended()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # there is no input, or the terminal is gone
        return b""

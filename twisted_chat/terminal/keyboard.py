"""Reads lines from a file descriptor, such as that of a terminal.

This module must not know what the lines are for.
"""

from __future__ import annotations

import contextlib
import os
from codecs import BOM_UTF8
from collections.abc import Callable

#: Bytes of an unfinished line that are kept: no server takes a longer line.
LINE_LIMIT = 65536


class LineSplitter:
    """Makes lines of pieces that may end anywhere, even within a character.

    It drops a byte order mark at the beginning of the input, which some editors write.
    """

    def __init__(self) -> None:
        self._partial = b""
        self._has_begun = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that end in ``data``, without their LF or CRLF.

        Bytes that are not UTF-8 become lone surrogates (``surrogateescape``), so that the line
        can be refused instead of being sent altered.
        """
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()[:LINE_LIMIT]
        return [self._decode(line) for line in lines]

    def end(self) -> list[str]:
        """The text after the last line break, as a line, if there is any."""
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
    """Read until the input ends. Blocks, so it needs a thread of its own.

    It uses ``os.read``: the lock of a Python file, held by a thread that waits for input, would
    abort the interpreter at its exit.

    :param descriptor: the file descriptor.
    :param typed: called with the lines of each piece of input.
    :param ended: called at the end of the input.
    """
    with contextlib.suppress(OSError):
        os.set_blocking(descriptor, True)  # another program may have left it non-blocking
    splitter = LineSplitter()
    while data := _read(descriptor):
        typed(splitter.feed(data))
    typed(splitter.end())
    ended()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the input was closed, or the terminal is gone
        return b""

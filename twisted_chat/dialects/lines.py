"""Splits bytes into lines: where a line ends, how long it can be, how it is erased. Pure.

A line ends with LF or CR LF. A person's line can also end with CR NUL, which some telnet clients
send for the Enter key (RFC 854). If a person's first line ends with CR alone, which a raw terminal
sends for that key, all their lines end so: this is the connection's *convention*. Otherwise, CR
alone is a control character like any other. NULs at the beginning of a person's line are keepalives
and are dropped (RFC 854: no operation). This module must not know what lines mean.
"""

from __future__ import annotations

import enum
import re
import unicodedata

_KEEPALIVES = re.compile(rb"^\0+", re.MULTILINE)

#: The byte that telnet sends for Ctrl-D. Alone on a line, it also ends the line.
END_OF_TRANSMISSION = b"\x04"

#: The Unicode categories of marks that are drawn over the preceding letter (UAX 44).
_MARKS = frozenset({"Mn", "Me"})

#: The most marks that are erased with one letter: no letter has as many, and erasing in a line of
#: nothing but marks must not cost more than flood control counts for one telnet command.
MARKS_ERASED = 32


class _Convention(enum.Enum):
    """How the lines of a person end."""

    UNKNOWN = enum.auto()
    WITH_LF = enum.auto()
    CR_ALONE = enum.auto()


class LineSplitter:
    """A :class:`.Splitter` for the lines of a program, which end with LF or CR LF.

    ``limit`` is the most bytes of a line. Of a longer line, :meth:`split` returns the first bytes,
    more than ``limit``, and drops the rest.
    """

    __slots__ = ("_overlong", "crlf", "limit", "partial")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: The bytes of the incomplete line.
        self.partial = b""
        #: Whether the client ends its lines with CR LF; then the answers end with it, too.
        self.crlf = False
        self._overlong = False

    def split(self, data: bytes) -> list[bytes]:
        """The lines that end in ``data``, the next bytes, without their line ends."""
        if self.partial:
            data = self.partial + data
        lines = data.split(b"\n")
        partial = lines.pop()
        if lines and self._overlong:
            del lines[0]
            self._overlong = False
        if self._overlong:
            partial = b""
        elif len(partial) > self.limit + 1:  # the last byte may be the CR of a line end
            lines.append(partial)
            partial = b""
            self._overlong = True
        self.partial = partial
        return self._without_cr(lines) if b"\r" in data else lines

    def end(self) -> list[bytes]:
        """The incomplete line, if any, as the client sends nothing more."""
        lines = [self.partial] if self.partial and not self._overlong else []
        self.erase_line()
        return self._without_cr(lines)

    def count(self, data: bytes) -> int:
        """The number of lines that end in ``data``."""
        return data.count(b"\n")

    def erase_character(self) -> None:
        """Drop the last character of the incomplete line, with its marks (RFC 854, EC)."""
        line, end = self.partial, len(self.partial)
        for _ in range(MARKS_ERASED + 1):
            if not end:
                break
            start = end - 1
            while start > 0 and end - start < 4 and line[start] >> 6 == 0b10:
                start -= 1
            erased = line[start:end].decode("utf-8", "replace")
            end = start
            if any(unicodedata.category(c) not in _MARKS for c in erased):
                break
        self.partial = line[:end]

    def erase_line(self) -> None:
        """Drop the incomplete line (RFC 854, EL)."""
        self.partial = b""
        self._overlong = False

    def _without_cr(self, lines: list[bytes]) -> list[bytes]:
        return [line.removesuffix(b"\r") for line in lines]


class TypedLineSplitter(LineSplitter):
    """A :class:`.Splitter` for a person's lines, which can also end with CR NUL or CR alone."""

    __slots__ = ("_after_cr", "_convention")

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._convention = _Convention.UNKNOWN
        #: Whether the last byte was a CR that ended a line; a LF or NUL after it belongs to it.
        self._after_cr = False

    def split(self, data: bytes) -> list[bytes]:
        """The lines that end in ``data``, the next bytes, without their line ends."""
        if self.partial:
            data, self.partial = self.partial + data, b""
        if self._convention is not _Convention.WITH_LF:
            data = self._settle(data)
        if b"\0" in data:
            data = _KEEPALIVES.sub(b"", data.replace(b"\r\0", b"\r\n"))
        lines = super().split(data)
        if self.partial == END_OF_TRANSMISSION:
            lines += self.end()
        return lines

    def _without_cr(self, lines: list[bytes]) -> list[bytes]:
        self.crlf = self.crlf or any(line.endswith(b"\r") for line in lines)
        return super()._without_cr(lines)

    def _settle(self, data: bytes) -> bytes:
        """Find out the convention; returns ``data`` with CR LF in place of CR alone."""
        if self._after_cr and data:
            self._after_cr = False
            known = self._convention is _Convention.CR_ALONE
            if data[:1] not in (b"\n", b"\0"):
                self._convention = _Convention.CR_ALONE
            else:
                data = data[1:]
                if not known:
                    self._convention = _Convention.WITH_LF
                    return data
        if self._convention is _Convention.UNKNOWN:
            if b"\n" in data or b"\r\0" in data:
                self._convention = _Convention.WITH_LF
                return data
            if b"\r" in data[:-1]:
                self._convention = _Convention.CR_ALONE
        self._after_cr = data.endswith(b"\r")
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\r").replace(b"\r\0", b"\r").replace(b"\r", b"\r\n")
        return data

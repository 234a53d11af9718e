"""Bytes to lines: where a line ends, how long it may be, what is erased of it. Pure.

A line ends with LF or CR LF, and of people also with CR NUL, as some telnet clients send the Enter
key (RFC 854). A person whose first line ends with CR alone, as a raw terminal sends the key, ends
all lines so (*convention*). In the lines of anybody else, CR alone is a control character as
any other. NULs in front of a line are keepalives, and no part of it (RFC 854: no operation).
"""

from __future__ import annotations

import enum
import re
import unicodedata

_KEEPALIVES = re.compile(rb"^\0+", re.MULTILINE)

#: What telnet sends for Ctrl-D. It ends a line that holds nothing else.
END_OF_TRANSMISSION = b"\x04"

#: Categories of Unicode whose characters are drawn over the one before (UAX 44).
_MARKS = frozenset({"Mn", "Me"})

#: Marks that are erased with one character: no letter has so many, and a line of nothing but marks
#: must not cost more than flood control counts for one command of telnet.
MARKS_ERASED = 32


class _Convention(enum.Enum):
    """How a person ends lines."""

    UNKNOWN = enum.auto()
    WITH_LF = enum.auto()
    CR_ALONE = enum.auto()


class LineSplitter:
    """The lines of a program, which end with LF or CR LF; a :class:`base.Splitter`.

    ``limit`` is how many bytes a line may have. Of a longer one, :meth:`split` returns the first
    bytes, more than ``limit``, and drops the rest.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: The beginning of the next line.
        self.partial = b""
        #: Lines end with CR LF, and so should the answers.
        self.crlf = False
        self._overlong = False

    def split(self, data: bytes) -> list[bytes]:
        """The lines that end in ``data``, which comes next."""
        if self.partial:
            data = self.partial + data
        lines = data.split(b"\n")
        partial = lines.pop()
        if lines and self._overlong:
            del lines[0]
            self._overlong = False
        if self._overlong:
            partial = b""
        elif len(partial) > self.limit + 1:  # one more: it may be the CR
            lines.append(partial)
            partial = b""
            self._overlong = True
        self.partial = partial
        return self._without_cr(lines) if b"\r" in data else lines

    def end(self) -> list[bytes]:
        """The last line, if it has no end."""
        lines = [self.partial] if self.partial and not self._overlong else []
        self.erase_line()
        return self._without_cr(lines)

    def count(self, data: bytes) -> int:
        """How many lines end in ``data``."""
        return data.count(b"\n")

    def erase_character(self) -> None:
        """Drop the last character of the line, with its marks (RFC 854, EC)."""
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
        """Drop what there is of the line (RFC 854, EL)."""
        self.partial = b""
        self._overlong = False

    def _without_cr(self, lines: list[bytes]) -> list[bytes]:
        return [line.removesuffix(b"\r") for line in lines]


class TypedLineSplitter(LineSplitter):
    """The lines of a person, who may end them in other ways, too."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._convention = _Convention.UNKNOWN
        #: The last byte was a CR that ended a line: a LF or NUL after it belongs to it.
        self._after_cr = False

    def split(self, data: bytes) -> list[bytes]:
        """The lines that end in ``data``, which comes next."""
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
        """Find out how lines end, and have them end with LF."""
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

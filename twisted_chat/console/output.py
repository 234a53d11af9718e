"""Standard output of the programs: all of it is written, or the exit status says that it was not.

A stream of Python that meets a descriptor in non-blocking mode (as another program on the same
terminal or pipe may have set it) drops what does not fit at once. It must not know what is written.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from twisted_chat.core.errors import CannotStart
from twisted_chat.i18n.language import N_

STDOUT = 1

#: Exit status of a program whose output nobody reads any more: 128 and the number of SIGPIPE, as a
#: shell has it for the programs that the signal ends.
NOBODY_READS = 141

#: Exit status of a program that could not write its output.
CANNOT_WRITE = 2


class CannotWrite(CannotStart):
    code = "cannot-write"
    template = N_("cannot write {path}: {reason}")


class PatientFile(io.RawIOBase):
    """Writes to a descriptor, and waits where it is full, whether it is in blocking mode or not.

    Closing it leaves the descriptor open.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: Any) -> int:
        """Write some of ``data``; returns how many bytes.

        :raises OSError: it cannot be written.
        """
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


def patient(stream: TextIO | None) -> TextIO | None:
    """``stream``, which writes to a descriptor, made to wait where that is full.

    What is no terminal is written in UTF-8: who reads it later may have another locale.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # it is closed, or no file
    try:
        descriptor = stream.fileno()
    except OSError:  # it is in memory
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(PatientFile(descriptor)),
        encoding=stream.encoding if stream.isatty() else "utf-8",
        errors=stream.errors,
        # With PYTHONUNBUFFERED, as many containers set it, a stream writes through.
        line_buffering=stream.line_buffering or stream.write_through,
    )


def forget_output() -> None:
    """Nobody reads it; but the interpreter flushes it at the end, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)


@contextmanager
def patient_streams() -> Iterator[None]:
    """Inside, standard output and standard error wait where they are full."""
    before = sys.stdout, sys.stderr
    try:
        sys.stdout, sys.stderr = map(patient, before)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with suppress(OSError, ValueError):  # it was told, or it is closed
                    stream.flush()
        sys.stdout, sys.stderr = before


def why_not(error: OSError, language: str) -> tuple[int, str]:
    """The exit status where standard output met ``error``, and what to tell; nothing, if it is
    only that nobody reads it any more.
    """
    forget_output()
    if isinstance(error, BrokenPipeError):
        return NOBODY_READS, ""
    return CANNOT_WRITE, CannotWrite(path="stdout", reason=error.strerror).sentence(language)


def finish(status: int, complain: Callable[[str], None], language: str) -> int:
    """The exit status of a program that would end with ``status``, if all of its output is written;
    or another one. ``complain`` is told what is wrong.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        other, sentence = why_not(error, language)
        if sentence:
            complain(sentence)
        return status or other
    return status

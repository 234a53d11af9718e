"""Standard output of the programs: all of it is written, or the exit status says that it was not.

A Python stream loses data on a descriptor in non-blocking mode (which another program on the same
terminal or pipe may have set) when it is full. This module must not know what is written.
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
    """Writes to a descriptor, and waits while it is full, in blocking mode or not.

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
    """``stream``, which writes to a descriptor, made to wait while that is full.

    Output to anything but a terminal is UTF-8: its readers may have another locale.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # it is closed, or has no descriptor
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
    """Discard the output that nobody reads: the interpreter would complain when it flushes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)


@contextmanager
def patient_streams() -> Iterator[None]:
    """In this context, standard output and standard error wait while they are full."""
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
    """The exit status after ``error`` on standard output, and a message; none if nobody reads the
    output any more.
    """
    forget_output()
    if isinstance(error, BrokenPipeError):
        return NOBODY_READS, ""
    return CANNOT_WRITE, CannotWrite(path="stdout", reason=error.strerror).sentence(language)


def finish(status: int, complain: Callable[[str], None], language: str) -> int:
    """``status`` if all output could be written, otherwise another exit status.

    ``complain`` gets the message for the latter.
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

"""Writes text to a stream that people or programs read.

This module must not know the meaning of the text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO


class Screen:
    """Writes to a stream at once.

    When a write fails, ``gone`` is called, only once, and :attr:`error` is the reason.
    """

    def __init__(self, stream: TextIO, gone: Callable[[], None]) -> None:
        self._stream = stream
        self._gone = gone
        self.error: OSError | None = None
        self._amid_line = False

    def prompt(self, text: str) -> None:
        """Show ``text`` and a space, behind which the person types."""
        self._write(f"{text} ")
        self._amid_line = True

    def line(self, text: str) -> None:
        """Show ``text`` on a line of its own."""
        self.end_line()
        self._write(f"{text}\n")

    def typed(self, enter: bool) -> None:
        """Note that the terminal has echoed input; ``enter`` is whether it ended with Enter."""
        self._amid_line = not enter

    def end_line(self) -> None:
        """Go to the beginning of a line, if the screen is not there yet."""
        if self._amid_line:
            self._amid_line = False
            self._write("\n")

    def _write(self, text: str) -> None:
        if self.error is not None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            self.error = error
            self._gone()

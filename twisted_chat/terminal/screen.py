"""What is shown: text for a stream that people or programs read.

It must not know what the text means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO


class Screen:
    """Writes to ``stream`` at once. When it cannot any more, ``gone`` is called, once, and
    ``error`` says why.
    """

    def __init__(self, stream: TextIO, gone: Callable[[], None]) -> None:
        self._stream = stream
        self._gone = gone
        self.error: OSError | None = None
        self._amid_line = False

    def prompt(self, text: str) -> None:
        """Show ``text`` and a space; what is typed stands behind it."""
        self._write(f"{text} ")
        self._amid_line = True

    def line(self, text: str) -> None:
        """Show ``text`` on a line of its own."""
        self.end_line()
        self._write(f"{text}\n")

    def typed(self, enter: bool) -> None:
        """The terminal has echoed something; ``enter`` is whether a line break was the last."""
        self._amid_line = not enter

    def end_line(self) -> None:
        """Go to the beginning of a line."""
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

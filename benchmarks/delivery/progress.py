"""A bar that shows the progress of a measurement on a terminal, and is erased at its end."""

from __future__ import annotations

import time
from typing import TextIO

#: Seconds between two updates of the bar, at least.
_INTERVAL = 0.2

_WIDTH = 24


class Bar:
    """A progress bar on ``stream``; with None, nothing is shown."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._shown = 0.0
        self._length = 0

    def show(self, what: str, share: float) -> None:
        """Show that the share ``share`` (0 to 1) of ``what`` is done."""
        now = time.monotonic()
        if self._stream is not None and now - self._shown >= _INTERVAL:
            self._shown = now
            full = round(_WIDTH * min(1.0, share))
            self._write(f"[{'#' * full}{'.' * (_WIDTH - full)}] {what}")

    def erase(self) -> None:
        """Clear the bar's line, so that other text can be written there."""
        if self._stream is not None:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()

    def _write(self, text: str) -> None:
        assert self._stream is not None
        self._stream.write("\r" + text.ljust(self._length))
        self._stream.flush()
        self._length = len(text)

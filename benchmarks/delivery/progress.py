"""How far a measurement has come: a bar on a terminal, gone when it is done."""

from __future__ import annotations

import time
from typing import TextIO

#: Seconds between two states that are shown.
_INTERVAL = 0.2

_WIDTH = 24


class Bar:
    """Shown on ``stream``; on None it is not shown at all."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._shown = 0.0
        self._length = 0

    def show(self, what: str, share: float) -> None:
        """``share`` of ``what`` is done: 0 to 1."""
        now = time.monotonic()
        if self._stream is not None and now - self._shown >= _INTERVAL:
            self._shown = now
            full = round(_WIDTH * min(1.0, share))
            self._write(f"[{'#' * full}{'.' * (_WIDTH - full)}] {what}")

    def erase(self) -> None:
        """Leave the line empty, for something else to be written on it."""
        if self._stream is not None:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()

    def _write(self, text: str) -> None:
        assert self._stream is not None
        self._stream.write("\r" + text.ljust(self._length))
        self._stream.flush()
        self._length = len(text)

"""The progress of long work: one line on a terminal, erased when the work is done."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TextIO

from twisted_chat.i18n.language import N_, catalogue

#: Seconds from one update of the line to the next.
_INTERVAL = 0.2

_CHECKING = N_("Checking the file …")
_LINE = N_("{percent} %, {rate} entries per second")


def grouped(number: int, language: str) -> str:
    """``number`` with its digits in groups of three, as ``language`` separates them."""
    text = f"{number:,}"
    return text if language == "en" else text.replace(",", ".")


class Progress:
    """A progress line on ``stream`` (None: no line), erased when the context ends."""

    def __init__(self, stream: TextIO | None, language: str) -> None:
        self._stream = stream
        self._language = language
        self._total = 0
        self._done = 0
        self._width = 0
        self._started = self._shown = time.monotonic()

    def start(self) -> None:
        """Show the first step, which has no measure."""
        self.tell(_CHECKING)

    def tell(self, sentence: str, **details: object) -> None:
        """Show another sentence for now."""
        self._show(catalogue(self._language).gettext(sentence).format(**details))

    def expect(self, total: int) -> None:
        """Start measuring: the work is ``total`` entries."""
        self._total = total
        self._started = time.monotonic()

    def advance(self, entries: int) -> None:
        """Count further entries as done."""
        self._done += entries
        now = time.monotonic()
        if self._stream is not None and self._total and now - self._shown >= _INTERVAL:
            self._shown = now
            rate = round(self._done / (now - self._started))
            self._show(
                catalogue(self._language)
                .gettext(_LINE)
                .format(
                    percent=min(99, 100 * self._done // self._total),
                    rate=grouped(rate, self._language),
                )
            )

    def erase(self) -> None:
        """Erase the line, so that other output can use it."""
        self._show("")
        if self._stream is not None:
            self._stream.write("\r")
            self._stream.flush()

    def _show(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write("\r" + text.ljust(self._width))
            self._stream.flush()
            self._width = len(text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.erase()

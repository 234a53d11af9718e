"""Where the date changes between the lines that a person is shown. Pure.

Dates and times are those of the person's zone, everywhere in the client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime

from twisted_chat.terminal.view import Line


class Days:
    """Remembers the date of the line that was shown last."""

    def __init__(self, now: float) -> None:
        """``now`` is in seconds since 1970 UTC: lines of that day need no date at first."""
        self._day = _day(now)

    def with_dates(self, lines: Iterable[Line]) -> Iterator[Line]:
        """``lines``, and before each first one of another day, a line with its date."""
        for line in lines:
            if line.time is not None:
                day = _day(line.time / 1_000_000)
                if day != self._day:
                    self._day = day
                    yield Line(text=day.isoformat(), kind="mark")
            yield line


def _day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds).date()

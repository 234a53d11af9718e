"""Lines with the date, between lines of different days. Pure.

All dates and times in the client are in the person's time zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime

from twisted_chat.terminal.view import Line


class Days:
    """Remembers the date of the last shown line."""

    def __init__(self, now: float) -> None:
        """``now``, in seconds since 1970, UTC, gives the day whose first lines need no date."""
        self._day = _day(now)

    def with_dates(self, lines: Iterable[Line]) -> Iterator[Line]:
        """``lines``, with a line for the date before the first line of each new day."""
        for line in lines:
            if line.time is not None:
                day = _day(line.time / 1_000_000)
                if day != self._day:
                    self._day = day
                    yield Line(text=day.isoformat(), kind="mark")
            yield line


def _day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds).date()

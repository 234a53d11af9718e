"""Events of the log, as an observer gets them."""

from __future__ import annotations

from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from zope.interface import implementer


@implementer(ILogObserver)
class Events(list[LogEvent]):
    """An observer that keeps them."""

    def __call__(self, event: LogEvent) -> None:
        self.append(event)


def emitted(line: str, level: Any = LogLevel.info, **fields: Any) -> LogEvent:
    """What an observer gets."""
    events = Events()
    Logger(namespace="test", observer=events).emit(level, line, **fields)
    return events[0]

"""Events of the log, as an observer gets them."""

from __future__ import annotations

import logging
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


class InternalErrors(logging.Handler):
    """Keeps what the core logs as an internal error, which it must not, while it is open."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []
        logging.getLogger("twisted_chat").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(logging.Formatter().format(record))

    def check(self) -> None:
        """No more are expected.

        :raises AssertionError: there were some.
        """
        logging.getLogger("twisted_chat").removeHandler(self)
        assert not self.found, self.found[0]

"""The operator's log: an event a line, as text or as JSON, and no flood of one kind of them.

What is logged is decided where it happens. Here it gets its form: control characters are made
visible, and what the standard library's ``logging`` takes goes the same way as Twisted's.
"""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    eventAsText,
    formatEvent,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import implementer

from twisted_chat.characters import visible
from twisted_chat.language import N_, catalogue

FORMATS = ("text", "json")

#: Events of one kind that are written in one second.
LIMIT = 10

#: So many lines of what is printed: each of them is an event, and one traceback is many.
PRINTED_LIMIT = 200
_PRINTED = ("stdout", "stderr")

_LEFT_OUT = N_("{count} more lines of the kind {kind} were left out.")

#: What is in Twisted's events besides the fields of what happened; some for the sake of its
#: older observers.
_NOT_FIELDS = frozenset(
    ("event", "format", "isError", "message", "system", "time", "why", "failure", "traceback")
)

_LEVELS = {
    logging.DEBUG: LogLevel.debug,
    logging.INFO: LogLevel.info,
    logging.WARNING: LogLevel.warn,
    logging.ERROR: LogLevel.error,
    logging.CRITICAL: LogLevel.critical,
}


def name_of(event: LogEvent) -> str:
    """What kind of thing happened: the event's own name, or else where it comes from."""
    return str(event.get("event") or event.get("log_namespace") or "unknown")


def as_text(event: LogEvent) -> str:
    """One line; where something failed, its traceback in further lines, which a TAB begins."""
    text = visible(eventAsText(event, includeTraceback=False))
    traceback = "".join(f"\n\t{visible(line)}" for line in _traceback(event).splitlines())
    return f"{text}{traceback}\n"


def as_json(event: LogEvent) -> str:
    """One line, which is a JSON object in ASCII."""
    level = event.get("log_level")
    when = datetime.fromtimestamp(event.get("log_time", time.time()), timezone.utc)
    line: dict[str, object] = {
        "time": when.isoformat(timespec="milliseconds"),
        "level": level.name if level is not None else "info",
        "event": name_of(event),
        "text": formatEvent(event),
        "fields": {
            key: value if isinstance(value, (str, int, float, type(None))) else str(value)
            for key, value in event.items()
            if not key.startswith("log_") and key not in _NOT_FIELDS
        },
    }
    traceback = _traceback(event)
    if traceback:
        line["traceback"] = traceback
    return json.dumps(line) + "\n"


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return failure.getTraceback() if isinstance(failure, Failure) else ""


@implementer(ILogObserver)
class Throttle:
    """Passes events on to ``observer``, of each kind no more than :data:`LIMIT` a second.

    What is left out is counted, and told when the second is over: with the next event, or by
    :meth:`flush`. What is critical always passes. Safe from any thread.
    """

    def __init__(
        self,
        observer: Callable[[LogEvent], object],
        language: str = "en",
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._language = language
        self._observer = observer
        self._seconds = seconds
        self._lock = threading.Lock()
        self._end = seconds() + 1  # of the second at hand; guarded, with the counts
        self._counts: Counter[str] = Counter()

    def __call__(self, event: LogEvent) -> None:
        kind = name_of(event)
        self.flush()
        with self._lock:
            self._counts[kind] += 1
            passes = self._counts[kind] <= _limit(kind)
        if passes or event.get("log_level") is LogLevel.critical:
            self._observer(event)

    def flush(self, at_once: bool = False) -> None:
        """Tell what was left out, if the second is over."""
        with self._lock:
            now = self._seconds()
            if now < self._end and not at_once:
                return
            self._end = now + 1
            counts, self._counts = self._counts, Counter()
        for kind, count in counts.items():
            if count > _limit(kind):
                self._observer(self._left_out(kind, count - _limit(kind)))

    def _left_out(self, kind: str, count: int) -> LogEvent:
        return {
            "log_format": catalogue(self._language).gettext(_LEFT_OUT),
            "log_level": LogLevel.warn,
            "log_namespace": __name__,
            "log_time": time.time(),
            "event": "left-out",
            "kind": kind,
            "count": count,
        }


def _limit(kind: str) -> int:
    return PRINTED_LIMIT if kind in _PRINTED else LIMIT


class Bridge(logging.Handler):
    """Takes what the standard library's ``logging`` is given to Twisted's log."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"text": record.getMessage()}
        name = getattr(record, "event", None)  # of logging's ``extra``
        if name is not None:
            fields["event"] = name
        if record.exc_info and record.exc_info[1] is not None:
            kind, error, traceback = record.exc_info
            fields["log_failure"] = Failure(error, kind, traceback)
        level = _LEVELS.get(record.levelno, LogLevel.warn)
        Logger(namespace=record.name).emit(level, "{text}", **fields)


def twistd_observer(twistd: Mapping[str, Any], format: str, language: str) -> ILogObserver | None:
    """The observer for ``twistd``, by its options: writes where its own would, but our lines.

    None where the operator wants another one (``--syslog``, ``--logger``).
    """
    if twistd.get("syslog") or twistd.get("logger"):
        return None
    from twisted.internet import reactor  # not earlier: twistd may install another one

    line = as_json if format == "json" else as_text
    throttle = Throttle(FileLogObserver(_output(twistd), line), language)
    LoopingCall(throttle.flush).start(1.0, now=False)
    reactor.addSystemEventTrigger("during", "shutdown", throttle.flush, True)
    logging.getLogger().addHandler(Bridge(logging.WARNING))
    return throttle


def _output(twistd: Mapping[str, Any]) -> Any:
    """Where twistd would write."""
    name = twistd.get("logfile")
    if name == "-" or (not name and twistd.get("nodaemon")):
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        return sys.stdout
    file = LogFile.fromFullPath(name or "twistd.log")
    signal.signal(signal.SIGUSR1, lambda number, frame: _rotate(file))
    return file


def _rotate(file: LogFile) -> None:
    from twisted.internet import reactor

    reactor.callFromThread(file.rotate)  # type: ignore[attr-defined]  # not within a line

"""The operator's log: one line per event, as text or as JSON, with a limit for each kind of event.

This module formats events and makes control characters visible; other modules decide what to log.
Events of the standard library's ``logging`` take the same path as Twisted's. A signal handler may
log at any time, so no lock here blocks the thread that already holds it.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    eventAsText,
    formatEvent,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat.core.characters import visible
from twisted_chat.core.sources import source_of
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.net.addresses import Address
from twisted_chat.server.log_writer import File, LogWriter, Stream

FORMATS = ("text", "json")

#: Lines per second for events of one kind about one source (or about none).
LIMIT = 10

#: Lines per second of one kind after which each further source gets only one.
KIND_LIMIT = 100

#: Sources per second and kind that are counted singly.
SOURCES_LIMIT = 1000

#: Printed lines per second: each is an event, and a traceback has many.
PRINTED_LIMIT = 200
_PRINTED = ("stdout", "stderr")

_LEFT_OUT = N_("{count} more lines of the kind {kind} were left out.")
_NOT_WRITTEN = N_("{count} lines of the log are missing here: they could not be written.")
_NOT_REOPENED = N_("The log file could not be opened again: {reason}")

#: Keys of Twisted's events that are not fields of the event itself; some serve older observers.
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
    """The kind of an event: its own name, or else the module that logged it."""
    return str(event.get("event") or event.get("log_namespace") or "unknown")


def as_text(event: LogEvent) -> str:
    """One line; the lines of a traceback follow, each after a TAB."""
    text = visible(eventAsText(event, includeTraceback=False))
    traceback = "".join(f"\n\t{visible(line)}" for line in _traceback(event).splitlines())
    return f"{text}{traceback}\n"


def as_json(event: LogEvent) -> str:
    """One line: a JSON object in ASCII."""
    level = event.get("log_level")
    when = datetime.fromtimestamp(event.get("log_time", time.time()), UTC)
    line: dict[str, object] = {
        "time": when.isoformat(timespec="milliseconds"),
        "level": level.name if level is not None else "info",
        "event": name_of(event),
        "text": formatEvent(event),
        "fields": _fields(event),
    }
    traceback = _traceback(event)
    if traceback:
        line["traceback"] = traceback
    return json.dumps(line) + "\n"


def _fields(event: LogEvent) -> dict[str, object]:
    """The fields of an event. An address becomes two fields: address and port."""
    fields: dict[str, object] = {}
    for key, value in event.items():
        if key.startswith("log_") or key in _NOT_FIELDS:
            continue
        if isinstance(value, Address):
            fields |= {"address": value.host, "port": value.port}
        elif isinstance(value, (str, int, float, type(None))):
            fields[key] = value
        else:
            fields[key] = str(value)
    return fields


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return failure.getTraceback() if isinstance(failure, Failure) else ""


@implementer(ILogObserver)
class Throttle:
    """Passes at most :data:`LIMIT` events per second, kind and source on to ``observer``.

    So a noisy source cannot hide another. After :data:`KIND_LIMIT` events of a kind, each further
    source gets one; after :data:`SOURCES_LIMIT` sources, the others get none.

    Events that are left out are counted, and reported after that second: with the next event, or
    by :meth:`flush`. Critical events always pass. Safe from any thread, and in a signal handler
    that interrupts it.
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
        # Twisted's handler of SIGTERM logs, and may interrupt the holder: see the module.
        self._lock = threading.RLock()
        self._end = seconds() + 1  # of the current second; guarded, with the counts
        self._counts: dict[str, Counter[str | None]] = {}
        self._passed: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def __call__(self, event: LogEvent) -> None:
        kind = name_of(event)
        self.flush()
        critical = event.get("log_level") is LogLevel.critical
        with self._lock:
            passes = self._passes(kind, _source(event)) or critical
            if passes:
                self._passed[kind] += 1
            else:
                self._left_out[kind] += 1
        if passes:
            self._observer(event)

    def _passes(self, kind: str, source: str | None) -> bool:
        counts = self._counts.setdefault(kind, Counter())
        if len(counts) >= SOURCES_LIMIT and source not in counts:
            return False
        counts[source] += 1
        if source is None:
            return counts[source] <= _limit(kind)
        limit = LIMIT if self._passed[kind] < KIND_LIMIT else 1
        return counts[source] <= limit

    def flush(self, at_once: bool = False) -> None:
        """Report the events that were left out, if their second is over."""
        with self._lock:
            now = self._seconds()
            if now < self._end and not at_once:
                return
            self._end = now + 1
            left_out, self._left_out = self._left_out, Counter()
            self._counts, self._passed = {}, Counter()
        for kind, count in left_out.items():
            self._observer(_told("left-out", _LEFT_OUT, self._language, kind=kind, count=count))


def _told(event: str, sentence: str, language: str, **fields: object) -> LogEvent:
    """An event of the log itself."""
    return {
        "log_format": catalogue(language).gettext(sentence),
        "log_level": LogLevel.warn,
        "log_namespace": __name__,
        "log_time": time.time(),
        "event": event,
        **fields,
    }


def _source(event: LogEvent) -> str | None:
    """The source that an event's ``peer`` belongs to; None for an event without one."""
    peer = event.get("peer")
    if not isinstance(peer, Address):
        return None
    return source_of(peer.host)


def _limit(kind: str) -> int:
    return PRINTED_LIMIT if kind in _PRINTED else LIMIT


@implementer(ILogObserver)
class Lines:
    """Writes each event as a line, with ``writer``."""

    def __init__(self, writer: LogWriter, line: Callable[[LogEvent], str]) -> None:
        self._writer = writer
        self._line = line

    def __call__(self, event: LogEvent) -> None:
        critical = event.get("log_level") is LogLevel.critical
        self._writer.put(self._line(event).encode("utf-8", "backslashreplace"), critical)


class Bridge(logging.Handler):
    """Passes events of the standard library's ``logging`` on to Twisted's log."""

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


class TwistdLog:
    """The log of a ``twistd`` process, at the place that twistd's options name, in our format.

    A separate thread writes the lines after :meth:`start`, which is called in the process that
    stays when twistd forks. :meth:`reopen` is for signal handlers.

    :raises OSError: the log file cannot be opened.
    """

    def __init__(self, twistd: Mapping[str, Any], format: str, language: str) -> None:
        line = as_json if format == "json" else as_text

        def lost(count: int) -> bytes:
            return line(_told("not-written", _NOT_WRITTEN, language, count=count)).encode()

        self._output = _output(twistd)
        self._language = language
        self.writer = LogWriter(self._output, lost)
        self.observer = Throttle(Lines(self.writer, line), language)
        atexit.register(self.writer.finish)
        if twistd.get("nodaemon"):
            self.writer.start()

    def start(self, reactor: Any) -> None:
        """Start the writing thread, so that the reactor never waits for a write."""
        self.writer.start()
        LoopingCall(self.observer.flush).start(1.0, now=False)
        reactor.addSystemEventTrigger("during", "shutdown", self.observer.flush, True)
        # twistd ends with a signal, which does not call the functions of atexit.
        reactor.addSystemEventTrigger("after", "shutdown", self.writer.finish)

    def reopen(self) -> None:
        """Open the log file again if it was renamed."""
        self.writer.call(partial(self._try, self._output.reopen))

    def rotate(self) -> None:
        """Open the log file again if it was renamed; otherwise begin a new one."""
        rotate = self._output.rotate if isinstance(self._output, File) else self._output.reopen
        self.writer.call(partial(self._try, rotate))

    def _try(self, function: Callable[[], object]) -> None:
        try:
            function()
        except OSError as error:
            event = _told("not-reopened", _NOT_REOPENED, self._language, reason=error.strerror)
            self.observer(event)


def twistd_log(twistd: Mapping[str, Any], format: str, language: str) -> TwistdLog | None:
    """The log for ``twistd``; None if the operator chose another (``--syslog``, ``--logger``).

    :raises OSError: the log file cannot be opened.
    """
    if twistd.get("syslog") or twistd.get("logger"):
        return None
    log = TwistdLog(twistd, format, language)
    logging.getLogger().addHandler(Bridge(logging.WARNING))
    return log


def log_path(twistd: Mapping[str, Any]) -> str | None:
    """The file to which twistd would log; None is standard output."""
    name = twistd.get("logfile")
    if name == "-" or (not name and twistd.get("nodaemon")):
        return None
    return str(name or "twistd.log")


def _output(twistd: Mapping[str, Any]) -> File | Stream:
    path = log_path(twistd)
    if path is not None:
        return File(path)
    try:
        return Stream(sys.stdout.fileno())
    except (AttributeError, ValueError):  # it was closed before we began
        return Stream(os.open(os.devnull, os.O_WRONLY))

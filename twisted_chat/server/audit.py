"""The file of ``--audit-log``: which nickname came from which address.

It has one JSON object per line, without texts and secrets. Lines with a nickname are never left
out. Of events without a nickname, each source gets :data:`NAMELESS_LIMIT` lines per hour and the
rest is counted, so that noise cannot fill the disk. Each day (UTC) has a file; old files go.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from twisted.logger import Logger

from twisted_chat.core.sources import source_of
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.net.addresses import Address
from twisted_chat.server.log_writer import File, LogWriter

#: Lines per hour and source about connections without a name, and the sources that are counted
#: singly in an hour; the others share one count.
NAMELESS_LIMIT = 10_000
SOURCES_LIMIT = 10_000

#: Bytes that can wait to be written.
QUEUE_LIMIT = 2**24

#: Seconds to wait for the last lines when the server stops.
CLOSE_TIMEOUT = 1.0

_HOUR = 3600


class DailyFile(File):
    """A file that becomes ``PATH.YYYY-MM-DD`` when its day (UTC) is over.

    Files whose day is more than ``days`` days ago are removed; 0 keeps them for ever.

    :raises OSError: it cannot be opened.
    """

    def __init__(self, path: str, days: float, seconds: Callable[[], float] = time.time) -> None:
        super().__init__(path, mode=0o600)
        self._days = days
        self._seconds = seconds
        status = os.fstat(self._descriptor)
        if stat.S_ISREG(status.st_mode):
            os.fchmod(self._descriptor, 0o600)
        self._day = _day(status.st_mtime if status.st_size else seconds())
        self._remove_old()

    def write(self, data: bytes) -> int:
        today = _day(self._seconds())
        if today != self._day:
            with suppress(OSError):  # then it continues in the old file
                self._end_day()
                self._day = today
            self._remove_old()
        return os.write(self._descriptor, data)

    def rotate(self) -> None:
        self.reopen()

    def _end_day(self) -> None:
        if self.is_ours() and os.fstat(self._descriptor).st_size:
            name = ended = f"{self._path}.{self._day}"
            number = 0
            while os.path.exists(ended):  # the clock went back
                number += 1
                ended = f"{name}.{number}"
            os.rename(self._path, ended)
        self._replace()

    def _remove_old(self) -> None:
        if not self._days:
            return
        first = _day(self._seconds() - self._days * 24 * _HOUR)
        folder, name = os.path.split(self._path)
        dated = re.compile(re.escape(name) + r"\.(\d{4}-\d\d-\d\d)(\.\d+)?")
        with suppress(OSError):
            for other in os.listdir(folder):
                found = dated.fullmatch(other)
                if found is not None and found[1] < first:
                    os.unlink(os.path.join(folder, other))


class AuditLog:
    """Writes events to the file ``path``, and keeps the older files for ``days`` days.

    ``seconds`` returns the time since 1970 UTC. Every method is called on the reactor's thread.

    :raises OSError: the file cannot be opened.
    """

    _log = Logger()

    def __init__(
        self,
        path: str,
        days: float,
        language: str = "en",
        seconds: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._language = language
        self._seconds = seconds
        self._file = DailyFile(path, days, seconds)
        self._writer = LogWriter(self._file, self._lost, QUEUE_LIMIT, self._failed)
        self._hour = 0
        self._nameless: Counter[str] = Counter()

    def start(self) -> None:
        """Write on a separate thread from now on."""
        self._writer.start()
        self._put({"what": "started"})

    def close(self) -> None:
        """Write the waiting lines and stop; waits for at most :data:`CLOSE_TIMEOUT` seconds."""
        self._tell_counted()
        self._put({"what": "stopped"})
        self._writer.close(CLOSE_TIMEOUT)

    def reopen(self) -> None:
        """Open the file again if it was renamed. Safe in a signal handler."""

        def reopen() -> None:
            try:
                self._file.reopen()
            except OSError as error:
                self._failed(error)

        self._writer.call(reopen)

    def __call__(
        self, what: str, address: str, nickname: str | None = None, **details: str
    ) -> None:
        """Note ``what`` happened to the client at ``address``, with its nickname if it has one."""
        host, port = (
            (address.host, address.port) if isinstance(address, Address) else (address, None)
        )
        if nickname is None and not self._has_line(host):
            return
        self._put({"what": what, "nickname": nickname, "address": host, "port": port, **details})

    def _has_line(self, host: str) -> bool:
        hour = int(self._seconds() // _HOUR)
        if hour != self._hour:
            self._tell_counted()
            self._hour = hour
        source = source_of(host)
        if len(self._nameless) >= SOURCES_LIMIT and source not in self._nameless:
            source = ""
        self._nameless[source] += 1
        return self._nameless[source] <= NAMELESS_LIMIT

    def _tell_counted(self) -> None:
        """The lines that say how many events of the past hour were left out."""
        for source, count in self._nameless.items():
            if count > NAMELESS_LIMIT:
                more = count - NAMELESS_LIMIT
                self._put({"what": "left-out", "address": source or None, "count": more})
        self._nameless = Counter()

    def _put(self, fields: dict[str, object]) -> None:
        self._writer.put(self._line(fields))

    def _line(self, fields: dict[str, object]) -> bytes:
        when = datetime.fromtimestamp(self._seconds(), UTC)
        told = {"time": when.isoformat(timespec="milliseconds"), **fields}
        line = json.dumps(told, ensure_ascii=False)
        if not line.isprintable():  # the zone of an IPv6 address may be any word
            line = json.dumps(told)
        return f"{line}\n".encode()

    # -- on the thread that writes ------------------------------------------------------------

    def _lost(self, count: int) -> bytes:
        return self._line({"what": "not-written", "count": count})

    def _failed(self, error: OSError) -> None:
        sentence = N_("The audit log {path} cannot be written: {reason}")
        translated = catalogue(self._language).gettext(sentence)
        reason = error.strerror
        self._log.error(translated, event="audit-not-written", path=self._path, reason=reason)


def _day(seconds: float) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%d")

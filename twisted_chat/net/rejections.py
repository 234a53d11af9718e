"""Rejects connections: sends each client the reason, and logs how many were rejected.

A source at its limit may try a thousand times per second. So the log has one line per second for
each source, and few connections stay open until their client has the reason. This module must not
know sessions, dialects or limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted_chat.core.errors import Refusal
from twisted_chat.core.sources import source_of
from twisted_chat.i18n.language import N_
from twisted_chat.net.addresses import Address
from twisted_chat.net.sockets import close_with

#: Rejected connections that may stay open until the client has the reason.
REJECTED_AT_ONCE = 100

#: Seconds that such a connection stays open, at most.
REJECTED_SECONDS = 5.0

#: Seconds between two log lines about rejected connections of one source.
LOG_INTERVAL = 1.0

#: Sources with their own line in each interval; all others share one line.
LOGGED_SOURCES = 50


class Log(Protocol):
    """Writes one line into the server's log."""

    def __call__(self, sentence: str, *, event: str, **details: object) -> None: ...


class Rejections:
    """The connections that are being rejected, and the counts for the log.

    :param clock: provides IReactorTime.
    :param log: writes a line into the server's log.
    :param describe: returns a refusal's sentence for the operator.
    """

    def __init__(self, clock: Any, log: Log, describe: Callable[[Refusal], str]) -> None:
        self._clock = clock
        self._log = log
        self._describe = describe
        #: The transports that are open until the client has the reason, and the timer of each.
        self._open: dict[object, Any] = {}
        #: By source, since its last log line: the number of rejections, and the last of them.
        self._untold: dict[str, tuple[int, Address, Refusal]] = {}
        self._is_telling = False

    def reject(self, transport: Any, reason: bytes) -> None:
        """Send ``reason`` and close ``transport``: at once if possible, or else when it is sent."""
        if close_with(transport, reason):
            return
        if len(self._open) >= REJECTED_AT_ONCE:
            transport.abortConnection()
            return
        abort = self._clock.callLater(REJECTED_SECONDS, transport.abortConnection)
        self._open[transport] = abort

    def lost(self, transport: object) -> None:
        """Cancel the timer of ``transport``: its connection is gone."""
        abort = self._open.pop(transport, None)
        if abort is not None and abort.active():
            abort.cancel()

    def count(self, refusal: Refusal, address: Address) -> None:
        """Count a rejection; it is logged at once or within :data:`LOG_INTERVAL`.

        :param refusal: why the connection was rejected.
        :param address: the client's address.
        """
        source = source_of(address.host)
        if source not in self._untold and len(self._untold) >= LOGGED_SOURCES:
            source = ""
        count = self._untold.get(source, (0,))[0]
        self._untold[source] = count + 1, address, refusal
        if not self._is_telling:
            self._tell()

    def _tell(self) -> None:
        """Log one line for each source, and the next lines after :data:`LOG_INTERVAL`."""
        untold, self._untold = self._untold, {}
        self._is_telling = bool(untold)
        for count, peer, refusal in untold.values():
            sentence = N_("[REJECTED] {count}, the last one {peer}: {reason}")
            reason = self._describe(refusal)
            self._log(sentence, event="turned-away", count=count, peer=peer, reason=reason)
        if untold:
            self._clock.callLater(LOG_INTERVAL, self._tell)

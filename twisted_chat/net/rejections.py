"""Connections that are rejected: they are told why, get no session, and are counted.

A source that is at its limit may try a thousand times a second. So the operator's log has one line
a second for each source, and few connections wait until the client has the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted_chat.core.errors import Refusal
from twisted_chat.core.sources import source_of
from twisted_chat.i18n.language import N_
from twisted_chat.net.addresses import Address
from twisted_chat.net.sockets import close_with

#: Rejected connections that are open until the client has the reason; where that takes time.
REJECTED_AT_ONCE = 100

#: Seconds for which such a connection is open at most.
REJECTED_SECONDS = 5.0

#: Seconds from one line in the log about rejected connections to the next.
LOG_INTERVAL = 1.0

#: Sources that have a line of their own there; the others share one.
LOGGED_SOURCES = 50


class Log(Protocol):
    """Writes one line into the server's log."""

    def __call__(self, sentence: str, *, event: str, **details: object) -> None: ...


class Rejections:
    """The connections that are being rejected, and what the log is told of them.

    :param clock: provides IReactorTime.
    :param describe: the sentence that tells the operator of a refusal.
    """

    def __init__(self, clock: Any, log: Log, describe: Callable[[Refusal], str]) -> None:
        self._clock = clock
        self._log = log
        self._describe = describe
        #: Those that are open until the client has the reason, and what aborts each.
        self._open: dict[object, Any] = {}
        #: Since the last lines in the log, by source: how many, and the last of them.
        self._untold: dict[str, tuple[int, Address, Refusal]] = {}
        self._is_telling = False

    def reject(self, transport: Any, reason: bytes) -> None:
        """Close the connection of ``transport`` once the client has the ``reason``."""
        if close_with(transport, reason):
            return
        if len(self._open) >= REJECTED_AT_ONCE:
            transport.abortConnection()
            return
        abort = self._clock.callLater(REJECTED_SECONDS, transport.abortConnection)
        self._open[transport] = abort

    def lost(self, transport: object) -> None:
        """The connection of ``transport`` is gone."""
        abort = self._open.pop(transport, None)
        if abort is not None and abort.active():
            abort.cancel()

    def count(self, refusal: Refusal, address: Address) -> None:
        """A connection from ``address`` was rejected: the log is told soon."""
        source = source_of(address.host)
        if source not in self._untold and len(self._untold) >= LOGGED_SOURCES:
            source = ""
        count = self._untold.get(source, (0,))[0]
        self._untold[source] = count + 1, address, refusal
        if not self._is_telling:
            self._tell()

    def _tell(self) -> None:
        """One line for each source, however often it came, and the next not before a while."""
        untold, self._untold = self._untold, {}
        self._is_telling = bool(untold)
        for count, peer, refusal in untold.values():
            sentence = N_("[REJECTED] {count}, the last one {peer}: {reason}")
            reason = self._describe(refusal)
            self._log(sentence, event="turned-away", count=count, peer=peer, reason=reason)
        if untold:
            self._clock.callLater(LOG_INTERVAL, self._tell)

"""Tells systemd that the process is ready, alive, or about to stop.

The protocol of sd_notify(3): datagrams of ``VARIABLE=value`` lines to the socket that the
environment names. If it names none, nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from twisted.logger import Logger

READY = "READY=1"
ALIVE = "WATCHDOG=1"
STOPPING = "STOPPING=1"


class Notifier:
    """Tells the service manager that ``environment`` names."""

    _log = Logger()

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        #: A path, or a name in the abstract namespace, which is written with an @ (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._failed = False
        #: Seconds from one :data:`ALIVE` to the next; None if systemd does not ask for it.
        self.interval = _interval(environment) if self._address else None

    def tell(self, state: str) -> None:
        """Send ``state`` without waiting; it is dropped if it cannot be sent at once."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(state.encode(), self._address)
        except OSError as error:
            if not self._failed:  # it is sent regularly
                self._failed = True
                self._log.warn(
                    "the service manager was not told {state}: {error}", state=state, error=error
                )


def _interval(environment: Mapping[str, str]) -> float | None:
    """Half of systemd's timeout, as sd_watchdog_enabled(3) recommends."""
    try:
        if int(environment.get("WATCHDOG_PID") or os.getpid()) != os.getpid():
            return None
        microseconds = int(environment["WATCHDOG_USEC"])
    except (KeyError, ValueError):
        return None
    return microseconds / 2_000_000 if microseconds > 0 else None

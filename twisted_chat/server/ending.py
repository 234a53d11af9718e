"""Ends the process in time, whatever hangs.

SIGTERM can interrupt the main thread anywhere, even while it holds a lock or is in a system call.
The last resort is armed in the signal handler and needs neither the reactor nor the interpreter's
lock.
"""

from __future__ import annotations

import _thread
import faulthandler
import os
import signal
import time
from collections.abc import Callable
from typing import Any

#: Seconds that stopping may take.
LONGEST_END = 9.8

#: Seconds for writing the last line of the log before the process is killed.
_LAST_WORDS = 0.1

#: The signals that end a server.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class LastResort:
    """Ends the process ``seconds`` after :meth:`arm`, with the status 1, unless it has ended.

    ``tell`` logs that; it may hang.
    """

    def __init__(
        self,
        tell: Callable[[], object],
        seconds: float = LONGEST_END,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._tell = tell
        self._seconds = seconds
        self._end = end
        self._armed = False
        self._nowhere = open(os.devnull, "w")  # noqa: SIM115  # until the end

    def arm(self) -> None:
        """Start the count. Safe in a signal handler; further calls do nothing."""
        if self._armed:
            return
        self._armed = True
        # Not threading.Thread: its start takes locks that the interrupted thread may hold.
        _thread.start_new_thread(self._wait, ())
        if self._end is os._exit:
            # A thread outside Python, if the main thread never releases the interpreter's lock.
            faulthandler.dump_traceback_later(self._seconds + 0.15, exit=True, file=self._nowhere)

    def _wait(self) -> None:
        time.sleep(self._seconds - _LAST_WORDS)
        _thread.start_new_thread(self._tell, ())
        time.sleep(_LAST_WORDS)
        self._end(1)


def end_in_time(last_resort: LastResort) -> None:
    """Arm ``last_resort`` when a signal ends the process, before the signal's own handler runs.

    Further signals are ignored. Call this after the reactor has installed its handlers.
    """
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            signal.signal(number, _armed(last_resort, handler))


def wait_for_reactor(reactor: Any) -> None:
    """Hold SIGTERM back until the reactor runs, then call the reactor's handler.

    The default handler would end the process at once and leave the file with its process id.
    """

    def stop(number: int, frame: Any) -> None:
        ignore_further_signals()
        reactor.callWhenRunning(reactor.sigTerm, number)

    signal.signal(signal.SIGTERM, stop)


def ignore_further_signals() -> None:
    """Ignore further signals: the server is stopping."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _armed(last_resort: LastResort, handler: Any) -> Callable[[int, Any], None]:
    def handle(number: int, frame: Any) -> None:
        ignore_further_signals()
        last_resort.arm()
        handler(number, frame)

    return handle

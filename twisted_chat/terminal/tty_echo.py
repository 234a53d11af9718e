"""Whether the terminal shows what is typed, in a client without a prompt of its own.

The terminal shows it again when the process ends. This module must not know what is typed.
"""

from __future__ import annotations

import atexit
import termios
from typing import Any


class TtyEcho:
    """The echo of the terminal at ``descriptor``; if that is no terminal, nothing happens."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        #: The settings to restore; None while they are unchanged.
        self._before: list[Any] | None = None

    def hide(self) -> None:
        """Show nothing that is typed, except the end of the line."""
        if self._before is not None:
            return
        try:
            before = termios.tcgetattr(self._descriptor)
            hidden = [*before]
            hidden[3] = (hidden[3] & ~termios.ECHO) | termios.ECHONL
            termios.tcsetattr(self._descriptor, termios.TCSANOW, hidden)
        except (termios.error, ValueError, OSError):
            return
        self._before = before
        atexit.register(self.show)

    def show(self) -> None:
        """Show what is typed."""
        before, self._before = self._before, None
        if before is None:
            return
        atexit.unregister(self.show)
        try:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, before)
        except (termios.error, OSError):  # the terminal is gone
            return

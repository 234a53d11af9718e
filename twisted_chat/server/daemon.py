"""Tells the terminal why a server that goes to the background cannot start.

``twistd`` forks, and its child has no terminal. The parent prints the child's report as the
``repr`` of bytes, cut after 100 bytes. This module prints the child's own lines instead.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from twisted_chat.core.errors import FileUnwritable

_LINES_LIMIT = 2**16


class Relay:
    """Replaces ``sys.__stderr__``: the parent shows the lines that the child writes.

    The parent itself writes only its report of the child's failure, after the child has written.
    """

    def __init__(self, terminal: Any) -> None:
        self._terminal = terminal
        self._parent = os.getpid()
        self._reading, self._writing = os.pipe()
        for descriptor in (self._reading, self._writing):
            os.set_blocking(descriptor, False)
        self._open = True

    def write(self, text: str) -> int:
        if self._open and os.getpid() != self._parent:
            with suppress(OSError):
                os.write(self._writing, text.encode("utf-8", "backslashreplace"))
            return len(text)
        lines = b""
        if self._open:
            with suppress(OSError):
                lines = os.read(self._reading, _LINES_LIMIT)
        self._terminal.write(lines.decode("utf-8", "replace") or text)
        self._terminal.flush()
        return len(text)

    def close(self) -> None:
        """The server has started."""
        if self._open:
            self._open = False
            os.close(self._reading)
            os.close(self._writing)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)


def relay_errors(twistd: Mapping[str, Any]) -> Relay | None:
    """Connect ``sys.__stderr__`` to the terminal, if twistd becomes a daemon."""
    if twistd.get("nodaemon") or twistd.get("debug") or sys.__stderr__ is None:
        return None
    relay = Relay(sys.__stderr__)
    sys.__stderr__ = relay  # type: ignore[misc,assignment]
    return relay


def check_files(twistd: Mapping[str, Any]) -> None:
    """Check the files of twistd's own options, for which twistd prints only a traceback.

    :raises FileUnwritable: the file of ``--pidfile`` or the folder of ``--rundir`` cannot be used.
    """
    if twistd.get("chroot"):
        return
    folder = twistd.get("rundir") or "."
    if not os.path.isdir(folder):
        _refuse("--rundir", folder, errno.ENOENT)
    pidfile = twistd.get("pidfile")
    if not pidfile:
        return
    if not os.path.isdir(os.path.dirname(pidfile) or "."):
        _refuse("--pidfile", pidfile, errno.ENOENT)
    if os.path.isdir(pidfile):
        _refuse("--pidfile", pidfile, errno.EISDIR)
    existing = pidfile if os.path.exists(pidfile) else os.path.dirname(pidfile) or "."
    if not os.access(existing, os.W_OK):
        _refuse("--pidfile", pidfile, errno.EACCES)


def _refuse(setting: str, path: str, number: int) -> None:
    raise FileUnwritable(setting=setting, path=path, reason=os.strerror(number))

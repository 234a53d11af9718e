"""Reads one connection beyond the lines that may be handled now: to look ahead, or to count lines.

A connection whose lines wait is not read, except to find a request to cancel behind them. When it
closes, its unread lines are counted and dropped. This module must not know the lines themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_chat.net.sockets import has_unread

#: Bytes read from a connection whose lines wait, to find a request to cancel behind them.
LOOK_AHEAD = 2**17

#: Reads of a connection that handles no more lines, at most, to count the lines that it has.
READS_TO_COUNT = 128


class Reading:
    """The bytes that the system has received for ``transport``."""

    __slots__ = ("_dropped", "_transport", "ahead")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        #: Bytes that were read since lines began to wait.
        self.ahead = 0
        #: The number of dropped lines so far while :meth:`drop` runs; otherwise None.
        self._dropped: int | None = None

    @property
    def handle(self) -> object:
        """The socket; None if the transport has none."""
        # A TLS transport has the socket of the connection below it.
        return getattr(self._transport, "socket", None)

    @property
    def is_unread(self) -> bool:
        """Whether the system has received bytes that were not read yet."""
        return has_unread(self.handle)

    @property
    def may_look_ahead(self) -> bool:
        """Whether more bytes may be read although lines wait."""
        return self.ahead < LOOK_AHEAD

    def is_dropped(self, data: bytes, count: Callable[[bytes], int]) -> bool:
        """Whether received bytes have to be dropped, because :meth:`drop` runs.

        :param data: the received bytes.
        :param count: returns the number of lines that end in them.
        """
        if self._dropped is None:
            return False
        self._dropped += count(data)
        return True

    def drop(self) -> int:
        """Drop the bytes that the system has received; returns the number of lines in them.

        The transport passes them to the protocol, which has to call :meth:`is_dropped`.
        """
        self._dropped = 0
        for _ in range(READS_TO_COUNT):
            if not self.read_more():
                break
        count, self._dropped = self._dropped, None
        return count

    def read_more(self) -> bool:
        """Read bytes that the system has received; returns whether there may be more."""
        if not self.is_unread:
            return False
        # A TLS transport reads the connection below it. The reactor will find an end again.
        return self._transport.doRead() is None

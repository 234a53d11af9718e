"""How far one connection is read while its lines have to wait, and what of it nobody reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_chat.net.sockets import has_unread

#: Bytes that are read of somebody whose lines have to wait, to find a request to drop them.
LOOK_AHEAD = 2**17

#: Times that a connection is read, once it takes no more lines, to count those that it has.
READS_TO_COUNT = 128


class Reading:
    """What the system has received for ``transport``."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        #: Bytes that were read while others wait.
        self.ahead = 0
        #: While lines are counted that nobody has read, and are dropped: how many there are.
        self._dropped: int | None = None

    @property
    def handle(self) -> object:
        """The socket; anything else if there is none."""
        # Under TLS, the transport has that of the connection below it.
        return getattr(self._transport, "socket", None)

    @property
    def is_unread(self) -> bool:
        """Whether the system has received something that was not read."""
        return has_unread(self.handle)

    @property
    def may_look_ahead(self) -> bool:
        """Whether more may be read, though lines wait."""
        return self.ahead < LOOK_AHEAD

    def is_dropped(self, data: bytes, count: Callable[[bytes], int]) -> bool:
        """Whether ``data``, which was received, is to be dropped; if so, its lines are counted."""
        if self._dropped is None:
            return False
        self._dropped += count(data)
        return True

    def drop(self) -> int:
        """Drop what the system has received and nobody has read; returns how many lines that is.

        It comes to the protocol, which asks :meth:`is_dropped`.
        """
        self._dropped = 0
        for _ in range(READS_TO_COUNT):
            if not self.read_more():
                break
        count, self._dropped = self._dropped, None
        return count

    def read_more(self) -> bool:
        """Read now what the system has received; returns whether there was anything."""
        if not self.is_unread:
            return False
        # Under TLS, it is that of the connection below. An end is told again, in its turn.
        return self._transport.doRead() is None

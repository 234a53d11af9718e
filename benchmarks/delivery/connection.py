"""One client of the load: its socket, the bytes to send, and the function for received bytes.

It must not know servers or transcripts.
"""

from __future__ import annotations

import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Callable

from benchmarks.delivery.speech import Lines, Speech, Step, nickname

#: Bytes of the kernel's receive buffer for a client that stops reading, approximately.
_LITTLE = 1 << 15

IN, OUT = select.EPOLLIN, select.EPOLLOUT


class Client:
    """A connection that takes the steps to enter the chat as soon as it is open.

    The socket is registered with ``epoll``. The caller polls, and calls :meth:`flush` when the
    socket takes bytes, and :attr:`heard` with received bytes. Once :attr:`is_in` is true,
    :attr:`heard` may be replaced.
    """

    __slots__ = (
        "_blocked",
        "_epoll",
        "_lines",
        "_out",
        "_socket",
        "_steps",
        "_tail",
        "descriptor",
        "heard",
        "is_in",
        "name",
        "number",
        "receive_into",
        "room",
        "sent",
        "sent_at",
        "sent_until",
        "speech",
    )

    def __init__(self, epoll: select.epoll, number: int, room: bytes, speech: Speech) -> None:
        self.number = number
        self.name = nickname(number).decode()
        self.room = room
        self.speech = speech
        self.is_in = False
        #: The number of messages that are sent, or about to be; and, for runs of messages that were
        #: sent together, the number after each run, and its time in seconds.
        self.sent = 0
        self.sent_until = array("q")
        self.sent_at = array("d")
        self._steps: deque[Step] = deque(speech.coming_in(number, room))
        self._tail = b""
        self._lines: Lines | None = None
        self._out = memoryview(self._steps[0].sent)
        self._blocked = True  # until it is connected
        self._epoll = epoll
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.descriptor = self._socket.fileno()
        self.receive_into = self._socket.recv_into
        self.heard: Callable[[memoryview], None] = self._come_in

    def connect(self, address: tuple[str, int]) -> None:
        self._socket.connect_ex(address)
        self._epoll.register(self._socket, IN | OUT)

    def close(self) -> None:
        self._socket.close()

    def take_little(self) -> None:
        """Make the kernel's receive buffer small, so that the server soon notices a pause.

        It must be called before :meth:`connect`.
        """
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE)

    def stop_reading(self) -> None:
        """Leave received bytes in the kernel."""
        self._epoll.unregister(self._socket)

    def read_again(self) -> None:
        self._epoll.register(self._socket, OUT | IN if self._blocked else IN)

    # -- entering the chat --------------------------------------------------------------------

    def _come_in(self, data: memoryview) -> None:
        """Take the steps to enter the chat, one after the other."""
        self._tail = self._without_noise(self._tail + data)
        while self._steps and (match := self._steps[0].answer.search(self._tail)):
            self._tail = self._tail[match.end() :]
            self._steps.popleft()
            if self._steps:
                self.reply(self._steps[0].sent)
        if not self._steps:
            self.is_in = True
            self._tail = b""
            self.heard = self._pass_over

    def _pass_over(self, data: memoryview) -> None:
        """Drop the notices that come before the first message."""
        if self.speech.noise is not None:
            self._without_noise(bytes(data))

    def _without_noise(self, data: bytes) -> bytes:
        """``data`` without the lines of noise; answers those that need an answer."""
        noise = self.speech.noise
        if noise is None:
            return data
        for line in noise.findall(data):
            answer = self.speech.reply(line)
            if answer:
                self.reply(answer)
        return noise.sub(b"", data)

    # -- bytes out ----------------------------------------------------------------------------

    def reply(self, data: bytes) -> None:
        """Send ``data``, after the bytes that wait."""
        self._out = memoryview(bytes(self._out) + data)
        if not self._blocked:
            self.flush()

    def prepare(self, size: int) -> None:
        """Prepare lines with texts of ``size`` bytes, for :meth:`say`."""
        self._lines = Lines(self.speech, self.number, self.room, size)

    def say(self, count: int) -> None:
        """Send up to ``count`` further messages, as many as the socket takes now."""
        assert self._lines is not None
        while count > 0 and not self._blocked:
            self._out = self._lines.take(self.sent, count)
            taken = len(self._out) // self._lines.length
            self.sent += taken
            count -= taken
            self.sent_until.append(self.sent)
            self.sent_at.append(time.perf_counter())
            self.flush()

    def flush(self) -> None:
        """Send the bytes that wait, as far as the socket takes them."""
        try:
            self._out = self._out[self._socket.send(self._out) :]
        except BlockingIOError:
            pass
        except OSError:
            self._out = memoryview(b"")  # the next read will raise the error
        blocked = bool(self._out)
        if blocked != self._blocked:
            self._blocked = blocked
            self._epoll.modify(self._socket, IN | OUT if blocked else IN)

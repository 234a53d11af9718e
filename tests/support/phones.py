"""People's connections to a real server, over plain sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.processes import PATIENCE


class Phone:
    """A person's connection to a real server."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((host, port), timeout=PATIENCE)
        self._read = b""

    def say(self, line: str) -> None:
        self.socket.sendall(line.encode() + b"\n")

    def hears(self, text: str) -> None:
        while text.encode() not in self._read:
            data = self.socket.recv(1 << 16)
            assert data, f"closed without {text!r}: {self._read[-500:]!r}"
            self._read += data

    @property
    def text(self) -> str:
        """All that was heard."""
        return self._read.decode()

    def rest(self) -> str:
        """All until it is closed, also if by a reset."""
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(1 << 16):
                self._read += data
        return self._read.decode()

    def close(self) -> None:
        self.socket.close()


@contextmanager
def phones(count: int, port: int, host: str = "127.0.0.1") -> Iterator[list[Phone]]:
    with contextlib.ExitStack() as stack:
        made = [Phone(port, host) for _ in range(count)]
        for phone in made:
            stack.callback(phone.close)
        yield made

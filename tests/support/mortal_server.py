"""A server that is killed with SIGKILL and started again."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.support.load import RETRY_DELAY
from tests.support.processes import PATIENCE, free_port, start_twistd


class MortalServer:
    """A server that is killed and started again, on one port and one database."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.database = folder / "chat.db"
        self.slowest_start = 0.0
        self._folder = folder
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers a program."""
        self._starts += 1
        begun = time.monotonic()
        self._process = start_twistd(
            self._folder,
            "--rate=off",
            f"--listen=tcp:{self.port}:interface=127.0.0.1:backlog=1024",
            output=self._log,
        )
        while not await asyncio.to_thread(_answers, self.port):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < begun + PATIENCE, self._log.read_text()
            await asyncio.sleep(RETRY_DELAY)
        self.slowest_start = max(self.slowest_start, time.monotonic() - begun)

    def kill(self) -> None:
        """``kill -9``."""
        assert self._process is not None
        self._process.kill()
        status = self._process.wait(PATIENCE)
        assert status == -signal.SIGKILL, self._log.read_text()
        assert "Traceback" not in self._log.read_text()

    async def stop(self) -> None:
        """End it in good order; the hard way if it does not end."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            status = await asyncio.to_thread(self._process.wait, PATIENCE)
        finally:
            self._process.kill()
        assert status == -signal.SIGTERM, self._log.read_text()

    @property
    def _log(self) -> Path:
        return self._folder / f"server-{self._starts}.log"


def _answers(port: int) -> bool:
    """Whether a program that connects is answered."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE) as probe:
        probe.settimeout(PATIENCE)
        probe.sendall(b'{"type":"ping"}\n')
        return probe.recv(64).startswith(b'{"type":"pong"')
    return False

"""The journal's promise, while the server is killed and connections break off.

*If you saw the acknowledgement, the message is on disk, in one fixed place in that room's
order. If you did not, send it again with the same id: it is stored once.*
"""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from tests.faults import show
from tests.load import RETRY_DELAY, Program, check, until_all_is_seen
from tests.processes import PATIENCE, free_port, start_twistd

pytestmark = pytest.mark.process

ROOMS = ("lobby", "cinema")
SPEAKERS = 4
WINDOW = 50


class Figures(msgspec.Struct):
    """What came of one kill loop."""

    kills: int
    drops: int
    acknowledged: int
    resent: int
    slowest_start: float
    violations: list[str]

    def __str__(self) -> str:
        return (
            f"{self.kills} kills and {self.drops} broken connections: {self.acknowledged} messages"
            f" acknowledged, {self.resent} resent, {len(self.violations)} violations,"
            f" slowest start {self.slowest_start:.2f} s"
        )


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


@asynccontextmanager
async def running(*programs: Program) -> AsyncIterator[None]:
    """``programs`` are there; a defect in one of them is raised in the end."""
    tasks = [asyncio.create_task(program.run()) for program in programs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                raise RuntimeError("a program ended by itself") from result


@asynccontextmanager
async def speaking(programs: list[Program]) -> AsyncIterator[None]:
    """``programs`` say one message after the other."""
    tasks = [asyncio.create_task(program.speak()) for program in programs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def kill_loop(folder: Path, kills: int, seed: int) -> Figures:
    """Load a server, kill it ``kills`` times at random moments, and check all that is left."""
    chance = random.Random(seed)
    server = MortalServer(folder)
    programs = [
        Program(server.port, f"Bot{n}", ROOMS, WINDOW, random.Random(chance.random()))
        for n in range(SPEAKERS)
    ]
    programs.append(Program(server.port, "Silent", ROOMS, 0, random.Random(chance.random())))
    drops = 0
    try:
        await server.start()
        async with running(*programs):
            async with speaking(programs):
                for _ in range(kills):
                    await asyncio.sleep(chance.uniform(0.02, 0.4))
                    for program in programs:
                        if chance.random() < 0.3:
                            program.drop()
                            drops += 1
                            await asyncio.sleep(chance.uniform(0, 0.1))
                    server.kill()
                    await server.start()
                await asyncio.sleep(0.2)
            # One more observer, who reads all of the log at the end.
            late = Program(server.port, "Late", ROOMS, 0, random.Random(chance.random()))
            async with running(late):
                complete = await until_all_is_seen([*programs, late], PATIENCE)
    finally:
        await server.stop()
    violations = check(server.database, [*programs, late])
    if not complete:
        violations.append("something was never acknowledged or never seen")
    return Figures(
        kills,
        drops,
        sum(len(program.acknowledged) for program in programs),
        sum(program.resent for program in programs),
        server.slowest_start,
        violations,
    )


def test_nothing_is_lost_or_doubled_in_a_few_kills(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The kill loop, for every day."""
    _run(tmp_path, 3, request)


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_in_many_kills(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kill loop, ``--kills`` times."""
    figures = _run(tmp_path, request.config.getoption("--kills"), request)
    show(capsys, 1, f"{figures}, to hold: ≤ 2")


def _run(folder: Path, kills: int, request: pytest.FixtureRequest) -> Figures:
    given = request.config.getoption("--seed")
    seed = secrets.randbits(32) if given is None else given
    print(f"--seed {seed}")  # pytest shows it when the test fails
    figures = asyncio.run(kill_loop(folder, kills, seed))
    print(figures)
    assert not figures.violations, figures.violations[:20]
    assert figures.acknowledged
    return figures

"""A server in bad company for a while: churn, floods, readers that stop, kills.

Memory does not grow, and in the end every log checks out. A minute with ``pytest -m slow``;
``TWISTED_CHAT_SOAK_SECONDS=600 pytest -m slow tests/test_soak.py`` for ten.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.faults import MEGABYTE, Subject, show, verify
from tests.support.load import Program, check, running, speaking, until_all_is_seen
from tests.support.processes import PATIENCE, free_port

pytestmark = [pytest.mark.slow, pytest.mark.process]

SECONDS = float(os.environ.get("TWISTED_CHAT_SOAK_SECONDS", 60))

#: Flood control as strict as for people would leave the programs nothing to say. The other limits
#: are low, so that each is reached often, and what is kept meanwhile has come to its end soon.
OPTIONS = (
    *("--rate=1000:500", "--trusted-networks=127.0.0.0/8", "--keep=1"),
    *("--reconnect-grace=1", "--resume-window=5"),
    *("--max-waiting=131072", "--login-deadline=2", "--write-timeout=3"),
)

ROOMS = ("lobby", "cinema")

#: Names of those who come and go: few, as what was found out about a name is kept for a while.
NAMES = 100

#: The parts of a long life. A leak makes memory grow in each of them; the caches of SQLite and the
#: allocator do not. The number of objects knows neither of these: it may grow in none of them.
PARTS = 3

#: Seconds after which nothing is kept any more of those who are gone; and what may be kept more
#: after a part than after the one before: some 1500 have come and gone in each.
QUIET = 8.0
OBJECTS = 10_000
GROWTH = 5.0 * MEGABYTE


class Sample(NamedTuple):
    """The memory of the server, in bytes, so many seconds after it was started."""

    seconds: float
    memory: int


class Kept(NamedTuple):
    """What is left, when it is quiet and all garbage has been taken away: objects, and bytes."""

    objects: int
    memory: int


class Soak:
    """One server, killed now and then, and those who trouble it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.port = free_port()
        self._kept = folder / "kept"
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.logs = ""
        self._server: Subject | None = None
        self._began = 0.0

    def start(self) -> None:
        faults: dict[str, object] = {"kept": str(self._kept)}
        self._server = Subject(self.folder, *OPTIONS, port=self.port, faults=faults)
        self._began = time.monotonic()

    def end(self, how: signal.Signals) -> None:
        assert self._server is not None
        self._server.stop(how)
        self.logs += self._server.raw_log()
        self.done["kills"] += how == signal.SIGKILL

    def sample(self) -> None:
        assert self._server is not None
        self.samples.append(Sample(time.monotonic() - self._began, self._server.memory()))

    async def kept(self) -> Kept:
        """What is kept once it has been quiet for a while."""
        assert self._server is not None
        await asyncio.sleep(QUIET)
        self._kept.unlink(missing_ok=True)
        self._server.process.send_signal(signal.SIGUSR2)
        end = time.monotonic() + PATIENCE
        while not self._kept.exists() or not self._kept.read_text().endswith("\n"):
            assert time.monotonic() < end, "no answer to SIGUSR2"
            await asyncio.sleep(0.05)
        return Kept(*map(int, self._kept.read_text().split()))

    # -- what troubles it ---------------------------------------------------------------------

    async def churn(self) -> None:
        """Somebody comes, says something perhaps, and goes in one way or another."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        number = self.chance.randrange(NAMES)
        beginnings = (
            b"",
            b"half a na",
            b"p%d\n" % number,
            b"p%d\n/join cinema\noi\n/who\n" % number,
            b"p%d\r\n/resume AAAA-AAAA\r\n/nick q%d\r\nsair\r\n" % (number, number),
            b'{"type":"hello","nickname":"r%d"}\n{"type":"rooms"}\n' % number,
            b'{"type":"hello","nickname":"r%d","client":"%032x"}\n' % (number, number),
            b'{"type":"hello","nickname":"r%d"}\n{"type":"search","words":"a"}\n' % number,
            b"\xff\xfb\x1f\xff\xf4\xff\xfd\x06" + self.chance.randbytes(200) + b"\n",
        )
        writer.write(self.chance.choice(beginnings))
        if self.chance.random() < 0.5:
            with suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(reader.read(1000), 0.3)
        if self.chance.random() < 0.5:
            _reset(writer)
        writer.close()
        self.done["comings and goings"] += 1

    async def flood(self) -> None:
        """Somebody sends as much as they can for a moment, sensible or not."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        drained = asyncio.create_task(_drain(reader))
        kind = self.chance.randrange(4)
        if kind == 0:
            data = b"p%d\n" % self.chance.randrange(NAMES) + b"flood\n" * 200
        elif kind == 1:
            data = b"x" * 500_000
        elif kind == 2:
            data = b"p%d\n" % self.chance.randrange(NAMES) + b"/history 100\n" * 50
        else:
            data = self.chance.randbytes(100_000)
        writer.write(data)
        await asyncio.sleep(self.chance.uniform(0.1, 1))
        _reset(writer)
        writer.close()
        drained.cancel()
        self.done["floods"] += 1

    async def stop_reading(self) -> None:
        """Somebody asks for much, and reads none of it."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(connection, ("127.0.0.1", self.port))
            name = b"s%d\n" % self.chance.randrange(NAMES)
            with suppress(BlockingIOError):
                connection.send(name + b"/history 100\n" * 100)
            await asyncio.sleep(self.chance.uniform(1, 5))
            if self.chance.random() < 0.5:  # or else it goes without having read
                with suppress(BlockingIOError):
                    while connection.recv(65536):
                        pass
            self.done["stopped readers"] += 1
        finally:
            connection.close()


async def _drain(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(65536):
            pass


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def again_and_again(
    work: Callable[[], Awaitable[None]], pause: float, over: asyncio.Event
) -> None:
    # Before Python 3.12, asyncio.wait_for sometimes swallows a cancellation.
    while not over.is_set():
        with suppress(OSError, EOFError):
            await work()
        await asyncio.sleep(pause)


async def talk_now_and_then(programs: list[Program], seconds: float, over: asyncio.Event) -> None:
    """So that what is said, and all of it is checked, is not more than fits."""
    pause = max(1.0, seconds / 60)
    while not over.is_set():
        async with speaking(programs):
            await asyncio.sleep(0.3)
        await asyncio.sleep(pause)


@asynccontextmanager
async def troubled(it: Soak, programs: list[Program]) -> AsyncIterator[None]:
    """All that troubles the server goes on meanwhile, and has ended afterwards."""
    over = asyncio.Event()
    tasks = [
        asyncio.create_task(again_and_again(work, pause, over))
        for work, pause, how_many in (
            (it.churn, 0.02, 3),
            (it.flood, 0.2, 3),
            (it.stop_reading, 0.1, 10),
        )
        for _ in range(how_many)
    ]
    tasks.append(asyncio.create_task(talk_now_and_then(programs, SECONDS, over)))
    try:
        yield
    finally:
        ended = [task for task in tasks if task.done()]
        over.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in ended:
            raise RuntimeError("a trouble ended by itself") from task.exception()


async def soak(it: Soak, seconds: float) -> tuple[list[Kept], list[str]]:
    """Kills in the first fifth; then a long life; then one kill more, and all is checked.

    Returns what was kept after each part of the long life, and what is wrong.
    """
    programs = [
        Program(it.port, f"Bot{n}", ROOMS, 20, random.Random(it.chance.random())) for n in range(4)
    ]
    programs.append(Program(it.port, "Silent", ROOMS, 0, random.Random(it.chance.random())))
    kept = []
    it.start()
    try:
        async with running(*programs):
            async with troubled(it, programs):
                for _ in range(4):
                    await asyncio.sleep(seconds / 20)
                    it.end(signal.SIGKILL)
                    await asyncio.to_thread(it.start)
            for _ in range(PARTS):
                async with troubled(it, programs):
                    end = time.monotonic() + 0.8 * seconds / PARTS
                    while time.monotonic() < end:
                        await asyncio.sleep(min(1.0, seconds / 60))
                        it.sample()
                kept.append(await it.kept())
            async with troubled(it, programs):
                await asyncio.sleep(seconds / 20)
                it.end(signal.SIGKILL)
                await asyncio.to_thread(it.start)
            complete = await until_all_is_seen(programs, 3 * PATIENCE)
    finally:
        it.end(signal.SIGTERM)
    violations = [] if complete else ["something was never acknowledged or never seen"]
    return kept, violations + _check(it.folder / "chat.db", programs)


def _check(database: Path, programs: list[Program]) -> list[str]:
    """What breaks the promise to ``programs``; others, who spoke too, were promised nothing."""
    return [v for v in check(database, programs) if not v.startswith("nobody said")]


def test_memory_does_not_grow_and_the_log_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    it = Soak(tmp_path, seed)
    kept, violations = asyncio.run(soak(it, SECONDS))
    step = max(1, len(it.samples) // 12)
    line = ", ".join(f"{s.seconds:.0f} s {s.memory / MEGABYTE:.1f}" for s in it.samples[::step])
    done = ", ".join(f"{count} {what}" for what, count in it.done.items())
    objects = [later.objects - earlier.objects for earlier, later in pairwise(kept)]
    memory = [later.memory - earlier.memory for earlier, later in pairwise(kept)]
    show(
        capsys,
        "soak",
        f"{SECONDS:.0f} s, seed {seed}: {done}; memory in MB after {line}; kept when it was quiet, "
        f"after the first part {kept[0].objects} objects, {kept[0].memory / MEGABYTE:.1f} MB, and "
        f"after each of the others {', '.join(f'{more:+d}' for more in objects)} objects, "
        f"{', '.join(f'{more / MEGABYTE:+.1f}' for more in memory)} MB; "
        f"{len(violations)} violations; "
        f"verify: {verify(tmp_path / 'chat.db')}",
    )
    assert violations[:10] == []
    assert "Traceback" not in it.logs
    assert max(objects) <= OBJECTS
    assert min(memory) <= GROWTH

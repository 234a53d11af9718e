"""The journal's promise, while the server is killed and connections break off.

*If you saw the acknowledgement, the message is on disk, in one fixed place in that room's
order. If you did not, send it again with the same id: it is stored once.*
"""

from __future__ import annotations

import asyncio
import random
import secrets
from pathlib import Path

import msgspec
import pytest

from tests.support.faults import show
from tests.support.load import Program, check, running, speaking, until_all_is_seen
from tests.support.mortal_server import MortalServer
from tests.support.processes import PATIENCE

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

"""Who comes and goes in a loop, makes rooms or asks for lists delays nobody and leaves nothing:
rows 32 and 37 of the table in ``docs/reliability.rst``. Each prints its figure.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.faults import MEGABYTE, Bot, Subject, percentile, show, verdict
from tests.support.processes import environment
from twisted_chat.core.changes import Draft
from twisted_chat.journal.sqlite.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.process]

MEMBERS = 1000
SECONDS = 6.0

#: In a process of its own: members who read what they are sent, then people who do ``lines`` again
#: and again, each as soon as the last is answered; or come, and go, where there are none.
ATTACK = """
import asyncio, json, sys
port, members, attackers = map(int, sys.argv[1:4])
lines = sys.argv[4:]
done = 0

async def drain(reader):
    while await reader.read(1 << 16):
        pass

async def member(n):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b'{"type":"hello","nickname":"m%d"}\\n' % n)
    await reader.readline()
    asyncio.ensure_future(drain(reader))
    return writer

async def answer(reader, id):
    while b'"id":"%s"' % id not in (line := await reader.readline()):
        pass
    if line.startswith(b'{"type":"error"'):
        sys.exit(line.decode())

async def attack(n):
    global done
    turn = 0
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        writer.write(b'{"type":"hello","nickname":"a%d","id":"h"}\\n' % n)
        await answer(reader, b"h")
        while lines:
            for line in lines:
                turn += 1
                line = line.replace("TURN", f"{n}x{turn}").encode()
                writer.write(line[:-1] + b',"id":"q%d"}\\n' % turn)
                await answer(reader, b"q%d" % turn)
                done += 1
        writer.write(b'{"type":"quit"}\\n')
        await reader.read()
        writer.close()
        done += 1

async def main():
    keep = [await member(n) for n in range(members)]
    print("ready", flush=True)
    tasks = [asyncio.ensure_future(attack(n)) for n in range(attackers)]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(done, flush=True)
    import os; os._exit(0)

asyncio.run(main())
"""


@contextmanager
def attacked(port: int, members: int, attackers: int, *lines: str) -> Iterator[list[int]]:
    """Inside, it is under way; afterwards, there is how much was done."""
    done: list[int] = []
    numbers = [str(port), str(members), str(attackers)]
    with subprocess.Popen(
        [sys.executable, "-c", ATTACK, *numbers, *lines],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as attack:
        try:
            assert attack.stdout is not None
            assert attack.stdout.readline() == b"ready\n"
            yield done
            done.append(int(attack.communicate(b"", timeout=20)[0]))
        finally:
            attack.kill()


def delays(bystander: Bot, seconds: float = SECONDS) -> list[float]:
    """Milliseconds until each ping is answered."""
    found = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.perf_counter()
        bystander.ask(type="ping", id="p")
        found.append(1000 * (time.perf_counter() - start))
        time.sleep(0.005)
    return found


@pytest.mark.parametrize(
    ("what", "lines"),
    [
        ("come and go", ()),
        ("leave and join", ('{"type":"leave","room":"lobby"}', '{"type":"join","room":"lobby"}')),
        ("rename", ('{"type":"nick","name":"nTURN"}',)),
    ],
)
def test_loops_of_presence_delay_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, lines: tuple[str, ...]
) -> None:
    """In a room of 1000, without flood control, by 8 connections."""
    with (
        Subject(tmp_path, "--rate=off", "--connections-per-address=0") as server,
        attacked(server.port, MEMBERS, 8, *lines) as done,
    ):
        bystander = Bot(server.port, "bystander")
        time.sleep(1.5)  # the last arrivals are told
        since = time.time()
        measured = delays(bystander)
        stall = 1000 * server.longest_stall(since)
    p99 = percentile(measured, 0.99)
    show(
        capsys,
        37,
        f"{done[0] / SECONDS:.0f} x {what} a second in a room of {MEMBERS}: others' ping p99 "
        f"{p99:.0f} ms, {verdict(p99, 50)}; longest stall {stall:.0f} ms",
    )
    assert done[0]


def test_rooms_that_nobody_is_in_cost_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new room, a line of 4 kB, leave, again: by 8 connections for some seconds."""
    text = "x" * 4000
    lines = (
        '{"type":"join","room":"rTURN"}',
        f'{{"type":"say","text":"{text}"}}',
        '{"type":"leave"}',
    )
    with Subject(tmp_path, "--rate=off", "--rooms-per-hour=0") as server:
        bystander = Bot(server.port, "bystander")
        before = server.memory()
        with attacked(server.port, 0, 8, *lines) as done:
            measured = delays(bystander, 15)
        bystander.ask(type="ping", id="q")
        grown = server.memory() - before
        rooms = bystander.ask(type="rooms", id="r", all=True)["count"]
    show(
        capsys,
        32,
        f"{rooms} rooms with a line of 4 kB each ({done[0]} requests): "
        f"{grown / MEGABYTE:+.1f} MB, {grown / rooms:.0f} bytes a room; others' ping p99 "
        f"{percentile(measured, 0.99):.0f} ms",
    )
    assert rooms > 1000


def test_lists_of_very_many_rooms_delay_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten connections ask for 100,000 rooms, as fast as they are answered."""
    with closing(Store(str(tmp_path / "chat.db"))) as store:
        for start in range(0, 100_000, 5000):
            store.commit(
                [
                    Draft(f"room{n}", time.time_ns() // 1000, "say", "Ana", "x", 0, None)
                    for n in range(start, start + 5000)
                ]
            )
    with (
        Subject(tmp_path, "--rate=off") as server,
        attacked(server.port, 0, 10, '{"type":"rooms","all":true,"after":"room5"}') as done,
    ):
        measured = delays(Bot(server.port, "bystander"))
    p99 = percentile(measured, 0.99)
    show(
        capsys,
        "lists of 100,000 rooms",
        f"{done[0] / SECONDS:.0f} a second by ten: others' ping p99 {p99:.0f} ms, "
        f"{verdict(p99, 50)}",
    )
    assert done[0]

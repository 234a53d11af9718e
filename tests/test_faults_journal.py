"""The log withstands kills, power cuts, full disks, locks and defects: rows 2 to 10 of the table in
``docs/reliability.rst``. (Row 1 is ``test_kill.py``.) Each prints its figure.
"""

from __future__ import annotations

import asyncio
import random
import resource
import secrets
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.support.faults import Bot, Subject, in_threads, show, stored, verdict, verify, wait_until
from tests.support.load import Program, check, running, speaking, until_all_is_seen
from tests.support.power import CALLS, Disk
from tests.support.processes import PATIENCE, fails
from tests.support.strace import Call, parse, why_not
from twisted_chat.archive.database import open_archive
from twisted_chat.archive.progress import Progress
from twisted_chat.archive.verify import Verification
from twisted_chat.core.changes import Draft
from twisted_chat.journal.sqlite.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.process]


def say(number: object, **fields: object) -> dict[str, object]:
    return {"type": "say", "text": f"this is {number}", "id": str(number), **fields}


# -- rows 2 and 3: the power is cut ---------------------------------------------------------------

#: Points in time at which it is cut, for each durability.
CUTS = 60


class Places(NamedTuple):
    """What came of all cuts."""

    acknowledged: int
    before_sync: int
    cuts: int
    lost: int
    broken: list[str]


class _Ack(msgspec.Struct, frozen=True):
    room: str
    seq: int
    time: int


def test_a_power_cut_loses_nothing_that_was_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is left of what was not synced; and no acknowledgement is sent before a sync.

    The control: at ``normal``, which does not sync each commit, the same check finds losses.
    """
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    found = {}
    for durability in ("full", "normal"):
        folder = tmp_path / durability
        folder.mkdir()
        calls = traced(folder, durability, random.Random(seed))
        found[durability] = cut(calls, folder, random.Random(seed))
    full, normal = found["full"], found["normal"]
    show(
        capsys,
        2,
        f"{full.acknowledged} acknowledged, power cut {full.cuts} times: {full.lost} lost, "
        f"{len(full.broken)} logs damaged; the control, normal: {normal.lost} lost in "
        f"{normal.cuts} cuts, {len(normal.broken)} damaged",
    )
    show(
        capsys,
        3,
        f"of {full.acknowledged} acknowledgements {full.before_sync} were sent before the sync; "
        f"the control, normal: {normal.before_sync} of {normal.acknowledged}",
    )
    assert (full.lost, full.before_sync, full.broken) == (0, 0, [])
    assert full.acknowledged >= 100
    assert normal.lost
    assert normal.before_sync
    assert normal.broken == []  # the newest are lost there, but what is left is whole


def traced(folder: Path, durability: str, chance: random.Random) -> list[Call]:
    """The system calls of a server that programs talk to for a while, until it has ended.

    Its write-ahead log is written back often.
    """
    trace = folder / "trace"
    strace = ["strace", "-D", "-f", "-y", "-s", "10000000", "-o", str(trace)]
    strace += ["-e", f"trace={','.join(CALLS)}", "-e", "signal=SIGTERM"]
    with Subject(
        folder,
        "--rate=off",
        f"--durability={durability}",
        faults={"checkpoint": 200},
        prefix=strace,
    ) as server:
        asyncio.run(_talk(server.port, chance))
        server.stop()
    wait_until(lambda: "+++ killed by SIGTERM" in trace.read_text("utf-8", "replace"), "the trace")
    return parse(trace)


async def _talk(port: int, chance: random.Random) -> None:
    programs = [
        Program(port, f"Bot{n}", ("lobby", "cinema"), 5, random.Random(chance.random()))
        for n in range(4)
    ]
    async with running(*programs):
        async with speaking(programs):
            await asyncio.sleep(1.5)
        assert await until_all_is_seen(programs, PATIENCE)


def cut(calls: list[Call], folder: Path, chance: random.Random) -> Places:
    """Cut the power at :data:`CUTS` moments, and look for what was acknowledged until then."""
    disk = Disk(folder)
    image = folder / "image"
    moments = {*chance.sample(range(len(calls)), CUTS), len(calls) - 1}
    partial: dict[int, bytes] = {}
    acknowledged: list[_Ack] = []
    decode = msgspec.json.Decoder(_Ack).decode
    lost = before_sync = 0
    broken: list[str] = []
    for moment, sent in enumerate(disk.steps(calls)):
        if sent is not None:
            *lines, partial[sent.socket] = (partial.get(sent.socket, b"") + sent.data).split(b"\n")
            acks = [decode(line) for line in lines if line.startswith(b'{"type":"ack"')]
            acknowledged += acks
            if acks:
                disk.image(image)
                before_sync += len(missing(image, acks))
        if moment in moments:
            for part in (None, chance):
                disk.image(image, part)
                lost += len(missing(image, acknowledged))
                broken += damage(image)
    return Places(len(acknowledged), before_sync, 2 * len(moments), lost, broken)


def missing(folder: Path, acknowledged: list[_Ack]) -> list[_Ack]:
    """Which of ``acknowledged`` are not in the log."""
    path = folder / "chat.db"
    if not path.exists():
        return acknowledged
    there: set[tuple[str, int, int]] = set()
    with closing(sqlite3.connect(path)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'entry'").fetchone():
            there = set(
                connection.execute(
                    "SELECT name, number, time FROM entry JOIN room ON room.id = entry.room"
                )
            )
    return [ack for ack in acknowledged if (ack.room, ack.seq, ack.time) not in there]


def damage(folder: Path) -> list[str]:
    """What is wrong with the log that is left; and whether a server would start with it."""
    path = folder / "chat.db"
    if not path.exists():
        return []
    with closing(Store(str(path))) as store:
        store.commit([Draft("lobby", 0, "say", "Ana", "after the cut", 0, None)])
    with open_archive(str(path)) as archive:
        findings = Verification(archive, Progress(None, "en")).findings()
        return [finding.sentence("en") for finding in findings]


# -- row 4: SIGTERM -------------------------------------------------------------------------------


def test_what_is_queued_on_sigterm_is_saved_and_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """100 messages wait, as the database is locked; the port is closed before they are saved."""
    with Subject(tmp_path, "--rate=off") as server:
        bots = [Bot(server.port, f"Bot{n}") for n in range(4)]
        with locked(tmp_path / "chat.db"):
            for bot in bots:
                bot.send(*(say(n) for n in range(25)))
                bot.ask(type="ping", id="ping")  # so all of them have been handled
            start = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            closed = wait_until(lambda: _is_refused(server.port), "the port is closed")
            assert server.process.poll() is None
        told = [_read_all(bot) for bot in bots]
        server.process.wait(PATIENCE)
        seconds = time.monotonic() - start
    acknowledged = {
        (bot.nickname, message["id"], message["seq"])
        for bot, messages in zip(bots, told, strict=True)
        for message in messages
        if message["type"] == "ack"
    }
    saved = {(nickname, id, n) for n, nickname, _, id in stored(tmp_path / "chat.db")}
    notices = sum(messages[-1]["type"] == "stopping" for messages in told)
    show(
        capsys,
        4,
        f"{len(saved)} stored, {len(acknowledged)} acknowledged; {notices} of {len(bots)} told; "
        f"port closed after {closed:.2f} s, exit after {seconds:.2f} s, {verdict(seconds, 10)}",
    )
    assert saved == acknowledged
    assert len(saved) == 100
    assert notices == len(bots)
    assert "Traceback" not in server.raw_log()


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


def _read_all(bot: Bot) -> list[dict[str, Any]]:
    messages = []
    while (message := bot.read()) is not None:
        messages.append(message)
    return messages


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process (this one) holds the database."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


# -- row 5: the disk is full ----------------------------------------------------------------------


class SmallDisk:
    """A file system of a few megabytes, which can be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, server: Subject) -> None:
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def free(self, server: Subject) -> None:
        self._filler.unlink()


class SmallFiles(SmallDisk):
    """No file may grow: what is left where nobody may mount a file system."""

    def fill(self, server: Subject) -> None:
        size = (self.folder / "chat.db-wal").stat().st_size
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def free(self, server: Subject) -> None:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


@pytest.fixture(params=["tmpfs", "limit"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limit":
        yield SmallFiles(folder)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_recovered_from(
    tmp_path: Path, small_disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Senders are told that it was not saved, reading goes on, and saving when there is space."""
    database = small_disk.folder / "chat.db"
    acknowledged: set[int] = set()
    refused: set[int] = set()
    with Subject(tmp_path, "--rate=off", f"--database={database}") as server:
        with Bot(server.port, "Ana") as ana, Bot(server.port, "Bia") as bia:
            numbers = iter(range(1_000_000))

            def say_one() -> bool:
                number = next(numbers)
                answer = ana.ask(**say(number, text=f"{number} " + "x" * 900))
                (acknowledged if answer["type"] == "ack" else refused).add(number)
                assert answer["type"] == "ack" or answer["code"] == "not-saved", answer
                return bool(answer["type"] == "ack")

            for _ in range(200):
                assert say_one()
            small_disk.fill(server)
            wait_until(lambda: not say_one(), "a message that is not saved")
            for _ in range(100):
                say_one()
            told = len(refused)
            assert told > 50  # a page that is there already may still be written, now and then
            page = bia.ask(type="history", id="h", limit=100)["entries"]
            assert len(page) == 100
            assert bia.ask(type="who", id="w")["count"] == 2
            small_disk.free(server)
            start = time.monotonic()
            wait_until(say_one, "a message that is saved")
            seconds = time.monotonic() - start
            for _ in range(50):
                assert say_one()
        server.stop()
    saved = {int(id or -1) for _, _, _, id in stored(database)}
    show(
        capsys,
        5,
        f"{type(small_disk).__name__}: {told} told that it was not saved, "
        f"{len(acknowledged - saved)} false acknowledgements; saved again {seconds:.2f} s after "
        f"there was space, {verdict(seconds, 5)}",
    )
    assert saved == acknowledged
    assert not saved & refused
    verify(database)
    assert "Traceback" not in server.raw_log()


# -- rows 6 and 7: damaged files ------------------------------------------------------------------


def test_garbage_in_the_header_keeps_the_server_from_starting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "chat.db"
    with closing(Store(str(database))) as store:
        store.commit([Draft("lobby", 0, "say", "Ana", "oi", 0, None)])
    slowest = 0.0
    chance = random.Random(6)
    whole = database.read_bytes()
    for _ in range(5):
        garbage = chance.randbytes(16) + whole[16:]
        database.write_bytes(garbage)
        start = time.monotonic()
        assert "chat.db" in fails(tmp_path, "--listen=tcp:0:interface=127.0.0.1")
        slowest = max(slowest, time.monotonic() - start)
        assert database.read_bytes() == garbage
        assert not (tmp_path / "chat.db-wal").exists()
    show(
        capsys,
        6,
        f"refused 5 of 5 times, in {slowest:.2f} s at most, {verdict(slowest, 2)}; "
        "the file is left as it is",
    )


def test_every_flipped_bit_in_the_file_of_an_entry_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the file itself. (``test_archive.py`` flips each bit of each value by way of SQL.)"""
    database = tmp_path / "chat.db"
    texts = [f"«{n}» " + "o que é dito aqui fica guardado" for n in range(40)]
    with closing(Store(str(database))) as store:
        store.commit(
            [Draft("lobby", n, "say", "Ana", text, -3, f"id{n}") for n, text in enumerate(texts)]
        )
    whole = database.read_bytes()
    flipped = found = 0
    for n, text in enumerate(texts):
        at = whole.index(text.encode())
        for bit in range(8 * len(text.encode())):
            if (bit + n) % 29:
                continue  # a different few bits of each
            damaged = bytearray(whole)
            damaged[at + bit // 8] ^= 1 << bit % 8
            database.write_bytes(damaged)
            with open_archive(str(database)) as archive:
                told = [
                    finding.sentence("en")
                    for finding in Verification(archive, Progress(None, "en")).findings()
                ]
            flipped += 1
            found += told == [f"#lobby: entry {n + 1} is damaged"]
    show(capsys, 7, f"{found} of {flipped} flips found, with room and number")
    assert found == flipped


# -- rows 8 to 10: the writer ---------------------------------------------------------------------


def test_a_locked_database_delays_senders_and_nobody_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = 10.0
    delays: list[float] = []
    with (
        Subject(tmp_path, "--rate=off") as server,
        Bot(server.port, "Ana") as ana,
        Bot(server.port, "Bia") as bia,
    ):
        ana.ask(**say(0))
        start = time.monotonic()
        with locked(tmp_path / "chat.db"):
            ana.send(*(say(n) for n in range(1, 101)))
            ana.ask(type="ping", id="handled")
            while time.monotonic() - start < seconds:
                for number, request in enumerate(("who", "rooms", "history", "topic", "ping")):
                    asked = time.monotonic()
                    bia.ask(type=request, id=f"{len(delays)}.{number}")
                    delays.append(time.monotonic() - asked)
                time.sleep(0.05)
            stall = server.longest_stall(start)
            assert [id for _, _, _, id in stored(tmp_path / "chat.db")] == ["0"]
        numbers = [ana.wait_for("ack", id=str(n))["seq"] for n in range(1, 101)]
    show(
        capsys,
        8,
        f"locked for {seconds:g} s: {len(delays)} commands answered, in {max(delays):.3f} s at "
        f"most; reactor stall {1000 * stall:.0f} ms, {verdict(1000 * stall, 50)}; "
        f"{len(numbers)} of 100 waiting messages saved",
    )
    assert numbers == list(range(2, 102))
    assert len(stored(tmp_path / "chat.db")) == 101


def test_an_exception_in_the_writer_is_told_to_its_senders_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of ten commits fails, by an error of SQLite's or a defect of ours."""
    acknowledged: set[tuple[str, str | None]] = set()
    refused: set[tuple[str, str | None]] = set()
    with Subject(tmp_path, "--rate=off", faults={"failing_commits": 10}) as server:
        bots = [Bot(server.port, f"Bot{n}") for n in range(5)]

        def speak(bot: Bot) -> None:
            for n in range(100):
                answer = bot.ask(**say(n))
                assert answer["type"] == "ack" or answer["code"] == "not-saved", answer
                (acknowledged if answer["type"] == "ack" else refused).add((bot.nickname, str(n)))

        in_threads([lambda bot=bot: speak(bot) for bot in bots])  # type: ignore[misc]
        server.stop()
    saved = {(nickname, id) for _, nickname, _, id in stored(tmp_path / "chat.db")}
    unhandled = server.raw_log().count("Unhandled")
    show(
        capsys,
        9,
        f"{len(acknowledged)} acknowledged, {len(refused)} told that it was not saved; "
        f"{len(acknowledged - saved)} false acknowledgements, {unhandled} unhandled errors",
    )
    assert saved == acknowledged
    assert len(acknowledged) + len(refused) == 500
    assert refused
    assert not unhandled


def test_the_order_of_writes_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty programs say as much as they can; each sees all, and everybody the same."""
    with Subject(tmp_path, "--rate=off") as server:
        programs = [
            Program(server.port, f"Bot{n}", ("lobby", "cinema"), 20, random.Random(n))
            for n in range(20)
        ]
        assert asyncio.run(_speak(programs, 3.0))
        server.stop()
    violations = check(tmp_path / "chat.db", programs)
    count = sum(len(program.said) for program in programs)
    show(
        capsys,
        10,
        f"{count} messages of {len(programs)} senders in two rooms: {len(violations)} inversions, "
        f"gaps or differences; verify: {verify(tmp_path / 'chat.db')}",
    )
    assert violations == []
    assert count > 1000


async def _speak(programs: list[Program], seconds: float) -> bool:
    async with running(*programs):
        async with speaking(programs):
            await asyncio.sleep(seconds)
        return await until_all_is_seen(programs, PATIENCE)

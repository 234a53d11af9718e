"""The server withstands connections that stop reading, never end a line, come by the thousand or
ask for too much: rows 11 to 21 of the table in ``docs/reliability.rst``. Each prints its figure.
"""

from __future__ import annotations

import json
import re
import resource
import select
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from benchmarks.delivery import command
from benchmarks.delivery.load import allow_descriptors
from tests.support.faults import (
    MEGABYTE,
    RESET,
    Bot,
    Subject,
    connect,
    enter,
    meanwhile,
    percentile,
    read_until,
    show,
    verdict,
    wait_until,
)
from tests.support.processes import PATIENCE
from twisted_chat.core.changes import Draft
from twisted_chat.journal.sqlite.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.process]


def drain(connection: socket.socket) -> bytes:
    """What comes until the other side closes, in whatever way."""
    received = b""
    with suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += piece
    return received


# -- rows 11 and 12: readers that stop, or nearly -------------------------------------------------


def test_a_hundred_readers_that_stop_cost_little(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bench's own case: 1000 in a room, 100 of them do not read during a flood.

    Then they read, and must get every line, or be told which they are not shown.
    """
    path = tmp_path / "figures.json"
    command.main(["--table", "8", "--seconds", "3", "--json", str(path)])
    (case,) = json.loads(path.read_text())["cases"]
    figures = {figure["name"]: figure["measured"] for figure in case["targets"]}
    speed = figures["speed of the other 900"]
    memory = figures["bytes more for one not reading"]
    problems = [problem for run in case["measurements"] for problem in run["problems"]]
    checked = sum(run["checked"] for run in case["measurements"])
    show(
        capsys,
        11,
        f"{memory / MEGABYTE:+.3f} MB a stopped reader, to hold: ≤ 1; speed of the others "
        f"{speed:.2f}, to hold: ≥ 0.9{'' if speed >= 0.9 else ', NOT HELD'}; "
        f"{len(problems)} of {checked} lines wrong",
    )
    assert problems == []
    assert memory <= MEGABYTE


def test_a_reader_that_dribbles_costs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twenty read a little at a time, ten times a second, while somebody talks a lot."""
    with Subject(tmp_path, "--rate=off") as server, ExitStack() as stack:
        slow = []
        for n in range(20):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            reader.settimeout(PATIENCE)
            reader.connect(("127.0.0.1", server.port))
            reader.sendall(f"slow{n}\n".encode())
            read_until(reader, b"365 days.\n")
            reader.setblocking(False)
            slow.append(reader)
        received = [bytearray() for _ in slow]

        def dribble() -> None:
            for reader, data in zip(slow, received, strict=True):
                with suppress(BlockingIOError):
                    data += reader.recv(8192)

        ana = stack.enter_context(closing(enter(server.port, "Ana")))
        bia = stack.enter_context(closing(enter(server.port, "Bia")))
        heard = bytearray()

        def flood(first: int, seconds: float) -> int:
            """Ana speaks, and Bia hears it."""
            end = time.monotonic() + seconds
            number = first
            while time.monotonic() < end:
                ana.sendall(
                    b"".join(b"%07d %s\n" % (n, b"x" * 80) for n in range(number, number + 500))
                )
                number += 500
                time.sleep(0.1)
                while f"{number - 1:07d} ".encode() not in heard:
                    heard[:] = heard[-200:] + bia.recv(1 << 20)
            return number

        with meanwhile(dribble, 0.1):
            count = flood(0, 15)
            before = server.memory()
            more = flood(count, 15) - count
        growth = server.memory() - before
        assert server.process.poll() is None
    counts = [count_lines(bytes(data)) for data in received]
    shown, skipped = (sum(part) for part in zip(*counts, strict=True))
    show(
        capsys,
        12,
        f"{more} lines in 15 s to {len(slow)} readers that took {shown // len(slow)} in all and "
        f"were told of {skipped // len(slow)} that they skipped: "
        f"{growth / len(slow) / MEGABYTE:+.2f} MB a reader, to hold: ≤ 1",
    )
    assert shown
    assert growth <= len(slow) * MEGABYTE


def count_lines(data: bytes) -> tuple[int, int]:
    """How many lines somebody was shown, and of how many they were told that they are skipped.

    None is missing in between: the lines are the room's entries, counted from 0.
    """
    shown = skipped = 0
    for line in data.split(b"\n")[:-1]:
        if said := re.fullmatch(rb"\[Ana\]: (\d{7}) x{80}", line):
            assert int(said[1]) == shown + skipped, line
            shown += 1
        elif told := re.search(rb"lines (\d+) to (\d+) were skipped", line):
            assert int(told[1]) == shown + skipped + 1, line
            skipped += int(told[2]) - int(told[1]) + 1
    return shown, skipped


# -- rows 13 and 14: what never ends --------------------------------------------------------------


def test_a_line_without_end_is_refused_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    megabytes = 100
    with (
        Subject(tmp_path) as server,
        closing(enter(server.port, "Ana")) as ana,
        Bot(server.port, "Bia") as bia,
    ):
        growth = 0
        ana.sendall(b"x" * MEGABYTE)
        before = server.memory()
        for _ in range(megabytes - 1):
            ana.sendall(b"x" * MEGABYTE)
            growth = max(growth, server.memory() - before)
        ana.sendall(b"\nand on\n/who\n")
        told = read_until(ana, b"In #lobby (2)").decode()
        assert bia.wait_for("said")["text"] == "and on"
    refusals = told.count("too long")
    show(
        capsys,
        13,
        f"{megabytes} MB without a line break: refused {refusals} time; "
        f"{growth / MEGABYTE:+.2f} MB at most, to hold: ≤ 1",
    )
    assert refusals == 1
    assert growth <= MEGABYTE


def test_a_subnegotiation_without_end_is_cut_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = 0
    with Subject(tmp_path) as server:
        before = server.memory()
        for _ in range(20):
            with closing(enter(server.port, "Bia")) as bia:
                taken = send_until_closed(bia, b"\xff\xfa" + b"x" * MEGABYTE)
                assert taken is not None
                sent += taken
        growth = server.memory() - before
    show(
        capsys,
        14,
        f"20 closed, after {sent / 20 / MEGABYTE:.2f} MB each was sent; "
        f"{growth / MEGABYTE:+.2f} MB, to hold: ≤ 1",
    )
    assert growth <= MEGABYTE


def send_until_closed(connection: socket.socket, data: bytes) -> int | None:
    """Send it again and again: how many bytes, until the other side closed; None if it did not."""
    sent = 0
    with suppress(ConnectionError):
        for _ in range(100):
            sent += connection.send(data)
            time.sleep(0.001)
        return None
    return sent


# -- rows 15 to 18: many connections --------------------------------------------------------------


def test_silent_connections_are_closed_at_the_deadline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thousand say nothing, or a byte now and then; others can come in meanwhile."""
    count, deadline = 1000, 3.0
    allow_descriptors(count)
    with Subject(tmp_path, f"--login-deadline={deadline}") as server, ExitStack() as stack:
        logins: list[float] = []
        start = time.monotonic()
        silent = [stack.enter_context(connect(server.port)) for _ in range(count)]
        poll = select.epoll()
        for connection in silent:
            connection.setblocking(False)
            poll.register(connection, select.EPOLLIN | select.EPOLLRDHUP)
        by_number = {connection.fileno(): connection for connection in silent}
        last_words: dict[int, bytes] = dict.fromkeys(by_number, b"")
        closed: list[float] = []

        def log_in() -> None:
            asked = time.monotonic()
            Bot(server.port, f"Bot{len(logins)}").close()
            logins.append(time.monotonic() - asked)

        with meanwhile(log_in, 0.1):
            while by_number and time.monotonic() < start + deadline + PATIENCE:
                for connection in list(by_number.values())[:50]:
                    with suppress(OSError):
                        connection.send(b"x")  # which must not buy any time
                for number, _ in poll.poll(0.1):
                    with suppress(BlockingIOError):
                        try:
                            piece = by_number[number].recv(4096)
                        except ConnectionError:
                            piece = b""
                        last_words[number] += piece
                        if not piece:
                            closed.append(time.monotonic() - start)
                            poll.unregister(by_number.pop(number))
    line = next(iter(last_words.values())).decode().splitlines()[-1]
    show(
        capsys,
        15,
        f"{len(closed)} of {count} closed within {max(closed, default=0):.2f} s, "
        f"{verdict(max(closed, default=0), deadline + 5)}; a new login took {max(logins):.2f} s at "
        f"most, {verdict(max(logins), 1)}; told: {line!r}",
    )
    assert len(closed) == count
    assert all(words.count(b"\n") >= 2 for words in last_words.values())  # greeted, and told why


def test_connections_that_are_reset_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """10,000 of them; some have said something before."""
    with Subject(tmp_path) as server:

        def come_and_go(times: int) -> None:
            for n in range(times):
                with connect(server.port) as connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    if n % 4 == 0:
                        connection.sendall(b"half a na")
            with Bot(server.port, "Ana") as ana:  # all before it has been dealt with
                assert ana.ask(type="who", id="w")["count"] == 1
            wait_until(lambda: server.descriptors() <= at_rest, "all are gone")

        at_rest = server.descriptors()
        come_and_go(10_000)  # once as many were there at once as ever, nothing is added
        growths = []
        for _ in range(3):  # what is left behind is left each time; what the allocator takes is not
            before = server.memory()
            come_and_go(10_000)
            growths.append(server.memory() - before)
            if growths[-1] <= MEGABYTE:
                break
        growth = min(growths)
        assert "Traceback" not in server.raw_log()
    show(capsys, 16, f"{growth / MEGABYTE:+.2f} MB after 10,000 resets, to hold: ≤ 1")
    assert growth <= MEGABYTE


@pytest.mark.parametrize("first_words", [b"", b"A"], ids=["silent", "speaking"])
def test_a_burst_of_connections_is_greeted(
    first_words: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those who are silent are greeted a quarter of a second after they came."""
    count = 1000
    allow_descriptors(count)
    with Subject(tmp_path) as server, ExitStack() as stack:
        poll = select.epoll()
        waiting: dict[int, tuple[socket.socket, bytes]] = {}
        start = time.monotonic()
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", server.port))
            poll.register(connection, select.EPOLLOUT if first_words else select.EPOLLIN)
            waiting[connection.fileno()] = connection, b""
        opened = time.monotonic() - start
        while waiting and time.monotonic() < start + PATIENCE:
            for number, event in poll.poll(1):
                connection, received = waiting[number]
                if event & select.EPOLLOUT:
                    connection.send(first_words)
                    poll.modify(connection, select.EPOLLIN)
                    continue
                received += connection.recv(4096)
                waiting[number] = connection, received
                if received.endswith(b"\n"):
                    assert received.startswith(b"Welcome"), received
                    del waiting[number]
                    poll.unregister(connection)
        seconds = time.monotonic() - start
    way = "that speak first" if first_words else "that wait to be greeted"
    show(
        capsys,
        17,
        f"{count - len(waiting)} of {count} {way} greeted in {seconds:.2f} s "
        f"(opening them took {opened:.2f} s), {verdict(seconds, 0.5)}",
    )
    assert not waiting


@pytest.mark.parametrize("limit", ["by its own limit", "by the system"])
def test_without_file_descriptors_newcomers_are_refused(
    limit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``ulimit -n 64``, from which the default ``--max-clients`` follows; and a limit that is that
    low only later, so that the system refuses.
    """
    own = limit == "by its own limit"
    faults: dict[str, object] = {"descriptors": 64} if own else {}
    with Subject(tmp_path, "--rate=off", faults=faults) as server, ExitStack() as stack:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        ana = stack.enter_context(Bot(server.port, "Ana"))
        crowd = [stack.enter_context(connect(server.port)) for _ in range(100)]
        time.sleep(1)
        lines = len(server.log())
        busy, began = server.cpu(), time.monotonic()
        delays = []
        while time.monotonic() < began + 5:
            asked = time.monotonic()
            ana.ask(type="ping", id="p")
            delays.append(time.monotonic() - asked)
            time.sleep(0.05)
        cpu = (server.cpu() - busy) / 5
        lines = len(server.log()) - lines
        words = []
        for connection in crowd:
            connection.setblocking(False)
            word = b""
            with suppress(BlockingIOError):  # a connection that was cut off is a failure
                word = connection.recv(4096)
            words.append(word)
        greeted = sum(b"username" in word for word in words)
        told = sum(b"username" not in word and word.endswith(b"\n") for word in words)
        refused = next((w.decode().strip() for w in words if b"username" not in w and w), "")
        if not own:  # who had to wait is still there, and is greeted when there is room
            waiting = [c for c, word in zip(crowd, words, strict=True) if not word]
            for connection in (c for c, word in zip(crowd, words, strict=True) if word):
                connection.close()
            for connection in waiting[:30]:
                connection.settimeout(PATIENCE)
                assert b"username" in connection.recv(4096)
        for connection in crowd:
            connection.close()
        recovered = wait_until(lambda: _can_enter(server.port), "somebody can come in again")
        assert server.process.poll() is None
        assert "Traceback" not in server.raw_log()
    show(
        capsys,
        18,
        f"{limit}: of 100, {greeted} greeted, {told} told {refused!r}, "
        f"{100 - greeted - told} have to wait; CPU {100 * cpu:.1f} %, {lines / 5:.1f} log lines "
        f"a second, {verdict(lines / 5, 1)}; those inside were answered in {max(delays):.3f} s at "
        f"most; the next one came in after {recovered:.2f} s",
    )
    assert greeted
    if own:
        assert told == 100 - greeted
    assert cpu < 0.5
    assert lines <= 10


def _can_enter(port: int) -> bool:
    with suppress(OSError, AssertionError, ValueError):  # a line of text is no JSON
        Bot(port, "Newcomer").close()
        return True
    return False


# -- rows 19 and 20: floods -----------------------------------------------------------------------


def test_a_flood_of_one_slows_that_one_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1000 lines a second, of which the server takes 200; Ana speaks, nine others listen."""
    with Subject(tmp_path, "--rate=200:200") as server, ExitStack() as stack:
        ana = stack.enter_context(Bot(server.port, "Ana"))
        listeners = [stack.enter_context(Bot(server.port, f"Bot{n}")) for n in range(9)]
        flooder = stack.enter_context(closing(enter(server.port, "Flooder")))
        from_flooder: list[list[int]] = [[] for _ in listeners]

        def listen(seconds: float) -> list[float]:
            """Ana says something, twenty times a second: how long each took to each listener."""
            delays = []
            end = time.monotonic() + seconds
            while (now := time.monotonic()) < end:
                ana.send({"type": "say", "text": f"{now}"})
                for listener, numbers in zip(listeners, from_flooder, strict=True):
                    while (said := listener.wait_for("said"))["nickname"] != "Ana":
                        numbers.append(int(said["text"]))
                    delays.append(time.monotonic() - float(said["text"]))
                time.sleep(max(0.0, now + 0.05 - time.monotonic()))
            return delays

        before = listen(5)
        sent = 0

        def flood() -> None:
            nonlocal sent
            flooder.sendall(b"".join(b"%d\n" % n for n in range(sent, sent + 10)))
            sent += 10

        with meanwhile(flood, 0.01):
            during = listen(5)
        behind = sent - len(from_flooder[0])
        while len(from_flooder[0]) < sent:  # what is theirs is slowed, but not lost
            from_flooder[0].append(int(listeners[0].wait_for("said", nickname="Flooder")["text"]))
    p99 = 1000 * percentile(before, 0.99), 1000 * percentile(during, 0.99)
    show(
        capsys,
        19,
        f"{sent} lines of one, {behind} of which had to wait: {len(from_flooder[0])} arrived, in "
        f"order; "
        f"the others' p99 {p99[1]:.1f} ms, without it {p99[0]:.1f} ms",
    )
    assert from_flooder[0] == list(range(sent))
    assert behind > sent / 2


def own_address() -> str | None:
    """An address of this machine that is no loopback address, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing
        address: str = probe.getsockname()[0]
        return None if address.startswith("127.") else address
    return None


def test_a_flood_of_connections_from_one_address_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The seventeenth is told so and closed; who comes from this machine itself is not counted."""
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address but its loopback one")
    with Subject(tmp_path, interface="0.0.0.0") as server, ExitStack() as stack:
        flood = [stack.enter_context(connect(server.port, address)) for _ in range(100)]
        local = [stack.enter_context(connect(server.port)) for _ in range(100)]
        words = [read_until(connection, b"\n") for connection in flood]
        refused = {
            word: drain(connection)
            for connection, word in zip(flood, words, strict=True)
            if b"username" not in word
        }
        let_in = sum(b"username" in word for word in words)
        assert all(b"username" in read_until(connection, b"\n") for connection in local)
        for connection in flood:
            connection.close()
        wait_until(
            lambda: b"username" in read_until(connect(server.port, address), b"\n"),
            "there is room again",
        )
    show(
        capsys,
        20,
        f"of 100 connections of one address {let_in} were let in, to hold: ≤ 16, and "
        f"{100 - let_in} told {next(iter(refused), b'').decode().strip()!r}; "
        f"of 100 from loopback {len(local)} were let in",
    )
    assert let_in == 16
    assert set(refused.values()) <= {b""}


# -- row 21: commands that cost something ---------------------------------------------------------

ENTRIES = 100_000
ROOMS = 300


def test_expensive_commands_are_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of 100 clients asks for everything, again and again, in a large log."""
    fill(tmp_path / "chat.db")
    rounds = 5
    commands: Sequence[dict[str, Any]] = (
        {"type": "who"},
        {"type": "rooms"},
        {"type": "search", "words": "palavra", "limit": 100},
        {"type": "search", "words": "palavra 7", "room": "lobby"},
        {"type": "history", "limit": 100},
        {"type": "history", "limit": 100, "before": 50_000},
    )
    with Subject(tmp_path, "--rate=off", "--history-lines=0") as server, ExitStack() as stack:
        bots = [stack.enter_context(Bot(server.port, f"Bot{n}")) for n in range(100)]
        bots[0].ask(type="search", words="palavra", id="warm")  # indexes what was not yet
        start = time.monotonic()
        longest = largest = answers = 0
        for turn in range(rounds):
            for bot in bots:
                bot.send(*({**c, "id": f"{turn}.{n}"} for n, c in enumerate(commands)))
            for bot in bots:
                last = f"{turn}.{len(commands) - 1}"
                ids: set[str] = set()
                while len(ids) < len(commands):
                    answer = bot.read()
                    assert answer is not None
                    if answer.get("id") is None:
                        continue  # somebody came
                    assert answer["type"] != "error", answer
                    ids.add(answer["id"])
                    answers += 1
                    for part in ("entries", "people", "rooms"):
                        longest = max(longest, len(answer.get(part, ())))
                    largest = max(largest, len(json.dumps(answer)))
                assert last in ids
        seconds = time.monotonic() - start
        stall = server.longest_stall(start)
    show(
        capsys,
        21,
        f"{answers} answers to 100 clients in {seconds:.1f} s, at most {longest} items and "
        f"{largest} bytes each; reactor stall {1000 * stall:.0f} ms, {verdict(1000 * stall, 50)}",
    )
    assert answers == rounds * 100 * len(commands)
    assert longest <= 100


def fill(database: Path) -> None:
    """A log of many entries and rooms."""
    with closing(Store(str(database))) as store:
        for first in range(0, ENTRIES, 5000):
            store.commit(
                [
                    Draft("lobby", n, "say", "Ana", f"palavra {n % 97} e mais", 0, None)
                    for n in range(first, first + 5000)
                ]
            )
        store.commit(
            [
                Draft(f"sala{n}", 0, "topic", "Ana", f"tópico {n} " * 20, 0, None)
                for n in range(ROOMS)
            ]
        )
        while store.index(5000):
            pass

"""How fast the log is: ``python -m benchmarks.journal`` from a checkout.

First it measures acknowledged messages per second, end to end. The server process is on one core,
and all senders are in this process on another one, each with a window of unacknowledged messages.
Either each sender is in a *room of its own*, and receives its own lines and acknowledgements; or
all are in *one shared room*, and the server delivers each message to every sender.

Then it measures a database of a million entries: verifying it, searching it, and reading its
history, directly and through a server, with the longest time that the server took to answer a ping.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.journal_load import (
    CORES,
    TEXT,
    Pinger,
    Row,
    Server,
    acknowledged_rate,
    draft,
    one_commit_each,
    request,
)
from tests.support.processes import PATIENCE
from twisted_chat.core.events import Entry
from twisted_chat.journal.chain import SIZE, seal, starter
from twisted_chat.journal.sqlite.blocks import AFTER
from twisted_chat.journal.sqlite.opening import Durability
from twisted_chat.journal.sqlite.reader import Reader
from twisted_chat.journal.sqlite.store import Store

#: The checkout whose programs are run.
ROOT = Path(__file__).resolve().parent.parent

#: The targets: messages per second, the ratio to the baseline, and milliseconds.
TARGET_RATE, TARGET_RATIO = 20_000, 10
TARGET_SEARCH, TARGET_HISTORY, TARGET_STALL = 50.0, 5.0, 50.0


#: The database for reading: its rooms, entries per commit, and the words to search for.
ROOMS = tuple(f"room{n}" for n in range(8))
GROUP = 1000
WORST = "never together"
QUERIES = {
    "common": "deadline",  # every second entry
    "rare": "zugzwang",  # one of 100,000 entries
    "absent": "quetzalcoatl",
    "CJK, common": "会議",  # every tenth entry
    "CJK, rare": "鯨",
    "CJK, absent": "猫",
    WORST: "deadline harbour",  # each in every second entry, never in the same one
}

#: Entries requested in a search, and in a page of history.
FOUND, PAGE = 10, 100


# -- a large database -------------------------------------------------------------------------


def build(database: Path, entries: int) -> float:
    """Write ``entries`` entries into a new database; returns the seconds that it took."""
    chance = random.Random(3)
    vocabulary = [
        "".join(chance.choice("abcdefghijklmnoprstuv") for _ in range(chance.randrange(3, 10)))
        for _ in range(20_000)
    ]
    start = time.perf_counter()
    store = Store(str(database), "normal")
    drafts = []
    for n in range(entries):
        words = [vocabulary[int(len(vocabulary) * chance.random() ** 3)] for _ in range(8)]
        words.append(QUERIES["common"] if n % 2 else "harbour")
        if n % 10 == 3:
            words.append(f"明日の{QUERIES['CJK, common']}は中止")
        if n % 100_003 == 50_000:
            words += QUERIES["rare"], QUERIES["CJK, rare"]
        drafts.append(draft(ROOMS[n % len(ROOMS)], n, " ".join(words)))
        if len(drafts) == GROUP or n == entries - 1:
            store.commit(drafts)
            drafts.clear()
        if n % 100_000 == 99_999:
            progress(f"{n + 1:,} entries")
    while store.index(10 * GROUP):
        pass
    store.close()
    return time.perf_counter() - start


def walk_chains(database: Path) -> int:
    """Recompute the hash of each entry; returns the number of entries."""
    count = 0
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rooms = connection.execute("SELECT id, name, base_hash FROM room").fetchall()
        for room, name, hash in rooms:
            start = starter(name)
            for *content, sealed in connection.execute(
                AFTER.format(
                    "e.number, e.time, e.kind, e.nickname, e.text, e.author, e.message_id, e.seal"
                ),
                (room, 0, 2**62, -1),
            ):
                hash = seal(start, hash, sealed[:-SIZE], *content)
                if hash != sealed[-SIZE:]:
                    raise SystemExit(f"{name}: {content[0]} is damaged")
                count += 1
    return count


def timed(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The median and the maximum duration of ``work``, in milliseconds, after a first call."""
    work()
    durations = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        durations.append((time.perf_counter() - start) * 1000)
    return statistics.median(durations), max(durations)


class Reading(NamedTuple):
    """One request to the log: ``read`` does it with a reader, ``ask`` is the JSON of a client."""

    kind: str
    name: str
    read: Callable[[Reader], list[Entry]]
    ask: dict[str, Any]


def readings(last: int) -> Iterator[Reading]:
    """All requests; ``last`` is the number of the last entry in each room."""
    room = ROOMS[1]  # with entries of odd ``n`` in :func:`build`
    for name, words in QUERIES.items():
        yield _searching(name, words, None)
        yield _searching(f"{name}, one room", words, room)
    for percent in (0, 25, 50, 75, 100):
        depth = last * percent // 100
        yield _history(room, last, "before", max(PAGE + 1, depth + 1))
        yield _history(room, last, "after", min(depth, last - PAGE))


def _searching(name: str, words: str, room: str | None) -> Reading:
    ask = {"type": "search", "words": words, "room": room, "limit": FOUND}
    return Reading("search", name, lambda reader: reader.search(words, room, FOUND), ask)


def _history(room: str, last: int, side: str, number: int) -> Reading:
    def read(reader: Reader) -> list[Entry]:
        if side == "before":
            return reader.before(room, number, PAGE)
        return reader.after(room, number, last, PAGE)

    ask = {"type": "history", "room": room, side: number, "limit": PAGE}
    return Reading("history", f"{PAGE} {side} {number:,}", read, ask)


@contextmanager
def chatter(server: Server) -> Iterator[None]:
    """Have a client send up to 200 messages per second meanwhile."""
    over = threading.Event()
    connection = server.connect("Talker", "chatter")

    def run() -> None:
        count = 0
        while not over.wait(0.005):
            message = {"type": "say", "text": TEXT, "id": str(count)}
            request(connection, message, b'"type":"said"')
            count += 1

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join(PATIENCE)
    connection.close()


def large_database(folder: Path, entries: int, repeats: int) -> tuple[Row, list[Row]]:
    """Measure reading in a database of ``entries`` entries; returns a summary, and a row each."""
    database = folder / "chat.db"
    progress(f"a database of {entries:,} entries")
    seconds = build(database, entries)
    summary: Row = {"entries": entries, "build_seconds": round(seconds, 1)}
    summary["megabytes"] = round(database.stat().st_size / 1e6)
    progress("verify")
    start = time.perf_counter()
    count = walk_chains(database)
    assert count == entries
    summary["chain_seconds"] = round(time.perf_counter() - start, 1)
    start = time.perf_counter()
    verified = subprocess.run(
        [sys.executable, "-m", "twisted_chat.cli", "verify", str(database)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    summary["verify_seconds"] = round(time.perf_counter() - start, 1)
    if verified.returncode:
        raise SystemExit(f"verify: {verified.stdout}{verified.stderr}")
    rows = read_directly(database, entries // len(ROOMS), repeats)
    progress("the same through a server")
    with Server(folder) as server:
        read_through(server, rows, entries // len(ROOMS), repeats)
    return summary, rows


def read_directly(database: Path, last: int, repeats: int) -> list[Row]:
    """Measure each request with a reader in this process."""
    rows = []
    store = Store(str(database))
    reader = store.reader()
    for reading in readings(last):
        median, longest = timed(partial(reading.read, reader), repeats)
        rows.append(
            {
                "what": reading.kind,
                "which": reading.name,
                "entries": len(reading.read(reader)),
                "direct_ms": round(median, 2),
                "direct_max_ms": round(longest, 2),
            }
        )
    reader.close()
    store.close()
    return rows


def read_through(server: Server, rows: list[Row], last: int, repeats: int) -> None:
    """Measure each request with a client, while another one sends; adds the results to ``rows``."""
    with closing(server.connect("Reader")) as connection, chatter(server), Pinger(server) as pinger:
        for row, reading in zip(rows, readings(last), strict=True):
            answer = b'"type":"history"' if reading.kind == "history" else b'"type":"found"'
            pinger.take()
            median, longest = timed(partial(request, connection, reading.ask, answer), repeats)
            row["served_ms"] = round(median, 2)
            row["served_max_ms"] = round(longest, 2)
            row["longest_pong_ms"] = round(pinger.take(), 1)
        pinger.take()
        time.sleep(2)  # the longest pong without requests, to compare
        rows.append(
            {"what": "nothing", "which": "(2 s)", "longest_pong_ms": round(pinger.take(), 1)}
        )


# -- the program ------------------------------------------------------------------------------


def progress(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


def table(rows: Sequence[Row]) -> str:
    """``rows`` as text: the headings, and a line for each row."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[name.replace("_", " ") for name in names]]
    cells += [[_cell(row.get(name, "")) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    )


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def verdict(name: str, value: float, target: float, at_least: bool = False) -> Row:
    held = value >= target if at_least else value <= target
    return {
        "target": name,
        "wanted": ("≥ " if at_least else "≤ ") + f"{target:,}",
        "measured": round(value, 1),
        "held": "yes" if held else "NO",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load [%(default)s]")
    parser.add_argument(
        "--senders", type=int, nargs="*", default=[1, 10, 100], help="[%(default)s]"
    )
    parser.add_argument(
        "--in-flight",
        type=int,
        default=8000,
        help="messages on their way, of all senders together; 1000 for one at most [%(default)s]",
    )
    parser.add_argument(
        "--entries", type=int, default=1_000_000, help="of the large database; 0: none"
    )
    parser.add_argument("--repeats", type=int, default=30, help="of each reading [%(default)s]")
    arguments = parser.parse_args()
    if len(CORES) > 1:
        os.sched_setaffinity(0, set(CORES[1:]))
    figures: dict[str, Any] = {
        "cores": len(CORES),
        "load_average_before": round(os.getloadavg()[0], 2),
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
    }
    targets = []
    if arguments.senders:
        targets += measure_rates(arguments, figures)
    if arguments.entries:
        targets += measure_readings(arguments, figures)
    figures["targets"] = targets
    figures["load_average_after"] = round(os.getloadavg()[0], 2)
    print(f"\n{table(targets)}")
    print(
        f"\n{len(CORES)} cores; load average {figures['load_average_before']} before and"
        f" {figures['load_average_after']} after: above 2, somebody else was at work, too"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")


def measure_rates(arguments: argparse.Namespace, figures: dict[str, Any]) -> list[Row]:
    durabilities: tuple[Durability, ...] = ("full", "normal")
    baselines = [one_commit_each(arguments.seconds / 2)]
    rows = []
    for shared in (False, True):
        for durability in durabilities:
            for senders in arguments.senders:
                if shared and senders == 1:
                    continue  # the same as a room of its own
                progress(
                    f"{senders} senders, {'one room' if shared else 'own rooms'}, {durability}"
                )
                rows.append(
                    acknowledged_rate(
                        senders, durability, shared, arguments.seconds, arguments.in_flight
                    )
                )
    # Measured again at the end, to show how steady the machine is.
    baselines.append(one_commit_each(arguments.seconds / 2))
    baseline = max(baselines)  # other processes can only make it too low
    for row in rows:
        row["times_baseline"] = round(row["acknowledged_per_second"] / baseline, 1)
    figures["one_commit_each_per_second"] = [round(value) for value in baselines]
    figures["rates"] = rows
    print(f"\n{table(rows)}")
    print(
        f"\none commit for each message, full: {baselines[0]:,.0f} and {baselines[1]:,.0f} a second"
    )
    best = [r for r in rows if r["durability"] == "full" and r["senders"] == max(arguments.senders)]
    return [
        verdict(name.format(row["rooms"]), value, target, at_least=True)
        for row in best
        for name, value, target in (
            ("acknowledged/s, full, rooms: {}", row["acknowledged_per_second"], TARGET_RATE),
            ("times one commit each, rooms: {}", row["times_baseline"], TARGET_RATIO),
        )
    ]


def measure_readings(arguments: argparse.Namespace, figures: dict[str, Any]) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        summary, rows = large_database(Path(folder), arguments.entries, arguments.repeats)
    figures["large_database"] = summary
    figures["readings"] = rows
    print(f"\n{table([summary])}\n\n{table(rows)}")

    def worst(kind: str, column: str, hardest: bool = False) -> float:
        return max(
            float(row[column])
            for row in rows
            if row["what"] == kind and row["which"].startswith(WORST) == hardest
        )

    return [
        verdict(f"{kind}, {how}, median ms", worst(kind, f"{how}_ms"), target)
        for kind, target in (("search", TARGET_SEARCH), ("history", TARGET_HISTORY))
        for how in ("direct", "served")
    ] + [
        verdict(
            f"two words {WORST}, served, ms", worst("search", "served_ms", True), TARGET_SEARCH
        ),
        verdict("longest pong, search, ms", worst("search", "longest_pong_ms"), TARGET_STALL),
        verdict("longest pong, history, ms", worst("history", "longest_pong_ms"), TARGET_STALL),
    ]


if __name__ == "__main__":
    main()

"""``twistd`` with faults and gauges built in, for the tests of what the server withstands.

It is started in twistd's place; the environment variable :data:`VARIABLE` says, as JSON, what is
built in:

``gauge``
    A file: the reactor notes in it how late it came to a timer, whenever that was more than
    a millisecond (``time.monotonic()`` and seconds, a line each).
``failing_commits``
    One of so many commits raises an error: SQLite's own, and a defect's, in turn.
``checkpoint``
    Pages of the write-ahead log after which it is written back: fewer than usual.
``descriptors``
    The process may have no more open files.
``kept``
    A file: SIGUSR2 has all that is garbage taken away and notes how many objects and how many
    bytes of memory are left (``sys.getallocatedblocks()`` and a number, a line each).
``clock``
    Seconds by which SIGUSR1 moves the wall clock.
``ahead``
    Seconds by which the wall clock is ahead from the start.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from benchmarks.delivery import usage

VARIABLE = "TWISTED_CHAT_TEST_FAULTS"

#: Seconds between two looks of the gauge.
GAUGE_INTERVAL = 0.005


def run() -> None:
    """Build in what the environment asks for, and be twistd."""
    faults: dict[str, Any] = json.loads(os.environ.get(VARIABLE, "{}"))
    if "descriptors" in faults:
        resource.setrlimit(resource.RLIMIT_NOFILE, (faults["descriptors"],) * 2)
    if "clock" in faults:
        _move_clock(faults["clock"])  # before Twisted takes the clock for its own
    if "ahead" in faults:
        _move_clock(faults["ahead"])
        os.kill(os.getpid(), signal.SIGUSR1)
    if "failing_commits" in faults:
        _fail_commits(faults["failing_commits"])
    if "kept" in faults:
        _note_what_is_kept(faults["kept"])
    if "checkpoint" in faults:
        from twisted_chat.journal.sqlite import opening

        opening.CHECKPOINT = faults["checkpoint"]
    from twisted.scripts import twistd

    if "gauge" in faults:
        _gauge(faults["gauge"])
    twistd.run()


def _move_clock(seconds: float) -> None:
    """Let SIGUSR1 move what ``time`` says, but not the monotonic clock."""
    moved = 0.0
    now, now_ns = time.time, time.time_ns

    def move(number: int, frame: object) -> None:
        nonlocal moved
        moved += seconds

    time.time = lambda: now() + moved
    time.time_ns = lambda: now_ns() + int(moved * 1e9)
    signal.signal(signal.SIGUSR1, move)


def _fail_commits(one_of: int) -> None:
    from twisted_chat.core.changes import Draft, Failed, Saved
    from twisted_chat.journal.sqlite.store import Store

    commit: Callable[[Store, Sequence[Draft]], list[Saved | Failed]] = Store.commit
    numbers = count(1)

    def failing(self: Store, drafts: Sequence[Draft]) -> list[Saved | Failed]:
        number = next(numbers)
        if number % one_of == 0:
            if number // one_of % 2:
                raise sqlite3.OperationalError("disk I/O error")
            raise RuntimeError("a defect of the journal")
        return commit(self, drafts)

    Store.commit = failing  # type: ignore[method-assign]


def _note_what_is_kept(path: str) -> None:
    def note(number: int, frame: object) -> None:
        gc.collect()
        with contextlib.suppress(AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)
        with open(path, "a", encoding="ascii") as file:
            file.write(f"{sys.getallocatedblocks()} {usage.memory(os.getpid()).now}\n")

    signal.signal(signal.SIGUSR2, note)


def _gauge(path: str) -> None:
    """Note how late the reactor comes to its timers."""
    from twisted.internet import reactor

    reactor_: Any = reactor
    file = open(path, "a", encoding="ascii", buffering=1)  # noqa: SIM115  # until the end
    due = 0.0

    def look() -> None:
        nonlocal due
        now = time.monotonic()
        if due and now - due > 0.001:
            file.write(f"{now} {now - due}\n")
        due = now + GAUGE_INTERVAL
        reactor_.callLater(GAUGE_INTERVAL, look)

    reactor_.callWhenRunning(look)

"""A message is on disk before anybody is told of it: what the operating system was asked, in
its order, as ``strace`` saw it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import PATIENCE, environment, free_port
from tests.support.strace import Call, parse, why_not

pytestmark = pytest.mark.process

SYNC = frozenset({"fsync", "fdatasync"})
SEND = frozenset({"write", "writev", "sendto", "sendmsg", "sendmmsg"})
RECEIVE = frozenset({"read", "recvfrom", "recvmsg"})
STORE = frozenset({"write", "writev", "pwrite64", "pwritev"})
TRACED = ",".join(sorted(SYNC | SEND | RECEIVE | STORE))

#: What a bot says, so that it is found in the trace.
MARK = "this is the one"


@pytest.fixture(autouse=True)
def _strace() -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


def test_the_sync_comes_before_the_acknowledgement_and_before_the_publishing(
    tmp_path: Path,
) -> None:
    """The author gets the `ack`, and another program the `said`, after the sync."""
    calls = trace(tmp_path, "full")
    assert found_unsynced(calls) == []


@pytest.mark.slow
def test_without_the_sync_this_check_fails(tmp_path: Path) -> None:
    """The control: `normal` does not sync at each commit, and the check notices."""
    calls = trace(tmp_path, "normal")
    assert found_unsynced(calls) == ["ack", "said"]


def found_unsynced(calls: list[Call]) -> list[str]:
    """What was sent of the message before the write-ahead log, with it in it, was synced."""
    received = next(c for c in calls if c.name in RECEIVE and MARK in c.arguments)
    later = [call for call in calls if call.began > received.began]
    sent = {
        type: [c for c in later if c.name in SEND and f'\\"type\\":\\"{type}\\"' in c.arguments]
        for type in ("ack", "said")
    }
    assert len(sent["ack"]) == 1, later
    assert len(sent["said"]) >= 2, later  # the author sees it too
    log = [call for call in later if "chat.db-wal>" in call.arguments]
    stored = [call for call in log if call.name in STORE]
    synced = [call for call in log if call.name in SYNC and call.arguments.endswith(" = 0")]

    # SQLite writes all of a transaction, and then syncs. What is written behind that, before
    # the message is sent, is not of the message: the index for search.
    written = [call for call in stored if MARK in call.arguments]

    def on_disk(send: Call) -> bool:
        return any(
            write.ended < sync.began and sync.ended < send.began
            for write in written
            for sync in synced
        )

    return [type for type, sends in sent.items() if not all(map(on_disk, sends))]


def trace(folder: Path, durability: str) -> list[Call]:
    """The system calls of a server while one program says something and another one hears it."""
    output = folder / "trace"
    port = free_port()
    command = ["strace", "-f", "-y", "-s", "100000", "-e", f"trace={TRACED}", "-o", str(output)]
    command += [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    command += ["-n", "--pidfile=", "chat", f"--durability={durability}"]
    command += [f"--listen=tcp:{port}:interface=127.0.0.1"]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # to end strace and what it traces together
        )
    try:
        listener = enter(port, "Bia")
        author = enter(port, "Ana")
        # The first message makes its room; the second one is like any other.
        for text in ("hello", MARK):
            tell(author, {"type": "say", "text": text, "id": text})
            wait_for(author, "ack", id=text)
            wait_for(listener, "said", text=text)
            wait_for(author, "said", text=text)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(PATIENCE)
    return parse(output)


def enter(port: int, nickname: str) -> socket.SocketIO:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
            break
        except OSError:
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.02)
    connection.settimeout(PATIENCE)
    file = connection.makefile("rwb", buffering=0)
    tell(file, {"type": "hello", "nickname": nickname})
    wait_for(file, "entered")
    return file


def tell(program: socket.SocketIO, request: dict[str, Any]) -> None:
    program.write(json.dumps(request).encode() + b"\n")


def wait_for(program: socket.SocketIO, type: str, **fields: str) -> None:
    """Read until a line of this type, with these fields, has come."""
    while True:
        line = program.readline()
        assert line, f"closed without {type}"
        message = json.loads(line)
        if message["type"] == type and fields.items() <= message.items():
            return

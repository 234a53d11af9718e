"""What a bot is told when it cannot begin or cannot stay, and how its process ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from tests.support.processes import PATIENCE, environment
from twisted_chat.client import ChatClient, Event, FileState, MemoryState, Refused, TakenOver
from twisted_chat.core.errors import NameTaken
from twisted_chat.terminal.config import NoHome
from twisted_chat.testing import ChatServer

BOT = """
import sys
from twisted_chat.client import ChatClient, FileState, run_bot

async def main(reactor):
    client = ChatClient(reactor, "tcp:127.0.0.1:1", "Karma", state=FileState(reactor, sys.argv[1]))
    events = client.events()
    client.startService()
    async for event in events:
        pass

run_bot(main)
"""


def until_the_end(client: ChatClient) -> list[object]:
    """What ``async for`` ends with: None, or what it raises."""
    events = client.events()
    outcome: list[object] = []

    async def listen() -> None:
        async for _ in events:
            pass

    def ended(result: Failure | None) -> None:
        outcome.append(result.value if isinstance(result, Failure) else result)

    Deferred.fromCoroutine(listen()).addBoth(ended)
    return outcome


@pytest.mark.parametrize("kind", [str, Path, os.fspath])
def test_a_state_is_named_by_a_string_or_a_path(kind: type, tmp_path: Path) -> None:
    state = FileState(Clock(), kind(tmp_path / "karma.state"))
    assert state._path == tmp_path / "karma.state"
    with pytest.raises(TypeError):
        FileState(Clock(), 3)  # type: ignore[arg-type]


def test_events_end_with_why_the_client_could_not_begin() -> None:

    server = ChatServer()
    for error in (NoHome(), OSError("no")):
        state = MemoryState()
        failed: Deferred[object] = Deferred()
        failed.errback(error)
        state.open = lambda failed=failed: failed  # type: ignore[method-assign,misc]
        client = ChatClient(server.clock, server.endpoint(), "Karma", state=state)
        outcome = until_the_end(client)
        with capturedLogs() as logs:
            client.startService()
            server.settle()
        assert outcome == [error]
        assert len(logs) == 1


def test_events_end_quietly_when_the_program_stops_the_client() -> None:
    server = ChatServer()
    client = ChatClient(server.clock, server.endpoint(), "Karma")
    outcome = until_the_end(client)
    client.startService()
    server.settle()
    client.stopService()
    server.settle()
    assert outcome == [None]


def test_events_end_with_an_error_when_another_client_takes_over() -> None:
    server = ChatServer()
    state = MemoryState("a" * 32)
    client = ChatClient(server.clock, server.endpoint(), "Karma", state=state)
    outcome = until_the_end(client)
    client.startService()
    server.settle()
    other = ChatClient(server.clock, server.endpoint(), "Karma", state=MemoryState("a" * 32))
    other.startService()
    server.settle()
    assert [type(end) for end in outcome] == [TakenOver]


def test_a_bot_whose_name_is_taken_is_told_once_and_tries_again() -> None:
    server = ChatServer()
    server.enter("Karma")
    told: list[Event] = []
    client = ChatClient(server.clock, server.endpoint(), "Karma")
    client.listen(told.append)
    with capturedLogs() as logs:
        client.startService()
        server.clock.advance(60)
    assert len([e for e in told if isinstance(e, Refused)]) > 2
    # Critical is shown even where a program set up no log.
    (log,) = [log for log in logs if log["log_level"].name == "critical"]
    assert log["reason"] == NameTaken(name="Karma").sentence("en")
    server.leave("Karma")
    server.clock.advance(60)
    assert client.is_in


@pytest.mark.process
def test_a_bot_that_cannot_begin_says_so_in_one_line_and_fails(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", BOT, "folder"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 1
    assert "cannot read the client's state in folder: Is a directory" in ended.stderr
    assert "Traceback" not in ended.stderr

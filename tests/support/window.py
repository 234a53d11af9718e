"""The window of the client on a string, and keys that are pressed by a pipe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from io import StringIO
from typing import Any

from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from tests.support.tmux import PATIENCE
from twisted_chat.terminal.colours import Look
from twisted_chat.terminal.view import Connection, Tab
from twisted_chat.terminal.window import Window


class FakeTalk:
    """A conversation that writes down what it is told."""

    def __init__(self) -> None:
        self.nickname: str | None = "me"
        self.room: str | None = "lobby"
        self.tabs: dict[str, Tab] = {
            "lobby": Tab("lobby", people=["alice", "albert", "zoe"], count=4),
            "cinema": Tab("cinema"),
        }
        self.connection: Connection = "online"
        self.retry = 0.0
        self.delay: float | None = 0.034
        self.waiting: list[str] = []
        self.timestamps = False
        self.language = "en"
        self.prompt: str | None = None
        self.hides = False
        self.told: list[str] = []
        self.texts: list[str] = []
        self.moves: list[object] = []
        self.left = 0
        self.on_typed: Callable[[str], None] = lambda line: None
        self.on_leave: Callable[[], None] = lambda: None

    def typed(self, line: str) -> None:
        self.told.append(line)
        self.on_typed(line)

    def pasted(self, lines: Sequence[str]) -> None:
        self.texts += lines
        for line in lines:
            self.on_typed(line)

    def switch(self, room: str) -> None:
        self.moves.append(room)

    def switch_by(self, step: int) -> None:
        self.moves.append(step)

    def switch_to_news(self) -> None:
        self.moves.append("news")

    def leave(self) -> None:
        self.left += 1
        self.on_leave()


class Running:
    """A window that is shown on a string, and keys that are pressed by a pipe."""

    def __init__(self, talk: FakeTalk, keys: PipeInput, **options: Any) -> None:
        self.talk = talk
        self._keys = keys
        self._written = StringIO()
        self.window = Window(
            talk,
            look=options.pop("look", Look(16)),
            output=Vt100_Output(self._written, lambda: Size(rows=24, columns=80), enable_cpr=False),
            input=keys,
            **options,
        )
        self.task = asyncio.ensure_future(self.window.run())

    def press(self, keys: str) -> None:
        self._keys.send_text(keys)

    def close_keyboard(self) -> None:
        self._keys.close()

    @property
    def output(self) -> str:
        return self._written.getvalue()

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.output
            assert not self.task.done() or condition(), self.output
            await asyncio.sleep(0.002)

    async def answers(self) -> None:
        """Until the keys pressed before have been handled: a line has been typed since."""
        self.talk.told.clear()
        self.press("\x15ping\r")
        await self.until(lambda: self.talk.told == ["ping"])
        self.talk.told.clear()


def converse(
    scenario: Callable[[Running], Awaitable[None]], talk: FakeTalk | None = None, **options: Any
) -> Running:
    """Run ``scenario`` with a window, then close it."""

    async def run() -> Running:
        with create_pipe_input() as keys:
            running = Running(talk or FakeTalk(), keys, **options)
            await running.until(lambda: "#lobby" in running.output or running.talk.room != "lobby")
            await scenario(running)
            running.window.close()
            await asyncio.wait_for(running.task, PATIENCE)
            return running

    return asyncio.run(run())

"""The plain terminal: lines in, lines out. For scripts, screen readers and simple terminals.

:class:`PlainView` writes the lines to show; :func:`read_input` passes typed lines on. This module
must not know the meaning of lines.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread

from twisted_chat.terminal.conversation import Conversation
from twisted_chat.terminal.keyboard import read_lines
from twisted_chat.terminal.screen import Screen
from twisted_chat.terminal.tty_echo import TtyEcho
from twisted_chat.terminal.view import Line

#: Seconds without an answer after which the remaining lines of the input count as not sent.
ANSWER_TIMEOUT = 30.0

STDIN = 0


class PlainView:
    """A :class:`.view.View` on ``screen``.

    With ``interactive``, the terminal echoes typed lines, and a person types behind a question.
    """

    def __init__(self, talk: Conversation, screen: Screen, *, interactive: bool) -> None:
        self._talk = talk
        self._screen = screen
        self._interactive = interactive
        self._prompt: str | None = None
        self._echo = TtyEcho(STDIN)

    def show(self, lines: Sequence[Line]) -> None:
        for line in lines:
            text = f"── {line.text} ──" if line.kind == "mark" else line.text
            if self._talk.timestamps and line.time is not None:
                when = datetime.fromtimestamp(line.time / 1_000_000).astimezone()
                text = f"{when:%H:%M} {text}"
            self._screen.line(text)

    def refresh(self) -> None:
        prompt = self._talk.prompt
        if prompt is not None and prompt != self._prompt:
            if self._interactive:
                self._screen.prompt(prompt)
            else:
                self._screen.line(prompt)
        self._prompt = prompt
        if self._interactive and self._talk.hides:
            self._echo.hide()
        else:
            self._echo.show()

    def alert(self) -> None:
        """A bell would disturb those who listen to the screen."""

    def typed(self, line: str) -> None:
        """Pass on ``line``, which a person has typed and the terminal has echoed."""
        self._prompt = None
        self._screen.typed(enter=True)
        self._talk.typed(line)

    def interrupted(self) -> None:
        """Leave the chat: Ctrl-C was pressed, or a signal asks the process to end."""
        if self._interactive:
            self._screen.typed(enter=False)  # the terminal has echoed ^C
        self._talk.leave()


class SilentView:
    """A :class:`.view.View` for a program that reads events: it writes only errors, to stderr."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk

    def show(self, lines: Sequence[Line]) -> None:
        for line in lines:
            if line.kind == "error" and sys.stderr is not None:
                print(f"twisted-chat: {line.text}", file=sys.stderr)

    def refresh(self) -> None:
        """Show nothing: a program needs no prompt."""

    def alert(self) -> None:
        """Ring no bell."""

    def typed(self, line: str) -> None:
        """Pass on ``line`` of the program."""
        self._talk.typed(line)

    def interrupted(self) -> None:
        """Leave the chat: a signal asks the process to end."""
        self._talk.leave()


def read_input(reactor: Any, talk: Conversation, view: PlainView | SilentView) -> None:
    """Read standard input in a thread of its own, no faster than the server takes the lines."""

    def typed(lines: list[str]) -> None:
        for line in lines:
            blockingCallFromThread(reactor, type_one, line)  # type: ignore[arg-type]

    def type_one(line: str) -> Deferred[None]:
        ready = talk.ready()
        ready.addCallback(lambda _: view.typed(line))
        return ready

    def ended() -> None:
        reactor.callFromThread(end)

    def end() -> None:
        talk.ready().addCallback(lambda _: talk.finish(ANSWER_TIMEOUT))

    descriptor = STDIN if sys.stdin else -1  # another file may have a closed stdin's number
    threading.Thread(target=read_lines, args=(descriptor, typed, ended), daemon=True).start()

"""The terminal: shows what comes, sends what is typed, as the paper's ``client.py`` does.

:class:`Terminal` decides what is shown and when it is over, and knows no file descriptor;
:func:`run` ties it to standard input and output and to a connection.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from io import StringIO, TextIOWrapper
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread

from twisted_chat.client.address import format_address
from twisted_chat.client.keyboard import read_lines
from twisted_chat.client.protocol import LINE_TOO_LONG, ChatClientProtocol
from twisted_chat.client.screen import Screen
from twisted_chat.client.service import ChatClientService, host_endpoint
from twisted_chat.dialects import text as dialect
from twisted_chat.errors import ControlCharacter, Refusal
from twisted_chat.language import N_, catalogue
from twisted_chat.messages import Quit

CLOSING = N_("[Closing the connection...]")
LOST = N_("[Connection lost. Press Enter to leave.]")
CANNOT_CONNECT = N_("cannot connect to {address}: {reason}")

STDIN = 0
STDOUT = 1


class Terminal:
    """A :class:`twisted_chat.client.Receiver` for a person, or for a script on pipes."""

    def __init__(
        self,
        screen: Screen,
        language: str,
        *,
        nick: str | None = None,
        interactive: bool = True,
        listen: Callable[[], None],
        complain: Callable[[str, str], None],
    ) -> None:
        """``interactive``: a person sees what they type. ``listen`` starts the input;
        ``complain`` is given a sentence with ``{address}`` and ``{reason}``, and the reason.
        """
        #: Fires with the exit status when it is over.
        self.status: Deferred[int] = Deferred()
        self._screen = screen
        self._language = language
        self._translate = catalogue(language).gettext
        self._nick = nick
        self._interactive = interactive
        self._listen = listen
        self._complain = complain
        self._client: ChatClientProtocol | None = None
        self._greeted = False
        self._has_typed = False
        self._leaving = False
        self._lost = False

    # -- what arrives -------------------------------------------------------------------------

    def connected(self, client: ChatClientProtocol) -> None:
        self._client = client
        if self._nick is not None:
            client.send_line(self._nick)
        self._listen()

    def line_received(self, text: str) -> None:
        if self._greeted:
            self._screen.line(text)
        else:
            self._greeted = True
            self._greet(text)

    def _greet(self, text: str) -> None:
        if self._nick is not None:
            self._screen.line(f"{text} {self._nick}")
        elif self._interactive and not self._has_typed:
            self._screen.prompt(text)
        else:
            self._screen.line(text)

    def disconnected(self, reason: str, clean: bool) -> None:
        if clean:
            self._end(0)
        elif self._client is None:
            self._complain(self._translate(CANNOT_CONNECT), self._translate(reason))
            self._end(1)
        else:
            if reason == LINE_TOO_LONG:
                self._screen.line(self._translate(reason))
            self._screen.line("")
            self._screen.line(self._translate(LOST))
            self._lost = True
            if not self._interactive:
                self._end(1)

    # -- what is typed ------------------------------------------------------------------------

    def typed(self, lines: list[str]) -> Deferred[None] | None:
        """Send what was typed. The Deferred, if any, fires when there may be more."""
        for line in lines:
            self._has_typed = True
            self._screen.typed(enter=True)
            if self._lost:
                self._end(1)
            elif not self._leaving:
                self._send(line)
        return None if self._client is None else self._client.ready()

    def end_of_input(self) -> None:
        """Nothing more will be typed: wait for what the server still has to say."""
        if self._lost:
            self._end(1)
        elif self._client is not None and not self._leaving:
            self._leaving = True
            self._client.finish()

    def interrupted(self) -> None:
        """Ctrl-C: as ``sair``."""
        if self._interactive:
            self._screen.typed(enter=False)  # the terminal has echoed ^C
        if self._lost:
            self._end(1)
        else:
            self.leave()

    def leave(self) -> None:
        """Say so and leave."""
        if not self._leaving:
            self._leaving = True
            self._screen.line(self._translate(CLOSING))
            if self._client is not None:
                self._client.leave()

    def _send(self, line: str) -> None:
        assert self._client is not None  # the input starts with the connection
        try:
            if isinstance(dialect.parse(line.encode()), Quit):
                self.leave()
                return
        except ControlCharacter as refusal:
            self._screen.line(refusal.sentence(self._language))
            return
        except Refusal:
            pass  # the server may know more commands, and says so if not
        self._client.send_line(line)

    def _end(self, status: int) -> None:
        if not self.status.called:
            self._screen.end_line()
            self.status.callback(status)


def run(reactor: Any, host: str, port: int, nick: str | None, language: str) -> int:
    """Connect and run ``reactor`` until it is over; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # else it was closed, and is None
            stream.reconfigure(errors="replace")

    def listen() -> None:
        descriptor = STDIN if sys.stdin else -1  # the number of a closed one may be in use
        threading.Thread(target=read_lines, args=(descriptor, typed, ended), daemon=True).start()

    def typed(lines: list[str]) -> None:
        blockingCallFromThread(reactor, terminal.typed, lines)

    def ended() -> None:
        reactor.callFromThread(terminal.end_of_input)

    def output_gone() -> None:
        # The interpreter flushes it at the end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        terminal.leave()

    def complain(sentence: str, reason: str) -> None:
        line = sentence.format(address=format_address(host, port), reason=reason)
        print(f"twisted-chat: {line}", file=sys.stderr)

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # who cannot wait presses it again
        reactor.callFromThread(terminal.interrupted)
        reactor.callFromThread(service.stopService)

    def over(status: int) -> None:
        statuses.append(status)
        reactor.callWhenRunning(reactor.stop)

    terminal = Terminal(
        Screen(sys.stdout or StringIO(), output_gone),
        language,
        nick=nick,
        interactive=os.isatty(STDIN) and os.isatty(STDOUT),
        listen=listen,
        complain=complain,
    )
    service = ChatClientService(reactor, host_endpoint(reactor, host, port), terminal)
    statuses: list[int] = []
    terminal.status.addCallback(over)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    reactor.callWhenRunning(service.startService)
    reactor.run(installSignalHandlers=False)
    return statuses[0]

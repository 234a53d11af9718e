"""The client in memory: the protocol, the service, the splitter, the screen, the terminal."""

from __future__ import annotations

import io
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectBindError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

import twisted_chat.client
from twisted_chat.client import ChatClientProtocol, ChatClientService
from twisted_chat.client.keyboard import LINE_LIMIT, LineSplitter, read_lines
from twisted_chat.client.protocol import (
    BROKEN,
    CLOSED,
    LEAVE_TIMEOUT,
    LEFT,
    LINE_TIMEOUT,
    LINE_TOO_LONG,
)
from twisted_chat.client.screen import Screen
from twisted_chat.client.service import CONNECT_TIMEOUT
from twisted_chat.client.terminal import CLOSING, LOST, Terminal

GREETING = "Welcome! Please type your username:"


class Notes:
    """A receiver that writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ends: list[tuple[str, bool]] = []
        self.client: ChatClientProtocol | None = None

    def connected(self, client: ChatClientProtocol) -> None:
        self.client = client

    def line_received(self, text: str) -> None:
        self.lines.append(text)

    def disconnected(self, reason: str, clean: bool) -> None:
        self.ends.append((reason, clean))


class Wire(StringTransport):
    """A transport that knows half-closed connections."""

    producer: Any
    half_closed = False
    aborted = False

    def loseWriteConnection(self) -> None:
        assert self.producer is None, "a paused producer would keep that half open"
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True


class Call:
    """A protocol, its receiver, its wire and its clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.notes = Notes()
        self.wire = Wire()
        self.client = ChatClientProtocol(self.clock, self.notes)
        self.client.makeConnection(self.wire)

    def lose(self, error: Exception | None = None) -> tuple[str, bool]:
        """The connection goes; returns what the receiver was told, and that it was told once."""
        self.client.connectionLost(Failure(error or ConnectionDone()))
        (end,) = self.notes.ends
        return end


# -- lines in ---------------------------------------------------------------------------------


def test_the_receiver_is_handed_the_client() -> None:
    call = Call()
    assert call.notes.client is call.client


@given(st.lists(st.integers(0, 40)))
def test_lines_come_whole_however_they_are_cut(cuts: list[int]) -> None:
    data = "[Ána]: olá\r\n\n€ 5\tnow\nend\n".encode()
    call = Call()
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in pairwise(edges):
        call.client.dataReceived(data[start:stop])
    assert call.notes.lines == ["[Ána]: olá", "", "€ 5\tnow", "end"]


@given(st.binary())
def test_nothing_dangerous_comes_through(data: bytes) -> None:
    call = Call()
    call.client.dataReceived(data + b"\n")
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e]", "".join(call.notes.lines))


def test_what_it_was_is_shown() -> None:
    call = Call()
    call.client.dataReceived(b"\x1b[2J \xff\xc3\n")
    assert call.notes.lines == ["\u241b[2J \ufffd\ufffd"]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_ends_the_connection(end: bytes) -> None:
    """Even if we are leaving, this is not a clean end."""
    call = Call()
    call.client.leave()
    call.client.dataReceived(b"x" * ChatClientProtocol.MAX_LENGTH + b"\n")
    assert not call.wire.aborted
    call.client.dataReceived(b"x" * (ChatClientProtocol.MAX_LENGTH + 1) + end)
    assert call.wire.aborted
    assert call.lose() == (LINE_TOO_LONG, False)
    assert len(call.notes.lines) == 1


def test_a_last_line_without_an_end_is_shown() -> None:
    call = Call()
    call.client.dataReceived(b"goodb")
    call.lose()
    assert call.notes.lines == ["goodb"]


# -- lines out --------------------------------------------------------------------------------


def test_a_line_is_sent_as_utf8() -> None:
    call = Call()
    call.client.send_line("olá\t//")
    assert call.wire.value() == "olá\t//\n".encode()


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "\x1b[2J", "\x7f", "\u2028", "\u202e", "\ud800"])
def test_what_is_not_a_line_is_not_sent(text: str) -> None:
    call = Call()
    with pytest.raises(ValueError, match=r"U\+"):
        call.client.send_line(text)
    assert call.wire.value() == b""


def test_it_is_ready_when_the_server_keeps_up() -> None:
    call = Call()
    assert call.client.ready().called
    call.wire.producer.pauseProducing()
    waiting = call.client.ready()
    assert not waiting.called
    call.wire.producer.resumeProducing()
    assert waiting.called
    assert call.client.ready().called


@pytest.mark.parametrize("how", ["lose", "finish"])
def test_nobody_waits_for_ever_to_be_ready(how: str) -> None:
    call = Call()
    call.wire.producer.pauseProducing()
    waiting = call.client.ready()
    if how == "lose":
        call.lose()
    else:
        call.client.finish()
    assert waiting.called


# -- the end ----------------------------------------------------------------------------------


def test_a_connection_that_the_server_closes() -> None:
    call = Call()
    assert call.lose() == (CLOSED, False)
    assert call.client.ended.called


def test_a_connection_that_breaks_off() -> None:
    assert Call().lose(ConnectionLost()) == (BROKEN, False)


def test_leaving_says_so_once_and_is_clean() -> None:
    call = Call()
    call.client.leave()
    call.client.leave()
    call.client.send_line("too late")
    assert call.wire.value() == b"sair\n"
    assert call.lose() == (LEFT, True)
    assert call.clock.getDelayedCalls() == []


def test_a_server_that_does_not_close_is_left_alone() -> None:
    call = Call()
    call.client.leave()
    call.clock.advance(LEAVE_TIMEOUT - 0.1)
    assert not call.wire.aborted
    call.clock.advance(0.2)
    assert call.wire.aborted
    assert call.lose() == (LEFT, True)


def test_a_server_is_given_time_to_read_what_was_just_sent() -> None:
    """And no more than that: lines of long ago count no more."""
    call = Call()
    call.client.send_line("long ago")
    call.clock.advance(1000)
    for _ in range(10):
        call.client.send_line("just now")
    call.client.leave()
    call.clock.advance(LEAVE_TIMEOUT + 10 * LINE_TIMEOUT - 0.1)
    assert not call.wire.aborted
    call.clock.advance(0.2)
    assert call.wire.aborted


def test_finishing_half_closes_and_answers_still_come() -> None:
    call = Call()
    call.client.finish()
    call.client.send_line("too late")
    call.client.dataReceived(b"answer\n")
    assert call.wire.half_closed
    assert call.wire.value() == b""
    assert call.notes.lines == ["answer"]
    assert call.lose() == (LEFT, True)


def test_leaving_after_finishing_limits_the_wait() -> None:
    call = Call()
    call.client.finish()
    call.client.leave()
    assert call.wire.value() == b""
    call.clock.advance(LEAVE_TIMEOUT + 0.1)
    assert call.wire.aborted


# -- the service ------------------------------------------------------------------------------


@implementer(IStreamClientEndpoint)
class Door:
    """An endpoint that connects when told to."""

    def connect(self, factory: Any) -> Deferred[Any]:
        self.factory = factory
        self.answer: Deferred[Any] = Deferred()
        return self.answer

    def open(self) -> Wire:
        protocol = self.factory.buildProtocol(None)
        wire = Wire()
        protocol.makeConnection(wire)
        self.answer.callback(protocol)
        return wire


class Started:
    """A service that has been started."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.notes = Notes()
        self.door = Door()
        self.service = ChatClientService(self.clock, self.door, self.notes)
        self.ended = self.service.when_ended()
        self.service.startService()


def test_the_service_connects_and_ends_with_the_connection() -> None:
    started = Started()
    started.door.open()
    client = started.notes.client
    assert client is not None
    assert not started.ended.called
    client.connectionLost(Failure(ConnectionDone()))
    assert started.notes.ends == [(CLOSED, False)]
    assert started.ended.called
    assert started.service.when_ended().called
    assert started.clock.getDelayedCalls() == []


def test_stopping_the_service_leaves() -> None:
    started = Started()
    wire = started.door.open()
    stopped = started.service.stopService()
    assert wire.value() == b"sair\n"
    assert not stopped.called
    assert started.notes.client is not None
    started.notes.client.connectionLost(Failure(ConnectionDone()))
    assert started.notes.ends == [(LEFT, True)]
    assert stopped.called


def test_stopping_while_connecting_gives_up() -> None:
    started = Started()
    stopped = started.service.stopService()
    assert stopped.called
    ((_, clean),) = started.notes.ends
    assert clean
    assert started.notes.client is None
    assert started.clock.getDelayedCalls() == []


def test_stopping_what_has_ended_or_never_started() -> None:
    service = ChatClientService(Clock(), Door(), Notes())
    assert service.stopService().called
    started = Started()
    started.door.answer.errback(ConnectionRefusedError())
    assert started.service.stopService().called
    assert len(started.notes.ends) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(), "connection refused"),
        (DNSLookupError(), "unknown host"),
        (ConnectBindError(98), os.strerror(98)),
        (ValueError("not a\x1bhost"), "not a\u241bhost"),
    ],
)
def test_a_connection_that_cannot_be_made(error: Exception, reason: str) -> None:
    started = Started()
    started.door.answer.errback(Failure(error))
    assert started.notes.ends == [(reason, False)]
    assert started.ended.called


def test_a_server_that_does_not_answer() -> None:
    started = Started()
    started.clock.advance(CONNECT_TIMEOUT + 0.1)
    assert started.notes.ends == [("no answer", False)]


def test_an_endpoint_can_be_a_description() -> None:
    reactor = MemoryReactorClock()
    ChatClientService(reactor, "unix:/tmp/chat", Notes()).startService()
    assert reactor.unixClients[0][0] == "/tmp/chat"
    with pytest.raises(ValueError, match="carrier"):
        ChatClientService(reactor, "carrier:pigeon", Notes())


def test_the_example_of_the_documentation_works() -> None:
    """It names itself, greets whoever comes in, and leaves when somebody says bye."""
    documentation = twisted_chat.client.__doc__ or ""
    example = documentation.split("::\n", 1)[1].split("\n\nWhat is here")[0]
    classes = re.search(r"    class Greeter.*?(?=\n    service)", example, re.DOTALL)
    assert classes is not None
    namespace: dict[str, Any] = {"ChatClientProtocol": ChatClientProtocol}
    exec(re.sub(r"^    ", "", classes.group(), flags=re.MULTILINE), namespace)
    wire = Wire()
    client = ChatClientProtocol(Clock(), namespace["Greeter"]())
    client.makeConnection(wire)
    client.dataReceived(b"[SERVER]: Ana joined the chat.\n[Ana]: bye\n")
    assert wire.value() == b"Greeter\nHello!\nsair\n"


# -- what is typed ----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 30)))
def test_what_is_typed_is_cut_anywhere(cuts: list[int]) -> None:
    data = "olá\r\n\n€\nrest é".encode()
    splitter = LineSplitter()
    lines: list[str] = []
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in pairwise(edges):
        lines += splitter.feed(data[start:stop])
    assert lines + splitter.end() == ["olá", "", "€", "rest é"]
    assert splitter.end() == []


def test_a_line_without_end_is_not_kept_whole() -> None:
    splitter = LineSplitter()
    for _ in range(3):
        splitter.feed(b"x" * LINE_LIMIT)
    (line,) = splitter.feed(b"\n")
    assert len(line) == LINE_LIMIT


def test_reading_a_file(tmp_path: Path) -> None:
    """To its end, bytes that are not UTF-8 included."""
    path = tmp_path / "typed"
    path.write_bytes(b"one\n\xfftwo\nthree")
    lines: list[str] = []
    ends: list[None] = []
    with path.open("rb") as file:
        read_lines(file.fileno(), lines.extend, lambda: ends.append(None))
    assert lines == ["one", "\ufffdtwo", "three"]
    assert ends == [None]


def test_reading_where_there_is_no_input(tmp_path: Path) -> None:
    ends: list[None] = []
    read_lines(-1, lambda lines: None, lambda: ends.append(None))
    assert ends == [None]


def test_reading_what_was_left_not_blocking() -> None:
    """Another program on the same terminal may have made it so."""
    out, into = os.pipe()
    os.set_blocking(out, False)
    lines: list[str] = []

    def typed(new: list[str]) -> None:
        lines.extend(new)

    os.write(into, b"one\n")
    os.close(into)
    read_lines(out, typed, lambda: None)
    assert lines == ["one"]
    assert os.get_blocking(out)
    os.close(out)


# -- the terminal -----------------------------------------------------------------------------


class Seat:
    """A terminal with a connection and a screen in memory."""

    def __init__(
        self, *, nick: str | None = None, interactive: bool = True, language: str = "en"
    ) -> None:
        self.clock = Clock()
        self.wire = Wire()
        self.screen = io.StringIO()
        self.complaints: list[str] = []
        self.listening = 0
        self.terminal = Terminal(
            Screen(self.screen, lambda: None),
            language,
            nick=nick,
            interactive=interactive,
            listen=self._listen,
            complain=lambda sentence, reason: self.complaints.append(
                sentence.format(address="HERE", reason=reason)
            ),
        )
        self.client = ChatClientProtocol(self.clock, self.terminal)
        self.statuses: list[int] = []
        self.terminal.status.addCallback(self.statuses.append)

    def _listen(self) -> None:
        self.listening += 1

    def connect(self) -> Seat:
        self.client.makeConnection(self.wire)
        return self

    def comes(self, *lines: str) -> None:
        for line in lines:
            self.client.dataReceived(line.encode() + b"\n")

    def types(self, *lines: str) -> None:
        """Type lines; the terminal echoes them."""
        for line in lines:
            self.screen.write(f"{line}\n")
            self.terminal.typed([line])

    def lose(self) -> None:
        self.client.connectionLost(Failure(ConnectionDone()))

    @property
    def shown(self) -> str:
        return self.screen.getvalue()


def test_the_name_stands_on_the_line_of_the_greeting() -> None:
    seat = Seat().connect()
    seat.comes(GREETING)
    seat.types("Rodrigo")
    seat.comes("[SERVER]: Silvio joined the chat.")
    assert seat.shown == f"{GREETING} Rodrigo\n[SERVER]: Silvio joined the chat.\n"
    assert seat.wire.value() == b"Rodrigo\n"


def test_a_line_that_comes_before_the_name_is_on_its_own() -> None:
    seat = Seat().connect()
    seat.comes(GREETING, "[SERVER]: Goodbye!")
    assert seat.shown == f"{GREETING} \n[SERVER]: Goodbye!\n"


def test_a_name_typed_before_the_greeting() -> None:
    seat = Seat().connect()
    seat.types("Ana")
    seat.comes(GREETING, "hello")
    assert seat.shown == f"Ana\n{GREETING}\nhello\n"


@pytest.mark.parametrize("interactive", [True, False])
def test_a_nick_is_sent_at_once(interactive: bool) -> None:
    seat = Seat(nick="Bot", interactive=interactive).connect()
    assert seat.wire.value() == b"Bot\n"
    seat.comes(GREETING, "[SERVER]: The name Bot is taken.")
    seat.types("Bob")
    assert seat.wire.value() == b"Bot\nBob\n"
    assert seat.shown == f"{GREETING} Bot\n[SERVER]: The name Bot is taken.\nBob\n"


def test_a_script_gets_lines_only() -> None:
    seat = Seat(interactive=False).connect()
    seat.comes(GREETING, "hello")
    assert seat.shown == f"{GREETING}\nhello\n"


def test_the_input_is_read_once_there_is_a_connection() -> None:
    seat = Seat()
    assert seat.listening == 0
    seat.connect()
    assert seat.listening == 1


@pytest.mark.parametrize("words", ["sair", " sair ", "/quit", "/sair", "/QUIT", "/sair "])
@pytest.mark.parametrize(
    ("language", "closing"),
    [("en", "[Closing the connection...]"), ("pt_BR", "[Encerrando a conexão...]")],
)
def test_leaving(words: str, language: str, closing: str) -> None:
    seat = Seat(language=language).connect()
    seat.types(words, "too late")
    assert f"{words}\n{closing}\n" in seat.shown
    assert seat.wire.value() == b"sair\n"
    assert seat.statuses == []
    seat.lose()
    assert seat.statuses == [0]


@pytest.mark.parametrize("words", ["sair daqui", "//sair", "Sair", "/quit now", "/unknown"])
def test_what_only_looks_like_leaving_is_sent(words: str) -> None:
    seat = Seat().connect()
    seat.types(words)
    assert seat.wire.value() == words.encode() + b"\n"
    seat.lose()
    assert CLOSING not in seat.shown


def test_what_cannot_be_sent_is_told() -> None:
    """An arrow key, for instance."""
    seat = Seat().connect()
    seat.types("\x1b[A")
    assert "U+001B" in seat.shown
    assert seat.wire.value() == b""


@pytest.mark.parametrize(
    ("language", "lost"),
    [
        ("en", "[Connection lost. Press Enter to leave.]"),
        ("pt_BR", "[Conexão perdida. Pressione Enter para sair.]"),
    ],
)
def test_a_lost_connection_waits_for_enter(language: str, lost: str) -> None:
    seat = Seat(language=language).connect()
    seat.comes(GREETING)
    seat.types("Ana")
    seat.lose()
    assert seat.shown == f"{GREETING} Ana\n\n{lost}\n"
    assert seat.statuses == []
    seat.types("", "")
    assert seat.statuses == [1]


@pytest.mark.parametrize("how", ["end_of_input", "interrupted"])
def test_other_ways_to_go_after_a_lost_connection(how: str) -> None:
    seat = Seat().connect()
    seat.lose()
    getattr(seat.terminal, how)()
    assert seat.statuses == [1]
    assert CLOSING not in seat.shown


def test_a_script_does_not_wait_for_enter() -> None:
    seat = Seat(interactive=False).connect()
    seat.lose()
    assert seat.shown == f"\n{LOST}\n"
    assert seat.statuses == [1]


def test_a_hostile_server_is_told_apart() -> None:
    seat = Seat(interactive=False).connect()
    seat.client.dataReceived(b"x" * 100_000)
    seat.lose()
    assert seat.shown == f"{LINE_TOO_LONG}\n\n{LOST}\n"
    assert seat.statuses == [1]


def test_no_connection_at_all() -> None:
    seat = Seat(language="pt_BR")
    seat.terminal.disconnected("connection refused", clean=False)
    assert seat.complaints == ["não foi possível conectar a HERE: conexão recusada"]
    assert seat.shown == ""
    assert seat.statuses == [1]


def test_ctrl_c() -> None:
    """At the prompt; the terminal shows ^C itself."""
    seat = Seat().connect()
    seat.comes(GREETING)
    seat.screen.write("^C")
    seat.terminal.interrupted()
    assert seat.shown == f"{GREETING} ^C\n{CLOSING}\n"
    assert seat.wire.value() == b"sair\n"
    seat.lose()
    assert seat.statuses == [0]


def test_ctrl_c_while_connecting() -> None:
    seat = Seat()
    seat.terminal.interrupted()
    seat.terminal.disconnected("cancelled", clean=True)
    assert seat.complaints == []
    assert seat.statuses == [0]


def test_the_end_of_the_input() -> None:
    """Answers still come; the shell's prompt starts on a line of its own."""
    seat = Seat().connect()
    seat.terminal.end_of_input()
    assert seat.wire.half_closed
    seat.comes(GREETING)
    assert seat.statuses == []
    seat.lose()
    assert seat.shown == f"{GREETING} \n"
    assert seat.statuses == [0]


def test_more_is_read_when_the_server_keeps_up() -> None:
    seat = Seat().connect()
    seat.wire.producer.pauseProducing()
    waiting = seat.terminal.typed(["a", "b"])
    assert waiting is not None
    assert not waiting.called
    seat.wire.producer.resumeProducing()
    assert waiting.called


# -- the screen -------------------------------------------------------------------------------


class BrokenStream(io.StringIO):
    """A pipe that nobody reads any more."""

    writes = 0

    def flush(self) -> None:
        self.writes += 1
        raise BrokenPipeError


class FlushedStream(io.StringIO):
    """Knows how much of it has been flushed."""

    flushed = ""

    def flush(self) -> None:
        self.flushed = self.getvalue()


def test_every_piece_is_flushed() -> None:
    stream = FlushedStream()
    screen = Screen(stream, lambda: None)
    screen.prompt("name:")
    assert stream.flushed == "name: "
    screen.line("hello")
    assert stream.flushed == "name: \nhello\n"


def test_a_screen_that_is_gone_says_so_once() -> None:
    stream = BrokenStream()
    gone: list[None] = []
    screen = Screen(stream, lambda: gone.append(None))
    screen.line("one")
    screen.line("two")
    assert gone == [None]
    assert stream.writes == 1

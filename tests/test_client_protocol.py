"""One connection of the client: bytes in any pieces, pauses at any moment, and servers that are
slow, silent, broken or no chat servers at all.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from twisted_chat.client.protocol import (
    BROKEN,
    CLOSED,
    GREETING_LIMIT,
    HELLO_TIMEOUT,
    LINE_LIMIT,
    LINE_TOO_LONG,
    NOT_A_CHAT,
    NOT_UNDERSTOOD,
    PING_AFTER,
    PING_TIMEOUT,
    SILENT,
    ChatClientProtocol,
)
from twisted_chat.core.errors import NameTaken
from twisted_chat.core.events import Announced, Event, Pong, Refused, Style, Welcomed
from twisted_chat.core.requests import Hello, Say
from twisted_chat.dialects import jsonl

GREETING = b"Welcome! Please type your username:\n"


def sent(*events: Event) -> bytes:
    return jsonl.render(events, Style("en")).data


WELCOME = sent(Welcomed("Ana", (), {"lobby": 0}, bytes(16), "", False))
REFUSED = sent(Refused(NameTaken(name="Ana")))
PONG = sent(Pong())


class Notes:
    """A receiver that writes down what it is told; it pauses at each of ``pauses`` texts."""

    def __init__(self, pauses: frozenset[str] = frozenset()) -> None:
        self.events: list[Event] = []
        self.reasons: list[str] = []
        self.connection: ChatClientProtocol | None = None
        self._pauses = pauses

    def connected(self, connection: ChatClientProtocol) -> None:
        self.connection = connection

    def received(self, connection: ChatClientProtocol, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Announced) and event.text in self._pauses:
            connection.pause()

    def lost(self, connection: ChatClientProtocol, reason: str) -> None:
        self.reasons.append(reason)


class Call:
    """A connection, what it is told to, its transport and its clock."""

    def __init__(self, pauses: frozenset[str] = frozenset(), *, hello: bool = True) -> None:
        self.clock = Clock()
        self.notes = Notes(pauses)
        self.transport = StringTransport()
        self.client = ChatClientProtocol(self.clock, self.notes)
        self.client.makeConnection(self.transport)
        if hello:
            self.client.hello(Hello("Ana"))
            self.transport.clear()

    def comes(self, *pieces: bytes) -> Call:
        for piece in pieces:
            self.client.dataReceived(piece)
        return self

    def passes(self, seconds: float) -> None:
        """Time passes, second by second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)

    @property
    def is_closed(self) -> bool:
        closed: bool = self.transport.disconnecting
        return closed

    def lose(self, error: Exception | None = None) -> str:
        """The connection is gone; returns why, as it was told, once."""
        self.client.connectionLost(Failure(error or ConnectionDone()))
        (reason,) = self.notes.reasons
        assert self.clock.getDelayedCalls() == [], "something is left behind"
        return reason

    def texts(self) -> list[str]:
        return [event.text for event in self.notes.events if isinstance(event, Announced)]


# -- lines ------------------------------------------------------------------------------------

TEXTS = ["um", "dois", "três ß 🙂", "four", "five"]
STREAM = GREETING + b"".join(sent(Announced(text)) for text in TEXTS)


def test_the_receiver_is_given_the_connection_and_requests_are_lines() -> None:
    call = Call()
    assert call.notes.connection is call.client
    call.client.send(Say("olá", "lobby", id="m1"))
    call.client.send_line(b'{"type":"ping"}')
    written = call.transport.value().splitlines(keepends=True)
    assert all(line.endswith(b"\n") for line in written)
    assert [jsonl.parse(line[:-1]).id for line in written] == ["m1", None]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30), st.sampled_from([b"\n", b"\r\n"]))
def test_events_come_whole_and_in_order_however_they_are_cut(cuts: list[int], end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    edges = [0, *sorted(cuts), len(stream)]
    call = Call().comes(*(stream[start:stop] for start, stop in pairwise(edges)))
    assert call.texts() == TEXTS


def test_a_byte_at_a_time() -> None:
    assert Call().comes(*(bytes([byte]) for byte in STREAM)).texts() == TEXTS


@given(st.frozensets(st.sampled_from(TEXTS)), st.lists(st.integers(0, len(STREAM)), max_size=5))
def test_a_pause_holds_what_comes_and_loses_nothing(
    pauses: frozenset[str], cuts: list[int]
) -> None:
    """Whoever is told something pauses: what has come already waits, until they resume."""
    call = Call(pauses)
    resumed: list[str] = []
    for start, stop in pairwise([0, *sorted(cuts), len(STREAM)]):
        call.comes(STREAM[start:stop])
        while call.transport.producerState == "paused":
            resumed.append(call.texts()[-1])
            call.client.resume()
    assert call.texts() == TEXTS
    assert resumed == [text for text in TEXTS if text in pauses]


def test_while_paused_nothing_is_told() -> None:
    call = Call()
    call.client.pause()
    call.client.pause()
    call.comes(STREAM)
    assert call.texts() == []
    call.client.resume()
    assert call.texts() == TEXTS
    assert call.transport.producerState == "producing"


def test_who_resumes_while_being_told_is_told_the_rest_afterwards() -> None:
    """One after the other, and not one inside the other."""
    call = Call()
    depth = 0

    def resumes(connection: ChatClientProtocol, event: Event) -> None:
        nonlocal depth
        depth += 1
        assert depth == 1
        call.notes.events.append(event)
        connection.pause()
        connection.resume()
        depth -= 1

    call.notes.received = resumes  # type: ignore[method-assign]
    assert call.comes(STREAM).texts() == TEXTS


def test_what_has_come_before_the_end_is_told_also_while_paused() -> None:
    call = Call()
    call.client.pause()
    call.comes(STREAM)
    assert call.lose() == CLOSED
    assert call.texts() == TEXTS


def test_half_a_line_at_the_end_is_nothing() -> None:
    call = Call().comes(STREAM, sent(Announced("lost"))[:-1])
    assert call.lose(ConnectionLost()) == BROKEN
    assert call.texts() == TEXTS


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_ends_the_connection(end: bytes) -> None:
    call = Call().comes(WELCOME, b"{" + b"x" * LINE_LIMIT)
    assert call.is_closed
    call.comes(end)
    assert call.lose() == LINE_TOO_LONG
    assert len(call.notes.events) == 1


def test_the_longest_line_is_taken() -> None:
    line = sent(Announced("x" * (LINE_LIMIT - 1000)))
    call = Call().comes(WELCOME, line)
    assert not call.is_closed
    assert len(call.notes.events) == 2


@pytest.mark.parametrize(
    "line", [b"no JSON\n", b"\n", b"{}\n", b'{"type":"said"}\n', b'{"type":"pong"\n', b"\xff\n"]
)
def test_what_is_not_understood_ends_the_connection(line: bytes) -> None:
    """And nothing that comes behind it is told."""
    call = Call().comes(WELCOME, line + STREAM)
    assert call.is_closed
    assert call.lose() == NOT_UNDERSTOOD
    assert call.texts() == []


def test_what_is_not_known_is_passed_over() -> None:
    call = Call().comes(WELCOME, b'{"type":"confetti"}\n', sent(Announced("oi")))
    assert call.texts() == ["oi"]


# -- servers that are none --------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<h1>No</h1>",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example.org ESMTP\r\n",
        b"J\x00\x00\x00\x0a8.0.36\x00binary without an end",
    ],
)
def test_another_kind_of_server_is_told_apart(answer: bytes) -> None:
    """Whether it closes the connection, or waits for more."""
    assert Call().comes(answer).lose() == NOT_A_CHAT
    waits = Call().comes(answer)
    waits.passes(HELLO_TIMEOUT)
    assert waits.is_closed
    assert waits.lose() == NOT_A_CHAT


@pytest.mark.parametrize("stuff", [b"x" * 100, b"x" * 99 + b"\n", b"\n" * 100])
def test_a_server_that_says_something_else_without_end_is_left(stuff: bytes) -> None:
    call = Call()
    for _ in range(GREETING_LIMIT // 100 + 1):
        assert not call.is_closed
        call.comes(stuff)
    assert call.is_closed
    assert call.lose() == NOT_A_CHAT
    assert call.notes.events == []


def test_json_that_is_no_chat_s() -> None:
    assert Call().comes(b'{"error":"unauthorized"}\n').lose() == NOT_A_CHAT


def test_the_greeting_for_people_is_passed_over() -> None:
    """A slow connection is taken for a person's at first."""
    call = Call().comes(GREETING, WELCOME)
    assert [type(event) for event in call.notes.events] == [Welcomed]


def test_a_server_that_says_nothing() -> None:
    call = Call()
    call.passes(HELLO_TIMEOUT - 1)
    assert not call.is_closed
    call.passes(1)
    assert call.is_closed
    assert call.lose() == SILENT


def test_a_server_that_talks_and_never_answers_hello() -> None:
    call = Call()
    for _ in range(int(HELLO_TIMEOUT)):
        call.comes(sent(Announced("soon")))
        call.passes(1)
    assert call.is_closed
    assert call.lose() == SILENT


def test_nobody_is_in_a_hurry_before_hello() -> None:
    """A person thinks about a name."""
    call = Call(hello=False)
    call.passes(1000)
    assert not call.is_closed
    assert call.lose() == CLOSED


def test_a_second_hello_has_to_be_answered_as_well() -> None:
    call = Call().comes(REFUSED)
    for _ in range(100):
        call.passes(5)
        call.comes(PONG)
    assert not call.is_closed, "the person thinks about another name"
    call.client.hello(Hello("Bia"))
    call.passes(HELLO_TIMEOUT)
    assert call.is_closed
    assert call.lose() == SILENT


# -- silence ----------------------------------------------------------------------------------


def pings(call: Call) -> int:
    count: int = call.transport.value().count(b'"ping"')
    call.transport.clear()
    return count


def test_the_delay_is_measured() -> None:
    call = Call().comes(WELCOME)
    assert pings(call) == 1
    assert call.client.delay is None
    call.clock.advance(0.25)
    call.comes(PONG)
    assert call.client.delay == 0.25
    call.passes(PING_AFTER)
    assert pings(call) == 1
    assert Pong() not in call.notes.events, "that is the connection's own affair"


def test_a_pong_that_somebody_asked_for_is_told() -> None:
    call = Call().comes(WELCOME, sent(Pong("p1")), PONG)
    assert call.notes.events[1:] == [Pong("p1")]


@pytest.mark.parametrize("answer", [WELCOME, REFUSED])
def test_a_server_that_falls_silent_is_left(answer: bytes) -> None:
    call = Call().comes(answer)
    call.passes(PING_TIMEOUT)
    assert not call.is_closed
    call.passes(PING_AFTER + 1)
    assert call.is_closed
    assert call.lose() == SILENT


def test_a_server_that_says_anything_is_there() -> None:
    call = Call().comes(WELCOME)
    for _ in range(50):
        call.passes(PING_TIMEOUT - 1)
        call.comes(sent(Announced("still here")))
    assert not call.is_closed
    assert pings(call) == 1, "one question at a time"


def test_whoever_does_not_read_does_not_blame_the_server() -> None:
    """Neither before the welcome nor after it."""
    call = Call()
    call.client.pause()
    call.passes(10 * HELLO_TIMEOUT - 1)  # right before it looks again
    call.client.resume()
    call.passes(HELLO_TIMEOUT - 1)
    assert not call.is_closed
    call.comes(WELCOME)
    call.client.pause()
    call.passes(10 * PING_TIMEOUT)
    call.client.resume()
    call.passes(PING_TIMEOUT)
    assert not call.is_closed
    call.passes(PING_AFTER + 1)
    assert call.is_closed


# -- the end ----------------------------------------------------------------------------------


def test_closing_tells_our_reason_and_nothing_more() -> None:
    call = Call().comes(WELCOME)
    call.client.close("enough")
    call.client.close("and again")
    call.comes(STREAM)
    assert call.lose() == "enough"
    assert call.texts() == []


def test_closing_without_a_reason_is_the_server_s_doing() -> None:
    call = Call().comes(WELCOME)
    call.client.close()
    assert call.lose() == CLOSED


def test_a_connection_that_is_lost_can_be_resumed() -> None:
    """Whoever paused it need not know that."""
    call = Call().comes(WELCOME)
    call.client.pause()
    call.lose()
    call.client.resume()
    assert call.transport.producerState == "paused"

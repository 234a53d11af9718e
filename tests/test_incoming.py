"""Bytes that came and lines that wait, without a connection."""

from __future__ import annotations

from codecs import BOM_UTF8

import pytest

from twisted_chat.core.requests import AreYouThere, Cancel, Interrupt
from twisted_chat.dialects.base import Dialect
from twisted_chat.dialects.jsonl import JSONL, LINE_LIMIT
from twisted_chat.dialects.text import TEXT
from twisted_chat.net.incoming import LINE_OVERHEAD, MOVED_BYTES, TELNET_SLICE, Incoming
from twisted_chat.net.sniff import Foreign
from twisted_chat.net.telnet import SUBNEGOTIATION_LIMIT

IAC_AYT, IAC_IP, IAC_EL, IAC_NOP = b"\xff\xf6", b"\xff\xf4", b"\xff\xf8", b"\xff\xf1"


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def speak(self, dialect: Dialect) -> None:
        self.told.append(dialect.name)

    def line_ends_changed(self) -> None:
        self.told.append("crlf")

    def answer_telnet(self, data: bytes) -> None:
        self.told.append(data)

    def echo_changed(self) -> None:
        self.told.append("echo")

    def end_foreign(self, foreign: Foreign) -> None:
        self.told.append(foreign)

    def end_telnet(self) -> None:
        self.told.append("telnet")


def incoming(*data: bytes) -> tuple[Incoming, list[object]]:
    owner = Owner()
    incoming = Incoming((JSONL, TEXT), 100, owner)
    for each in data:
        incoming.receive(each)
    return incoming, owner.told


@pytest.mark.parametrize("begins_with", [b"", BOM_UTF8])
@pytest.mark.parametrize(
    ("data", "dialect", "limit"), [(b"{", JSONL, LINE_LIMIT), (b"A", TEXT, 100)]
)
def test_the_first_bytes_choose_the_dialect(
    begins_with: bytes, data: bytes, dialect: Dialect, limit: int
) -> None:
    came, told = incoming(*(bytes((byte,)) for byte in begins_with + data))
    assert told == [dialect.name]
    assert came.dialect is came.spoken is dialect
    assert came.line_limit == limit
    assert came.has_begun


def test_before_the_first_bytes_answers_are_in_the_last_dialect() -> None:
    came, told = incoming()
    assert came.dialect is None
    assert (came.spoken, came.line_limit) == (TEXT, 100)
    assert told == []
    assert not came.has_begun


def test_who_was_greeted_may_still_speak_another_dialect() -> None:
    came, told = incoming()
    came.speak(TEXT)
    came.receive(b'{"type":"ping"}\n')
    assert told == ["text", "jsonl"]
    assert came.pop() == b'{"type":"ping"}'


def test_who_was_greeted_is_not_greeted_again() -> None:
    came, told = incoming()
    came.speak(TEXT)
    came.receive(b"Ana\n")
    assert told == ["text"]


def test_a_new_limit_is_one_for_dialects_without_their_own() -> None:
    person, _ = incoming(b"A")
    program, _ = incoming(b"{")
    for came in (person, program):
        came.set_text_limit(10)
    person.receive(b"b" * 11)
    assert (person.line_limit, person.waiting) == (10, 1)
    program.receive(b"b" * 11)
    assert (program.line_limit, program.waiting) == (LINE_LIMIT, 0)


@pytest.mark.parametrize(
    ("data", "foreign"),
    [(b"GET / HTTP/1.1\r\n", Foreign.HTTP), (b"\x16\x03\x01", Foreign.TLS)],
)
def test_another_protocol_leaves_no_line(data: bytes, foreign: Foreign) -> None:
    came, told = incoming()
    for byte in data:
        if not told:
            came.receive(bytes((byte,)))
    assert told == [foreign]
    assert not came.has_work


def test_the_beginning_of_another_protocol_that_is_none_is_text_at_the_end() -> None:
    came, told = incoming(b"GE")
    assert (told, came.has_work, came.has_begun) == ([], False, True)
    came.end()
    came.frame_rest()
    assert came.pop() == b"GE"
    assert told == ["text"]


def test_keys_of_telnet_wait_among_the_lines() -> None:
    came, _ = incoming(b"one\nwrong" + IAC_EL + b"two\n" + IAC_AYT + b"three" + IAC_IP)
    assert came.cancels == 1
    assert [came.pop() for _ in range(came.waiting)] == [
        b"one",
        b"two",
        AreYouThere(),
        Interrupt(),
    ]
    assert came.cancels == 0
    assert not came.has_begun


def test_a_program_has_no_telnet() -> None:
    line = b'{"x":"' + IAC_AYT + b'"}'
    came, _ = incoming(line + b"\n" + line + b"\n")
    assert list(came.lines) == [line, line]


def test_telnet_may_come_before_a_program() -> None:
    came, told = incoming(b"\xff\xfd\x06\xff", b'\xf1{"x":1}\n')
    assert told == [b"\xff\xfc\x06", "jsonl"]
    assert came.pop() == b'{"x":1}'


def test_many_commands_of_telnet_are_looked_through_in_parts_and_cost_lines() -> None:
    came, _ = incoming(b"A" + IAC_NOP * TELNET_SLICE)
    assert came.raw
    parts = 1
    while came.raw:
        came.frame_rest()
        parts += 1
    assert parts == 3
    assert set(came.lines) == {None}
    assert came.waiting > 10


def test_an_offer_is_answered_and_a_subnegotiation_without_an_end_ends_all() -> None:
    came, told = incoming(b"A\xff\xfd\x06")
    assert told == ["text", b"\xff\xfc\x06"]  # of "A", nothing is known to be telnet's
    came.receive(b"\xff\xfa" + b"x" * SUBNEGOTIATION_LIMIT)
    assert told[-1] == "telnet"


def test_the_owner_is_told_once_that_lines_end_with_crlf() -> None:
    came, told = incoming(b"Ana\r\n", b"oi\r\n")
    assert told == ["text", "crlf"]
    assert came.crlf


def test_a_request_to_drop_what_waits_is_known_at_once_and_drops_what_is_before_it() -> None:
    came, _ = incoming(b"one\n \ntwo\n/cancel\nthree\n")
    assert came.cancels == 1
    assert came.cancel() == 2
    assert list(came.lines) == [b"three"]
    assert came.cancels == 0


def test_of_several_such_requests_the_last_one_counts() -> None:
    came, _ = incoming(b"one\n/cancel\ntwo\n/cancel\nthree\n")
    assert came.cancel() == 2
    assert list(came.lines) == [b"three"]


@pytest.mark.parametrize("data", [b"/cancel\n", b" \n/cancel\n"])
def test_one_that_finds_nothing_to_drop_is_left_to_be_answered(data: bytes) -> None:
    came, _ = incoming(data)
    assert came.cancel() == 0
    assert list(came.lines) == [Cancel()]
    assert came.cancels == 1


def test_the_key_to_interrupt_drops_and_is_left_to_be_answered() -> None:
    came, _ = incoming(b"one\n" + IAC_NOP * 64 + IAC_IP)
    assert came.cancel() == 1
    assert list(came.lines) == [None, Interrupt()]  # what the commands cost is not forgiven


def test_lines_are_given_together_unless_something_else_is_among_them() -> None:
    came, _ = incoming(b"one\ntwo\nthree\n" + IAC_AYT)
    assert came.next_lines(2) == [b"one", b"two"]
    assert came.next_lines(4) == []
    came.drop(2)
    assert came.pop() == b"three"


def test_what_is_forgotten_is_counted_in_lines_blank_ones_are_not() -> None:
    came, _ = incoming(b"one\n\n  \ntwo\n" + IAC_AYT)
    came.raw = b"three\nfour\nfi"
    assert came.forget() == 4
    assert not came.has_work


def test_lines_move_to_another_connection_up_to_a_bound() -> None:
    size = 76
    count = MOVED_BYTES // (size + LINE_OVERHEAD) + 10
    came, _ = incoming(b"A\n", (b"x" * size + b"\n") * count, IAC_AYT)
    moved = came.take()
    assert moved[0] == b"A"
    assert MOVED_BYTES <= sum(len(line) + LINE_OVERHEAD for line in moved) < MOVED_BYTES + 200
    other, _ = incoming(b"last\n")
    other.put_back(moved[:2])
    assert list(other.lines) == [*moved[:2], b"last"]


def test_after_it_is_stopped_nobody_is_told_anything() -> None:
    came, told = incoming(b"A")
    came.stop()
    came.receive(b"na\r\n\xff\xfd\x06")
    assert told == ["text"]

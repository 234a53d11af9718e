"""Other protocols are known by their first bytes, and never become text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.protocol import House
from twisted_chat.net.sniff import UNDECIDED, Foreign, recognise, recognise_line

POST = (
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1:50000\r\nUser-Agent: Mozilla/5.0\r\nContent-Length: 40\r\n"
    b"Content-Type: text/plain\r\n\r\nMallory\r\nbought a car\r\n/topic mine\r\n"
)

#: What browsers, and those who test them, can be made to send.
HTTP = {
    "POST": POST,
    "GET": b"GET / HTTP/1.1\r\n\r\nMallory\nhi\n",
    "HTTP/0.9": b"GET /\r\nMallory\nhi\n",
    "CONNECT": b"CONNECT host:1 HTTP/1.1\r\n\r\nMallory\nhi\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nMallory\nhi\n",
    "odd method": b"PROPFIND / HTTP/1.1\r\n\r\nMallory\nhi\n",
    "lower case": b"post / http/1.1\r\n\r\nMallory\nhi\n",
    "blank lines": b"\r\n\r\n \r\n" + POST,
    "LF only": POST.replace(b"\r\n", b"\n"),
    "NULs": b"\0\0" + POST,
    "telnet command": b"\xff\xf1" + POST,
    "long address": b"POST /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\nMallory\r\nhi\r\n",
    "long odd": b"FOO /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\nMallory\r\nhi\r\n",
    "long method": b"X" * 9000 + b" / HTTP/1.1\r\nHost: x\r\n\r\nMallory\r\nhi\r\n",
    "wrong name first": b"two words\r\n" + POST,
}


@pytest.mark.parametrize("data", HTTP.values(), ids=HTTP)
@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("greeted", [False, True])
def test_http_never_becomes_text(data: bytes, size: int, greeted: bool) -> None:
    house = House()
    bia = house.enter("Bia")
    browser = house.connect()
    if greeted:
        house.clock.advance(1)
    for start in range(0, len(data), size):
        browser.send(data[start : start + size])
    house.clock.advance(1)
    assert bia.read() == b""
    assert [client.nickname for client in house.factory.snapshot()].count(None) == 1
    answer = browser.read()
    assert answer.count(b"HTTP/1.1 400 Bad Request\r\n") == 1
    assert answer.endswith(b"This is a chat server: use telnet, nc or twisted-chat connect.\n")
    assert browser.transport.disconnecting


@pytest.mark.parametrize("size", [1, 100_000])
def test_http_that_comes_first_is_answered_with_http_alone(size: int) -> None:
    browser = House().connect()
    for start in range(0, len(POST), size):
        browser.send(POST[start : start + size])
    assert browser.read().startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xff\xff", b"\x15\x03\x01\x00\x02\x02\x28"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", b"This is a chat server"),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_tls_and_ssh_get_a_clear_end(data: bytes, answer: bytes, size: int) -> None:
    client = House().connect()
    for start in range(0, len(data), size):
        client.send(data[start : start + size])
    assert client.read().startswith(answer)
    assert client.transport.disconnecting


@pytest.mark.parametrize("name", ["GET", "POST", "Get", "PRI", "SSH", "P", "Host", "HTTP"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_people_can_be_called_like_that(name: str, end: str) -> None:
    house = House()
    person = house.connect()
    for byte in f"{name}{end}".encode():
        person.send(bytes((byte,)))
    assert f"[SERVER]: Hello, {name}" in person.read().decode() or _has_name(house, name)


def _has_name(house: House, name: str) -> bool:
    return name in [client.nickname for client in house.factory.snapshot()]


def test_a_program_that_has_not_introduced_itself_may_talk_of_http() -> None:
    """A line of it is no nickname, whatever it looks like."""
    client = House().connect()
    client.send(b'{"type":"hello", "nickname":"a HTTP/1.1"}\n')
    assert [json.loads(line)["code"] for line in client.lines()] == ["name-invalid"]
    assert not client.transport.disconnecting


def test_a_name_without_an_end_is_one_too() -> None:
    house = House()
    bia = house.enter("Bia")
    person = house.connect()
    person.send(b"GET")
    person.half_close()
    assert bia.lines()[0] == "[SERVER]: GET joined the chat."


def test_who_has_a_name_may_talk_of_http() -> None:
    house = House()
    bia, ana = house.enter("Bia"), house.enter("Ana")
    bia.read()
    ana.send(b"GET / HTTP/1.1\nHost: x\n")
    assert bia.lines() == ["[Ana]: GET / HTTP/1.1", "[Ana]: Host: x"]


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"Ana\n", b"You are Ana now"),
        (b'{"type":"hello","nickname":"Ana"}\n', b'"type":"welcome"'),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
    ],
)
def test_a_byte_order_mark_is_no_part_of_what_follows(
    data: bytes, expected: bytes, size: int
) -> None:
    """A file for netcat, as some editors write it: nc HOST PORT <FILE."""
    house = House()
    client = house.connect()
    data = "\ufeff".encode() + data
    for start in range(0, len(data), size):
        client.send(data[start : start + size])
    house.clock.advance(1)
    assert expected in client.read()


def test_who_waits_for_the_greeting_is_greeted_although_a_verb_has_begun() -> None:
    house = House()
    person = house.connect()
    person.send(b"P")
    assert person.read() == b""
    house.clock.advance(1)
    assert person.read().startswith(b"Welcome!")


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"", UNDECIDED),
        (b"\xef", UNDECIDED),
        (b"\xef\xbb", UNDECIDED),
        (b"\xef\xbc\xa1na", None),
        (b"PO", UNDECIDED),
        (b"POST", UNDECIDED),
        (b"POST ", Foreign.HTTP),
        (b"\x16", UNDECIDED),
        (b"\x16\x03", Foreign.TLS),
        (b"SSH-2", UNDECIDED),
        (b"SSH-2.0-x", Foreign.SSH),
        (b"GET\n", None),
        (b"Ana", None),
        (b"get / ", None),
    ],
)
def test_the_first_bytes(data: bytes, verdict: Any) -> None:
    assert recognise(data) is verdict


@pytest.mark.parametrize(
    "line", [b"JOSE SILVA", b"two words", b"a / b", b"", b"note: x", b"GETs x"]
)
def test_lines_that_people_type_for_a_name_are_not_http(line: bytes) -> None:
    assert recognise_line(line) is None


def test_tls_begins_a_connection_and_no_later_line() -> None:
    """Its answer is bytes that would steer the terminal of somebody who was greeted as a person."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    assert recognise(hello) is Foreign.TLS
    assert recognise_line(hello) is None

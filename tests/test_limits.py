"""Limits: disclosed, told kindly, and given back. In memory; at the end, with real sockets."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from tests.support.fakes import NO_RATE
from tests.support.phones import phones
from tests.support.processes import Server, free_port
from tests.support.protocol import HELLO, Client, House
from twisted_chat.core.events import Told
from twisted_chat.core.flood import Rate
from twisted_chat.core.limits import Limits
from twisted_chat.core.sources import source_of
from twisted_chat.net.closing import CLOSE_TIMEOUT
from twisted_chat.net.pacing import TELL_SLOWED_INTERVAL
from twisted_chat.net.rejections import REJECTED_AT_ONCE, REJECTED_SECONDS
from twisted_chat.net.sockets import DEAD_AFTER, set_options
from twisted_chat.net.timeouts import AT_ONCE, Deadlines

HOME = IPv4Address("TCP", "192.0.2.1", 1)
ELSEWHERE = IPv4Address("TCP", "192.0.2.2", 1)

FULL = "[SERVER]: The server is full at the moment. Please try again in a while."
TOO_MANY = (
    "[SERVER]: Your address already has {} connections, which is the limit. "
    "Close one of them first."
)
TOO_LATE = (
    "[SERVER]: You did not choose a name within 60 seconds, so this connection is closed. "
    "You can connect again."
)
SLOWED = (
    "[SERVER]: Your address sends more than 3 lines at once and 1 per second: "
    "the rest will wait a moment. Nothing is lost."
)


def is_closed(client: Client) -> bool:
    return bool(client.transport.disconnecting or client.transport.disconnected)


@contextmanager
def logged() -> Iterator[list[Any]]:
    """What the factories log meanwhile."""
    events: list[Any] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        ours = event.get("log_namespace") == "twisted_chat.net.connection.ChatFactory"
        if ours and event["event"] != "active-connections":
            events.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(observe)


def passes(house: House, seconds: float) -> None:
    """Time, in small steps."""
    for _ in range(int(seconds * 10)):
        house.clock.advance(0.1)
        house.world.journal.run()


# -- disclosed --------------------------------------------------------------------------------


def test_anybody_can_see_the_limits() -> None:
    house = House(limits=Limits(max_clients=992))
    for lines in (b"/limits\n", b"Ana\n/limits\n"):
        client = house.connect()
        client.send(lines)
        assert client.lines()[-14:] == [
            "[SERVER]: The limits of this server:",
            "  A line has up to 4096 bytes.",
            "  A nickname has up to 32 characters, a room's name 64, a topic 390.",
            "  You can be in up to 20 rooms.",
            "  A page of history has up to 100 lines.",
            "  A search has up to 16 words and 256 bytes.",
            "  One address can send 20 lines at once, then 5 per second.",
            "  Choose a name within 60 seconds.",
            "  One address can have up to 16 connections.",
            "  One address can create up to 30 rooms per hour.",
            "  The server accepts up to 992 connections.",
            "  With 65536 bytes waiting for your client, the server pauses until it reads again.",
            "  Your connection is closed when more than 1048576 bytes wait for your client.",
            "  It is also closed if your client reads nothing for 60 seconds.",
        ]


def test_what_is_not_limited_is_not_shown() -> None:
    off = Limits(
        rate=None,
        login_deadline=0,
        connections_per_address=0,
        rooms_per_hour=0,
        max_waiting=0,
        write_timeout=0,
    )
    client = House(limits=off).enter("Ana")
    client.send(b"/limites\n")
    shown = client.lines()
    assert len(shown) == 7
    assert not any(" 0 " in line for line in shown)


def test_a_program_is_told_the_limits_before_hello_and_with_it() -> None:
    house = House(limits=Limits(rooms=7))
    bot = house.connect()
    bot.send(b'{"type":"limits","id":"1"}\n' + HELLO)
    shown, welcome, *_ = (json.loads(line) for line in bot.lines())
    assert (shown["type"], shown["id"]) == ("limits", "1")
    assert shown["limits"] == welcome["limits"]
    assert shown["limits"]["rooms"] == 7
    assert shown["limits"]["rate"] == {"burst": 20, "per_second": 5}


# -- lengths and numbers that an operator can lower -------------------------------------------


@pytest.mark.parametrize(
    ("limits", "line", "told"),
    [
        ({"text": 300}, b"x" * 301 + b"\n", "not sent: the limit is 300 bytes."),
        (
            {"text": 300},
            b"x" * 301 + b"\n" + b"y" * 301 + b"\n",
            "not sent: the limit is 300 bytes.",
        ),
        ({"text": 300}, b"x" * 300 + b"\n/who\n", "In #lobby (1): Ana"),
        ({"nickname": 3}, b"/nick Anab\n", "too long: the limit is 3 "),
        ({"nickname": 3}, b"/nick Ani\n", "You are Ani now."),
        ({"room": 5}, b"/join cinema\n", "too long: the limit is 5 "),
        ({"room": 6}, b"/join cinema\n", "You are alone in #cinema"),
        ({"topic": 4}, b"/topic films\n", "too long: the limit is 4 "),
        ({"topic": 5}, b"/topic films\n", "changed the topic to: films"),
        ({"rooms": 1}, b"/join cinema\n", "already in 1 rooms, which is the limit"),
        ({"page": 2}, b"1\n2\n3\n/history 50\n", "/history lobby 2 before 2 shows"),
    ],
)
def test_lower_limits_hold(limits: dict[str, int], line: bytes, told: str) -> None:
    house = House(limits=Limits(**limits))  # type: ignore[arg-type]  # all are numbers
    ana = house.enter("Ana")
    ana.send(line)
    assert told in ana.lines()[-1]


@pytest.mark.parametrize(
    "request_",
    [{"type": "say"}, {"type": "tell", "name": "Bot"}, {"type": "say", "kind": "act"}],
    ids=str,
)
@pytest.mark.parametrize("count", [1, 5])
def test_a_programs_text_is_as_long_as_a_persons_line(request_: dict[str, str], count: int) -> None:
    """Also of several that are handled together; and a limit that changes holds at once."""
    house = House()
    bot = house.connect()
    bot.send(HELLO)
    house.factory.limits = Limits(rate=None, text=300)
    for text, code in (("é" * 151, "line-too-long"), ("é" * 150, None)):
        bot.read()
        line = json.dumps({**request_, "text": text, "id": "1"}).encode() + b"\n"
        bot.send(line * count)
        house.clock.advance(0)
        codes = [json.loads(shown).get("code") for shown in bot.lines()]
        assert codes.count("line-too-long") == (count if code else 0)
        assert len(codes) >= count


def test_a_name_that_is_too_long_here_is_not_taken_by_newcomers_either() -> None:
    house = House(limits=Limits(nickname=3))
    ana, bot = house.connect(), house.connect()
    ana.send(b"Anabela\nAna\n")
    assert "the limit is 3" in ana.lines()[1]
    bot.send(HELLO.replace(b"Bot", b"Botting"))
    assert json.loads(bot.read())["code"] == "name-too-long"


def test_whoever_is_in_more_rooms_than_a_new_limit_can_stay_and_come_back() -> None:
    house = House()
    bot = house.connect()
    bot.send(HELLO + b'{"type":"join","room":"a"}\n{"type":"join","room":"b"}\n')
    house.factory.limits = Limits(rate=None, rooms=2)
    bot.lose()
    again = house.connect()
    again.send(HELLO + b'{"type":"join","room":"c","id":"c"}\n')
    lines = [json.loads(line) for line in again.lines()]
    assert lines[0]["rooms"].keys() == {"lobby", "a", "b"}
    assert lines[-1]["code"] == "too-many-rooms"


# -- the login deadline -----------------------------------------------------------------------


def test_who_has_chosen_no_name_by_then_is_told_so_and_closed() -> None:
    house = House()
    silent, ana = house.connect(), house.enter("Ana")
    passes(house, 59.9)
    assert not is_closed(silent)
    silent.read()
    passes(house, 0.2)
    assert silent.lines() == [TOO_LATE]
    assert is_closed(silent)
    assert not is_closed(ana)
    assert house.factory.refused == {"login-deadline": 1}


def test_bytes_that_trickle_in_are_not_a_name() -> None:
    house = House()
    slow = house.connect()
    for _ in range(121):
        slow.send(b"a")
        house.clock.advance(0.5)
    assert is_closed(slow)


def test_lines_that_are_no_name_do_not_help() -> None:
    house = House()
    guest = house.connect()
    for _ in range(61):
        guest.send(b"/help\ntwo words\n")
        passes(house, 1)
    assert guest.lines()[-1] == TOO_LATE
    assert is_closed(guest)


def test_programs_have_a_deadline_too_and_are_told_in_their_own_way() -> None:
    house = House()
    bot = house.connect()
    bot.send(b'{"type":"ping","id":"1"}\n')
    bot.read()
    passes(house, 60.1)
    assert json.loads(bot.read())["code"] == "login-deadline"
    assert is_closed(bot)


def test_whoever_came_back_has_logged_in() -> None:
    house = House()
    bot = house.connect()
    bot.send(HELLO)
    again = house.connect()
    again.send(HELLO)
    passes(house, 70)
    assert not is_closed(again)


def test_the_deadline_can_be_off() -> None:
    house = House(limits=structs.replace(NO_RATE, login_deadline=0))
    silent = house.connect()
    passes(house, 100)
    assert not is_closed(silent)


def test_nobody_lingers_who_does_not_read_that_it_is_over() -> None:
    house = House()
    silent = house.connect()
    passes(house, 60.1)
    assert not silent.transport.disconnected
    passes(house, CLOSE_TIMEOUT)
    assert silent.transport.disconnected
    assert CLOSE_TIMEOUT <= 5


# -- connections of one address, and of all ---------------------------------------------------


def turned_away(client: Client) -> list[str]:
    assert is_closed(client)
    return client.lines()


def test_an_address_has_16_connections_and_the_next_one_is_told_so() -> None:
    house = House()
    clients = [house.connect(HOME) for _ in range(16)]
    assert turned_away(house.connect(HOME)) == [TOO_MANY.format(16)]
    assert not is_closed(house.connect(ELSEWHERE))
    assert not any(map(is_closed, clients))
    assert house.factory.refused == {"address": 1}
    assert house.factory.active == 17


def test_a_place_is_given_back_once() -> None:
    house = House(limits=structs.replace(NO_RATE, connections_per_address=2))
    first, second = house.connect(HOME), house.connect(HOME)
    away = house.connect(HOME)
    away.lose()
    assert turned_away(house.connect(HOME)) != []
    first.lose()
    assert not is_closed(house.connect(HOME))
    assert turned_away(house.connect(HOME)) != []
    second.lose()
    assert not is_closed(house.connect(HOME))
    assert turned_away(house.connect(HOME)) != []


def test_nothing_is_kept_of_an_address_that_is_gone() -> None:
    house = House()
    for number in range(50):
        house.connect(IPv4Address("TCP", f"192.0.2.{number}", 1)).lose()
    assert len(house.factory.sources) == 0
    assert house.factory.sources.total == 0


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.8.9.10", "127.8.9.10"),
        ("::1", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("somewhere", "somewhere"),
    ],
)
def test_what_a_connection_is_counted_for(host: str, source: str | None) -> None:
    assert source_of(host) == source


@pytest.mark.parametrize(
    "peer", [IPv4Address("TCP", "127.0.0.1", 1), IPv6Address("TCP", "::1", 1), UNIXAddress(None)]
)
def test_this_machine_may_make_as_many_connections_as_it_wants(peer: Any) -> None:
    house = House()
    clients = [house.connect(peer) for _ in range(100)]
    assert not any(map(is_closed, clients))


def test_one_network_of_ipv6_counts_as_one_address() -> None:
    house = House()
    for number in range(16):
        assert not is_closed(house.connect(IPv6Address("TCP", f"2001:db8::{number:x}", 1)))
    assert turned_away(house.connect(IPv6Address("TCP", "2001:db8::ffff", 1))) != []
    assert not is_closed(house.connect(IPv6Address("TCP", "2001:db8:0:1::1", 1)))


def test_a_full_server_says_so() -> None:
    house = House(limits=structs.replace(NO_RATE, max_clients=2))
    ana = house.enter("Ana")
    other = house.connect(ELSEWHERE)
    assert turned_away(house.connect(IPv4Address("TCP", "127.0.0.1", 1))) == [FULL]
    assert house.factory.refused == {"full": 1}
    other.lose()
    ana.lose()
    assert not is_closed(house.connect())


def test_who_was_turned_away_takes_part_in_nothing() -> None:
    """Whatever they send, and however they go."""
    house = House(limits=structs.replace(NO_RATE, max_clients=1))
    house.enter("Ana")
    with logged() as events:
        away = house.connect()
        away.protocol.dataReceived(b"Bia\noi\n" + HELLO)
        away.protocol.readConnectionLost()
        away.lose()
        house.clock.advance(20)
    assert away.lines() == [FULL]
    assert [client.nickname for client in house.factory.snapshot()] == ["Ana"]
    assert [event["event"] for event in events] == ["turned-away"]


def test_somebody_who_is_turned_away_and_does_not_go_is_dropped() -> None:
    """Where there is no plain socket, as under TLS."""
    house = House(limits=structs.replace(NO_RATE, max_clients=1))
    house.enter("Ana")
    away = house.connect()
    house.clock.advance(REJECTED_SECONDS)
    assert away.transport.disconnected


def test_those_who_are_turned_away_hold_few_descriptors() -> None:
    """A client that does not go on with its handshake of TLS never gets the reason."""
    house = House(limits=structs.replace(NO_RATE, max_clients=1))
    house.enter("Ana")
    away = [house.connect() for _ in range(REJECTED_AT_ONCE + 1)]
    assert [client.transport.disconnected for client in away[-2:]] == [False, True]
    away[0].lose()
    assert not house.connect().transport.disconnected


def test_however_many_are_turned_away_the_log_has_a_line_a_second() -> None:
    house = House(limits=structs.replace(NO_RATE, connections_per_address=1))
    house.connect(HOME)
    with logged() as events:
        for _ in range(100):
            house.connect(HOME)
            house.clock.advance(0.05)
        for _ in range(10):
            house.clock.advance(1)
        house.connect(HOME)
    counts = [event["count"] for event in events if event["event"] == "turned-away"]
    assert sum(counts) == 101
    assert counts[0] == counts[-1] == 1
    assert len(counts) <= 1 + 5 + 1 + 1


def test_a_wrong_code_is_a_line_in_the_log_without_the_code() -> None:
    house = House()
    with logged() as events:
        for _ in range(8):
            guesser = house.connect(HOME)
            guesser.send(b"/resume kx3q-7wmd-h4np-b3fz-9tcv\n")
            guesser.lose()
    wrong = [event for event in events if event["event"] == "wrong-code"]
    assert len(wrong) == 5
    assert HOME.host in str(wrong[0])
    assert "kx3q" not in str(events)
    assert house.factory.refused == {"unknown-code": 5, "too-many-guesses": 3}


# -- flood control ----------------------------------------------------------------------------


def slowed(lines: list[str]) -> int:
    return lines.count(SLOWED)


def test_who_is_slowed_is_told_once_while_it_lasts() -> None:
    house = House(rate=Rate(3, 1))
    ana = house.enter("Ana")
    ana.send(b"x\n" * 200)
    passes(house, 199)
    told = ana.lines()
    assert slowed(told) == 1
    assert house.factory.refused == {"rate": 1}


def test_who_is_slowed_again_is_told_again_but_not_within_a_minute() -> None:
    house = House(rate=Rate(3, 1))
    ana = house.enter("Ana")

    def floods() -> int:
        ana.send(b"x\n" * 10)
        passes(house, 15)
        return slowed(ana.lines())

    assert floods() == 1
    assert floods() == 0
    passes(house, TELL_SLOWED_INTERVAL)
    assert floods() == 1
    assert house.factory.refused == {"rate": 3}


def test_whose_lines_do_not_wait_is_told_nothing() -> None:
    """Also if they use up what they may send."""
    house = House(rate=Rate(3, 1))
    ana = house.enter("Ana")
    passes(house, 5)
    for _ in range(5):
        ana.send(b"x\n" * 3)
        passes(house, 3.5)
    assert ana.lines() == []
    assert house.factory.refused == {}


def test_a_program_is_told_so_in_its_own_way() -> None:
    house = House(rate=Rate(3, 1))
    bot = house.connect()
    bot.send(HELLO + b'{"type":"ping"}\n' * 10)
    passes(house, 15)
    told = [json.loads(line) for line in bot.lines()]
    assert told.count({"type": "slowed", "burst": 3, "per_second": 1}) == 1
    assert [line["type"] for line in told].count("pong") == 10


# -- what waits for a client ------------------------------------------------------------------


def stops_reading(client: Client) -> None:
    producer: Any = client.transport.producer
    producer.pauseProducing()


def reads_again(client: Client) -> None:
    producer: Any = client.transport.producer
    producer.resumeProducing()


def test_with_too_much_that_waits_a_connection_is_closed_and_the_log_says_why() -> None:
    house = House(limits=structs.replace(NO_RATE, max_waiting=10_000))
    ana = house.enter("Ana")
    stops_reading(ana)
    told = Told("Bia", "Ana", "x" * 1000, 0)
    with logged() as events:
        for _ in range(9):
            ana.protocol.session.show(told)
        assert not is_closed(ana)
        ana.protocol.session.show(told)
    assert ana.transport.disconnected
    assert [event["event"] for event in events] == ["hard-limit"]
    assert "192.168.1.1" in events[0]["peer"]
    assert house.factory.refused == {"hard-limit": 1}


def test_the_hard_limit_can_be_off() -> None:
    house = House(limits=structs.replace(NO_RATE, max_waiting=0))
    ana = house.enter("Ana")
    stops_reading(ana)
    for _ in range(3):
        ana.protocol.session.show(Told("Bia", "Ana", "x" * 1_000_000, 0))
    assert not is_closed(ana)


def test_lines_of_rooms_do_not_pile_up_and_so_close_nothing() -> None:
    house = House(limits=structs.replace(NO_RATE, max_waiting=10_000))
    bia, ana = house.enter("Bia"), house.enter("Ana")
    stops_reading(bia)
    for _ in range(100):
        ana.send(b"x" * 1000 + b"\n")
    assert not is_closed(bia)
    bia.read()
    reads_again(bia)
    for _ in range(3):
        house.clock.advance(0)
        house.world.journal.run()
    assert len(bia.lines()) == 100


def test_what_waited_and_was_read_does_not_count_any_more() -> None:
    house = House(limits=structs.replace(NO_RATE, max_waiting=10_000))
    ana = house.enter("Ana")
    for _ in range(10):
        stops_reading(ana)
        ana.protocol.session.show(Told("Bia", "Ana", "x" * 8000, 0))
        reads_again(ana)
    assert not is_closed(ana)


def test_who_takes_nothing_for_a_minute_is_closed_and_can_come_back() -> None:
    house = House()
    bia, bot = house.enter("Bia"), house.connect()
    bot.send(HELLO)
    stops_reading(bot)
    bia.send(b"missed\n")
    with logged() as events:
        passes(house, 59.8)
        assert not is_closed(bot)
        passes(house, 0.4)
    assert bot.transport.disconnected
    assert [event["event"] for event in events] == ["write-timeout"]
    assert house.factory.refused == {"write-timeout": 1}
    bot.lose()
    bot.read()
    again = house.connect()
    again.send(HELLO[:-2] + b',"resume":{"lobby":0}}\n')
    assert b'"missed"' in again.read()
    assert "left" not in bia.read().decode()


def test_who_takes_something_now_and_then_is_not_closed() -> None:
    house = House()
    ana = house.enter("Ana")
    stops_reading(ana)
    transport: Any = ana.transport
    transport.dataBuffer = bytes(100)
    for offset in range(1, 8):
        passes(house, 40)
        transport.offset = offset
    assert not is_closed(ana)
    passes(house, 121)
    assert transport.disconnected


def test_who_reads_has_no_deadline() -> None:
    house = House()
    ana = house.enter("Ana")
    for _ in range(3):
        stops_reading(ana)
        passes(house, 30)
        reads_again(ana)
    passes(house, 200)
    assert not is_closed(ana)
    assert len(house.factory.slow_readers) == 0


def test_the_write_timeout_can_be_off() -> None:
    house = House(limits=structs.replace(NO_RATE, write_timeout=0))
    ana = house.enter("Ana")
    stops_reading(ana)
    passes(house, 300)
    assert not is_closed(ana)
    assert len(house.factory.slow_readers) == 1
    ana.lose()
    assert len(house.factory.slow_readers) == 0


# -- counted by reason ------------------------------------------------------------------------


def test_each_refusal_is_counted_by_its_code() -> None:
    house = House()
    ana = house.connect()
    ana.send(b"SERVER\nAna\n/nope\n/who nowhere\nol\xe1\n" + b"x" * 5000 + b"\n/nope\n")
    assert house.factory.refused == {
        "name-reserved": 1,
        "unknown-command": 2,
        "no-such-room": 1,
        "not-utf8": 1,
        "line-too-long": 1,
    }


def test_what_is_not_saved_is_counted_too() -> None:
    house = House()
    ana = house.enter("Ana")
    house.world.journal.broken = "disk I/O error"
    ana.send(b"oi\n/history\n")
    assert house.factory.refused == {"not-saved": 1, "history-unavailable": 1}


# -- new limits while people are there --------------------------------------------------------


@pytest.mark.parametrize("rate", [None, Rate(2, 5)])
def test_who_waits_under_an_old_rate_goes_on_under_the_new_one(rate: Rate | None) -> None:
    house = House(limits=Limits(rate=Rate(2, 0.001)))
    ana, bia = house.enter("Ana"), house.enter("Bia")
    ana.send(b"1\n2\n3\n4\n")
    assert bia.lines()[-1] == "[Ana]: 1"
    house.factory.limits = Limits(rate=rate)
    for _ in range(3):
        house.clock.advance(0)
        house.world.journal.run()
    assert bia.lines()[-1] in ("[Ana]: 4" if rate is None else "[Ana]: 3", "[Ana]: 4")
    ana.lose()
    bia.lose()
    house.clock.advance(60)
    assert house.clock.getDelayedCalls() == []


def test_new_limits_hold_for_those_who_are_there() -> None:
    house = House(limits=structs.replace(NO_RATE, login_deadline=0, write_timeout=0))
    silent, ana = house.connect(), house.enter("Ana")
    stops_reading(ana)
    passes(house, 10)
    house.factory.limits = Limits(login_deadline=20, write_timeout=30, rate=Rate(1, 1))
    passes(house, 11)
    assert is_closed(silent)
    assert not is_closed(ana)
    passes(house, 10)
    assert is_closed(ana)


def test_a_new_rate_holds_for_those_who_are_there() -> None:
    house = House()
    bia, ana = house.enter("Bia"), house.enter("Ana")
    bia.read()
    house.factory.limits = Limits(rate=Rate(2, 1))
    ana.send(b"x\n" * 5)
    assert len(bia.lines()) == 2
    house.factory.limits = NO_RATE
    passes(house, 1.2)
    assert len(bia.lines()) == 3


# -- deadlines --------------------------------------------------------------------------------


class Watched:
    """Some deadlines of ten seconds, and who has missed one."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.period = 10.0
        self.missed: list[int] = []
        self.deadlines = Deadlines(self.clock, lambda: self.period, self.missed.append)


def test_many_deadlines_have_one_timer() -> None:
    watched = Watched()
    for number in range(1000):
        watched.deadlines.start(number)
    assert len(watched.clock.getDelayedCalls()) == 1


def test_each_has_its_own_time() -> None:
    watched = Watched()
    for number in range(5):
        watched.deadlines.start(number)
        watched.clock.advance(1)
    watched.deadlines.stop(1)
    watched.deadlines.start(0)
    watched.clock.advance(5.5)
    assert watched.missed == []
    watched.clock.advance(3)
    assert watched.missed == [2, 3, 4][:2]
    watched.clock.advance(1)
    assert watched.missed == [2, 3, 4]
    watched.clock.advance(1)
    assert watched.missed == [2, 3, 4, 0]
    assert watched.clock.getDelayedCalls() == []


def test_many_who_are_late_at_once_do_not_hold_everything_up() -> None:
    watched = Watched()
    for number in range(3 * AT_ONCE):
        watched.deadlines.start(number)
    turns = []
    call_later = watched.clock.callLater

    def note(seconds: float, function: Any) -> Any:
        turns.append(len(watched.missed))
        return call_later(seconds, function)

    watched.clock.callLater = note  # type: ignore[method-assign, assignment]
    watched.clock.advance(10)
    assert turns == [AT_ONCE, 2 * AT_ONCE]
    assert watched.missed == list(range(3 * AT_ONCE))


def test_a_clock_that_is_set_back_makes_all_begin_again() -> None:
    watched = Watched()
    watched.clock.advance(5000)
    watched.deadlines.start(1)
    watched.clock.rightNow -= 3600
    watched.deadlines.start(2)
    watched.deadlines.renew()
    watched.clock.advance(9)
    assert watched.missed == []
    watched.clock.advance(1)
    assert watched.missed == [1, 2]


# -- the operating system ---------------------------------------------------------------------


class Bare:
    """As much of a transport as is asked for its socket."""

    def __init__(self, handle: object) -> None:
        self.socket = handle


def test_the_system_looks_for_peers_that_are_gone() -> None:
    with socket.socket() as connection:
        set_options(Bare(connection), write_timeout=60)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle, interval, count = (
            connection.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count == DEAD_AFTER <= 120
        unanswered = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert unanswered == 1000 * DEAD_AFTER


def test_a_line_does_not_wait_until_the_one_before_has_arrived() -> None:
    with socket.socket() as connection:
        set_options(Bare(connection), write_timeout=60)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(("write_timeout", "seconds"), [(0, 0), (600, 601), (7.5, DEAD_AFTER)])
def test_the_system_leaves_slow_readers_their_time(write_timeout: float, seconds: int) -> None:
    with socket.socket() as connection:
        set_options(Bare(connection), write_timeout)
        option = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert option == 1000 * seconds


def test_what_is_no_tcp_socket_is_left_alone() -> None:
    set_options(StringTransport(), 60)
    with socket.socket(socket.AF_UNIX) as connection:
        set_options(Bare(connection), 60)
        assert not connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def count_of(server: Server, pattern: str) -> int:
    return sum(bool(re.search(pattern, line)) for line in server.log())


def cpu(server: Server) -> float:
    """Seconds that it has computed."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def limit_descriptors(server: Server, limit: int) -> None:
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, 20_000))


def open_descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.mark.process
def test_a_full_server_turns_a_crowd_away_with_a_line_each(tmp_path: Path) -> None:
    """68 may come, as with 100 descriptors; whoever is in notices nothing."""
    with Server(tmp_path, "--max-clients", "68") as server:
        limit_descriptors(server, 100)
        with phones(68, server.port) as (ana, bia, *others):
            ana.say("Ana")
            bia.say("Bia")
            ana.hears("Bia joined")
            for phone in others:
                phone.hears("Welcome")
            before, log = cpu(server), len(server.log())
            with phones(300, server.port) as crowd:
                assert {phone.rest() for phone in crowd} == {FULL + "\n"}
            bia.say("oi")
            ana.hears("[Bia]: oi")
            print(f"300 turned away: {cpu(server) - before:.2f} s of CPU")
            assert len(server.log()) - log <= 3
            assert count_of(server, "EMFILE") == 0
            others[0].close()
            server.wait_for_log(r"\[CONNECTION CLOSED\]")
            with phones(1, server.port) as (late,):
                late.hears("Welcome")


@pytest.mark.slow
@pytest.mark.process
def test_without_a_descriptor_newcomers_wait_and_the_server_does_not_spin(tmp_path: Path) -> None:
    with Server(tmp_path) as server, phones(2, server.port) as (ana, bia):
        ana.say("Ana")
        bia.say("Bia")
        ana.hears("Bia joined")
        limit_descriptors(server, open_descriptors(server))
        with phones(20, server.port) as crowd:
            server.wait_for_log("No file descriptor is free")
            before, begin = cpu(server), time.monotonic()
            for number in range(25):
                bia.say(f"line {number}")
                ana.hears(f"[Bia]: line {number}")
                time.sleep(0.1)
            seconds = time.monotonic() - begin
            used = cpu(server) - before
            told = count_of(server, "No file descriptor is free")
            print(f"out of descriptors for {seconds:.1f} s: {used:.2f} s of CPU, {told} log lines")
            assert used < 0.3 * seconds
            assert told <= 2 + seconds
            assert count_of(server, "EMFILE|Could not accept") == 0
            limit_descriptors(server, 1000)
            for phone in crowd:
                phone.hears("Welcome")


@pytest.mark.slow
@pytest.mark.process
def test_an_address_that_is_not_this_machine_s_own_has_16_connections(tmp_path: Path) -> None:
    host = _own_address()
    port = free_port()
    with Server(tmp_path, "--listen", f"tcp:{port}:interface={host}") as server:
        with phones(100, port, host) as crowd:
            for phone in crowd[:16]:
                phone.hears("Welcome")
            assert {phone.rest() for phone in crowd[16:]} == {TOO_MANY.format(16) + "\n"}
        with phones(100, server.port) as crowd:
            for phone in crowd:
                phone.hears("Welcome")


def _own_address() -> str:
    """An address of this machine that is not of the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no network")
        address: str = probe.getsockname()[0]
    return address


@pytest.mark.slow
@pytest.mark.process
def test_a_reader_who_stopped_is_closed_and_comes_back_to_all_that_was_said(
    tmp_path: Path,
) -> None:
    options = ("--rate", "off", "--write-timeout", "1")
    with Server(tmp_path, *options) as server, phones(3, server.port) as (ana, bia, back):
        ana.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ana.say("Ana")
        ana.hears("brings you back")
        bia.say("Bia")
        bia.hears("in #lobby")
        lines = [f"{number} {'x' * 4000}" for number in range(3000)]
        for line in lines:  # more than the system takes for Ana
            bia.say(line)
        server.wait_for_log(r"\[CUT OFF\] .* read nothing for 1 seconds")
        seen = ana.rest()
        (code,) = re.findall(r"/resume (\S+) brings", seen)
        back.say(f"/resume {code}")
        back.hears(lines[-1])
        whole = re.findall(r"^\S* ?\S* ?\[Bia\]: (\d+ x{4000})$", seen + back.text, re.MULTILINE)
        assert whole == lines


DROP_ALL = struct.pack("HBBI", 6, 0, 0, 0)  # BPF: return 0 bytes of each packet
SO_ATTACH_FILTER = 26  # Linux, socket(7)


def goes_silent(connection: socket.socket) -> None:
    """From now on nothing arrives there: as a machine that has lost its power."""
    program = ctypes.create_string_buffer(DROP_ALL)
    filter = struct.pack("HL", 1, ctypes.addressof(program))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter)


@pytest.mark.slow
@pytest.mark.process
def test_peers_that_are_gone_are_found_within_two_minutes(tmp_path: Path) -> None:
    """One to whom nothing is said, one to whom something is, and one to whom something is said when
    keepalive has nearly found out: the limits of both add up.
    """
    with Server(tmp_path) as server, phones(4, server.port) as (idle, addressed, late, bia):
        names = ("Ana", "Caio", "Duda", "Bia")
        for phone, name in zip((idle, addressed, late, bia), names, strict=True):
            phone.say(name)
            phone.hears("in #lobby")
        for phone in (idle, late):
            phone.say("/leave")
            phone.hears("You left #lobby")
        for phone in (late, bia):
            phone.say("/join x")
            phone.hears("in #x")
        begin = time.monotonic()
        for phone in (idle, addressed, late):
            goes_silent(phone.socket)
        bia.say("/join lobby")
        bia.say("are you there?")
        bia.say("/join x")
        said = False
        for found in (1, 2, 3):
            while count_of(server, r"\[CONNECTION CLOSED\]") < found:
                passed = time.monotonic() - begin
                if passed > 100 and not said:
                    said = True
                    bia.say("and you?")
                assert passed < 125
                time.sleep(0.5)
            print(f"peer {found} found to be gone after {time.monotonic() - begin:.0f} s")

"""Rejected connections: the client is told why, the log is not flooded, few stay open."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from twisted_chat.core.errors import ServerFull
from twisted_chat.net.addresses import Address
from twisted_chat.net.rejections import (
    LOG_INTERVAL,
    LOGGED_SOURCES,
    REJECTED_AT_ONCE,
    REJECTED_SECONDS,
    Rejections,
)


def rejections() -> tuple[Rejections, Clock, list[dict[str, Any]]]:
    clock, lines = Clock(), list[dict[str, Any]]()

    def log(sentence: str, *, event: str, **details: object) -> None:
        lines.append(details)

    return Rejections(clock, log, lambda refusal: refusal.sentence("en")), clock, lines


def rejected(rejections: Rejections) -> StringTransport:
    transport = StringTransport()
    rejections.reject(transport, b"full\n")
    return transport


def test_the_client_is_told_and_what_stays_open_is_cut_off() -> None:
    some, clock, _ = rejections()
    transport = rejected(some)
    assert transport.value() == b"full\n"
    assert transport.disconnecting
    assert not transport.disconnected
    clock.advance(REJECTED_SECONDS)
    assert transport.disconnected


def test_of_a_connection_that_is_gone_nothing_is_left() -> None:
    some, clock, _ = rejections()
    some.lost(rejected(some))
    assert clock.getDelayedCalls() == []
    some.lost(StringTransport())


def test_few_wait_for_the_client_to_have_the_reason() -> None:
    some, _, _ = rejections()
    transports = [rejected(some) for _ in range(REJECTED_AT_ONCE + 1)]
    assert [each.disconnected for each in transports[-2:]] == [False, True]
    some.lost(transports[0])
    assert not rejected(some).disconnected


def test_each_source_has_a_line_a_second_and_beyond_a_number_they_share_one() -> None:
    some, clock, lines = rejections()
    for _ in range(3):
        for last in range(2 * LOGGED_SOURCES):
            host = f"192.0.2.{last}"
            some.count(ServerFull(), Address.of(host, 1, host))
    assert [line["count"] for line in lines] == [1]  # the first one, at once
    clock.advance(LOG_INTERVAL)
    assert len(lines) == 1 + LOGGED_SOURCES + 1
    assert sum(line["count"] for line in lines) == 6 * LOGGED_SOURCES
    assert max(line["count"] for line in lines) == 3 * LOGGED_SOURCES - 1
    clock.advance(LOG_INTERVAL)
    assert clock.getDelayedCalls() == []

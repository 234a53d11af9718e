"""The operator's log: an event a line, whatever is in it; as JSON; and no flood of one kind."""

from __future__ import annotations

import json
import logging
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from tests.support.logs import Events, emitted
from tests.support.processes import Server
from twisted_chat.net.addresses import Address
from twisted_chat.server.logs import (
    KIND_LIMIT,
    LIMIT,
    PRINTED_LIMIT,
    SOURCES_LIMIT,
    Bridge,
    Throttle,
    as_json,
    as_text,
    name_of,
)

#: What a terminal, or whoever reads lines, must not get.
NASTY = "a\nb\r\x1b]52;c;\x07\x9b2J\u2028\u202e"


def failed() -> Failure:
    try:
        raise ValueError(NASTY)
    except ValueError:
        return Failure()


def test_text_is_one_line_whatever_is_in_it() -> None:
    line = as_text(emitted("{name} came", name=NASTY))
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert "[test#info] a␊b" in line


def test_a_traceback_is_told_in_lines_that_begin_with_a_tab() -> None:
    """Whatever its last line says, none looks like another event."""
    first, *others = as_text(
        emitted("broken", LogLevel.critical, log_failure=failed())
    ).splitlines()
    assert "[test#critical] broken" in first
    assert "\tTraceback (most recent call last):" in others
    assert all(line.startswith("\t") and line[1:].isprintable() for line in others)


def test_json_is_one_object_a_line_with_name_and_fields() -> None:
    line = as_json(emitted("{peer} came, {count}", event="came", peer=NASTY, count=3, at=None))
    assert line.isascii()
    assert line[:-1].isprintable()
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "info",
        "event": "came",
        "text": f"{NASTY} came, 3",
        "fields": {"peer": NASTY, "count": 3, "at": None},
    }


def test_json_holds_a_traceback() -> None:
    told = json.loads(as_json(emitted("broken", LogLevel.critical, log_failure=failed())))
    assert "ValueError" in told["traceback"]


def test_what_cannot_be_formatted_is_told_all_the_same() -> None:
    event = emitted("{missing}")
    assert "missing" in as_text(event)
    assert "missing" in json.loads(as_json(event))["text"]


def test_what_has_no_name_is_known_by_where_it_comes_from() -> None:
    assert name_of(emitted("…")) == "test"
    assert name_of(emitted("…", event="came")) == "came"


def test_the_names_of_the_events_are_documented() -> None:
    """They are what programs rely on that read the log."""
    root = Path(__file__).parent.parent
    named = {
        name
        for path in root.glob("twisted_chat/**/*.py")
        for name in re.findall(
            r"""(?:\bevent=|"event": |_told\(\s*|_say\(\s*|_cut_off\()"([a-z-]+)\"""",
            path.read_text(),
        )
    }
    assert {"connected", "not-saved", "listening", "left-out", "hard-limit"} <= named
    documented = (root / "docs/operations.rst").read_text()
    assert {name for name in named if f"``{name}``" not in documented} == set()


# -- floods -----------------------------------------------------------------------------------


class Flood:
    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[LogEvent] = []
        self.throttle = Throttle(self.events.append, "en", lambda: self.now)

    def log(self, kind: str, count: int, level: Any = LogLevel.info) -> None:
        for _ in range(count):
            self.throttle(emitted("…", level, event=kind))

    def names(self) -> dict[str, int]:
        names = [name_of(event) for event in self.events]
        return {name: names.count(name) for name in names}


def test_a_flood_of_one_kind_is_cut_short_and_counted() -> None:
    flood = Flood()
    flood.log("came", 1000)
    flood.log("left", 1)
    assert flood.names() == {"came": LIMIT, "left": 1}
    flood.now = 1.0
    flood.log("left", 1)
    told = flood.events[-2]
    assert flood.names() == {"came": LIMIT, "left-out": 1, "left": 2}
    assert as_text(told).endswith(f"{1000 - LIMIT} more lines of the kind came were left out.\n")
    assert (told["kind"], told["count"]) == ("came", 1000 - LIMIT)


def test_each_second_is_one_of_its_own() -> None:
    flood = Flood()
    for second in range(3):
        flood.now = float(second)
        flood.log("came", LIMIT)
    assert flood.names() == {"came": 3 * LIMIT}


def test_what_was_left_out_is_told_though_nothing_more_happens() -> None:
    flood = Flood()
    flood.log("came", LIMIT + 1)
    flood.throttle.flush()
    assert "left-out" not in flood.names()
    flood.now = 1.0
    flood.throttle.flush()
    flood.throttle.flush()
    assert flood.names()["left-out"] == 1


def test_at_the_end_it_is_told_at_once() -> None:
    flood = Flood()
    flood.log("came", LIMIT + 1)
    flood.throttle.flush(at_once=True)
    assert flood.names()["left-out"] == 1


def came(host: str) -> LogEvent:
    return emitted("{peer} came", event="came", peer=Address.of(host, 1, host))


def test_the_noise_of_one_source_hides_no_other() -> None:
    """Sources of IPv6 are networks; this machine is one too."""
    flood = Flood()
    visitors = [f"198.51.100.{n}" for n in range(20)]
    for visitor in visitors:
        for n in range(500):
            flood.throttle(came("203.0.113.1"))
            flood.throttle(came(f"2001:db8::{n:x}"))
            flood.throttle(came("127.0.0.1"))
        flood.throttle(came(visitor))
    shown = [event["peer"].host for event in flood.events]
    assert [host for host in shown if host in visitors] == visitors
    assert len(shown) == 3 * LIMIT + 20
    flood.now = 1.0
    flood.throttle.flush()
    assert flood.events[-1]["count"] == 20 * 1500 - 3 * LIMIT


def test_many_sources_are_one_line_each_and_bounded() -> None:
    flood = Flood()
    for _ in range(20):
        for n in range(2 * SOURCES_LIMIT):
            flood.throttle(came(f"10.0.{n // 256}.{n % 256}"))
    assert len(flood.events) <= KIND_LIMIT + SOURCES_LIMIT
    assert len({event["peer"].host for event in flood.events}) == SOURCES_LIMIT
    assert len(flood.throttle._counts["came"]) <= SOURCES_LIMIT
    flood.log("broken", 1)
    assert flood.names()["broken"] == 1, "the noise of one kind hides no other"


def test_what_is_critical_is_never_left_out() -> None:
    """A defect stands in the log with its traceback, every time."""
    flood = Flood()
    flood.log("broken", 100, LogLevel.critical)
    assert flood.names() == {"broken": 100}


def test_a_traceback_that_is_printed_is_not_cut_short() -> None:
    """It comes a line at a time, and each is an event."""
    flood = Flood()
    for _ in range(PRINTED_LIMIT):
        flood.throttle({"log_namespace": "stderr", "log_format": "…", "log_level": LogLevel.error})
    assert flood.names() == {"stderr": PRINTED_LIMIT}


# -- the standard library's logging -----------------------------------------------------------


def test_what_goes_to_logging_is_one_event_with_its_traceback() -> None:
    """The journal, which does not know Twisted, uses it."""
    logger = logging.Logger("twisted_chat.journal.group_commit")
    logger.addHandler(Bridge())
    events = Events()
    globalLogPublisher.addObserver(events)
    try:
        try:
            raise ValueError("defect")
        except ValueError:
            logger.exception("a defect: %d messages", 3, extra={"event": "not-saved"})
        logger.warning("odd: {braces}")
    finally:
        globalLogPublisher.removeObserver(events)
    told = [json.loads(as_json(event)) for event in events]
    assert [(line["level"], line["event"], line["text"]) for line in told] == [
        ("error", "not-saved", "a defect: 3 messages"),
        ("warn", "twisted_chat.journal.group_commit", "odd: {braces}"),
    ]
    assert "ValueError: defect" in told[0]["traceback"]


# -- the whole program ------------------------------------------------------------------------


@pytest.mark.process
def test_json_from_the_first_line_to_the_last(tmp_path: Path) -> None:
    with Server(tmp_path, "--log-format=json") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"Ana\na secret\n/msg Ana another secret\nsair\n")
            while connection.recv(4096):
                pass
        server.stop()
        lines = [json.loads(line) for line in server.log()]
    assert {"listening", "connected", "active-connections", "disconnected"} <= {
        line["event"] for line in lines
    }
    assert all(set(line) == {"time", "level", "event", "text", "fields"} for line in lines), (
        "nothing failed"
    )
    assert "secret" not in json.dumps(lines), "what people say is not for the log"


@pytest.mark.slow
@pytest.mark.process
def test_a_thousand_connections_are_few_lines(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        for _ in range(1000):
            socket.create_connection(("127.0.0.1", server.port)).close()
        server.wait_for_log("kind connected were left out")
        server.stop()
        print(f"1000 connections: {len(server.log())} lines")
        left_out = sum("were left out" in line for line in server.log())
        connected = sum("[NEW CONNECTION]" in line for line in server.log())
    assert connected <= LIMIT * (left_out + 1)

"""What is counted for an address: once, whatever connections come and go."""

from __future__ import annotations

import heapq
import ipaddress
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from tests.support.fakes import NO_RATE
from tests.support.protocol import House
from twisted_chat.core import flow
from twisted_chat.core import sources as sources_module
from twisted_chat.core.errors import TooManyConnections
from twisted_chat.core.flood import Rate
from twisted_chat.core.limits import Limits
from twisted_chat.core.sources import HOUR, KEPT_MESSAGES, Allowance, Sources

HOME, ELSEWHERE = "192.0.2.1", "192.0.2.2"

_numbers = count()


class Street:
    """Sources with a clock, and connections that say as much as they may."""

    def __init__(self, **limits: object) -> None:
        self.clock = Clock()
        self.limits = Limits(**limits)  # type: ignore[arg-type]  # as the caller says
        self.sources = Sources(lambda: self.limits, self.clock)
        self.said: list[str] = []

    def flood(self, name: str, host: str | None = HOME, lines: int = 1_000_000) -> Allowance:
        """A connection that says ``lines`` lines, each as soon as it may."""
        allowance = self.sources.open(host)
        self.speak(allowance, name, lines)
        return allowance

    def speak(self, allowance: Allowance, name: str, lines: int = 1) -> None:
        left = iter(range(lines))

        def go_on() -> None:
            for _ in left:
                if not allowance.spend(go_on_with_token):
                    return
                self.said.append(name)

        def go_on_with_token() -> None:
            assert allowance.spend(go_on_with_token)
            self.said.append(name)
            go_on()

        go_on()

    def passes(self, seconds: float) -> list[str]:
        """What is said in ``seconds``."""
        self.said.clear()
        self.clock.pump([0.01] * round(seconds * 100))
        return self.said


def test_a_new_connection_has_no_fresh_allowance() -> None:
    street = Street(rate=Rate(20, 5))
    for _ in range(100):
        street.flood("Ana", lines=19).close()
    assert len(street.said) == 20
    street.said.clear()
    for _ in range(100):
        street.clock.advance(0.1)
        street.flood("Ana", lines=19).close()
    assert 48 <= len(street.said) <= 51


def test_all_connections_of_an_address_have_one_rate_together() -> None:
    street = Street(rate=Rate(20, 5))
    for number in range(16):
        street.flood(str(number))
    street.flood("elsewhere", ELSEWHERE)
    assert len(street.said) == 40
    said = street.passes(10)
    assert 49 <= len([name for name in said if name != "elsewhere"]) <= 51
    assert 49 <= said.count("elsewhere") <= 51


def test_those_of_one_address_take_turns() -> None:
    street = Street(rate=Rate(2, 10))
    for name in "abc":
        street.flood(name)
    said = street.passes(3)
    assert {name: said.count(name) for name in "abc"} == pytest.approx(
        dict.fromkeys("abc", 10), abs=1
    )


def test_who_has_said_nothing_for_long_goes_before_those_who_flood() -> None:
    street = Street(rate=Rate(2, 5))
    quiet = street.sources.open(HOME)
    street.clock.advance(1)
    for number in range(15):
        street.flood(str(number))
    street.passes(10)
    street.speak(quiet, "quiet")
    assert "quiet" in street.passes(0.2)


def test_who_connects_again_for_each_line_does_not_go_before_the_others() -> None:
    street = Street(rate=Rate(2, 5))
    ana = street.flood("Ana", lines=0)
    street.passes(1)
    for _ in range(10):
        street.flood("again", lines=5)
    street.speak(ana, "Ana")
    assert street.passes(0.2)[:1] == ["Ana"]


def test_an_address_has_one_timer_however_many_wait() -> None:
    street = Street(rate=Rate(1, 1))
    allowances = [street.flood(str(number)) for number in range(100)]
    assert len(street.clock.getDelayedCalls()) == 1
    for allowance in allowances:
        allowance.close()
    assert street.clock.getDelayedCalls() == []


def test_who_is_gone_is_served_no_more() -> None:
    street = Street(rate=Rate(1, 1))
    street.flood("Ana").close()
    street.flood("Bia")
    assert street.passes(5.1) == ["Bia"] * 5


def test_thousands_that_are_gone_at_once_are_few_looks_at_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a proxy on this machine ends: all of them for each that goes took seconds."""
    looks = 0

    def heapify(heap: list[Any]) -> None:
        nonlocal looks
        looks += len(heap)
        heapq.heapify(heap)

    monkeypatch.setattr(flow, "heapify", heapify)
    street = Street(rate=Rate(1, 1))
    waiting = [street.flood(str(number), "127.0.0.1") for number in range(2000)]
    for allowance in waiting[1:]:
        allowance.close()
    assert looks <= len(waiting)
    assert street.passes(2.1) == ["0", "0"]


def test_who_stops_waiting_and_waits_again_is_served_once_at_the_new_place() -> None:
    street = Street(rate=Rate(1, 1))
    street.flood("first", lines=1)
    ana, bia, _carl, _dora = (
        street.flood(name, lines=1) for name in ("Ana", "Bia", "Carl", "Dora")
    )
    ana.stop_waiting()
    street.speak(ana, "Ana again")
    bia.stop_waiting()
    assert street.passes(6.1) == ["Carl", "Dora", "Ana again"]


def test_what_costs_more_makes_all_of_the_address_wait_but_no_longer_than_a_burst() -> None:
    street = Street(rate=Rate(10, 5))
    ana = street.sources.open(HOME)
    ana.charge(15)
    street.flood("Ana", lines=1)
    assert street.passes(1.1) == []
    assert street.passes(0.2) == ["Ana"]
    ana.charge(1_000_000)
    street.flood("Ana", lines=1)
    assert street.passes(2.1) == []
    assert street.passes(0.2) == ["Ana"]


def test_a_new_rate_holds_for_those_who_wait() -> None:
    street = Street(rate=Rate(1, 0.001))
    street.flood("Ana", lines=10)
    assert street.passes(5) == []
    street.limits = structs.replace(street.limits, rate=Rate(2, 1))
    street.sources.limits_changed()
    assert len(street.passes(1.1)) == 3
    street.limits = structs.replace(street.limits, rate=None)
    street.sources.limits_changed()
    assert len(street.passes(0.1)) == 6


# -- connections ------------------------------------------------------------------------------


def test_so_many_connections_of_an_address_and_no_more() -> None:
    street = Street(connections_per_address=2)
    first = street.flood("Ana")
    street.flood("Bia")
    assert isinstance(street.sources.refusal(HOME), TooManyConnections)
    assert street.sources.refusal(ELSEWHERE) is None
    first.close()
    first.close()
    assert street.sources.refusal(HOME) is None
    assert street.sources.total == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", None])
def test_this_machine_is_exempt_from_the_number_of_connections_alone(host: str | None) -> None:
    street = Street(rate=Rate(20, 5), connections_per_address=2)
    for number in range(50):
        assert street.sources.refusal(host) is None
        street.flood(str(number), host)
    assert len(street.said) == 20


# -- networks that the operator trusts --------------------------------------------------------


def networks(*names: str) -> list[sources_module.Network]:
    return [ipaddress.ip_network(name) for name in names]


@pytest.mark.parametrize("host", [HOME, "::ffff:192.0.2.1", "2001:db8::1"])
def test_in_a_trusted_network_each_connection_has_the_rate_to_itself(host: str) -> None:
    street = Street(rate=Rate(20, 5), connections_per_address=2)
    street.sources.trusted = networks("192.0.2.0/24", "2001:db8::/120")
    for number in range(30):
        assert street.sources.refusal(host) is None
        street.flood(str(number), host)
    said = street.passes(10)
    assert all(49 <= said.count(str(number)) <= 51 for number in range(30))


def test_trust_holds_for_the_addresses_of_the_network_alone() -> None:
    street = Street(rate=Rate(20, 5), connections_per_address=1)
    street.sources.trusted = networks("192.0.2.0/25", "2001:db8::/120")
    for host in ("192.0.2.200", "2001:db8::1:1", "somewhere"):
        street.flood("x", host)
        assert street.sources.refusal(host) is not None


def test_networks_that_are_trusted_now_change_what_holds_for_those_who_are_there() -> None:
    street = Street(rate=Rate(1, 1), connections_per_address=2)
    allowances = [street.flood("Ana"), street.flood("Bia")]
    assert len(street.passes(10)) == pytest.approx(10, abs=1)
    street.sources.trusted = networks("192.0.2.0/24")
    assert len(street.passes(10)) == pytest.approx(20, abs=3)
    assert street.sources.refusal(HOME) is None
    street.sources.trusted = []
    assert len(street.passes(10)) == pytest.approx(10, abs=2)
    assert street.sources.refusal(HOME) is not None
    for allowance in allowances:
        allowance.close()
    assert street.clock.getDelayedCalls() == []
    assert street.sources.total == 0


# -- what is remembered -----------------------------------------------------------------------


def test_a_source_is_forgotten_when_nothing_is_left_to_count() -> None:
    street = Street(rate=Rate(20, 5))
    for number in range(100):
        street.flood("x", f"198.51.100.{number}", lines=10).close()
    assert len(street.sources) == 100
    street.clock.advance(5)
    for _ in range(100):
        street.flood("x", HOME, lines=0).close()
    assert len(street.sources) <= 1


def test_a_source_is_not_forgotten_before_what_it_left_for_the_absent_counts_no_more() -> None:
    clock = Clock()
    sources = Sources(lambda: NO_RATE, clock)
    allowance = sources.open("192.0.2.1")
    for _ in range(int(KEPT_MESSAGES.burst)):
        allowance.source.count_kept_message()
    allowance.close()
    sources.open("192.0.2.2").close()
    again = sources.open("192.0.2.1").source
    assert again.kept_message_wait() > 0
    clock.advance(3600)
    assert again.kept_message_wait() == 0
    assert again.time_to_forget(clock.seconds()) <= 0


def test_of_too_many_sources_the_one_that_was_idle_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources_module, "IDLE_LIMIT", 50)
    street = Street(rate=Rate(1, 0.001))
    there = street.flood("x", HOME)
    for number in range(1000):
        street.flood("x", f"2001:db8:0:{number:x}::1").close()
        assert len(street.sources) <= 53
    there.close()
    street.said.clear()
    street.flood("x", HOME)
    assert street.said == []


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("open"), st.sampled_from([HOME, ELSEWHERE]), st.integers(0, 5)),
            st.tuples(st.just("close"), st.integers(0, 20), st.just(0)),
            st.tuples(st.just("passes"), st.floats(0, 3), st.just(0)),
        ),
        max_size=60,
    )
)
def test_no_window_holds_more_lines_of_an_address_than_its_rate(
    steps: list[tuple[str, str | float, int]],
) -> None:
    """Whatever connections come and go, and say what when."""
    rate = Rate(3, 2)
    street = Street(rate=rate)
    times: dict[str, list[float]] = {HOME: [], ELSEWHERE: []}

    class Log(list[str]):
        def append(self, name: str) -> None:
            times[name].append(street.clock.seconds())

    street.said = Log()
    there: list[Allowance] = []
    for kind, what, lines in steps:
        if kind == "open":
            assert isinstance(what, str)
            there.append(street.flood(what, what, lines))
        elif kind == "close" and there:
            there.pop(int(what) % len(there)).close()
        elif kind == "passes":
            street.clock.pump([float(what) / 10] * 10)
    for said in times.values():
        for first, last in _pairs(len(said)):
            allowed = rate.burst + rate.per_second * (said[last] - said[first])
            assert last - first + 1 <= allowed + 1e-3


def _pairs(length: int) -> Iterator[tuple[int, int]]:
    return ((first, last) for first in range(length) for last in range(first, length))


# -- rooms that a source makes ----------------------------------------------------------------


def test_so_many_rooms_are_made_from_an_address_within_an_hour_and_no_more() -> None:
    house = House(limits=structs.replace(NO_RATE, rooms_per_hour=3))
    peer = IPv4Address("TCP", HOME, 1)

    def join(*rooms: str) -> list[str]:
        """What somebody new from there is told who joins these rooms."""
        client = house.connect(peer)
        name = f"name{next(_numbers)}"
        client.send("".join([f"{name}\n", *(f"/join {room}\nx\n" for room in rooms)]).encode())
        client.lose()
        return [line for line in client.lines() if "limit" in line]

    assert join("a", "b") == []
    assert join("a", "b", "c") == []
    (told,) = join("d")
    assert told == (
        "[SERVER]: Your address has created 3 rooms within an hour, which is the limit. "
        "You can join an existing room, or create another one in 60 minutes."
    )
    assert join("lobby", "a", "c") == []
    bia = house.enter("Bia")
    bia.send(b"/join d\nx\n")
    assert join("d") == []
    house.clock.advance(HOUR - 1)
    assert "in 1 minutes" in join("e")[0]
    house.clock.advance(1.1)
    assert join("e", "f") == []


def test_a_room_that_one_made_and_left_empty_counts_once() -> None:
    house = House(limits=structs.replace(NO_RATE, rooms_per_hour=1))
    ana = house.enter("Ana")
    ana.send(b"/join a\n/leave\n" * 5)
    assert not any("limit" in line for line in ana.lines())


def test_a_program_makes_no_more_rooms_by_resuming() -> None:
    house = House(limits=structs.replace(NO_RATE, rooms_per_hour=2))
    peer = IPv4Address("TCP", HOME, 1)
    codes = []
    for number in range(3):
        bot = house.connect(peer)
        resume = {f"room{number}": 0, "lobby": 0}
        hello = {"type": "hello", "nickname": f"Bot{number}", "resume": resume}
        bot.send(json.dumps(hello).encode() + b"\n")
        codes.append(json.loads(bot.lines()[0]).get("code"))
    assert codes == [None, None, "too-many-new-rooms"]
    assert len(house.factory.snapshot()) == 3


def test_a_program_whose_name_is_taken_has_made_no_rooms() -> None:
    house = House(limits=structs.replace(NO_RATE, rooms_per_hour=1))
    house.enter("Bia")
    bot = house.connect()
    answers = []
    for name, room in (("Bia", "a"), ("Bot", "b")):
        hello = {"type": "hello", "nickname": name, "resume": {room: 0, "lobby": 0}}
        bot.send(json.dumps(hello).encode() + b"\n")
        answers.append(json.loads(bot.lines()[0]))
    assert answers[0]["code"] == "name-taken"
    assert answers[1]["type"] == "welcome"
    bot.send(b'{"type":"join","room":"c"}\n')
    assert json.loads(bot.lines()[0])["code"] == "too-many-new-rooms"


def test_in_a_trusted_network_rooms_are_not_counted() -> None:
    house = House(limits=structs.replace(NO_RATE, rooms_per_hour=1))
    house.factory.sources.trusted = networks("192.168.0.0/16")
    ana = house.enter("Ana")
    ana.send(b"/join a\n/join b\n/join c\n")
    assert not any("limit" in line for line in ana.lines())


# -- at the door ------------------------------------------------------------------------------


def test_who_says_19_lines_and_comes_again_says_no_more_than_the_rate() -> None:
    house = House(rate=Rate(20, 5))
    reader = house.enter("Bia")
    reader.read()
    peer = IPv4Address("TCP", HOME, 1)
    for number in range(60):
        client = house.connect(peer)
        client.send(f"name{number}\n".encode() + b"x\n" * 18)
        client.lose()
        house.clock.advance(0.1)
        house.world.journal.run()
    said = [line for line in reader.lines() if line.endswith(": x")]
    assert len(said) <= 20 + 6 * 5

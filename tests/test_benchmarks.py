"""The benchmark: its check finds whatever is wrong, and its report tells it."""

from __future__ import annotations

import ast
import json
import os
import random
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.delivery import command, report, usage, versions
from benchmarks.delivery.audience import Audience
from benchmarks.delivery.cases import TABLE, Case, Outcome, plain_case, verdict
from benchmarks.delivery.connection import Client
from benchmarks.delivery.delays import Delays
from benchmarks.delivery.errors import CannotMeasure
from benchmarks.delivery.servers import OTHERS, OURS, Kind, Options
from benchmarks.delivery.speech import (
    LOBBY,
    Irc,
    JsonLines,
    Lines,
    Nats,
    Plain,
    Speech,
    Text,
    padding,
)
from benchmarks.delivery.transcript import Reader, Tally, Transcript
from benchmarks.delivery.work import Measured, Work
from twisted_chat import cli
from twisted_chat.core.flood import Rate
from twisted_chat.server.settings import load

ROOT = Path(__file__).parent.parent
SIZE = 32
ENGLISH = Text("en")
SPEECHES: Sequence[Speech] = (ENGLISH, Text("pt_BR"), JsonLines(), Plain(), Irc(), Nats())


def said(sender: int, counter: int) -> bytes:
    return b"%05d %09d %s" % (sender, counter, padding(SIZE))


def line(sender: int, counter: int, speech: Speech = ENGLISH, number: int = 1) -> bytes:
    """How a server delivers the message of a number, in each way to speak."""
    text = said(sender, counter)
    if isinstance(speech, Irc):
        return b":u%05d!~u@localhost PRIVMSG #lobby :%s\r\n" % (sender, text)
    if isinstance(speech, Nats):
        return b"MSG lobby 1 %d\r\n%s\r\n" % (SIZE, text)
    if isinstance(speech, JsonLines):
        return (
            b'{"type":"said","room":"lobby","seq":%d,"time":%d,"nickname":"u%05d",'
            b'"text":"%s"}\n' % (number, counter, sender, text)
        )
    return b"[u%05d]: %s\n" % (sender, text)


def lines(*keys: tuple[int, int], speech: Speech = ENGLISH) -> bytes:
    """They are the first of the room, or some of :data:`ALL`."""
    numbered: Iterable[tuple[int, tuple[int, int]]] = enumerate(keys, 1)
    if set(keys) <= set(ALL):
        numbered = ((ALL.index(key) + 1, key) for key in keys)
    return b"".join(line(*key, speech, number) for number, key in numbered)


def ignored(data: bytes) -> None:
    """Nothing has to be answered."""


def transcript(speech: Speech = ENGLISH) -> Transcript:
    return Transcript(speech.heard(LOBBY, SIZE), (1, 2), speech.numbers)


def reader(of: Transcript, speech: Speech = ENGLISH, author: int | None = None) -> Reader:
    return Reader("somebody", speech, of, ignored, author)


def read(reader: Reader, data: bytes, pieces: int | None = None) -> None:
    """``data`` comes in pieces of random sizes, or in one."""
    chance = random.Random(pieces)
    while data:
        size = len(data) if pieces is None else chance.randint(1, pieces)
        reader.read(memoryview(data[:size]))
        data = data[size:]
        reader.settle()


#: Both senders, as somebody else hears them; each one's counters begin with 0.
ALL = ((1, 0), (1, 1), (2, 0), (1, 2), (2, 1), (2, 2), (1, 3))


# -- what is said is what is heard ------------------------------------------------------------


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
def test_what_one_says_is_found_in_what_others_hear(speech: Speech) -> None:
    """The text of each line is the same on both sides; only what is around it differs."""
    own = bytes(Lines(speech, 2, LOBBY, SIZE).take(999, 5))
    assert own == speech.said(LOBBY, said(2, 999))  # up to the end of a block
    match = speech.heard(LOBBY, SIZE).fullmatch(line(2, 999, speech))
    assert match is not None
    assert match[3] == b"00002 000000999"


def test_lines_go_on_over_the_blocks() -> None:
    own = Lines(ENGLISH, 7, LOBBY, SIZE)
    taken = b""
    while len(taken) < 2500 * own.length:
        taken += own.take(len(taken) // own.length, 700)
    assert taken[: 2500 * own.length] == b"".join(said(7, n) + b"\n" for n in range(2500))


# -- the check, where all is well -------------------------------------------------------------


@pytest.mark.parametrize("pieces", [None, 1, 7, 200])
@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
def test_the_same_for_everybody_is_well(speech: Speech, pieces: int | None) -> None:
    shared = transcript(speech)
    readers = [reader(shared, speech) for _ in range(3)]
    for one in readers:
        read(one, lines(*ALL, speech=speech), pieces)
    assert shared.problems == []
    assert [(r.problems, r.delivered(), r.missing(), r.pending) for r in readers] == [
        ([], len(ALL), 0, 0)
    ] * 3
    assert shared.counters == {1: 4, 2: 3}


@pytest.mark.parametrize("pieces", [None, 1, 50])
def test_readers_take_turns_in_being_the_furthest(pieces: int | None) -> None:
    """None has to wait for another one, and each compares what another one has written."""
    shared = transcript()
    one, other = reader(shared), reader(shared)
    data = lines(*ALL)
    read(one, data[:100], pieces)
    read(other, data[:250], pieces)
    read(one, data[100:], pieces)
    read(other, data[250:], pieces)
    assert one.problems + other.problems + shared.problems == []
    assert (one.missing(), other.missing()) == (0, 0)


@pytest.mark.parametrize("pieces", [None, 1, 50])
def test_a_sender_hears_the_others_only(pieces: int | None) -> None:
    shared = transcript()
    listener, author = reader(shared), reader(shared, author=1)
    read(author, lines(*(key for key in ALL if key[0] != 1)), pieces)
    assert author.delivered() == 0, "it cannot know where its own lines stand"
    read(listener, lines(*ALL), pieces)
    author.settle()
    assert author.problems == []
    assert (author.delivered(), author.missing(), author.pending) == (3, 0, 0)


def test_a_sender_of_the_last_lines_lacks_nothing() -> None:
    shared = transcript()
    listener, author = reader(shared), reader(shared, author=1)
    read(listener, lines((2, 0), (1, 0), (1, 1)))
    assert author.missing() == 1
    read(author, lines((2, 0)))
    assert author.missing() == 0


@pytest.mark.parametrize("pieces", [None, 1, 13])
def test_a_ping_is_answered_and_is_no_message(pieces: int | None) -> None:
    answers: list[bytes] = []
    shared = transcript(Irc())
    one = Reader("somebody", Irc(), shared, answers.append)
    other = reader(shared, Irc())
    messages = [line(*key, Irc()) for key in ALL]
    read(other, b"".join(messages))
    messages.insert(3, b":bench.local PING :abc\r\n")
    messages.append(b"PING :end\r\n")
    read(one, b"".join(messages), pieces)
    assert answers == [b"PONG :abc\r\n", b"PONG :end\r\n"]
    assert one.problems == []
    assert (one.missing(), one.pending) == (0, 0)


@pytest.mark.parametrize("pieces", [None, 1, 13])
@pytest.mark.parametrize("is_first", [True, False])
def test_acknowledgements_stand_between_the_messages(is_first: bool, pieces: int | None) -> None:
    """They begin as messages do; whoever is sent them may be the first to read."""
    speech = JsonLines()
    shared = transcript(speech)
    ack = b'{"type":"ack","id":null,"room":"lobby","seq":1,"time":0}\n'
    listener, sender = reader(shared, speech), reader(shared, speech)
    if not is_first:
        read(listener, lines(*ALL, speech=speech), pieces)
    read(sender, ack + lines(*ALL[:2], speech=speech) + ack + ack, pieces)
    read(sender, lines(*ALL[2:], speech=speech) + ack, pieces)
    if is_first:
        read(listener, lines(*ALL, speech=speech), pieces)
    assert listener.problems + sender.problems + shared.problems == []
    assert (listener.missing(), sender.missing(), sender.pending) == (0, 0, 0)


def test_what_all_have_read_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.delivery.transcript._SLACK", 100)
    shared = transcript()
    one, other = reader(shared), reader(shared)
    for counter in range(100):
        for somebody in (one, other):
            read(somebody, lines((1, counter), (2, counter)))
        shared.trim(min(one.offset, other.offset))
        assert len(shared.data) < 300
    assert one.problems + other.problems + shared.problems == []
    read(one, b"[u00001]: something else\n")
    assert len(one.problems) == 1


SKIPPED = b"[SERVER]: You fell behind: lines %d to %d were skipped. /history lobby 100 before 9.\n"


@pytest.mark.parametrize("pieces", [None, 1, 50])
def test_who_fell_behind_may_be_told_what_is_skipped(pieces: int | None) -> None:
    shared = transcript()
    listener = reader(shared)
    behind = Reader("behind", ENGLISH, shared, ignored, may_skip=True)
    read(listener, lines(*ALL))
    read(behind, lines(*ALL[:2]) + SKIPPED % (3, 5) + lines(*ALL[5:]), pieces)
    assert behind.problems == []
    assert (behind.delivered(), behind.skipped, behind.missing()) == (4, 3, 0)


def test_what_is_skipped_can_be_what_others_read_later() -> None:
    shared = transcript()
    listener = reader(shared)
    behind = Reader("behind", ENGLISH, shared, ignored, may_skip=True)
    read(listener, lines(*ALL[:3]))
    read(behind, lines(*ALL[:2]) + SKIPPED % (3, 5))
    assert behind.pending
    read(listener, lines(*ALL[3:]))
    read(behind, lines(*ALL[5:]))
    assert (behind.problems, behind.missing(), behind.pending) == ([], 0, 0)


def test_numbers_that_are_not_those_skipped_are_found() -> None:
    shared = transcript()
    listener = reader(shared)
    behind = Reader("behind", ENGLISH, shared, ignored, may_skip=True)
    read(listener, lines(*ALL))
    read(behind, lines(*ALL[:1]) + SKIPPED % (2, 3) + lines(*ALL[3:4]) + SKIPPED % (6, 6))
    assert len(behind.problems) == 1


def test_numbers_that_are_skipped_are_those_of_the_room() -> None:
    shared = transcript()
    behind = Reader("behind", ENGLISH, shared, ignored, may_skip=True)
    read(reader(shared), lines(*ALL))
    read(behind, lines(*ALL[:2]) + SKIPPED % (103, 105) + lines(*ALL[5:]))
    assert len(behind.problems) == 1


def test_who_reads_is_not_made_to_skip() -> None:
    shared = transcript()
    listener, other = reader(shared), reader(shared)
    read(listener, lines(*ALL))
    read(other, lines(*ALL[:2]) + SKIPPED % (3, 5) + lines(*ALL[5:]))
    assert len(other.problems) == 1


# -- the check, where something is wrong ------------------------------------------------------

WRONG = {
    "missing": lines(*ALL[:2], *ALL[3:]),
    "doubled": lines(*ALL[:3], *ALL[2:]),
    "reordered": lines(ALL[0], ALL[2], ALL[1], *ALL[3:]),
    "altered": lines(*ALL).replace(b"abc", b"abd", 3).replace(b"abd", b"abc", 2),
    "from somebody else": lines(*ALL).replace(b"[u00002]", b"[u00001]", 1),
    "something in between": lines(*ALL[:2]) + b"[SERVER]: This was not saved.\n" + lines(*ALL[2:]),
}


@pytest.mark.parametrize("pieces", [None, 1, 50])
@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_what_one_gets_and_others_do_not_is_found(data: bytes, pieces: int | None) -> None:
    shared = transcript()
    one, other = reader(shared), reader(shared)
    read(one, lines(*ALL))
    read(other, data, pieces)
    assert one.problems + shared.problems == []
    assert len(other.problems) == 1
    assert "somebody, line" in other.problems[0]


@pytest.mark.parametrize("pieces", [None, 1, 50])
@pytest.mark.parametrize("kind", [kind for kind in WRONG if kind != "reordered"])
def test_what_all_get_alike_and_is_wrong_is_found(kind: str, pieces: int | None) -> None:
    """(Another order of two senders' lines would be right if all get it.)"""
    shared = transcript()
    readers = [reader(shared), reader(shared)]
    for one in readers:
        read(one, WRONG[kind], pieces)
    assert shared.problems or all(one.problems for one in readers)


def test_a_senders_own_order_is_checked() -> None:
    shared = transcript()
    one = reader(shared)
    read(one, lines((1, 0), (1, 2), (1, 1)))
    assert shared.problems == [
        "sender 1: 2 came after 0: 1 missing",
        "sender 1: 1 came after 2: again?",
    ]


def test_a_wrong_number_in_the_room_is_found() -> None:
    shared = transcript(JsonLines())
    wrong = lines(*ALL, speech=JsonLines()).replace(b'"seq":5', b'"seq":6')
    read(reader(shared, JsonLines()), wrong)
    assert shared.problems == ["lines 1 to 7 of the room: other numbers"]


def test_a_stranger_is_found() -> None:
    shared = transcript()
    read(reader(shared), lines((1, 0), (3, 0)))
    assert shared.problems == ["sender 3 spoke, who should not"]


def test_a_sender_who_hears_itself_is_found() -> None:
    shared = transcript()
    listener, author = reader(shared), reader(shared, author=1)
    read(listener, lines(*ALL))
    read(author, lines(*ALL))
    assert len(author.problems) == 1


def test_a_sender_who_misses_something_is_found() -> None:
    shared = transcript()
    listener, author = reader(shared), reader(shared, author=1)
    read(listener, lines(*ALL))
    read(author, lines((2, 0), (2, 2)))
    assert len(author.problems) == 1


def test_a_tally_finds_a_missing_line_and_half_a_line() -> None:
    speech = Nats()
    shared = transcript(speech)
    answers: list[bytes] = []
    read(reader(shared, speech), lines(*ALL, speech=speech))
    tally = Tally("somebody", speech, shared.ends, answers.append)
    for piece in (lines(*ALL[:3], speech=speech) + b"PIN", b"G\r\n", lines(ALL[4], speech=speech)):
        tally.read(memoryview(piece))
    assert answers == [b"PONG\r\n"]
    assert (tally.delivered(), tally.lacks(4), tally.lacks(7)) == (4, 0, 3)
    tally.read(memoryview(b"MSG"))
    assert (tally.lacks(4), tally.pending) == (0, 3)


# -- who is to hear what ----------------------------------------------------------------------

Clients = Callable[..., list[Client]]


@pytest.fixture
def clients() -> Iterator[Clients]:
    """Makes clients that are connected to nothing, one for each way to speak."""
    made: list[Client] = []

    def make(*speeches: Speech) -> list[Client]:
        made.extend(Client(epoll, len(made), LOBBY, speech) for speech in speeches)
        return made

    with select.epoll() as epoll:
        yield make
    for client in made:
        client.close()


def hear(client: Client, *keys: tuple[int, int]) -> None:
    client.heard(memoryview(lines(*keys, speech=client.speech)))


def test_an_audience_is_complete_when_all_have_all(clients: Clients) -> None:
    """Also the sender, who is not shown what it says; programs are shown it."""
    sender, other, program, listener = clients(ENGLISH, ENGLISH, JsonLines(), JsonLines())
    audience = Audience([sender, other, program, listener], [sender, program], SIZE)
    sender.sent, program.sent = 2, 1
    keys = ((0, 0), (2, 0), (0, 1))
    for client in (other, program, listener):
        assert not audience.is_complete()
        hear(client, *keys)
    hear(sender, (2, 0))
    audience.settle()
    assert audience.is_complete()
    assert list(audience.problems()) == []
    assert (audience.all_seen(), audience.delivered()) == (3, 10)


def test_the_last_message_that_nobody_gets_is_missing(clients: Clients) -> None:
    sender, listener = clients(ENGLISH, ENGLISH)
    audience = Audience([sender, listener], [sender], SIZE)
    sender.sent = 3
    hear(listener, (0, 0), (0, 1))
    assert list(audience.problems()) == [
        "lobby, text: sender 0 said 3 messages; the last that came is number 1"
    ]


def test_the_last_message_that_one_does_not_get_is_missing(clients: Clients) -> None:
    sender, one, other = clients(ENGLISH, ENGLISH, ENGLISH)
    audience = Audience([sender, one, other], [sender], SIZE)
    sender.sent = 2
    hear(one, (0, 0), (0, 1))
    hear(other, (0, 0))
    assert list(audience.problems()) == ["u00002 did not get 1 lines that others got"]


def test_different_orders_in_different_dialects_are_found(clients: Clients) -> None:
    one, two, person, program = clients(ENGLISH, ENGLISH, ENGLISH, JsonLines())
    audience = Audience([one, two, person, program], [one, two], SIZE)
    one.sent = two.sent = 1
    hear(person, (0, 0), (1, 0))
    hear(program, (1, 0), (0, 0))
    hear(one, (1, 0))
    hear(two, (0, 0))
    audience.settle()
    assert list(audience.problems()) == ["lobby, json and text got different orders"]


def test_somebody_of_each_dialect_has_to_listen(clients: Clients) -> None:
    sender, listener = clients(ENGLISH, JsonLines())
    with pytest.raises(CannotMeasure):
        Audience([sender, listener], [sender], SIZE)


@pytest.mark.parametrize("each_checked", [True, False])
def test_without_one_order_each_has_its_own(clients: Clients, each_checked: bool) -> None:
    speakers = clients(*[Nats()] * 4)
    senders = speakers[:2]
    audience = Audience(speakers, senders, SIZE, ordered=False, each_checked=each_checked)
    senders[0].sent = senders[1].sent = 2
    hear(speakers[0], (1, 0), (1, 1))
    hear(speakers[1], (0, 0), (0, 1))
    hear(speakers[2], (0, 0), (1, 0), (0, 1), (1, 1))
    assert not audience.is_complete()
    hear(speakers[3], (1, 0), (1, 1), (0, 0))
    assert not audience.is_complete()
    hear(speakers[3], (0, 1))
    assert audience.is_complete()
    assert list(audience.problems()) == []


def test_delays_are_from_sending_to_reading(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each line that is read; of what is held back, from when it came."""
    sender, listener, other = clients(ENGLISH, ENGLISH, ENGLISH)
    people = [sender, listener, other]
    audience = Audience(people, [sender, listener], SIZE)
    for client in (sender, listener):
        client.sent_until.extend([1, 2])
        client.sent_at.extend([10.0, 20.0])
    delays = Delays({0: sender, 1: listener}, last_only=False)

    def read_at(client: Client, when: float, *keys: tuple[int, int]) -> None:
        monkeypatch.setattr("time.perf_counter", lambda: when)
        its_reader = audience.readers[client]
        assert isinstance(its_reader, Reader)
        delays.read(its_reader, memoryview(lines(*keys)))

    read_at(sender, 20.001, (1, 0))
    read_at(other, 20.5, (0, 0), (1, 0), (0, 1))
    read_at(sender, 30.0, (1, 1))
    delays.settle()
    summary = delays.summary()
    assert summary is not None
    # 10.5 twice and 0.5 of the other; 20.001 - 10 of the sender, which does not hear itself.
    assert summary.deliveries == 4
    assert summary.longest == pytest.approx(20_000.0)


# -- the report -------------------------------------------------------------------------------


def measured(server: str = OURS.name, deliveries: int = 2_000_000, **fields: object) -> Measured:
    made = Measured(server, Work(clients=1000, senders=50))
    made.seconds, made.deliveries, made.messages = 2.0, deliveries, deliveries // 1000
    made.server_cpu, made.load_cpu, made.checked = 2.0, 1.0, deliveries
    made.delay_p50, made.delay_p99, made.delay_max = 1.0, 2.0, 3.0
    made.memory_before, made.memory_at_rest, made.memory_peak = 10_000_000, 14_000_000, 20_000_000
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_figures_follow_from_what_was_measured() -> None:
    one = measured()
    assert one.deliveries_per_second == 1_000_000
    assert one.messages_per_second == 1000
    assert one.cpu_per_delivery == pytest.approx(1.0)
    assert one.memory_per_client == 4000


def test_a_case_is_told_in_a_table() -> None:
    outcome = Outcome(
        plain_case(Work(), ["limit"]),
        {OURS.name: measured(), "limit": measured("limit", 90_000_000, load_cpu=1.99)},
    )
    told = report.case_text(outcome)
    assert "twisted-chat     1,000,000" in told
    assert "limit           45,000,000" in told
    assert "limit: the load was busy all the time" in told
    assert outcome.is_well


def test_what_is_wrong_is_told() -> None:
    problems = [f"line {n} is missing" for n in range(report.PROBLEMS_SHOWN + 5)]
    outcome = Outcome(plain_case(Work(), []), {OURS.name: measured(problems=problems)})
    told = report.case_text(outcome)
    assert "WRONG: line 0 is missing" in told
    assert "WRONG: and 5 more" in told
    assert not outcome.is_well


def all_of(case: Case, deliveries: int) -> dict[str, Measured]:
    """As if every run of ``case`` had delivered the same."""
    return {
        label: measured(server, deliveries, work=work)
        for label, (server, work) in case.runs.items()
    }


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_every_row_is_judged_also_without_the_others(case: Case) -> None:
    """Nothing is reached, nor missed, in comparison with what is not installed."""
    results = all_of(case, 1_000_000)
    assert Outcome(case, results).verdicts
    ours = {label: one for label, one in results.items() if one.server == OURS.name}
    alone = Outcome(case, ours)
    assert all(
        judged.held is None or len(ours) > 1 or not case.runs.keys() - ours.keys()
        for judged in alone.verdicts
    )
    assert report.case_text(alone)


def test_the_table_is_that_of_the_issue() -> None:
    """Equal with the limit and the peers: some rows are reached, and some are not."""
    outcomes = [Outcome(case, all_of(case, 1_000_000)) for case in TABLE]
    held = {judged.name: judged.held for outcome in outcomes for judged in outcome.verdicts}
    assert held["of the limit"] is True
    assert held["times the best peer"] is False
    summary = report.summary_text(outcomes)
    assert "100 of 1000 stop reading" in summary
    content = json.loads(json.dumps(report.as_json(outcomes, report.circumstances(2, "full"))))
    assert content["all_is_well"] is False
    assert content["durability"] == "full"
    assert content["cases"][0]["measurements"][0]["deliveries"] == 1_000_000


@pytest.mark.parametrize(
    ("value", "least", "most", "held"),
    [(1, 0.5, None, True), (1, 2, None, False), (1, None, 1, True), (2, None, 1, False)],
)
def test_bounds(value: float, least: float | None, most: float | None, held: bool) -> None:
    assert verdict("x", value, least=least, most=most).held is held
    assert verdict("x", None, least=least, most=most).held is None


def test_of_several_measurements_the_middle_one_counts() -> None:
    """And what was wrong with any of them."""
    several = [measured(deliveries=n, problems=[f"{n}"]) for n in (9, 1, 5)]
    middle = command._median(plain_case(Work(), []), several)
    assert (middle.deliveries, middle.problems) == (5, ["9", "1", "5"])


def test_what_a_process_uses() -> None:
    before = usage.cpu(os.getpid())
    assert sum(range(2_000_000))
    assert usage.cpu(os.getpid()) >= before
    memory = usage.memory(os.getpid())
    assert 1_000_000 < memory.now <= memory.peak
    assert usage.core(0).processes > 0


def test_flood_control_has_the_first_row() -> None:
    """With it, our server has to deliver as much as without, up to noise."""
    case = TABLE[0]
    assert [run.work.flood_control for run in case.runs.values()] == [True, False, True, False]
    slower = {
        label: measured(work=work, deliveries=800_000 if work.flood_control else 1_000_000)
        for label, (_, work) in case.runs.items()
    }
    assert [judged.held for judged in Outcome(case, slower).verdicts] == [False, False]
    assert report.described(case.runs["100 clients"].work).endswith("flood, flood control on")


@pytest.mark.parametrize("flood_control", [True, False])
def test_the_rate_of_flood_control_slows_nobody(flood_control: bool, tmp_path: Path) -> None:
    (rate,) = (
        argument.removeprefix("--rate=")
        for argument in OURS.command(tmp_path, 1, Options(flood_control=flood_control))
        if argument.startswith("--rate=")
    )
    loaded = load({"listen": ["tcp:1"], "rate": rate}, config=None).rate
    assert loaded == (Rate(1e9, 1e9) if flood_control else None)


@pytest.mark.parametrize("option", [["--flood-control"], []])
def test_our_server_is_started_with_flood_control(
    option: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If it is asked for."""
    given: list[Options] = []

    @contextmanager
    def started(kind: Kind, folder: Path, options: Options, core: int | None) -> Iterator[None]:
        given.append(options)
        yield

    monkeypatch.setattr(command, "started", started)
    monkeypatch.setattr(command._Bench, "_load", lambda self, running, work: measured(work=work))
    assert command.main([*option, "--durability", "normal"]) == 0
    assert given == [Options(durability="normal", flood_control=bool(option))]
    assert ("flood control on" in capsys.readouterr().out) == bool(option)


# -- one's way in it --------------------------------------------------------------------------


def modules() -> list[str]:
    """The modules of the measurement of servers, in the order of the table in the README."""
    readme = (ROOT / "benchmarks/README.rst").read_text("utf-8")
    return re.findall(r"(?m)^``delivery/(\w+)\.py``  ", readme)


def test_the_readme_names_every_module() -> None:
    found = {path.stem for path in (ROOT / "benchmarks/delivery").glob("*.py")}
    assert sorted(modules()) == sorted(found - {"__init__"})
    readme = (ROOT / "benchmarks/README.rst").read_text("utf-8")
    for path in (ROOT / "benchmarks").glob("*.py"):
        assert path.stem == "__init__" or f"``{path.name}``" in readme
    for path in (ROOT / "benchmarks/baselines").iterdir():
        assert path.name in ("__init__.py", "__pycache__") or f"``{path.name}``" in readme


@pytest.mark.parametrize("module", modules())
def test_a_module_of_it_imports_those_above_it(module: str) -> None:
    source = (ROOT / "benchmarks/delivery" / f"{module}.py").read_text("utf-8")
    above = modules()[: modules().index(module)]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "benchmarks.delivery":
            assert {alias.name for alias in node.names} <= set(above)
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("benchmarks."):
            assert str(node.module).removeprefix("benchmarks.delivery.") in above


# -- the versions of the others ---------------------------------------------------------------


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes programs by name that print something; there are no others."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setattr(
        "benchmarks.delivery.servers.shutil.which",
        lambda name, path: str(folder / name) if (folder / name).exists() else None,
    )

    def make(**scripts: str) -> None:
        for name, script in scripts.items():
            path = folder / name.replace("_", "-")
            path.write_text(f'#!/bin/sh\n[ "$*" = --version ] || exit 9\n{script}\n')
            path.chmod(0o755)

    return make


def test_each_installed_server_tells_its_version(programs: Callable[..., None]) -> None:
    """By the name of its program; the baselines have none, and what is not there neither."""
    programs(
        ngircd="echo ngIRCd 26.1-IDENT+IPv6-x86_64/pc/linux-gnu; echo '(c)2001-2021 0.5'",
        nats_server="echo nats-server: v2.9.10 >&2; exit 1",
    )
    assert versions.of(OTHERS.values()) == {"ngircd": "26.1", "nats-server": "2.9.10"}


@pytest.mark.parametrize("script", ["echo a server", "exit 1", "exec sleep 60"])
def test_a_server_that_tells_no_version_is_named(
    script: str, programs: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that does not end."""
    monkeypatch.setattr(versions, "_TIMEOUT", 0.2)
    programs(inspircd=script)
    assert versions.of(OTHERS.values()) == {"inspircd": versions.UNKNOWN}


def test_versions_are_told_once_for_the_whole_run(
    programs: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Those of the servers that are measured, in the text and for programs."""
    programs(ngircd="echo ngIRCd 26.1", inspircd="echo 3.15.0", nats_server="echo v2.9.10")
    monkeypatch.setattr(command._Bench, "_start", lambda self, kind, work: measured(kind.name))
    path = tmp_path / "figures.json"
    arguments = ["--against", "nats,ngircd", "--repeats", "2", "--json", str(path)]
    assert command.main(arguments) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[1] == "ngircd 26.1, nats-server 2.9.10"
    assert told.count("2.9.10") == 1
    assert json.loads(path.read_text())["peers"] == {"ngircd": "26.1", "nats-server": "2.9.10"}


def test_without_others_no_version_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command._Bench, "_start", lambda self, kind, work: measured(kind.name))
    assert command.main(["--against", "threads"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[1], lines[2][:13]) == ("", "1,000 clients")


# -- the command ------------------------------------------------------------------------------


@pytest.mark.process
def test_it_runs_from_a_checkout_and_as_a_subcommand() -> None:
    """With the same arguments, and the same help."""
    helps = [
        subprocess.run(
            [sys.executable, "-m", *words, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for words in (["benchmarks"], ["twisted_chat.cli", "bench"])
    ]
    assert helps[0] == helps[1]
    for option in ("--table", "--json", "--package", "--clients", "--flood-control"):
        assert option in helps[0]


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "The benchmark is in the source checkout: python -m benchmarks"),
        ("pt_BR", "O benchmark está no repositório do código-fonte: python -m benchmarks"),
    ],
)
def test_away_from_the_checkout_the_subcommand_says_where_it_is(
    language: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(cli, "from_environment", lambda: language)
    assert cli.main(["bench", "--table", "1"]) == 2
    assert capsys.readouterr() == ("", f"twisted-chat: {sentence}\n")


def test_what_the_benchmark_lacks_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then something else is wrong than that the benchmark is not there."""

    def lacking(name: str) -> None:
        raise ModuleNotFoundError(name="select")

    monkeypatch.setattr("importlib.import_module", lacking)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["bench"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--repeats", "0"], "--repeats: '0'"),
        (["--connect", "a:b:c"], "--connect: "),
        (["--durability", "some"], "--durability"),
        (["--wrong"], "--wrong"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("benchmarks: ")
    assert named in told


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--against", "ngircd,slack"], "slack"),
        (["--table", "0"], "'0'"),
        (["--table", "1,99"], "'99'"),
        (["--table", "--connect", "127.0.0.1"], "--connect"),
        (["--flood-control", "--connect", "127.0.0.1"], "--connect"),
        (["--clients", "1"], "--clients"),
        (["--package", "/"], "--package"),
        (["--json", "/nowhere/figures.json"], "--json"),
        (["--table", "3", "--seconds", "-1"], "--seconds"),
        (["--table", "3", "--seconds", "nan"], "--seconds"),
        (["--clients", "100000"], "--clients"),
        (["--rooms", "51"], "--rooms"),
        (["--senders", "100"], "--senders"),
        (["--senders", "0"], "--senders"),
        (["--size", "15"], "--size"),
        (["--seconds", "nan"], "--seconds"),
        (["--rate", "0"], "--rate"),
        (["--stopped", "91"], "--stopped"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    assert command.main([*arguments]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("benchmarks: ")
    assert named in told


class Impostor(threading.Thread):
    """A server for few that speaks as ours does, and lets ``alter`` do what it must not."""

    def __init__(self, alter: Callable[[int, bytes], Sequence[bytes]]) -> None:
        super().__init__(daemon=True)
        self._alter = alter
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stops = False

    def run(self) -> None:
        buffers: dict[socket.socket, bytes] = {}
        names: dict[socket.socket, bytes] = {}
        count = 0
        with select.epoll() as epoll:
            epoll.register(self._listener, select.EPOLLIN)
            sockets = {self._listener.fileno(): self._listener}
            while not self._stops:
                for descriptor, _ in epoll.poll(0.05):
                    if descriptor == self._listener.fileno():
                        client, _ = self._listener.accept()
                        epoll.register(client, select.EPOLLIN)
                        sockets[client.fileno()] = client
                        buffers[client] = b""
                        continue
                    client = sockets[descriptor]
                    data = client.recv(65536)
                    if not data:
                        epoll.unregister(client)
                        continue
                    *complete, buffers[client] = (buffers[client] + data).split(b"\n")
                    for text in complete:
                        if client not in names:
                            names[client] = text
                            client.sendall(b"[SERVER]: You are alone in #lobby.\n")
                            continue
                        count += 1
                        told = b"[%s]: %s\n" % (names[client], text)
                        for other in names:
                            if other is not client:
                                for altered in self._alter(count, told):
                                    other.sendall(altered)
        for client in (self._listener, *buffers):
            client.close()

    def stop(self) -> None:
        self._stops = True
        self.join()


def truth(count: int, told: bytes) -> Sequence[bytes]:
    return [told]


@pytest.mark.parametrize(
    ("alter", "status"),
    [
        (truth, 0),
        (lambda count, told: [] if count == 20 else [told], 1),
        (lambda count, told: [told, told] if count == 20 else [told], 1),
        (lambda count, told: [told.swapcase() if count == 20 else told], 1),
    ],
    ids=["well", "missing", "doubled", "altered"],
)
def test_a_line_that_is_wrong_makes_the_command_fail(
    alter: Callable[[int, bytes], Sequence[bytes]],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("benchmarks.delivery.load._QUIET", 0.05)
    monkeypatch.setattr("benchmarks.delivery.load._PATIENCE", 0.3)
    server = Impostor(alter)
    server.start()
    path = tmp_path / "figures.json"
    arguments = ["--clients", "4", "--senders", "2", "--rate", "200", "--seconds", "0.2"]
    try:
        address = f"127.0.0.1:{server.port}"
        ended = command.main(["--connect", address, *arguments, "--json", str(path)])
    finally:
        server.stop()
    told = capsys.readouterr().out
    assert ended == status, told
    assert ("WRONG" in told) == bool(status)
    (case,) = json.loads(path.read_text())["cases"]
    (figures,) = case["measurements"]
    assert bool(figures["problems"]) == bool(status)
    assert figures["server_cpu"] is None


@pytest.mark.slow
@pytest.mark.process
def test_a_real_server_loses_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    arguments = ["--clients", "100", "--senders", "10", "--seconds", "2", "--json", str(path)]
    status = command.main([*arguments])
    assert status == 0, capsys.readouterr()
    (case,) = json.loads(path.read_text())["cases"]
    (figures,) = case["measurements"]
    assert figures["problems"] == []
    assert figures["sent"] > 100
    assert figures["checked"] == 99 * figures["sent"]
    for name in (
        *("deliveries_per_second", "messages_per_second", "connect_seconds", "memory_peak"),
        *("delay_p50", "delay_p99", "delay_max", "server_cpu", "load_cpu", "memory_at_rest"),
    ):
        assert figures[name] > 0, name


@pytest.mark.slow
@pytest.mark.process
def test_the_others_are_measured_with_the_same_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The baselines, and the peers that are installed: nothing is lost there either."""
    path = tmp_path / "figures.json"
    arguments = ["--clients", "60", "--rooms", "3", "--senders", "6", "--seconds", "1", "--mixed"]
    status = command.main([*arguments, "--against", "all", "--json", str(path)])
    told = capsys.readouterr()
    assert status == 0, told
    (case,) = json.loads(path.read_text())["cases"]
    labels = [figures["label"] for figures in case["measurements"]]
    absent = [name for name in OTHERS if f"{name} is left out" in told.err]
    assert labels == [OURS.name, *(name for name in OTHERS if name not in absent)]
    assert {"threads", "linereceiver"} <= set(labels)
    assert all(figures["deliveries"] > 0 for figures in case["measurements"])


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("option", [["--stopped", "10"], ["--rate", "500"], ["--rooms", "10"]])
def test_other_works(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--clients", "100", "--senders", "10", "--seconds", "1"]
    assert command.main([*arguments, *option]) == 0, capsys.readouterr()

"""The cases of the table: the works that are measured, and the target figures of each.

A ratio compares two measurements of the same run of the program, on the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from benchmarks.delivery.servers import OURS, PEERS
from benchmarks.delivery.work import Measured, Work


class Verdict(NamedTuple):
    """One figure and its target. ``measured`` is None if a server it needs is not installed."""

    name: str
    #: The target, such as "≥ 8"; empty if any value will do.
    wanted: str
    measured: float | None
    held: bool | None


class Run(NamedTuple):
    """A work, and the name of the server that does it."""

    server: str
    work: Work


#: Measurements by the labels of a case's runs.
Results = Mapping[str, Measured]


@dataclass(frozen=True)
class Case:
    """One row of the table: the runs to measure, and the function that judges them."""

    name: str
    runs: Mapping[str, Run]
    judge: Callable[[Results], Sequence[Verdict]]
    #: The figure of a measurement that the plot shows, and its unit.
    figure: Callable[[Measured], float | None] = field(
        default=lambda measured: measured.deliveries_per_second / 1e6
    )
    unit: str = "million deliveries/s"

    def measured_for(self, seconds: float) -> Case:
        """The same case, with ``seconds`` counted seconds in each run."""
        return replace(
            self,
            runs={
                label: Run(server, replace(work, seconds=seconds) if work.seconds else work)
                for label, (server, work) in self.runs.items()
            },
        )


class Outcome:
    """The results and verdicts of a case."""

    def __init__(self, case: Case, results: Results) -> None:
        self.case = case
        self.results = results
        self.verdicts = case.judge(results)

    @property
    def is_well(self) -> bool:
        """Whether no line was wrong and no target was missed."""
        return all(judged.held is not False for judged in self.verdicts) and not any(
            measured.problems for measured in self.results.values()
        )


def plain_case(work: Work, servers: Sequence[str]) -> Case:
    """A case of ``work`` without targets, for our server and ``servers``."""
    case = Case("", _all_do(work, *servers), lambda results: ())
    if not work.seconds:
        return replace(case, figure=lambda measured: measured.connect_seconds, unit="seconds")
    if work.rate is not None:
        return replace(case, figure=lambda measured: measured.delay_p50, unit="ms, median delay")
    return case


def verdict(
    name: str, measured: float | None, *, least: float | None = None, most: float | None = None
) -> Verdict:
    """The verdict whether ``measured`` is at least ``least`` and at most ``most``."""
    bounds = []
    if least is not None:
        bounds.append(f"≥ {least:,}")
    if most is not None:
        bounds.append(f"≤ {most:,}")
    if measured is None or not bounds:
        return Verdict(name, ", ".join(bounds), measured, None)
    held = (least is None or measured >= least) and (most is None or measured <= most)
    return Verdict(name, ", ".join(bounds), measured, held)


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _deliveries(results: Results, label: str) -> float | None:
    measured = results.get(label)
    return None if measured is None else measured.deliveries_per_second


def _against(results: Results, label: str) -> float | None:
    """The deliveries per second of our server, divided by those of the run ``label``."""
    return _ratio(_deliveries(results, OURS.name), _deliveries(results, label))


def _against_best_peer(results: Results) -> float | None:
    peers = [_deliveries(results, peer) or 0.0 for peer in PEERS]
    return _ratio(_deliveries(results, OURS.name), max(peers))


def _all_do(work: Work, *servers: str) -> dict[str, Run]:
    return {server: Run(server, work) for server in (OURS.name, *servers)}


# -- judging ----------------------------------------------------------------------------------


def _judge_flood_control(results: Results) -> Sequence[Verdict]:
    return [
        verdict(
            f"of that without it, {clients} clients",
            _ratio(_deliveries(results, f"{clients} clients"), _deliveries(results, without)),
            least=0.9,
        )
        for clients, without in ((100, "100, off"), (10, "10, off"))
    ]


def _judge_large(results: Results) -> Sequence[Verdict]:
    return (
        verdict("of the limit", _against(results, "limit"), least=0.5),
        verdict("times the best peer", _against_best_peer(results), least=8),
    )


def _judge_hundred(results: Results) -> Sequence[Verdict]:
    return (verdict("times the best peer", _against_best_peer(results), least=1.5),)


def _judge_small(results: Results) -> Sequence[Verdict]:
    return (
        verdict("of a plain LineReceiver", _against(results, "linereceiver"), least=0.6),
        verdict("of ngircd", _against(results, "ngircd")),
    )


def _judge_rooms(results: Results) -> Sequence[Verdict]:
    return (verdict("of ngircd", _against(results, "ngircd"), least=0.5),)


def _judge_paced(results: Results) -> Sequence[Verdict]:
    ours, limit = results[OURS.name], results.get("limit")
    if limit is None:
        return ()
    p50 = _ratio(ours.delay_p50, limit.delay_p50)
    p99 = _ratio(ours.delay_p99, limit.delay_p99)
    cpu = _ratio(ours.cpu_per_delivery, limit.cpu_per_delivery)
    return (
        verdict("median delay, of the limit's", p50, most=1.6),
        verdict("99th percentile, of the limit's", p99, most=2),
        verdict("CPU per delivery, of the limit's", cpu, most=1.6),
    )


def _judge_joining(results: Results) -> Sequence[Verdict]:
    ours = results[OURS.name]
    return (
        verdict("seconds until all are in", ours.connect_seconds, most=5),
        verdict("and all others have been told", ours.told_seconds, most=5),
        verdict("bytes a client at rest", ours.memory_per_client, most=8000),
    )


def _judge_stopped(results: Results) -> Sequence[Verdict]:
    stopped, reading = results["100 not reading"], results["all reading"]
    left = stopped.work.clients - stopped.work.stopped
    speed = _ratio(
        stopped.deliveries_per_second / left,
        reading.deliveries_per_second / reading.work.clients,
    )
    memory = None
    if stopped.memory_peak is not None and reading.memory_peak is not None:
        memory = (stopped.memory_peak - reading.memory_peak) / stopped.work.stopped
    return (
        verdict("speed of the other 900", speed, least=0.9),
        verdict("bytes more for one not reading", memory, most=1_000_000),
    )


def _judge_others(results: Results) -> Sequence[Verdict]:
    ratio = _ratio(results["100 rooms"].cpu_per_message, results["10 rooms"].cpu_per_message)
    return (verdict("CPU per message, of that with 10 rooms", ratio, least=0.9, most=1.1),)


def _judge_mixed(results: Results) -> Sequence[Verdict]:
    mixed = _deliveries(results, "mixed")
    text = _deliveries(results, "text only")
    programs = _deliveries(results, "JSON only")
    # Two of three clients use text. A line of JSON is more than twice as long in either case.
    apart = 3 / (2 / text + 1 / programs) if text and programs else None
    return (
        verdict("of the same members in rooms of their own", _ratio(mixed, apart), least=0.8),
        verdict("of text only", _ratio(mixed, text)),
    )


# -- the table --------------------------------------------------------------------------------

#: The index of JSON Lines among the dialects of our server.
_JSON = 2

_LARGE = Work(clients=1000, senders=50)
_PACED = Work(clients=1000, senders=50, rate=50)
_HUNDRED = Work(clients=100, senders=10)
_TEN = Work(clients=10, senders=5)
_ROOM_AMONG_OTHERS = Work(clients=100, rooms=10, senders=5, active_rooms=1)

TABLE = (
    # The default configuration, but with a high rate; all other cases have flood control off.
    Case(
        "flood control on",
        {
            "100 clients": Run(OURS.name, replace(_HUNDRED, flood_control=True)),
            "100, off": Run(OURS.name, _HUNDRED),
            "10 clients": Run(OURS.name, replace(_TEN, flood_control=True)),
            "10, off": Run(OURS.name, _TEN),
        },
        _judge_flood_control,
    ),
    Case(
        "1 room of 1000",
        _all_do(_LARGE, "limit", *PEERS, "linereceiver", "threads"),
        _judge_large,
    ),
    Case(
        "1 room of 100",
        _all_do(_HUNDRED, *PEERS, "limit", "linereceiver", "threads"),
        _judge_hundred,
    ),
    Case(
        "1 room of 10",
        _all_do(_TEN, "linereceiver", *PEERS, "limit", "threads"),
        _judge_small,
    ),
    Case(
        "100 rooms of 10",
        _all_do(
            Work(clients=1000, rooms=100, senders=100), "ngircd", "nats", "limit", "linereceiver"
        ),
        _judge_rooms,
    ),
    Case(
        "50 messages/s into 1000",
        _all_do(_PACED, "limit", "linereceiver", *PEERS),
        _judge_paced,
        lambda measured: measured.delay_p50,
        "ms, median delay",
    ),
    Case(
        "10,000 join one room",
        _all_do(Work(clients=10_000, seconds=0)),
        _judge_joining,
        lambda measured: measured.told_seconds,
        "seconds",
    ),
    Case(
        "100 of 1000 stop reading",
        {
            "all reading": Run(OURS.name, _LARGE),
            "100 not reading": Run(OURS.name, replace(_LARGE, stopped=100)),
        },
        _judge_stopped,
    ),
    Case(
        "one room among others",
        {
            "10 rooms": Run(OURS.name, _ROOM_AMONG_OTHERS),
            "100 rooms": Run(OURS.name, replace(_ROOM_AMONG_OTHERS, clients=1000, rooms=100)),
        },
        _judge_others,
        lambda measured: measured.cpu_per_message,
        "us of CPU a message",
    ),
    Case(
        "text, JSON and both languages",
        {
            "text only": Run(OURS.name, _LARGE),
            "JSON only": Run(OURS.name, replace(_LARGE, speech=_JSON)),
            "mixed": Run(OURS.name, replace(_LARGE, mixed=True)),
        },
        _judge_mixed,
    ),
)

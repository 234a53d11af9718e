"""The output of measurements: tables to read, and JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import twisted
from benchmarks.delivery.cases import Outcome
from benchmarks.delivery.work import Measured, Work
from twisted_chat import __version__

#: Problems of one measurement that are shown; the JSON has all of them.
PROBLEMS_SHOWN = 10

#: The share of a core above which the load itself may limit a figure.
_BUSY = 0.95

#: The share of the server's core above which the use by other processes is reported.
_DISTURBED = 0.03


def described(work: Work) -> str:
    """The work in a few words."""
    parts = [
        f"{work.clients:,} clients",
        "1 room" if work.rooms == 1 else f"{work.rooms:,} rooms",
    ]
    if work.seconds:
        parts.append(f"{work.senders} senders")
        parts.append(f"{work.size} bytes")
        parts.append("flood" if work.rate is None else f"{work.rate:g} messages/s")
    if work.active_rooms is not None:
        parts.append(f"senders in {work.active_rooms}")
    if work.stopped:
        parts.append(f"{work.stopped} not reading")
    if work.mixed:
        parts.append("all dialects")
    if work.flood_control:
        parts.append("flood control on")
    return ", ".join(parts)


def row(label: str, measured: Measured) -> dict[str, object]:
    """One measurement, as a row of the table."""
    cells: dict[str, object] = {"server": label}
    if measured.work.seconds:
        cells["deliveries/s"] = round(measured.deliveries_per_second)
        cells["messages/s"] = round(measured.messages_per_second)
        cells["p50 ms"] = _rounded(measured.delay_p50, 1)
        cells["p99 ms"] = _rounded(measured.delay_p99, 1)
        cells["max ms"] = _rounded(measured.delay_max, 1)
    cells["connect s"] = _rounded(measured.connect_seconds, 2)
    if not measured.work.seconds:
        cells["all told s"] = _rounded(measured.told_seconds, 2)
    if measured.work.seconds:
        cells["CPU %"] = _percent(measured.server_cpu, measured.seconds)
        cells["CPU ns/delivery"] = _rounded(measured.cpu_per_delivery, 0, 1e-3)
        cells["load CPU %"] = _percent(measured.load_cpu, measured.seconds)
    cells["kB/client"] = _rounded(measured.memory_per_client, 1, 1e3)
    cells["peak MB"] = _rounded(measured.memory_peak, 1, 1e6)
    if measured.work.seconds:
        cells["lines checked"] = measured.checked
        cells["wrong"] = len(measured.problems)
    return cells


def _rounded(value: float | None, digits: int, unit: float = 1) -> float | str:
    return "-" if value is None else round(value / unit, digits or None)


def _percent(cpu: float | None, seconds: float) -> float | str:
    return "-" if cpu is None else round(100 * cpu / seconds)


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """``rows`` as text: the headings, and a line for each row."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = [isinstance(next((r[name] for r in rows if name in r), ""), str) for name in names]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in cells
    )


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def case_text(outcome: Outcome) -> str:
    """The measurements and the verdicts of one case."""
    case, results = outcome.case, outcome.results
    works = list(dict.fromkeys(described(measured.work) for measured in results.values()))
    parts = [": ".join(filter(None, (case.name, "; ".join(works)))), ""]
    parts.append(table([row(label, measured) for label, measured in results.items()]))
    for label, measured in results.items():
        parts += [f"{label}: {remark}" for remark in remarks(measured)]
    for judged in outcome.verdicts:
        figure = f"{_number(judged.measured)} {judged.name}"
        parts.append(f"-> {figure}; wanted: {judged.wanted or '-'}; held: {_HELD[judged.held]}")
    return "\n".join(parts) + "\n"


def summary_text(outcomes: Sequence[Outcome]) -> str:
    """The table of all targets."""
    return table(
        [
            {
                "work": outcome.case.name,
                "figure": judged.name,
                "wanted": judged.wanted or "-",
                "measured": _number(judged.measured),
                "held": _HELD[judged.held],
            }
            for outcome in outcomes
            for judged in outcome.verdicts
        ]
        + [
            {
                "work": outcome.case.name,
                "figure": "lines missing, doubled, out of order, altered",
                "wanted": "0",
                "measured": f"{wrong:,}",
                "held": _HELD[not wrong],
            }
            for outcome in outcomes
            if (wrong := sum(len(m.problems) for m in outcome.results.values()))
            or any(m.checked for m in outcome.results.values())
        ]
    )


#: The words for whether a target was reached.
_HELD = {True: "yes", False: "NO", None: "-"}


def _number(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def remarks(measured: Measured) -> list[str]:
    """One sentence for each circumstance that a reader of the figures has to know."""
    found = list(measured.notes)
    if measured.seconds and measured.load_cpu > _BUSY * measured.seconds:
        found.append("the load was busy all the time: it may do more than this")
    if measured.disturbed > _DISTURBED * measured.seconds:
        share = round(100 * measured.disturbed / measured.seconds)
        found.append(f"others took {share} % of the server's core: it may do more than this")
    if measured.skipped:
        found.append(f"who had stopped reading was told of {measured.skipped:,} lines skipped")
    problems = measured.problems
    found += [f"WRONG: {problem}" for problem in problems[:PROBLEMS_SHOWN]]
    if len(problems) > PROBLEMS_SHOWN:
        found.append(f"WRONG: and {len(problems) - PROBLEMS_SHOWN:,} more")
    return found


def circumstances(cores: int, durability: str) -> dict[str, object]:
    """The versions and the machine, by the names of the JSON output."""
    return {
        "version": __version__,
        "durability": durability,
        "python": platform.python_version(),
        "twisted": twisted.__version__,
        "system": f"{platform.system()} {platform.release()}",
        "cores": cores,
        "load_average": round(os.getloadavg()[0], 2),
    }


def circumstances_text(circumstances: Mapping[str, object]) -> str:
    """``circumstances`` on one line, and the versions of the other servers on another."""
    facts = {name.replace("_", " "): value for name, value in circumstances.items()}
    peers = facts.pop("peers", None)
    lines = [facts, peers] if isinstance(peers, dict) and peers else [facts]
    return "\n".join(", ".join(f"{name} {value}" for name, value in line.items()) for line in lines)


def as_json(outcomes: Sequence[Outcome], circumstances: Mapping[str, object]) -> dict[str, object]:
    """All figures, as the object of the JSON output."""
    return {
        **circumstances,
        "cases": [
            {
                "name": outcome.case.name,
                "measurements": [
                    {"label": label, **_fields(measured)}
                    for label, measured in outcome.results.items()
                ],
                "targets": [judged._asdict() for judged in outcome.verdicts],
            }
            for outcome in outcomes
        ],
        "all_is_well": all(outcome.is_well for outcome in outcomes),
    }


def _fields(measured: Measured) -> dict[str, object]:
    return {
        **asdict(measured),
        "described": described(measured.work),
        "deliveries_per_second": measured.deliveries_per_second,
        "messages_per_second": measured.messages_per_second,
        "cpu_per_delivery_us": measured.cpu_per_delivery,
        "cpu_per_message_us": measured.cpu_per_message,
        "memory_per_client": measured.memory_per_client,
    }


def write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

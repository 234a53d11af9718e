"""The program ``python -m benchmarks``: checks its arguments, runs the cases, prints the results.

Exit status: 0 success; 1 a line was missing, doubled, out of order or altered, or a target of the
table was missed; 2 the measurement failed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, TextIO

from benchmarks.delivery import arguments, plot, report, versions
from benchmarks.delivery.cases import TABLE, Case, Outcome, Run, plain_case
from benchmarks.delivery.errors import CannotMeasure, NotInstalled
from benchmarks.delivery.load import Load, allow_descriptors
from benchmarks.delivery.progress import Bar
from benchmarks.delivery.servers import OTHERS, OURS, Kind, Options, Running, started, visited
from benchmarks.delivery.work import Measured, Work

#: Attempts to measure another server: some servers disconnect clients that are briefly slow.
_ATTEMPTS = 3

_ENDS = (signal.SIGTERM, signal.SIGHUP)

#: The exit status of a program that Ctrl-C ended, by the convention of shells.
_INTERRUPTED = 130


@dataclass(frozen=True)
class Order:
    """A checked command line."""

    cases: Sequence[Case]
    #: The number of measurements of each run.
    repeats: int
    options: Options
    #: The address of a running server of ours; None to start one.
    connect: tuple[str, int] | None
    json: Path | None
    plot: Path | None


# -- the command line -------------------------------------------------------------------------


def read_order(given: argparse.Namespace) -> Order:
    """Check the parsed arguments and make an :class:`Order` of them.

    :raises CannotMeasure: an argument is wrong, or two of them contradict each other.
    """
    options = Options(durability=given.durability)
    if given.package is not None:
        package = Path(given.package).resolve()
        if not (package / "twisted_chat" / "__init__.py").is_file():
            raise CannotMeasure(f"--package: there is no twisted_chat in {given.package}")
        options = replace(options, package=package)
    if given.baselines is not None:
        options = replace(options, baselines=Path(given.baselines).resolve())
    if given.table is None:
        cases: Sequence[Case] = [plain_case(_work(given), _servers(given.against))]
    elif given.connect is None:
        if not 0 < given.seconds <= 3600:
            raise CannotMeasure("--seconds: more than 0, up to 3600, with --table")
        cases = [case.measured_for(given.seconds) for case in _cases(given.table)]
    else:
        raise CannotMeasure("--connect does not go together with --table")
    for option, file in (("--json", given.json), ("--plot", given.plot)):
        if file is not None and not Path(file).resolve().parent.is_dir():
            raise CannotMeasure(f"{option}: there is no folder for {file}")
    if given.plot is not None and Path(given.plot).suffix not in (".png", ".svg", ".pdf"):
        raise CannotMeasure("--plot: a file that ends with .png, .svg or .pdf")
    if given.connect is not None and given.connect.tls:
        raise CannotMeasure("--connect: not over TLS")
    if given.connect is not None and given.flood_control:
        raise CannotMeasure("--connect: that server's flood control is as it is")
    return Order(
        cases,
        given.repeats,
        options,
        given.connect and given.connect[:2],
        given.json and Path(given.json),
        given.plot and Path(given.plot),
    )


def _work(given: argparse.Namespace) -> Work:
    work = Work(
        clients=given.clients,
        rooms=given.rooms,
        senders=given.senders,
        size=given.size,
        seconds=given.seconds,
        warm_up=min(1.0, given.seconds),
        rate=given.rate,
        stopped=given.stopped,
        mixed=given.mixed,
        flood_control=given.flood_control,
    )
    _check(work)
    return work


def _check(work: Work) -> None:
    """:raises CannotMeasure: a number of ``work`` is outside its limits."""
    for option, is_wrong, reason in (
        ("--clients", work.clients < 2, "at least 2 are needed"),
        ("--clients", work.clients > 99_999, "at most 99999"),
        ("--rooms", not 1 <= work.rooms <= work.clients / 2, "at least 2 clients a room"),
        ("--senders", not 1 <= work.senders < work.clients, "at least 1, and fewer than clients"),
        ("--size", not 16 <= work.size <= 400, "16 to 400 bytes, as IRC servers take no more"),
        ("--seconds", not 0 <= work.seconds <= 3600, "0 to 3600"),
        ("--rate", work.rate is not None and not 0 < work.rate < 1e6, "more than 0"),
        ("--stopped", not 0 <= work.stopped <= work.clients - work.senders, "no senders, please"),
    ):
        if is_wrong:
            raise CannotMeasure(f"{option}: {reason}")


def _servers(text: str) -> Sequence[str]:
    names = list(OTHERS) if text == "all" else [name for name in text.split(",") if name]
    for name in names:
        if name not in OTHERS:
            raise CannotMeasure(f"--against: {name!a} is none of {', '.join(OTHERS)}")
    return names


def _cases(text: str) -> Sequence[Case]:
    if text == "all":
        return TABLE
    cases = []
    for name in text.split(","):
        if not (name.isascii() and name.isdecimal() and 1 <= int(name[:9]) <= len(TABLE)):
            raise CannotMeasure(f"--table: {name!a} is not a row; there are 1 to {len(TABLE)}")
        cases.append(TABLE[int(name) - 1])
    return cases


def main(given: Sequence[str] | None = None) -> int:
    """Run the program with the arguments ``given``, or those of this process.

    :returns: the exit status.
    """
    parsed = arguments.parse(given)
    try:
        order = read_order(parsed)
        if order.plot is not None:
            plot.check_installed()
        with _ended_in_order():
            return _Bench(order).run()
    except CannotMeasure as error:
        _say(str(error))
        return 2
    except OSError as error:
        _say(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
        return 2
    except KeyboardInterrupt:
        return _INTERRUPTED


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Turn the signals that end this program into exceptions, so that it stops the server."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line: str) -> None:
    if sys.stderr is not None:
        print(f"benchmarks: {line}", file=sys.stderr, flush=True)


# -- measuring --------------------------------------------------------------------------------


class _Bench:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._cores = sorted(os.sched_getaffinity(0))
        self._bar = Bar(_terminal())
        #: The servers that are known not to be installed: each is reported once.
        self._absent: set[str] = set()

    def run(self) -> int:
        order = self._order
        allow_descriptors(
            max(run.work.clients for case in order.cases for run in case.runs.values())
        )
        if len(self._cores) == 1:
            _say("there is one core only: the server and the load share it")
        else:
            os.sched_setaffinity(0, self._cores[1:2])
        servers = {run.server for case in order.cases for run in case.runs.values()}
        circumstances = {
            **report.circumstances(len(self._cores), order.options.durability),
            "peers": versions.of(kind for name, kind in OTHERS.items() if name in servers),
        }
        print(f"{report.circumstances_text(circumstances)}\n", flush=True)
        done = []
        try:
            for case in order.cases:
                outcome = Outcome(case, self._measure_case(case))
                done.append(outcome)
                print(report.case_text(outcome), flush=True)
        finally:
            os.sched_setaffinity(0, self._cores)
        if any(outcome.verdicts for outcome in done):
            print(report.summary_text(done))
        if order.json is not None:
            report.write_json(order.json, report.as_json(done, circumstances))
        if order.plot is not None:
            plot.draw(order.plot, done)
        return 0 if all(outcome.is_well for outcome in done) else 1

    def _measure_case(self, case: Case) -> dict[str, Measured]:
        """Measure each run of ``case``; returns the median of the repetitions."""
        repeated: dict[str, list[Measured]] = {}
        for _ in range(self._order.repeats):
            for label, run in case.runs.items():
                measured = self._measure(run)
                if measured is not None:
                    repeated.setdefault(label, []).append(measured)
        return {label: _median(case, several) for label, several in repeated.items()}

    def _measure(self, run: Run) -> Measured | None:
        """Measure one run; None if its server is not ours and cannot be measured here."""
        if run.server == OURS.name:
            if self._order.connect is not None:
                return self._load(visited(OURS, self._order.connect), run.work)
            return self._start(OURS, run.work)
        if run.server in self._absent:
            return None
        for _ in range(_ATTEMPTS):
            try:
                return self._start(OTHERS[run.server], run.work)
            except NotInstalled as error:
                self._absent.add(run.server)
                _say(str(error))
                break
            except CannotMeasure as error:
                _say(str(error))
        return None

    def _start(self, kind: Kind, work: Work) -> Measured:
        core = self._cores[0] if len(self._cores) > 1 else None
        with tempfile.TemporaryDirectory(prefix="twisted-chat-bench-") as folder:
            os.chmod(folder, 0o755)  # for a server that switches to another user
            options = replace(self._order.options, flood_control=work.flood_control)
            with started(kind, Path(folder), options, core) as running:
                return self._load(running, work)

    def _load(self, running: Running, work: Work) -> Measured:
        try:
            return Load(running, work, self._bar).run()
        finally:
            self._bar.erase()


def _median(case: Case, several: Sequence[Measured]) -> Measured:
    """The median of several measurements, with the problems of all of them."""
    ordered = sorted(several, key=lambda measured: case.figure(measured) or 0.0)
    middle = ordered[len(ordered) // 2]
    middle.problems = [problem for measured in several for problem in measured.problems]
    return middle


def _terminal() -> TextIO | None:
    return sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None

"""The pages for Prometheus, and for checks that the server is alive and ready, over HTTP.

Existing figures are looked up on request. Only histograms are updated when something happens: once
per group of messages, and four times per second. No figure has a label for a room, a person or an
address. Needs ``prometheus-client``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from twisted.internet.interfaces import IDelayedCall

from twisted_chat import __version__
from twisted_chat.core.changes import Failed, Outcome, Saved
from twisted_chat.core.journal import Journal
from twisted_chat.journal.group_commit import QUEUE_LIMIT
from twisted_chat.net.connection import ChatFactory
from twisted_chat.net.outbox import Outbox
from twisted_chat.net.pages import TEXT, Content, Pages

PREFIX = "twisted_chat_"

#: Seconds from one measurement of the reactor's delay to the next.
DELAY_INTERVAL = 0.25

#: Seconds for which figures are reused.
FRESH = 0.1

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


class _Looked(Collector):
    """The figures that can be looked up, on the reactor's thread."""

    def __init__(self, factory: ChatFactory, journal: Journal) -> None:
        self._factory = factory
        self._journal = journal

    def collect(self) -> Iterator[Metric]:
        factory, chat = self._factory, self._factory.chat
        clients = chat.registry.snapshot()
        people = sum(name is not None for _, name in clients)
        outlets = [client.outlet for client, _ in clients]
        slow = sum(isinstance(outlet, Outbox) and not outlet.ready for outlet in outlets)
        yield _gauge("connections", "Connections that are open.", factory.active)
        yield _gauge("people", "Nicknames in use.", people)
        yield _gauge("rooms", "Rooms that everybody may see.", chat.reading.public_count)
        yield _gauge("slow_readers", "Connections that do not take all they are sent.", slow)
        yield _gauge("queue_depth", "What waits to be saved.", self._journal.outstanding)
        yield _gauge("queue_limit", "With so much, senders are not read.", QUEUE_LIMIT)
        yield _gauge("database_bytes", "Bytes of the database.", self._journal.size)
        most = self._journal.max_size
        yield _gauge("database_limit_bytes", "Bytes that it may have; 0 is any number.", most)
        yield _counter("deliveries", "Entries handed to connections.", chat.deliveries)
        refused = CounterMetricFamily(
            f"{PREFIX}refused", "What was refused, by its reason.", labels=["reason"]
        )
        for reason, count in sorted(factory.refused.items()):
            refused.add_metric([reason], count)
        yield refused
        yield InfoMetricFamily(f"{PREFIX}build", "The program.", {"version": __version__})


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, help, value)


def _counter(name: str, help: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, help, value)


class Metrics:
    """All figures of one service. ``journal.measured`` becomes ours."""

    def __init__(self, reactor: Any, factory: ChatFactory, journal: Journal) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Looked(factory, journal))
        ProcessCollector(registry=self.registry)
        self._saved = self._counter("messages", "Messages that were saved.")
        self._failed = self._counter("messages_not_saved", "Messages that could not be saved.")
        self._commit = self._histogram("commit_seconds", "How long a group took to save.", _SECONDS)
        self._group = self._histogram("group_size", "Messages saved at one go.", _SIZES)
        self._delay = self._histogram(
            "reactor_delay_seconds", "How late the reactor's timers are.", _SECONDS
        )
        journal.measured = self._committed
        self._reactor = reactor
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        """Start measuring the reactor's delay."""
        self._wait()

    def stop(self) -> None:
        """Stop measuring."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _counter(self, name: str, help: str) -> Counter:
        return Counter(PREFIX + name, help, registry=self.registry)

    def _histogram(self, name: str, help: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(PREFIX + name, help, buckets=buckets, registry=self.registry)

    def _committed(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Called on the journal's thread."""
        self._commit.observe(seconds)
        self._group.observe(len(outcomes))
        self._saved.inc(sum(type(outcome) is Saved and outcome.fresh for outcome in outcomes))
        self._failed.inc(sum(type(outcome) is Failed for outcome in outcomes))

    def _wait(self) -> None:
        self._due = time.monotonic() + DELAY_INTERVAL
        self._next = self._reactor.callLater(DELAY_INTERVAL, self._measure)

    def _measure(self) -> None:
        self._delay.observe(max(0.0, time.monotonic() - self._due))
        self._wait()


def site(reactor: Any, metrics: Metrics, obstacle: Callable[[], str]) -> Pages:
    """``/metrics``; ``/healthz``, which shows only that the reactor runs; and ``/readyz``, which
    answers 503 with the reason if ``obstacle`` returns one.
    """

    looked, shown = -math.inf, b""

    def figures() -> Content:
        nonlocal looked, shown
        now = time.monotonic()
        if now - looked >= FRESH:
            looked, shown = now, generate_latest(metrics.registry)
        return HTTPStatus.OK, CONTENT_TYPE_LATEST, shown

    def ready() -> Content:
        reason = obstacle()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
        return status, TEXT, f"{reason or 'ready'}\n".encode()

    pages = {
        b"/metrics": figures,
        b"/healthz": lambda: (HTTPStatus.OK, TEXT, b"alive\n"),
        b"/readyz": ready,
    }
    return Pages(reactor, pages)

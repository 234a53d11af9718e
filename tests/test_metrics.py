"""What Prometheus reads is true, is little work, and is what the dashboard shows."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport

from tests.support.accounts import device
from tests.support.fakes import World
from tests.support.processes import Server, environment, free_port, start_twistd
from twisted_chat.core.requests import Say
from twisted_chat.journal.group_commit import GroupCommitJournal
from twisted_chat.net.pages import HTTP_CONNECTIONS
from twisted_chat.server.build import build_factory
from twisted_chat.server.metrics import DELAY_INTERVAL, Metrics, site

ROOT = Path(__file__).parent.parent

#: What there is at most to be stored by Prometheus, for one server.
SERIES_LIMIT = 120


def figures(text: str) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus reads it."""
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Observed:
    """A chat in memory, and its figures."""

    def __init__(self) -> None:
        self.world = World()
        self.reactor = MemoryReactorClock()
        self.factory = build_factory(self.reactor, self.world.chat)
        self.journal = GroupCommitJournal(Any, Any, Any)  # type: ignore[arg-type]  # not started
        self.metrics = Metrics(self.reactor, self.factory, self.journal)

    def figures(self) -> dict[str, float]:
        return figures(generate_latest(self.metrics.registry).decode())


def test_people_rooms_and_deliveries() -> None:
    observed = Observed()
    ana, bia = observed.world.enter("Ana", "Bia")
    ana.types("/join cinema", "oi", "anyone here?")
    told = observed.figures()
    assert told["twisted_chat_people"] == 2
    assert told["twisted_chat_rooms"] == 2
    assert told["twisted_chat_deliveries_total"] == 2, "nobody but Ana is there"
    bia.ask(Say("oi"))
    assert observed.figures()["twisted_chat_deliveries_total"] == 4
    bia.types("/join cinema")
    assert observed.figures()["twisted_chat_deliveries_total"] == 6, "what is replayed counts too"


def test_a_room_that_not_everybody_may_see_is_not_counted() -> None:
    observed = Observed()
    ana = device(observed.world)
    (bia,) = observed.world.enter("Bia")
    ana.types("/join cinema", "oi")
    bia.types("/join den", "oi")
    assert observed.figures()["twisted_chat_rooms"] == 3
    for rule, rooms in ("hidden on", 2), ("hidden off", 3), ("join registered", 2), ("join all", 3):
        ana.types(f"/room {rule}")
        assert observed.figures()["twisted_chat_rooms"] == rooms, rule
    ana.types("/room hidden on", "/leave cinema")
    assert observed.figures()["twisted_chat_rooms"] == 2, "a room without people"


def test_what_was_refused_by_its_reason() -> None:
    observed = Observed()
    observed.factory.refused["rate"] += 2
    assert observed.figures()["twisted_chat_refused_total/rate"] == 2


def test_the_reactors_delay_is_measured_until_the_end() -> None:
    observed = Observed()
    observed.metrics.start()
    for _ in range(8):
        observed.reactor.advance(DELAY_INTERVAL)
    assert observed.figures()["twisted_chat_reactor_delay_seconds_count"] == 8
    observed.metrics.stop()
    assert observed.reactor.getDelayedCalls() == []


def test_what_is_asked_ahead_of_an_answer_is_not_looked_at() -> None:
    """Each answer takes time from the chat: there is one for each connection."""
    observed = Observed()
    served = site(observed.reactor, observed.metrics, lambda: "")
    for _ in range(HTTP_CONNECTIONS):
        protocol = served.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        assert transport.value().count(b"HTTP/1.1 200 OK") == 1
        assert transport.disconnecting


def test_two_services_in_one_process_do_not_share_figures() -> None:
    """Prometheus' client has a registry for all of a process; it is not used."""
    one, other = Observed(), Observed()
    one.world.enter("Ana")
    assert (one.figures()["twisted_chat_people"], other.figures()["twisted_chat_people"]) == (1, 0)


def test_the_dashboard_shows_what_there_is() -> None:
    """Every metric that it names exists, and each of ours is shown."""
    dashboard = json.loads((ROOT / "contrib/grafana/twisted-chat.json").read_text())
    asked = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    named = set(re.findall(r"\b(?:twisted_chat|process)_\w+", asked))
    observed = Observed()
    observed.factory.refused["rate"] += 1
    exist = {name.partition("/")[0] for name in observed.figures()}
    assert named - exist == set()
    families = {re.sub(r"_(total|bucket|sum|count|created|info)$", "", name) for name in exist}
    ours = {name for name in families if name.startswith("twisted_chat_")}
    shown = {re.sub(r"_(total|bucket)$", "", name) for name in named}
    assert ours - shown == {"twisted_chat_build"}


# -- a real server ----------------------------------------------------------------------------


def get(port: int, path: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


@pytest.mark.process
def test_a_servers_figures(tmp_path: Path) -> None:
    port = free_port()
    with Server(tmp_path, f"--metrics=tcp:{port}:interface=127.0.0.1", "--rate=off") as server:
        assert get(port, "/healthz") == (200, "alive\n")
        assert get(port, "/readyz") == (200, "ready\n")
        assert get(port, "/")[0] == 404
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"Ana\n" + b"oi\n" * 100 + b"/quem-sabe\n/receipts on\nlast\n")
            received = b""
            while b"number 101" not in received:
                data = connection.recv(65536)
                assert data, received
                received += data
            status, text = get(port, "/metrics")
        told = figures(text)
        assert status == 200
        assert told["twisted_chat_connections"] == 1
        assert told["twisted_chat_messages_total"] == 101
        assert told["twisted_chat_messages_not_saved_total"] == 0
        assert told["twisted_chat_group_size_sum"] == 101
        assert 0 < told["twisted_chat_commit_seconds_sum"] < 60
        assert told["twisted_chat_queue_depth"] == 0
        assert told["twisted_chat_refused_total/unknown-command"] == 1
        assert told["process_open_fds"] > 0
        assert len(told) <= SERIES_LIMIT
        assert not any("/metrics" in line for line in server.log()), "nobody wants to read that"
        print(f"{len(told)} series, {len(text)} bytes")


@pytest.mark.process
def test_it_can_be_seen_that_a_server_stops(tmp_path: Path) -> None:
    """Who distributes connections sends nobody there any more; what watches it lets it be."""
    port = free_port()
    with Server(tmp_path, f"--metrics=tcp:{port}:interface=127.0.0.1", "--rate=off") as server:
        with (
            closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other,
            socket.create_connection(("127.0.0.1", server.port)) as connection,
        ):
            connection.sendall(b"Ana\n")
            received = b""
            while b"You are" not in received:
                received += connection.recv(65536)
            other.execute("BEGIN IMMEDIATE")
            connection.sendall(b"oi\n")
            time.sleep(0.1)
            server.process.terminate()
            deadline = time.monotonic() + 5
            while get(port, "/readyz")[0] == 200:
                assert time.monotonic() < deadline
            assert get(port, "/readyz") == (503, "stopping\n")
            assert get(port, "/healthz")[0] == 200
            other.execute("ROLLBACK")
        server.process.wait(20)


@pytest.mark.process
@pytest.mark.slow
def test_asking_does_not_hold_the_reactor_up_with_many_connected(tmp_path: Path) -> None:
    """2000 connections; each request is as long as the reactor is held up, or longer."""
    port = free_port()
    with Server(tmp_path, f"--metrics=tcp:{port}:interface=127.0.0.1", "--rate=off") as server:
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2000)]
        for n, connection in enumerate(connections):
            connection.sendall(b"user%d\n" % n)
        while figures(get(port, "/metrics")[1])["twisted_chat_people"] < 2000:
            time.sleep(0.1)
        took = []
        for _ in range(50):
            start = time.monotonic()
            get(port, "/metrics")
            took.append(time.monotonic() - start)
        for connection in connections:
            connection.close()
    print(f"2000 connections: {sorted(took)[25] * 1000:.1f} ms, at most {max(took) * 1000:.1f} ms")


@pytest.mark.process
def test_without_prometheus_client_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ImportError('not here')")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from twisted.scripts.twistd import run; run()",
            *("-n", "--pidfile=", "--logfile=log", "chat"),
            *("--listen=tcp:0:interface=127.0.0.1", "--metrics=tcp:0:interface=127.0.0.1"),
        ],
        cwd=tmp_path,
        env={
            **environment(),
            "PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}",
        },
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    pip = Path(sys.executable).parent / "pip"
    assert f"{pip} install 'twisted-chat[metrics]'" in done.stderr, "as it can be typed"


@pytest.mark.process
@pytest.mark.parametrize("endpoint", ["nonsense", "tcp:1:x=2", "tcp:no"])
def test_an_endpoint_that_is_none(tmp_path: Path, endpoint: str) -> None:
    process = start_twistd(tmp_path, "--listen=tcp:0:interface=127.0.0.1", f"--metrics={endpoint}")
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.count(b"\n") == 1
    assert endpoint in errors.decode()

"""The operator's socket: whom it lets in, what it takes, and where its file is."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from tests.support.processes import PATIENCE, Server, environment
from twisted_chat.core.errors import NoSuchRoom
from twisted_chat.core.operator_requests import Done, MakeAnnouncement, OperatorRequest
from twisted_chat.server import control_socket
from twisted_chat.server.control import (
    ANSWER_TIMEOUT,
    CONNECTIONS,
    REQUEST_LIMIT,
    REQUEST_TIMEOUT,
    Control,
    ControlUnavailable,
    Conversation,
    Reply,
)
from twisted_chat.server.control_socket import Socket, connect, may_connect, path_of

_KEYS = ("request", "language", "do", "name", "new", "text", "room", "after", "announce")

ASKED = b'{"request":{"do":"announce","text":"oi"}}\n'


# -- what is spoken ---------------------------------------------------------------------------


class _Transport(StringTransport):
    """It can be paused and aborted as a socket's."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()


class Desk:
    """A control with connections in memory; requests wait in ``asked``."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[OperatorRequest, Reply]] = []
        self.refusal: Exception | None = None
        self.control = Control(self.clock, self._handle)

    def _handle(self, request: OperatorRequest, reply: Reply) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((request, reply))

    def connect(self) -> tuple[Conversation, _Transport]:
        conversation, transport = self.control.buildProtocol(None), _Transport()
        conversation.makeConnection(transport)
        return conversation, transport


def lines(transport: StringTransport) -> list[dict[str, Any]]:
    return [json.loads(line) for line in transport.value().splitlines()]


def test_a_request_has_one_answer_and_the_connection_ends() -> None:
    desk = Desk()
    conversation, transport = desk.connect()
    conversation.dataReceived(ASKED[:10])
    conversation.dataReceived(ASKED[10:])
    ((request, reply),) = desk.asked
    assert request == MakeAnnouncement("oi")
    assert transport.value() == b""
    reply((Done(),))
    assert lines(transport) == [{"type": "done"}]
    assert transport.disconnecting
    assert not transport.aborted


def test_a_second_request_on_a_connection_is_ignored() -> None:
    desk = Desk()
    conversation, transport = desk.connect()
    conversation.dataReceived(ASKED * 3)
    assert len(desk.asked) == 1
    assert transport.producerState == "paused"


def test_a_refusal_is_told_in_the_operators_language() -> None:
    desk = Desk()
    desk.refusal = NoSuchRoom(room="zoo")
    for language, told in [("en", "no room"), ("pt_BR", "sala"), ("xx", "no room")]:
        conversation, transport = desk.connect()
        request = {"request": {"do": "announce", "text": "oi"}, "language": language}
        conversation.dataReceived(json.dumps(request).encode() + b"\n")
        (answer,) = lines(transport)
        assert (answer["type"], answer["code"]) == ("refused", "no-such-room")
        assert told in answer["text"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"GET / HTTP/1.0\r\n",
        b"\xff\x00\x80\n",
        b"[]\n",
        b"{}\n",
        b'{"request":{"do":"shutdown"}}\n',
        b'{"request":{"do":"announce"}}\n',
        b'{"request":{"do":"announce","text":7}}\n',
        b'{"request":{"do":"announce","text":"oi","to":"all"}}\n',
        b"[" * 60_000 + b"\n",
        b"x" * (REQUEST_LIMIT + 10),
        b"x" * (REQUEST_LIMIT + 10) + b"\n",
    ],
)
def test_garbage_is_refused_and_does_nothing(garbage: bytes) -> None:
    desk = Desk()
    conversation, transport = desk.connect()
    conversation.dataReceived(garbage)
    assert [answer["code"] for answer in lines(transport)] == ["bad-request"]
    assert transport.disconnecting
    assert not desk.asked


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.sampled_from(_KEYS) | st.text(), values),
)


@given(
    st.binary().map(lambda data: data + b"\n")
    | _JSON.map(lambda v: json.dumps(v).encode() + b"\n"),
    st.integers(min_value=1, max_value=50),
)
def test_any_line_has_one_answer_and_raises_nothing(line: bytes, size: int) -> None:
    """Whatever is in it, and however it is cut."""
    desk = Desk()
    conversation, transport = desk.connect()
    for start in range(0, len(line), size):
        conversation.dataReceived(line[start : start + size])
    assert [answer["code"] for answer in lines(transport)] == ["bad-request"] or desk.asked


def test_an_internal_error_is_told_without_its_text() -> None:
    desk = Desk()
    desk.refusal = RuntimeError("the inside")
    conversation, transport = desk.connect()
    conversation.dataReceived(ASKED)
    assert [answer["code"] for answer in lines(transport)] == ["internal-error"]
    assert b"inside" not in transport.value()


def test_time_and_number_of_connections_are_bounded() -> None:
    desk = Desk()
    silent = [desk.connect() for _ in range(CONNECTIONS)]
    _, one_more = desk.connect()
    assert [answer["code"] for answer in lines(one_more)] == ["too-busy"]
    silent[0][0].dataReceived(ASKED)
    desk.clock.advance(REQUEST_TIMEOUT)
    assert [transport.aborted for _, transport in silent] == [False] + [True] * (CONNECTIONS - 1)
    desk.clock.advance(ANSWER_TIMEOUT - REQUEST_TIMEOUT)
    assert silent[0][1].aborted


def test_a_client_that_reads_nothing_is_dropped() -> None:
    desk = Desk()
    conversation, transport = desk.connect()
    conversation.dataReceived(ASKED)
    desk.asked[0][1]((Done(),))
    assert not transport.aborted  # the answer may be on its way
    desk.clock.advance(ANSWER_TIMEOUT)
    assert transport.aborted


# -- the file ---------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db.control"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_no_other_user_can_ever_connect(
    path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    """The mode is right before anybody could connect: when the file exists."""
    modes = []

    class Watched(socket.socket):
        def bind(self, address: Any) -> None:
            super().bind(address)
            modes.append(mode(path))

    monkeypatch.setattr(socket, "socket", Watched)
    before = os.umask(umask)
    try:
        opened = Socket(str(path))
        assert os.umask(umask) == umask, "the mask is as before"
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert mode(path) == 0o600
    opened.close()
    assert not path.exists()


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(path: Path) -> None:
    stale = Socket(str(path))
    stale.listener.close()  # as kill -9 does
    opened = Socket(str(path))
    with pytest.raises(OSError, match="in use"):
        Socket(str(path))
    with connect(str(path), 1):
        pass
    opened.close()


def test_a_server_removes_only_its_own_socket(path: Path) -> None:
    first = Socket(str(path))
    path.unlink()
    second = Socket(str(path))
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


def test_a_live_socket_with_a_full_queue_is_not_replaced(path: Path) -> None:
    opened = Socket(str(path))
    waiting = []
    with suppress(BlockingIOError):
        while True:
            waiting.append(connect(str(path), 0))
    with pytest.raises(OSError, match="in use"):
        Socket(str(path))
    for connection in waiting:
        connection.close()
    opened.close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("elsewhere")
    else:
        path.write_text("mine")
    control = Control(Clock(), lambda request, reply: None)
    with pytest.raises(ControlUnavailable, match="exists"):
        control.start(str(path))
    assert path.is_symlink() or path.is_dir() or path.read_text() == "mine"


@pytest.mark.parametrize("length", [101, 103, 104, 108, 200, 1000])
def test_a_path_of_any_length_works(tmp_path: Path, length: int) -> None:
    """An address has 107 bytes at most."""
    folder = tmp_path
    while len(str(folder)) + 200 < length:
        folder = folder / ("d" * 150)
    folder = folder / ("d" * max(1, length - len(str(folder)) - len("/chat.db.control") - 1))
    folder.mkdir(parents=True)
    path = folder / "chat.db.control"
    opened = Socket(str(path))
    assert mode(path) == 0o600
    with connect(str(path), 1):
        pass
    opened.close()
    assert not path.exists()


def test_a_name_that_fits_no_address_is_told_in_one_line(tmp_path: Path) -> None:
    control = Control(Clock(), lambda request, reply: None)
    with pytest.raises(ControlUnavailable, match="too long") as raised:
        control.start(str(tmp_path / ("n" * 200)))
    assert "\n" not in str(raised.value)


def test_the_socket_of_a_link_is_that_of_the_database(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to("chat.db")
    assert path_of(str(tmp_path / "link.db")) == path_of(str(tmp_path / "chat.db"))


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="the system does not tell")
@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, True), (1001, False)])
def test_only_the_server_s_user_and_root_may_connect(
    monkeypatch: pytest.MonkeyPatch, user: int, allowed: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    credentials = control_socket._UCRED.pack(1, user, user)

    class Peer(socket.socket):
        def getsockopt(self, *arguments: Any) -> Any:
            return credentials

    with Peer() as peer:
        assert may_connect(peer) is allowed


# -- a server ---------------------------------------------------------------------------------


def announce(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "twisted_chat.cli", "announce", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(options.pop("language", "en")),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        **options,
    )


@contextmanager
def listener(port: int, name: str = "Ana") -> Iterator[Callable[[], str]]:
    """Somebody in the lobby; the function returns the next line that is no greeting."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(json.dumps({"type": "hello", "nickname": name}).encode() + b"\n")
        received = connection.makefile()
        for line in received:
            if '"entered"' in line:
                break
        yield received.readline


@pytest.mark.process
@pytest.mark.slow
def test_an_operator_announces_to_all_and_to_a_room(tmp_path: Path) -> None:
    with Server(tmp_path) as server, listener(server.port) as next_line:
        assert mode(tmp_path / "chat.db.control") == 0o600
        done = announce(tmp_path, "The server", "restarts at 18:00.")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        told = json.loads(next_line())
        assert (told["type"], told["text"]) == ("announced", "The server restarts at 18:00.")
        to_lobby = ("--room", "#lobby", "--database", "chat.db")
        assert announce(tmp_path, *to_lobby, "oi").returncode == 0
        assert json.loads(next_line())["room"] == "lobby"
        refused = announce(tmp_path, "--room", "zoo", "oi")
        assert refused.returncode == 1
        assert refused.stderr == "twisted-chat announce: There is no room #zoo.\n"
        log = "\n".join(server.log())
        assert "[OPERATOR] announce" in log
        assert "restarts" not in log
        server.stop()
        assert not (tmp_path / "chat.db.control").exists()
        refused = announce(tmp_path, "oi", language="pt_BR")
        assert refused.returncode == 2
        assert refused.stderr.startswith("twisted-chat announce: Nenhum servidor")


@pytest.mark.process
@pytest.mark.slow
def test_a_server_replaces_the_socket_of_a_killed_one(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        server.stop(signal.SIGKILL)
    assert (tmp_path / "chat.db.control").exists()
    assert announce(tmp_path, "oi").returncode == 2
    with Server(tmp_path) as server:
        assert announce(tmp_path, "oi").returncode == 0


@pytest.mark.process
@pytest.mark.slow
def test_two_at_once_a_flood_and_a_client_that_reads_nothing_delay_nobody(tmp_path: Path) -> None:
    with Server(tmp_path) as server, listener(server.port) as next_line:
        path = path_of(str(tmp_path / "chat.db"))
        idle = [connect(path, PATIENCE) for _ in range(CONNECTIONS - 1)]
        for connection in idle:
            connection.setblocking(False)
            with suppress(OSError):
                for _ in range(100):
                    connection.send(ASKED.rstrip() * 1000)  # never reads, never ends a line
        two = [
            subprocess.Popen(
                [sys.executable, "-m", "twisted_chat.cli", "announce", text],
                cwd=tmp_path,
                env=environment(),
            )
            for text in ("one", "two")
        ]
        assert [process.wait(PATIENCE) for process in two] == [0, 0]
        assert {json.loads(next_line())["text"] for _ in two} == {"one", "two"}
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as other:
            other.sendall(b'{"type":"hello","nickname":"Bia"}\n{"type":"ping","id":"1"}\n')
            received = other.makefile()
            while '"pong"' not in received.readline():
                pass
        assert time.monotonic() - start < 2
        for connection in idle:
            connection.close()


@pytest.mark.process
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_refused(tmp_path: Path) -> None:
    """By the mode of the file, and by the server if the mode is changed."""
    other = {"user": 65534, "group": 65534, "extra_groups": []}
    for folder in (tmp_path, *tmp_path.parents):
        if os.stat(folder).st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    asked = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        f"s.sendall({ASKED!r}); print(s.recv(1000))"
    )
    with Server(tmp_path) as server, listener(server.port) as next_line:
        path = tmp_path / "chat.db.control"

        def ask(**who: Any) -> subprocess.CompletedProcess[str]:
            command = ["/usr/bin/env", "python3", "-c", asked, str(path)]
            return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **who)

        assert "PermissionError" in ask(**other).stderr
        path.chmod(0o666)
        assert "done" not in ask(**other).stdout
        assert "done" in ask().stdout
        assert json.loads(next_line())["text"] == "oi"


def test_a_server_in_memory_has_no_socket(tmp_path: Path) -> None:
    refused = announce(tmp_path, "--database", ":memory:", "oi")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "\x1b[2J", "x" * 5000])
def test_a_text_that_cannot_be_shown_is_refused(tmp_path: Path, text: str) -> None:
    assert announce(tmp_path, text).returncode in (1, 2)

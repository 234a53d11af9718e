"""TLS: a client that sends and closes at once is heard; what the system forbids is said."""

from __future__ import annotations

import ctypes
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.certificates import Certificate, certificate
from tests.support.faults import stored, wait_until
from tests.support.processes import PATIENCE, Server, environment, free_port

pytest.importorskip("OpenSSL", reason="twisted[tls] is not installed")
pytestmark = pytest.mark.process

TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")

#: From <linux/prctl.h>.
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1


def connect(port: int, server: Certificate) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(server.certificate))
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def closes_politely(client: ssl.SSLSocket) -> None:
    """With an alert (close_notify) before the end."""
    client.setblocking(False)
    with suppress(OSError):  # it does not wait for the other one's
        client.unwrap()
    client.close()


def closes_abruptly(client: ssl.SSLSocket) -> None:
    """Without one, as programs that end do: that is a reset, as the server has sent tickets."""
    client.close()


@pytest.mark.parametrize(
    ("close", "count"),
    [
        (closes_politely, 2),
        pytest.param(closes_politely, 30, marks=pytest.mark.slow),
        pytest.param(closes_abruptly, 30, marks=pytest.mark.slow),
    ],
)
def test_who_sends_over_tls_and_closes_at_once_has_all_of_it_saved(
    tmp_path: Path, close: Callable[[ssl.SSLSocket], None], count: int
) -> None:
    """Also lines that wait for flood control."""
    own, port = certificate(tmp_path), free_port()
    database = tmp_path / "chat.db"
    half = [str(number) for number in range(count // 2)]
    with Server(tmp_path, f"--listen={own.endpoint(port)}", "--rate=10:20") as server:
        client = connect(port, own)
        client.sendall("".join(f"{line}\n" for line in ("Ana", *half, "/join x", *half)).encode())
        close(client)

        def texts(room: str) -> list[str]:
            return [text for _, _, text, _ in stored(database, room)]

        wait_until(lambda: len(texts("x")) == len(half), "all is saved")
        assert texts("lobby") == texts("x") == half
        server.wait_for_log(r"CONNECTION CLOSED")


def deny_write_execute() -> None:
    """No memory is both written and executed: prctl(2), PR_SET_MDWE, as systemd's option does."""
    if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
        raise OSError("this system cannot")


def test_tls_that_the_system_forbids_is_said_at_the_start(tmp_path: Path) -> None:
    """Each connection would fail."""
    endpoint = certificate(tmp_path).endpoint(0)
    try:
        subprocess.run(["true"], check=True, preexec_fn=deny_write_execute)
    except subprocess.SubprocessError:
        pytest.skip("this system cannot forbid it so")
    done = subprocess.run(
        [*TWISTD, "-n", "--pidfile=", "chat", "--listen", endpoint],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        preexec_fn=deny_write_execute,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "MemoryDenyWriteExecute=no" in line
    assert "Traceback" not in done.stdout

"""Over TLS, a client that sends and closes at once is heard as over plain TCP."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.certificates import Certificate, certificate
from tests.faults import stored, wait_until
from tests.processes import PATIENCE, Server, free_port

pytest.importorskip("OpenSSL", reason="twisted[tls] is not installed")
pytestmark = pytest.mark.process


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
    ("close", "count"), [(closes_politely, 2), (closes_politely, 30), (closes_abruptly, 30)]
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

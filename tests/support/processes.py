"""Real processes for the tests that need them: a server, and clients on a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

#: Seconds that anything may take before a test gives up.
PATIENCE = 20.0


#: Homes of people who have never used the client; removed when the tests are over.
_HOMES = tempfile.TemporaryDirectory(prefix="twisted-chat-homes-")


def environment(language: str = "en", home: Path | None = None) -> dict[str, str]:
    """An environment that speaks ``language`` and finds the package under test.

    Without a ``home``, it is a new person's.
    """
    root = Path(__file__).parents[2]
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "XDG_"))},
        "HOME": str(home or tempfile.mkdtemp(dir=_HOMES.name)),
        "LANG": f"{language}.UTF-8",
        "PYTHONPATH": str(root),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
    }


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """``twistd -n chat`` in ``folder``, which is its current folder too."""

    def __init__(
        self, folder: Path, *options: str, language: str = "en", port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self._log = folder / "server.log"
        self.process = start_twistd(
            folder,
            "--listen",
            f"tcp:{self.port}:interface=127.0.0.1:backlog=1024",
            *options,
            language=language,
            output=self._log,
        )
        self.wait_for_log(re.escape(f"127.0.0.1:{self.port}"))

    def log(self) -> list[str]:
        """The lines of the server's log, without twistd's prefix."""
        text = self._log.read_text(encoding="utf-8")
        return [re.sub(r"^\S+ \[[^]]*\] ", "", line) for line in text.splitlines()]

    def wait_for_log(self, pattern: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not any(re.search(pattern, line) for line in self.log()):
            assert time.monotonic() < deadline, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.01)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop(signal.SIGKILL)


def start_twistd(
    folder: Path, *options: str, language: str = "en", output: Path | None = None
) -> subprocess.Popen[bytes]:
    """``twistd -n chat``; output goes to the file ``output`` or, without one, to pipes."""
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    command += ["-n", "--pidfile=", "chat", *options]
    with contextlib.ExitStack() as stack:
        stdout = stack.enter_context(output.open("wb")) if output else subprocess.PIPE
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment(language),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT if output else subprocess.PIPE,
        )


class Terminal:
    """A program on a terminal of its own; what is typed is echoed, as people see it."""

    def __init__(self, *command: str, language: str = "en") -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(language),
            start_new_session=True,
            # The terminal controls it: Ctrl-C is a signal then.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._screen = b""

    @property
    def screen(self) -> str:
        """All that has stood on the screen."""
        return self._screen.decode("utf-8", "replace").replace("\r\n", "\n")

    def type(self, line: str) -> None:
        os.write(self._master, line.encode() + b"\n")

    def wait_for(self, text: str) -> None:
        """Until ``text`` stands on the screen."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.screen:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.screen}"
            assert self._read() or text in self.screen, f"ended without {text!r}:\n{self.screen}"

    def wait_for_end(self) -> int:
        """Until the program has ended; returns its exit status."""
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End it the hard way, as by closing the terminal's window."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self._master)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], PATIENCE)
        assert ready, f"nothing more on the screen:\n{self.screen}"
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self._screen += data
        return bool(data)


@contextlib.contextmanager
def terminals(language: str, *commands: list[str]) -> Iterator[list[Terminal]]:
    """Terminals that are closed in the end, whatever happens."""
    opened: list[Terminal] = []
    try:
        for command in commands:
            opened.append(Terminal(*command, language=language))
        yield opened
    finally:
        for terminal in opened:
            terminal.close()


def client_command(port: int, *options: str) -> list[str]:
    """The plain client: lines in, lines out."""
    options = ("--plain", *options)
    return [sys.executable, "-m", "twisted_chat.cli", "connect", f"127.0.0.1:{port}", *options]


def fails(folder: Path, *options: str, language: str = "en") -> str:
    """The one line with which a server that cannot start ends, quickly."""
    started = time.monotonic()
    process = start_twistd(folder, *options, language=language)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode not in (0, None)
    assert b"Traceback" not in output + errors
    (line,) = errors.decode().splitlines()
    assert time.monotonic() - started < PATIENCE
    return line


def talk(port: int, data: bytes) -> bytes:
    """Send ``data``, say that this is all, and return what comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        received = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            raise
        except OSError:  # ENOTCONN of shutdown(2) is not one of Python's ConnectionErrors
            pass  # it closed before all was sent
        return received

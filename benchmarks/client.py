"""How soon the client answers a key while ten thousand lines arrive, and how large it grows.

    python -m benchmarks.client [--lines N]

The program starts a server and a client on a terminal, and a second client that sends many lines at
once. It presses keys and waits for the echo of each on the screen: first while nothing happens,
which is the baseline, and then while the lines arrive.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

#: Seconds that each wait may take.
PATIENCE = 60.0

#: Seconds between two keys.
PAUSE = 0.02

TWISTD = "from twisted.scripts.twistd import run; run()"


class Terminal:
    """The client on a terminal of 80 columns and 24 lines."""

    def __init__(self, port: int, home: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [sys.executable, "-m", "twisted_chat.cli", "connect", f"127.0.0.1:{port}"]
        environment = {**os.environ, "HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [*command, "--nick", "Ana"],
            stdin=slave,
            stdout=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self.shown = b""

    def read(self, timeout: float) -> bytes:
        """The next output of the client; empty after ``timeout`` seconds without any."""
        if not select.select([self._master], [], [], timeout)[0]:
            return b""
        data = os.read(self._master, 1 << 16)
        self.shown = (self.shown + data)[-4096:]
        return data

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            self.read(0.1)
            if time.monotonic() > deadline:
                raise SystemExit(f"{text!r} never came")

    def press(self, key: bytes) -> float:
        """Press a key; returns the seconds until the screen shows it.

        The key must occur neither in messages nor in control sequences.
        """
        began = time.perf_counter()
        os.write(self._master, key)
        while key not in self.read(PATIENCE):
            pass
        return time.perf_counter() - began

    def memory(self) -> float:
        """The client's peak resident memory so far, in megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1000


def keys(terminal: Terminal, until: float, end: bytes | None) -> list[float]:
    """Press keys; returns the seconds until each was shown.

    :param until: the time to stop, of the monotonic clock.
    :param end: the text on the screen at which to stop earlier.
    """
    delays: list[float] = []
    while time.monotonic() < until and (end is None or end not in terminal.shown):
        delays.append(terminal.press(b"ZXQW"[len(delays) % 4 :][:1]))
        if len(delays) % 40 == 0:
            os.write(terminal._master, b"\x15")  # Ctrl-U: an empty line
        pause = time.monotonic() + PAUSE
        while (left := pause - time.monotonic()) > 0:
            terminal.read(left)
    return delays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=10_000)
    lines = parser.parse_args().lines
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "chat"]
        command += [f"--listen=tcp:{port}:interface=127.0.0.1", "--rate=off", "--language=en"]
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            measure(port, Path(folder), lines)
        finally:
            server.kill()


def measure(port: int, folder: Path, lines: int) -> None:
    while True:
        try:
            speaker = socket.create_connection(("127.0.0.1", port))
            break
        except OSError:
            time.sleep(0.05)
    terminal = Terminal(port, folder)
    try:
        terminal.wait_for(b"online")
        idle = keys(terminal, time.monotonic() + 3, None)
        before = terminal.memory()
        speaker.sendall(b"bia\n" + b"".join(b"line %d\n" % n for n in range(lines)))
        began = time.monotonic()
        busy = keys(terminal, began + PATIENCE, b"line %d" % (lines - 1))
        seconds = time.monotonic() - began
        after = terminal.memory()
    finally:
        terminal.process.kill()
        speaker.close()
    for name, delays in (("nothing happens", idle), (f"{lines:,} lines arrive", busy)):
        median, longest = (1000 * figure(delays) for figure in (statistics.median, max))
        print(f"while {name}: a key is shown after {median:.1f} ms, at most {longest:.1f}"
              f" ({len(delays)} keys)")  # fmt: skip
    print(f"ratio of the medians: {statistics.median(busy) / statistics.median(idle):.1f}")
    print(f"all are shown after {seconds:.2f} s; memory grew from {before:.0f}"
          f" to {after:.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()

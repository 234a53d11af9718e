"""A real terminal for the tests: programs run in tmux, which is told keys and shows its screen."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pytest

#: Seconds that anything may take before a test gives up.
PATIENCE = 20.0

#: Runs a command and writes its exit status to a file: tmux 3.3 often does not know it.
_RUN = '"$@"; echo $? >"$0"'

_numbers = itertools.count()

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Tmux:
    """``command`` in a terminal of its own, by a tmux server that nobody else uses.

    Leaving the ``with`` block ends both. The screen is still there when the program has ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        rows: int = 24,
        environment: Mapping[str, str] | None = None,
        term: str = "screen-256color",
    ) -> None:
        self._socket = f"chat-test-{os.getpid()}-{next(_numbers)}"
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._status = Path(self._folder.name, "status")
        self._environment = {
            **(os.environ if environment is None else environment),
            "TERM": term,
            "TMUX_TMPDIR": self._folder.name,
        }
        self._environment.pop("TMUX", None)
        self._tmux("start-server", ";", "set", "-g", "status", "off", ";",
                   "set", "-g", "default-terminal", term, ";",
                   "set", "-g", "history-limit", "20000", ";",
                   "set", "-g", "remain-on-exit", "on", ";",
                   "set", "-g", "escape-time", "0", ";",
                   "new-session", "-d", "-x", str(columns), "-y", str(rows),
                   "sh", "-c", _RUN, str(self._status), *command)  # fmt: skip

    # -- the keyboard -------------------------------------------------------------------------

    def enter(self, text: str) -> None:
        """Type ``text`` as it is."""
        self._tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names: ``Enter``, ``Tab``, ``C-c``, ``M-1``, ``Up``."""
        self._tmux("send-keys", *keys)

    def paste(self, text: str) -> None:
        """Paste ``text`` as a terminal does that brackets what is pasted."""
        self._tmux("set-buffer", text)
        self._tmux("paste-buffer", "-p", "-r")

    # -- the screen ---------------------------------------------------------------------------

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> list[str]:
        """The rows that are seen, without the empty ones at the end."""
        return self._tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def scrollback(self) -> list[str]:
        """All rows, also those that have scrolled out; wrapped ones are one."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-").rstrip().split("\n")

    def wait_for(self, text: str) -> list[str]:
        """The screen, once ``text`` is in one of its rows."""
        return self.wait(lambda rows: any(text in row for row in rows), text)

    def wait_until_gone(self, text: str) -> list[str]:
        """The screen, once ``text`` is in none of its rows."""
        return self.wait(lambda rows: not any(text in row for row in rows), f"no {text}")

    def wait(self, condition: Callable[[list[str]], bool], wanted: str) -> list[str]:
        """The screen, once it fulfils ``condition``; ``wanted`` says what that is."""
        deadline = time.monotonic() + PATIENCE
        while not condition(rows := self.screen()):
            assert time.monotonic() < deadline, f"{wanted!r} is not seen:\n" + "\n".join(rows)
            time.sleep(0.02)
        return rows

    def wait_for_end(self) -> int:
        """The exit status of the program."""
        deadline = time.monotonic() + PATIENCE
        while not (self._status.exists() and (status := self._status.read_text())):
            assert time.monotonic() < deadline, "\n".join(self.screen())
            time.sleep(0.02)
        return int(status)

    # -- tmux itself --------------------------------------------------------------------------

    def __enter__(self) -> Tmux:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tmux("kill-server")
        self._folder.cleanup()

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-u", "-L", self._socket, "-f", "/dev/null", *arguments],
            env=self._environment,
            check=True,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
        ).stdout

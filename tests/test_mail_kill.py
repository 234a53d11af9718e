"""``kill -9`` between "kept" and the arrival of a private message: it is shown again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.mail_process import TEXT

ROOT = Path(__file__).parent.parent


def run(database: Path, what: str) -> list[str]:
    """The lines of a process until it has done what it was told; then it is killed."""
    arguments = [sys.executable, "-m", "tests.support.mail_process", str(database), what]
    lines: list[str] = []
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if what != "come-and-confirm" and lines[-1] in ("kept", "shown"):
                process.kill()
        status = process.wait(10)
    assert status == (0 if what == "come-and-confirm" else -9)
    return lines


def test_what_was_kept_survives_kill_9_until_it_has_arrived(tmp_path: Path) -> None:
    database = tmp_path / "chat.db"
    both = [f"Bia {TEXT} {number}" for number in range(2)]
    assert run(database, "tell") == ["kept"]
    assert run(database, "come") == [*both, "shown"]
    assert run(database, "come") == [*both, "shown"]
    assert run(database, "come-and-confirm") == [*both, "shown"]
    assert run(database, "come-and-confirm") == ["shown"]

"""Mutants: each breaks one promise of the log in a copy of the code, and a test must notice.

``docs/testing.rst`` lists them. A mutant that survives means that a promise is not tested.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.processes import environment

pytestmark = [pytest.mark.slow, pytest.mark.process]

ROOT = Path(__file__).parent.parent

#: Seconds for the tests of one mutant: some of them hang instead of failing.
TIMEOUT = 120


class Mutant(NamedTuple):
    file: str
    before: str
    after: str
    tests: str


MUTANTS = {
    "acknowledge before commit": Mutant(
        "journal/store.py",
        """        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
""",
        """        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
""",
        "tests/test_writer.py",
    ),
    "publish before commit": Mutant(
        "chat.py",
        """        self._journal.append(
            Draft(
""",
        """        room.show(
            Entry(room.name, room.last + 1, 0, kind, person.name, text, None, None, b"")
        )
        self._journal.append(
            Draft(
""",
        "tests/test_chat.py",
    ),
    "two writer threads": Mutant(
        "journal/writer.py",
        "        self._thread.start()\n",
        "        self._thread.start()\n"
        "        threading.Thread(target=self._run, daemon=True).start()\n",
        "tests/test_writer.py",
    ),
    "no unique id": Mutant(
        "journal/schema/0001_log.sql",
        "CREATE UNIQUE INDEX entry_message",
        "CREATE INDEX entry_message",
        "tests/test_coming_back.py",
    ),
    "resume one too late": Mutant(
        "chat.py",
        "cursor.position = self._starting_point(person, room, position)\n",
        "cursor.position = self._starting_point(person, room, position) + 1\n",
        "tests/test_coming_back.py",
    ),
    "a missing line skipped": Mutant(
        "room.py",
        "return entry.number\n",
        "return entry.number + 1\n",
        "tests/test_outbox.py",
    ),
    "resume one too early": Mutant(
        "chat.py",
        "cursor.position = self._starting_point(person, room, position)\n",
        "cursor.position = self._starting_point(person, room, position) - 1\n",
        "tests/test_coming_back.py",
    ),
}


def run_tests(folder: Path, mutant: Mutant | None, tests: str) -> bool:
    """Whether ``tests`` pass with ``mutant``."""
    for name in ("twisted_chat", "tests", "docs", "setup.cfg"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    if mutant is not None:
        path = folder / "twisted_chat" / mutant.file
        code = path.read_text(encoding="utf-8")
        assert code.count(mutant.before) == 1, "the code has changed: adapt the mutant"
        path.write_text(code.replace(mutant.before, mutant.after), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", tests]
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env={**environment(), "PYTHONPATH": str(folder)},
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    # A negative number is a signal: two threads in one SQLite connection can crash the interpreter.
    assert result.returncode in (0, 1) or result.returncode < 0, result.stdout.decode()
    return result.returncode == 0


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(tmp_path: Path, name: str) -> None:
    mutant = MUTANTS[name]
    assert not run_tests(tmp_path, mutant, mutant.tests), f"survives: {name}"


@pytest.mark.parametrize("tests", sorted({mutant.tests for mutant in MUTANTS.values()}))
def test_without_a_mutant_they_pass(tmp_path: Path, tests: str) -> None:
    """Otherwise a red test would prove nothing."""
    assert run_tests(tmp_path, None, tests)


def test_the_documentation_lists_them() -> None:
    text = (ROOT / "docs" / "testing.rst").read_text(encoding="utf-8")
    for name in MUTANTS:
        assert name.split(",")[0] in text

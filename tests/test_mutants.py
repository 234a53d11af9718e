"""Mutants: each breaks one promise in a copy of the code, and a test must notice.

``docs/testing.rst`` lists them. A mutant that survives means that a promise is not tested.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.processes import environment

ROOT = Path(__file__).parent.parent

#: Seconds for the tests of one mutant: some of them hang instead of failing.
TIMEOUT = 120


class Mutant(NamedTuple):
    """``before``, which stands once in the package, becomes ``after``; ``tests`` must notice."""

    before: str
    after: str
    tests: str


MUTANTS = {
    "acknowledge before commit": Mutant(
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
        """        self._journal.submit((draft,))
""",
        """        room.show(
            Entry(room.name, room.last + 1, 0, kind, person.name, text, None, None, b"")
        )
        self._journal.submit((draft,))
""",
        "tests/test_chat.py",
    ),
    "two writer threads": Mutant(
        "        self._thread.start()\n        self._readers.start(",
        "        self._thread.start()\n"
        "        threading.Thread(target=self._run, daemon=True).start()\n"
        "        self._readers.start(",
        "tests/test_writer.py",
    ),
    "no unique id": Mutant(
        "CREATE UNIQUE INDEX entry_message ON entry (author",
        "CREATE INDEX entry_message ON entry (author",
        "tests/test_coming_back.py",
    ),
    "resume one too late": Mutant(
        "cursor.position = self.starting_point(person, room, position)\n",
        "cursor.position = self.starting_point(person, room, position) + 1\n",
        "tests/test_coming_back.py",
    ),
    "a missing line skipped": Mutant(
        "return entry.number\n",
        "return entry.number + 1\n",
        "tests/test_outbox.py",
    ),
    "resume one too early": Mutant(
        "cursor.position = self.starting_point(person, room, position)\n",
        "cursor.position = self.starting_point(person, room, position) - 1\n",
        "tests/test_coming_back.py",
    ),
    "a reply to another person": Mutant(
        "        present = self._chat.telling.name_of(author)\n",
        "        present = name\n",
        "tests/test_chat.py",
    ),
    "a kept message dropped": Mutant(
        "            if has_arrived():\n",
        "            if True:\n",
        "tests/test_mail.py",
    ),
    "an ignored sender's text": Mutant(
        'text = "" if is_ignored else change.text',
        "text = change.text",
        "tests/test_mail.py",
    ),
    "timestamps forgotten": Mutant(
        "self._set_style(language_called(request.language), self._style.timestamps)",
        "self._set_style(language_called(request.language), False)",
        "tests/test_chat.py",
    ),
    "a refused client id kept": Mutant(
        "            self.client_id, self.author = given\n",
        "",
        "tests/test_coming_back.py",
    ),
    "lines skipped too soon": Mutant(
        "> CATCH_UP_LIMIT + PAGE\n",
        "> CATCH_UP_LIMIT\n",
        "tests/test_chat.py",
    ),
    "a crowd of any size": Mutant(
        "came, chat, names[:NAMES]",
        "came, chat, names",
        "tests/test_presence.py",
    ),
    "a CR that counts": Mutant(
        "> self.limit + 1:",
        "> self.limit:",
        "tests/test_lines.py",
    ),
    "space at once": Mutant(
        "self._outstanding <= QUEUE_LIMIT // 2:",
        "self._outstanding < QUEUE_LIMIT:",
        "tests/test_writer.py",
    ),
    "an old greeting delay": Mutant(
        "        self.factory.greeting_delay = settings.greeting_delay\n",
        "",
        "tests/test_operating.py::test_a_new_greeting_delay_holds_for_the_next_connection",
    ),
    "a socket for everybody": Mutant(
        "mask = os.umask(0o177)", "mask = os.umask(0)", "tests/test_control.py"
    ),
    "a device after a reset": Mutant(
        "dropped, done, everywhere=True)", "dropped, done)", "tests/test_operator.py"
    ),
    "a code after a reset": Mutant(
        "self._forgotten.append(kept.author)  # the next start would let them come back",
        "",
        "tests/test_kept.py",
    ),
}


def broken(mutant: Mutant) -> tuple[Path, str]:
    """The file of ``mutant``, by its path in the checkout, and its code with it."""
    files = [p for p in (ROOT / "twisted_chat").rglob("*") if p.suffix in (".py", ".sql")]
    codes = {path: path.read_text(encoding="utf-8") for path in files}
    found = [path for path in files if mutant.before in codes[path]]
    assert len(found) == 1, f"the code has changed: adapt the mutant; {found}"
    code = codes[found[0]]
    assert code.count(mutant.before) == 1, "the code has changed: adapt the mutant"
    return found[0].relative_to(ROOT), code.replace(mutant.before, mutant.after)


def run_tests(folder: Path, mutant: Mutant | None, tests: str) -> bool:
    """Whether ``tests`` pass with ``mutant``."""
    for name in ("twisted_chat", "tests", "docs", "setup.cfg"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    if mutant is not None:
        path, code = broken(mutant)
        (folder / path).write_text(code, encoding="utf-8")
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


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_mutant_fits_the_code(mutant: Mutant) -> None:
    assert broken(mutant)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(tmp_path: Path, name: str) -> None:
    mutant = MUTANTS[name]
    assert not run_tests(tmp_path, mutant, mutant.tests), f"survives: {name}"


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("tests", sorted({mutant.tests for mutant in MUTANTS.values()}))
def test_without_a_mutant_they_pass(tmp_path: Path, tests: str) -> None:
    """Otherwise a red test would prove nothing."""
    assert run_tests(tmp_path, None, tests)


def test_the_documentation_lists_them() -> None:
    text = (ROOT / "docs" / "testing.rst").read_text(encoding="utf-8")
    for name in MUTANTS:
        assert name.split(",")[0] in text

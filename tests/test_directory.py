"""The program of ``--auth-command``: real ones, which answer, hang, die, and worse."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue

import pytest

from twisted_chat.core.account_errors import DirectoryFailed, TooBusyForSecrets, WrongSecret
from twisted_chat.core.errors import Refusal
from twisted_chat.core.names import Reserved, nickname
from twisted_chat.core.passwords import always
from twisted_chat.core.proofs import DirectoryAnswer
from twisted_chat.server.directory import (
    OF_ALL,
    OUTPUT_LIMIT,
    THREADS,
    AnsweredNonsense,
    AnsweredNothing,
    AnsweredTooMuch,
    CommandDirectory,
    NameNotUsable,
    NotStarted,
    TookTooLong,
    Unanswered,
    ask,
)

pytestmark = pytest.mark.process

SECRET = "correct horse"
LINE = json.dumps({"name": "Ana", "secret": SECRET}).encode() + b"\n"


def _program(folder: Path, body: str) -> tuple[str, ...]:
    """A program in the shell's language."""
    path = folder / "check"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return (str(path),)


def test_the_program_gets_one_line_and_answers_with_one(tmp_path: Path) -> None:
    body = f'cat >{tmp_path}/given\necho \'{{"ok": true, "nickname": "Ana Maria"}}\''
    answer = ask(_program(tmp_path, body), LINE, 30)
    assert answer == DirectoryAnswer(True, "Ana Maria")
    assert (tmp_path / "given").read_bytes() == LINE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"ok": true}', DirectoryAnswer(True)),
        ('{"ok": false}', DirectoryAnswer(False)),
        ('{"ok": false, "reason": "locked"}', DirectoryAnswer(False)),
        ('{"ok": true, "nickname": null}', DirectoryAnswer(True)),
    ],
)
def test_answers(tmp_path: Path, text: str, expected: DirectoryAnswer) -> None:
    assert ask(_program(tmp_path, f"read line; echo '{text}'"), LINE, 30) == expected


def test_the_end_of_the_input_comes_and_the_answer_may_lack_its_line_end(tmp_path: Path) -> None:
    assert ask(_program(tmp_path, "cat >/dev/null; printf '{\"ok\":true}'"), LINE, 30).ok


def test_a_program_need_not_read(tmp_path: Path) -> None:
    long = json.dumps({"name": "Ana", "secret": "x" * 200_000}).encode() + b"\n"
    program = _program(tmp_path, "exec <&-; sleep 0.1; echo '{\"ok\": false}'")
    assert ask(program, long, 30) == DirectoryAnswer(False)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("exit 1", AnsweredNothing),
        ("kill -9 $$", AnsweredNothing),
        ("echo nonsense", AnsweredNonsense),
        ("echo '{}'", AnsweredNonsense),
        ("echo '[true]'", AnsweredNonsense),
        ('echo \'{"ok": "yes"}\'', AnsweredNonsense),
        ("echo '{\"ok\": 1}'", AnsweredNonsense),
        ("printf '\\377\\376\\n'", AnsweredNonsense),
        ("echo", AnsweredNonsense),
        ('printf \'{"ok":true}\\n{"ok":true}\\n\'', AnsweredTooMuch),
        ("yes", AnsweredTooMuch),
        ("cat /dev/zero", AnsweredTooMuch),
        (f"head -c {OUTPUT_LIMIT} /dev/zero", AnsweredNonsense),
        ("cat; cat", AnsweredNonsense),  # the question
    ],
)
def test_a_program_that_dies_or_answers_nonsense_or_floods(
    tmp_path: Path, body: str, why: type[Unanswered]
) -> None:
    with pytest.raises(why) as raised:
        ask(_program(tmp_path, body), LINE, 30)
    assert SECRET not in repr(raised.value) + str(raised.value)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(NotStarted, match="cannot be started"):
        ask(("/nonexistent/check",), LINE, 30)


def test_a_program_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    body = f"sleep 1000 & echo $! >{tmp_path}/child; echo $$ >{tmp_path}/self; sleep 1000"
    began = time.monotonic()
    with pytest.raises(TookTooLong):
        ask(_program(tmp_path, body), LINE, 1)
    assert time.monotonic() - began < 10
    for name in ("self", "child"):
        process = int((tmp_path / name).read_text())
        end = time.monotonic() + 10
        while _runs(process) and time.monotonic() < end:
            time.sleep(0.01)
        assert not _runs(process)


def test_the_programs_end_with_the_server(tmp_path: Path) -> None:
    calls = Calls()
    program = _program(tmp_path, f"echo $$ >{tmp_path}/self; sleep 1000")
    directory = CommandDirectory(program, calls.answer, timeout=1000)
    answers: list[DirectoryAnswer | Refusal] = []
    _ask(directory, answers)
    end = time.monotonic() + 30
    while not _lines(tmp_path / "self") and time.monotonic() < end:
        time.sleep(0.01)
    directory.stop()
    calls.until(lambda: bool(answers))
    assert not _runs(int((tmp_path / "self").read_text()))


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_environment_is_clean_and_the_secret_is_on_no_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "tchat_of_the_operator")
    body = (
        f"env >{tmp_path}/env; tr '\\0' ' ' </proc/$$/cmdline >{tmp_path}/arguments; pwd"
        f" >{tmp_path}/folder; echo '{{\"ok\": true}}'"
    )
    assert ask(_program(tmp_path, body), LINE, 30).ok
    environment = (tmp_path / "env").read_text()
    assert "tchat_of_the_operator" not in environment
    assert SECRET not in environment + (tmp_path / "arguments").read_text()
    assert os.environ["PATH"] in environment
    assert (tmp_path / "folder").read_text() == "/\n"


def test_no_shell_sees_the_name(tmp_path: Path) -> None:
    line = json.dumps({"name": "$(touch x)", "secret": "; touch y"}).encode() + b"\n"
    assert ask(_program(tmp_path, "read -r line; echo '{\"ok\": true}'"), line, 30).ok
    assert sorted(path.name for path in tmp_path.iterdir()) == ["check"]


# -- several questions ------------------------------------------------------------------------


class Calls:
    """The chat's thread: calls wait for :meth:`until`."""

    def __init__(self) -> None:
        self._calls: Queue[Callable[[], object]] = Queue()

    def answer(self, function: Callable[..., object], *arguments: object) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self._calls.put(lambda: function(*arguments))

    def until(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            self._calls.get(timeout=30)()


def _ask(
    directory: CommandDirectory,
    answers: list[DirectoryAnswer | Refusal],
    source: object = "here",
    check: Callable[[], Refusal | None] = always,
) -> None:
    directory.ask("Ana", SECRET, answers.append, source=source, check=check)


def test_the_reactor_does_not_wait_and_few_programs_run_at_a_time(tmp_path: Path) -> None:
    program = _program(
        tmp_path,
        f"echo x >>{tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.01; done;"
        " echo '{\"ok\": true}'",
    )
    calls = Calls()
    directory = CommandDirectory(program, calls.answer, timeout=30)
    answers: list[DirectoryAnswer | Refusal] = []
    for source in range(OF_ALL + THREADS + 3):
        _ask(directory, answers, source)
    assert len(answers) == 3
    assert all(isinstance(answer, TooBusyForSecrets) for answer in answers)
    end = time.monotonic() + 30
    while _lines(tmp_path / "begun") != THREADS and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.2)
    assert _lines(tmp_path / "begun") == THREADS
    (tmp_path / "go").touch()
    calls.until(lambda: len(answers) >= 3 + 2 * THREADS)
    assert answers[3:] == [DirectoryAnswer(True)] * len(answers[3:])
    directory.stop()


def _lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


def test_the_person_and_the_operator_are_told_when_it_fails(tmp_path: Path) -> None:
    calls = Calls()
    reasons: list[Refusal] = []
    directory = CommandDirectory(_program(tmp_path, "exit 3"), calls.answer, reasons.append)
    answers: list[DirectoryAnswer | Refusal] = []
    _ask(directory, answers)
    calls.until(lambda: bool(answers))
    assert isinstance(answers[0], DirectoryFailed)
    assert [type(reason) for reason in reasons] == [AnsweredNothing]
    assert SECRET not in repr(reasons)
    directory.stop()


def test_a_nickname_that_nobody_may_have_is_no_answer(tmp_path: Path) -> None:
    calls = Calls()
    reasons: list[Refusal] = []
    asked: list[str] = []

    def check(name: str) -> None:
        asked.append(name)
        nickname(name)
        Reserved(("boss",)).check(nickname(name))

    for answer in ('{"ok": true, "nickname": "no name!"}', '{"ok": true, "nickname": "Boss"}'):
        program = _program(tmp_path, f"echo '{answer}'")
        directory = CommandDirectory(program, calls.answer, reasons.append, check_name=check)
        answers: list[DirectoryAnswer | Refusal] = []
        _ask(directory, answers)
        calls.until(lambda: bool(answers))  # noqa: B023
        assert isinstance(answers[0], DirectoryFailed)
        directory.stop()
    assert asked == ["no name!", "Boss"]
    assert [type(reason) for reason in reasons] == [NameNotUsable, NameNotUsable]
    assert [reason.details["code"] for reason in reasons] == ["name-invalid", "name-reserved"]


def test_the_check_is_asked_when_the_turn_has_come(tmp_path: Path) -> None:
    calls = Calls()
    directory = CommandDirectory(
        _program(tmp_path, f"echo x >>{tmp_path}/begun; echo '{{\"ok\": false}}'"), calls.answer
    )
    answers: list[DirectoryAnswer | Refusal] = []
    held = WrongSecret()

    def check() -> Refusal | None:
        return held if answers.count(DirectoryAnswer(False)) >= 3 else None

    for _ in range(20):
        _ask(directory, answers, "flood", check)
    calls.until(lambda: len(answers) == 20)
    assert answers.count(held) == 17
    assert _lines(tmp_path / "begun") == 3
    directory.stop()


def test_half_a_surrogate_pair_is_no_secret_that_a_program_can_be_told() -> None:
    directory = CommandDirectory((sys.executable,), lambda *_: None)
    answers: list[DirectoryAnswer | Refusal] = []
    directory.ask("Ana", "\ud800", answers.append, source=None, check=always)
    assert answers == [DirectoryAnswer(False)]

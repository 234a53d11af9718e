"""Hashing passwords: argon2id, on a few threads, with few that wait."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable
from queue import Queue

import pytest
from argon2.profiles import RFC_9106_LOW_MEMORY

from twisted_chat.core.account_errors import TooBusyForSecrets, WrongSecret
from twisted_chat.core.errors import Refusal
from twisted_chat.core.passwords import NoPasswords, Passwords
from twisted_chat.server import passwords as passwords_module
from twisted_chat.server.passwords import CHEAP, OF_ALL, OF_SOURCE, THREADS, Argon2Passwords


def _at_once(function: Callable[..., object], *arguments: object) -> None:
    function(*arguments)


class Thread:
    """The chat's thread, for passwords that are hashed on others: calls wait for :meth:`turn`."""

    def __init__(self) -> None:
        self._calls: Queue[Callable[[], object]] = Queue()

    def answer(self, function: Callable[..., object], *arguments: object) -> None:
        self._calls.put(lambda: function(*arguments))

    def turn(self) -> None:
        self._calls.get(timeout=30)()


def _cheap() -> Argon2Passwords:
    return Argon2Passwords(_at_once, CHEAP, threads=0)


def _hash(passwords: Passwords, password: str) -> str:
    hashes: list[str | Refusal] = []
    passwords.hash(password, hashes.append)
    (encoded,) = hashes
    assert isinstance(encoded, str)
    return encoded


def _verify(passwords: Passwords, encoded: str, password: str) -> bool | Refusal:
    answers: list[bool | Refusal] = []
    passwords.verify(encoded, password, answers.append)
    (answer,) = answers
    return answer


def test_a_password_is_verified_against_its_hash() -> None:
    passwords = _cheap()
    encoded = _hash(passwords, "correct horse")
    assert _verify(passwords, encoded, "correct horse") is True
    assert _verify(passwords, encoded, "correct house") is False
    assert _verify(passwords, "", "correct horse") is False
    assert "horse" not in encoded
    assert _hash(passwords, "correct horse") != encoded  # another salt


def test_half_a_surrogate_pair_is_a_password() -> None:
    passwords = _cheap()
    assert _verify(passwords, _hash(passwords, "\ud800 12345678"), "\ud800 12345678") is True


def test_the_hash_is_argon2id_by_the_second_profile_of_rfc_9106() -> None:
    """Section 4: t=3 iterations, p=4 lanes, m=2^16 KiB, 128-bit salt, 256-bit tag."""
    encoded = _hash(Argon2Passwords(_at_once, threads=0), "correct horse")
    assert re.match(r"\$argon2id\$v=19\$m=65536,t=3,p=4\$[^$]{22}\$[^$]{43}$", encoded)


def test_a_name_without_a_password_takes_the_same_hashing() -> None:
    """The hash that stands in for it has the same parameters, so it takes as long."""
    nobody = Argon2Passwords(_at_once)._nobody
    encoded = _hash(Argon2Passwords(_at_once, threads=0), "correct horse")
    assert nobody.split("$")[:4] == encoded.split("$")[:4]
    assert [len(part) for part in nobody.split("$")] == [len(part) for part in encoded.split("$")]
    assert Argon2Passwords(_at_once)._nobody != nobody


def test_a_damaged_hash_lets_nobody_in() -> None:
    assert _verify(_cheap(), "not a hash", "correct horse") is False


def test_too_little_memory_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = _cheap()

    def fail(*_: object) -> bool:
        raise MemoryError

    monkeypatch.setattr(passwords, "_is_right", fail)
    assert isinstance(_verify(passwords, "", "correct horse"), TooBusyForSecrets)
    monkeypatch.undo()
    assert _verify(passwords, "", "correct horse") is False  # and it goes on


def test_a_password_is_not_hashed_if_the_check_says_so() -> None:
    passwords = _cheap()
    answers: list[bool | Refusal] = []
    refusal = WrongSecret()
    passwords.verify("", "correct horse", answers.append, check=lambda: refusal)
    assert answers == [refusal]
    assert _verify(passwords, "", "correct horse") is False


def test_a_chat_without_passwords_refuses() -> None:
    hashes: list[str | Refusal] = []
    NoPasswords().hash("correct horse", hashes.append)
    assert isinstance(hashes[0], TooBusyForSecrets)
    assert isinstance(_verify(NoPasswords(), "", "correct horse"), TooBusyForSecrets)


class Gate:
    """Work that goes on until it is opened, and counts what is at work."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._lock = threading.Lock()
        self.at_work = 0
        self.most = 0

    def open(self) -> None:
        self._open.set()

    def is_right(self, encoded: str, password: str) -> bool:
        with self._lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        self._open.wait(30)
        with self._lock:
            self.at_work -= 1
        return password == encoded


def _gated(monkeypatch: pytest.MonkeyPatch) -> tuple[Argon2Passwords, Thread, Gate]:
    thread, gate = Thread(), Gate()
    passwords = Argon2Passwords(thread.answer, CHEAP)
    monkeypatch.setattr(passwords, "_is_right", gate.is_right)
    return passwords, thread, gate


def test_few_are_hashed_at_a_time_and_the_chat_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passwords, thread, gate = _gated(monkeypatch)
    answers: list[bool | Refusal] = []
    for source in range(200):
        passwords.verify("right", "right", answers.append, source=source)
    assert answers == []
    gate.open()
    while len(answers) < 200:
        thread.turn()
    assert answers == [True] * 200
    assert gate.most <= THREADS
    passwords.stop()


def test_one_source_cannot_fill_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, thread, gate = _gated(monkeypatch)
    flood: list[bool | Refusal] = []
    others: list[bool | Refusal] = []
    for _ in range(OF_SOURCE + 10):
        passwords.verify("right", "wrong", flood.append, source="flood")
    assert all(isinstance(answer, TooBusyForSecrets) for answer in flood)
    assert len(flood) == 9  # one is at work, so one more can wait
    for source in range(3):
        passwords.verify("right", "right", others.append, source=source)
    gate.open()
    flood.clear()
    while len(others) < 3:
        thread.turn()
    assert others == [True] * 3
    assert len(flood) <= 2 * THREADS + 3  # the sources take turns
    passwords.stop()


def test_all_sources_together_fill_a_bounded_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, thread, gate = _gated(monkeypatch)
    answers: list[bool | Refusal] = []
    for source in range(OF_ALL + THREADS + 5):
        passwords.verify("right", "right", answers.append, source=source)
    assert len(answers) == 5
    assert all(isinstance(answer, TooBusyForSecrets) for answer in answers)
    gate.open()
    while len(answers) < OF_ALL + THREADS + 5:
        thread.turn()
    passwords.stop()


def test_a_new_source_gets_into_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, thread, gate = _gated(monkeypatch)
    flood: list[bool | Refusal] = []
    answers: list[bool | Refusal] = []
    for n in range(2 * OF_ALL):
        passwords.verify("right", "wrong", flood.append, source=n % 10)
    refused = len(flood)
    passwords.verify("right", "right", answers.append, source="new")
    assert answers == []
    assert len(flood) == refused + 1
    gate.open()
    while not answers:
        thread.turn()
    assert answers == [True]
    passwords.stop()


def test_the_check_is_asked_when_the_turn_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a source that gives many wrong passwords at once gives three, and no more."""
    passwords, thread, gate = _gated(monkeypatch)
    gate.open()
    answers: list[bool | Refusal] = []
    held = WrongSecret()

    def check() -> Refusal | None:
        return held if sum(answer is False for answer in answers) >= 3 else None

    for _ in range(100):
        passwords.verify("right", "wrong", answers.append, source="x", check=check)
    while len(answers) < 100:
        thread.turn()
    assert answers.count(False) == 3
    assert answers.count(held) == 97
    passwords.stop()


def test_a_broken_reply_does_not_stop_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, thread, gate = _gated(monkeypatch)
    gate.open()
    answers: list[bool | Refusal] = []

    def broken(answer: bool | Refusal) -> None:
        raise ZeroDivisionError

    passwords.verify("right", "right", broken, source="x")
    passwords.verify("right", "right", answers.append, source="x")
    with pytest.raises(ZeroDivisionError):
        thread.turn()
    thread.turn()
    assert answers == [True]
    passwords.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, niceness is that of a process")
def test_the_threads_give_way_to_the_chat() -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    seen: list[int] = []

    def work() -> None:
        passwords_module._give_way()
        seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [min(19, passwords_module.NICENESS)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_python_runs_while_a_password_is_hashed() -> None:
    """argon2 lets other threads run: the longest time without a turn is far below a hash's."""
    thread = Thread()
    passwords = Argon2Passwords(thread.answer, RFC_9106_LOW_MEMORY)
    done: list[bool | Refusal] = []
    for source in range(4):
        passwords.verify("", "correct horse", done.append, source=source)
    turns = 0
    began = time.monotonic()
    while len(done) < 4 and time.monotonic() < began + 30:
        time.sleep(0.001)
        turns += 1
        while not thread._calls.empty():
            thread.turn()
    passwords.stop()
    assert done == [False] * 4
    assert turns > 10

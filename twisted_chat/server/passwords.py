"""Hashes passwords with argon2id (RFC 9106), on a few threads.

A hash takes tens of milliseconds and 64 MiB, on purpose. So few are computed at a time, and few
wait: their memory is bounded, and the chat's thread never waits for one. This module must not know
whose password it is.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Hashable
from queue import SimpleQueue
from typing import Any

import msgspec
from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHash, VerifyMismatchError
from argon2.low_level import Type
from argon2.profiles import RFC_9106_LOW_MEMORY
from twisted.logger import Logger

from twisted_chat.core.account_errors import TooBusyForSecrets
from twisted_chat.core.errors import Refusal
from twisted_chat.core.passwords import always
from twisted_chat.journal.fair_queue import FairQueue

#: Threads that hash: each has one hash at a time, with 64 MiB.
THREADS = 2

#: The most passwords that wait: of one source, and of all.
OF_SOURCE = 250
OF_ALL = 1000

#: What is added to the niceness of the threads, so that the chat's own thread comes first.
NICENESS = 10

#: Parameters for tests: a hash takes less than a millisecond, and protects nothing.
CHEAP = Parameters(
    type=Type.ID,
    version=RFC_9106_LOW_MEMORY.version,
    salt_len=16,
    hash_len=32,
    time_cost=1,
    memory_cost=8,
    parallelism=1,
)

#: How a password becomes bytes: programs can send halves of surrogate pairs.
_UTF8 = ("utf-8", "surrogatepass")

_log = Logger()


class _Job(msgspec.Struct):
    """A password that waits. ``work`` runs on a thread; ``reply`` gets its result, or a refusal."""

    work: Callable[[], object]
    reply: Callable[[Any], None]
    check: Callable[[], Refusal | None]


class Argon2Passwords:
    """The :class:`twisted_chat.core.passwords.Passwords` of a server.

    :param answer: ``answer(function, *arguments)`` calls a function on the chat's thread, from any
        thread.
    :param parameters: of argon2; by default, those of the second profile of RFC 9106, section 4.
    :param threads: the number of threads, which are started for the first password; with 0, a
        password is hashed at once, on the chat's thread.
    """

    def __init__(
        self,
        answer: Callable[..., object],
        parameters: Parameters = RFC_9106_LOW_MEMORY,
        threads: int = THREADS,
    ) -> None:
        self._answer = answer
        self._hasher = PasswordHasher.from_parameters(parameters)
        #: The hash that stands for that of a name without a password. Nothing has it.
        self._nobody = _impossible(parameters)
        self._threads = threads
        self._idle = max(threads, 1)
        self._started = False
        self._queue: FairQueue[_Job] = FairQueue(OF_SOURCE, OF_ALL)
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def hash(
        self,
        password: str,
        reply: Callable[[str | Refusal], None],
        *,
        source: Hashable = None,
        check: Callable[[], Refusal | None] = always,
    ) -> None:
        self._put(source, _Job(lambda: self._hasher.hash(password.encode(*_UTF8)), reply, check))

    def verify(
        self,
        encoded: str,
        password: str,
        reply: Callable[[bool | Refusal], None],
        *,
        source: Hashable = None,
        check: Callable[[], Refusal | None] = always,
    ) -> None:
        self._put(source, _Job(lambda: self._is_right(encoded, password), reply, check))

    def stop(self) -> None:
        """End the threads when they have done what they are at."""
        for _ in range(self._threads if self._started else 0):
            self._work.put(None)

    # -- on the chat's thread -----------------------------------------------------------------

    def _put(self, source: Hashable, job: _Job) -> None:
        dropped = self._queue.put_or_replace(source, job)
        if dropped is not None:
            dropped.reply(TooBusyForSecrets())
        self._take()

    def _take(self) -> None:
        """Give waiting passwords to the threads that have nothing to do."""
        while self._idle and (taken := self._queue.take()) is not None:
            source, job = taken
            refusal = job.check()
            if refusal is None:
                self._idle -= 1
                self._start(source, job)
            else:
                self._queue.done(source)
                job.reply(refusal)

    def _start(self, source: Hashable, job: _Job) -> None:
        def done(result: object) -> None:
            self._idle += 1
            self._queue.done(source)
            try:
                job.reply(result)
            finally:
                self._take()

        def run() -> None:
            try:
                result = job.work()
            except Exception as error:  # such as too little memory
                _log.error("a password was not hashed: {error}", error=type(error).__name__)
                result = TooBusyForSecrets()
            self._answer(done, result)

        if not self._threads:
            run()
            return
        if not self._started:
            self._started = True
            for number in range(self._threads):
                name = f"passwords {number}"
                threading.Thread(target=self._run, name=name, daemon=True).start()
        self._work.put(run)

    # -- on a thread --------------------------------------------------------------------------

    def _run(self) -> None:
        _give_way()
        while (work := self._work.get()) is not None:
            work()

    def _is_right(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded or self._nobody, password.encode(*_UTF8))
        except VerifyMismatchError:
            return False
        except InvalidHash:
            _log.error("internal error: the stored hash of a password is damaged")
            return False


def _impossible(parameters: Parameters) -> str:
    """A hash with ``parameters`` whose password nobody knows: its salt and hash are random."""

    def random(size: int) -> str:
        return b64encode(os.urandom(size)).decode().rstrip("=")

    return (
        f"$argon2id$v={parameters.version}$m={parameters.memory_cost},t={parameters.time_cost}"
        f",p={parameters.parallelism}${random(parameters.salt_len)}${random(parameters.hash_len)}"
    )


def _give_way() -> None:
    """Make this thread less important than the others; only Linux does so for one thread."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # it works without
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)

"""Asks the program of ``--auth-command`` whether a secret is right: it connects LDAP, PAM …

The program is started for each question, without a shell and with a clean environment. It gets one
line on its standard input, ``{"name": …, "secret": …}``, and answers with one line on its standard
output, ``{"ok": true}`` or ``{"ok": false}``, with ``"nickname"`` if the person has another one. It
has :data:`TIMEOUT` seconds; then it and all that it started are killed, but for what has made
itself a session of its own (setsid). Few run at a time, and few
questions wait. The secret is on no command line and in no log. This module must not know what the
answer leads to.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from queue import SimpleQueue

import msgspec

from twisted_chat.core.account_errors import DirectoryFailed, TooBusyForSecrets
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import Refusal
from twisted_chat.core.proofs import DirectoryAnswer
from twisted_chat.i18n.language import N_
from twisted_chat.journal.fair_queue import FairQueue

#: Seconds that the program has for an answer.
TIMEOUT = 5.0

#: The most bytes of an answer.
OUTPUT_LIMIT = 4096

#: Programs that run at a time, and questions that wait: of one source, and of all.
THREADS = 4
OF_SOURCE = 50
OF_ALL = 500

#: The variables of the environment that the program gets.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "HOME", "USER", "TMPDIR")

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DirectoryAnswer)


class Unanswered(Refusal):
    """The program gave no valid answer. Neither question nor answer is in the details."""

    code = "directory-failed"


class NotStarted(Unanswered):
    template = N_("it cannot be started: {reason}")


class TookTooLong(Unanswered):
    template = N_("it took longer than {seconds:g} s")


class AnsweredTooMuch(Unanswered):
    template = N_("its answer is longer than {limit} bytes, or than one line")


class AnsweredNothing(Unanswered):
    template = N_("it ended without an answer")


class AnsweredNonsense(Unanswered):
    template = N_("its answer is not valid: {reason}")


class NameNotUsable(Unanswered):
    template = N_("nobody can have the person's nickname ({code})")


class _Question(msgspec.Struct):
    """A question that waits. ``line`` is what the program gets."""

    name: str
    line: bytes
    reply: Callable[[DirectoryAnswer | Refusal], None]
    check: Callable[[], Refusal | None]


class CommandDirectory:
    """The :class:`twisted_chat.core.proofs.Directory` that asks a program.

    :param command: the program and its arguments.
    :param answer: ``answer(function, *arguments)`` calls a function on the chat's thread, from any
        thread.
    :param failed: called on the chat's thread with the reason why there was no answer.
    :param timeout: seconds that the program has.
    :param check_name: called on the chat's thread with the nickname of each person; it raises a
        :class:`.Refusal` if nobody may have it.
    """

    def __init__(
        self,
        command: Sequence[str],
        answer: Callable[..., object],
        failed: Callable[[Refusal], object] = nothing,
        timeout: float = TIMEOUT,
        check_name: Callable[[str], object] = nothing,
    ) -> None:
        self._check_name = check_name
        self._command = tuple(command)
        self._answer = answer
        self._failed = failed
        self._timeout = timeout
        self._idle = THREADS
        self._started = False
        self._queue: FairQueue[_Question] = FairQueue(OF_SOURCE, OF_ALL)
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._running = Running()

    def ask(
        self,
        name: str,
        secret: str,
        reply: Callable[[DirectoryAnswer | Refusal], None],
        *,
        source: Hashable,
        check: Callable[[], Refusal | None],
    ) -> None:
        try:
            line = _encoder.encode({"name": name, "secret": secret}) + b"\n"
        except UnicodeEncodeError:  # half of a surrogate pair, which no program can be told
            reply(DirectoryAnswer(False))
            return
        dropped = self._queue.put_or_replace(source, _Question(name, line, reply, check))
        if dropped is not None:
            dropped.reply(TooBusyForSecrets())
        self._take()

    def stop(self) -> None:
        """Kill the programs that run, and end the threads."""
        self._running.kill()
        for _ in range(THREADS if self._started else 0):
            self._work.put(None)

    # -- on the chat's thread -----------------------------------------------------------------

    def _take(self) -> None:
        while self._idle and (taken := self._queue.take()) is not None:
            source, question = taken
            refusal = question.check()
            if refusal is None:
                self._idle -= 1
                self._start(source, question)
            else:
                self._queue.done(source)
                question.reply(refusal)

    def _start(self, source: Hashable, question: _Question) -> None:
        def done(answer: DirectoryAnswer | Unanswered) -> None:
            self._idle += 1
            self._queue.done(source)
            try:
                answer = self._named(question, answer)
                if isinstance(answer, Unanswered):
                    self._failed(answer)
                    question.reply(DirectoryFailed())
                else:
                    question.reply(answer)
            finally:
                self._take()

        def run() -> None:
            self._answer(done, self._ask(question.line))

        if not self._started:
            self._started = True
            for number in range(THREADS):
                name = f"directory {number}"
                threading.Thread(target=self._run, name=name, daemon=True).start()
        self._work.put(run)

    def _named(
        self, question: _Question, answer: DirectoryAnswer | Unanswered
    ) -> DirectoryAnswer | Unanswered:
        """``answer``, unless the person's nickname is one that nobody may have."""
        if isinstance(answer, DirectoryAnswer) and answer.ok:
            try:
                self._check_name(question.name if answer.nickname is None else answer.nickname)
            except Refusal as refusal:
                return NameNotUsable(code=refusal.code)
        return answer

    # -- on a thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _ask(self, line: bytes) -> DirectoryAnswer | Unanswered:
        try:
            return ask(self._command, line, self._timeout, self._running)
        except Unanswered as error:
            return error
        except Exception as error:  # its text might contain the question
            return NotStarted(reason=type(error).__name__)


class Running:
    """The programs that run, each in a process group of its own. Any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()  # guarded by _lock
        self._closed = False  # guarded by _lock

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """``process`` has begun; it is killed at once if all were killed."""
        with self._lock:
            self._processes.add(process)
            if self._closed:
                _kill(process)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill ``process`` and all that it started, and take note of its end."""
        with self._lock:  # nobody kills it later, when its number may be another process's
            self._processes.discard(process)
            _kill(process)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        process.wait()

    def kill(self) -> None:
        """Kill all programs, and those that are added from now on."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # in case it has left its group


def ask(
    command: Sequence[str], line: bytes, timeout: float, running: Running | None = None
) -> DirectoryAnswer:
    """The answer of ``command`` to ``line``, within ``timeout`` seconds.

    :raises Unanswered: it cannot be started, ends, is late, or its answer is long or not valid.
    """
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise NotStarted(reason=error.strerror) from None
    running = Running() if running is None else running
    running.add(process)
    try:
        answer = _converse(process, line, timeout)
    finally:
        running.end(process)
    return _parse(answer)


def _converse(process: subprocess.Popen[bytes], line: bytes, timeout: float) -> bytes:
    """Give ``line`` to the program; returns what it writes, at least up to a line's end."""
    end = time.monotonic() + timeout
    assert process.stdin is not None
    assert process.stdout is not None
    writer, reader = process.stdin.fileno(), process.stdout.fileno()
    for descriptor in (writer, reader):
        os.set_blocking(descriptor, False)
    answer = b""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    poll.register(writer, select.POLLOUT)
    while b"\n" not in answer:
        left = end - time.monotonic()
        events = dict(poll.poll(max(0.0, left) * 1000)) if left > 0 else {}
        if not events:
            raise TookTooLong(seconds=timeout)
        if writer in events:
            with contextlib.suppress(BlockingIOError):
                line = line[_write(writer, line) :]
            if not line:
                poll.unregister(writer)
                process.stdin.close()
        if reader in events:
            data = os.read(reader, OUTPUT_LIMIT + 1)
            answer += data
            if len(answer) > OUTPUT_LIMIT:
                raise AnsweredTooMuch(limit=OUTPUT_LIMIT)
            if not data:
                break
    if not answer:
        raise AnsweredNothing()
    return answer


def _write(descriptor: int, data: bytes) -> int:
    """Write the beginning of ``data``; returns its length. A program may answer without reading."""
    try:
        return os.write(descriptor, data)
    except BrokenPipeError:
        return len(data)


def _parse(answer: bytes) -> DirectoryAnswer:
    line, _, rest = answer.partition(b"\n")
    if rest.strip():
        raise AnsweredTooMuch(limit=OUTPUT_LIMIT)
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AnsweredNonsense(reason=visible(str(error))) from None

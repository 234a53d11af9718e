"""Writes the lines of a log on a separate thread, behind a bounded queue.

A file system or the reader of a pipe may hang: :meth:`LogWriter.put` only queues. Lines that do not
fit into the queue are counted, and a line reports the count once writing works again.

Any thread may call, and so may a signal handler that interrupts a call on the same thread: the
lock is re-entrant, and a nested call leaves its line for the outer one to queue. This module must
not know the contents of lines.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol

#: Bytes that can wait to be written; critical lines may use as many again.
QUEUE_LIMIT = 2**20

#: Bytes of one write.
CHUNK = 2**16

#: Seconds to wait for the last lines at the end of the process.
FLUSH_TIMEOUT = 0.5

#: Bytes of a log file at which a new one begins, and the number of older files that are kept.
FILE_LIMIT = 10_000_000
OLD_FILES = 10


class Output(Protocol):
    """The destination of lines. One thread at a time calls it, and every call may block."""

    def write(self, data: bytes) -> int:
        """Write some of ``data``, which is not empty; returns how many bytes.

        :raises OSError: nothing could be written.
        """

    def reopen(self) -> None:
        """Open the file again if it was renamed or removed.

        :raises OSError: it cannot be opened; the old file stays open.
        """


class Stream:
    """An open file descriptor, such as standard output."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            # Or else, after the file was truncated, the next line would follow a gap of NULs.
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)

    def write(self, data: bytes) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # another process made it so
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()

    def reopen(self) -> None: ...


class File:
    """A log file. If other programs rename or truncate it, writing continues at the right place.

    With ``limit`` bytes, the file becomes ``PATH.1``, that one ``PATH.2`` and so on; the oldest
    beyond ``old_files`` is removed.

    :raises OSError: the file cannot be opened.
    """

    def __init__(
        self,
        path: str,
        *,
        mode: int = 0o666,
        limit: int = FILE_LIMIT,
        old_files: int = OLD_FILES,
    ) -> None:
        # A link stays (/dev/stdout is one): its target is renamed.
        special = os.path.exists(path) and not os.path.isfile(path)
        self._path = os.path.abspath(path) if special else os.path.realpath(path)
        self._mode = mode
        self._limit = limit
        self._old_files = old_files
        self._descriptor = self._open()

    def write(self, data: bytes) -> int:
        if os.fstat(self._descriptor).st_size >= self._limit:
            with suppress(OSError):  # then it keeps growing
                self.rotate()
        return os.write(self._descriptor, data)

    def reopen(self) -> None:
        if not self.is_ours():
            self._replace()

    def rotate(self) -> None:
        """Begin a new file. If another program has renamed or truncated ours, only open it again.

        :raises OSError: it cannot be renamed or opened.
        """
        if self.is_ours():
            if not os.fstat(self._descriptor).st_size:
                return
            for number in range(self._old_files, 0, -1):
                older = f"{self._path}.{number - 1}" if number > 1 else self._path
                with suppress(FileNotFoundError):
                    os.replace(older, f"{self._path}.{number}")
        self._replace()

    def is_ours(self) -> bool:
        """Whether the open file still has its name."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _replace(self) -> None:
        descriptor, self._descriptor = self._descriptor, self._open()
        os.close(descriptor)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self._path, flags, self._mode)


class LogWriter:
    """Writes lines to ``output``, in the order in which they were put.

    ``left_out`` makes the line that says how many were lost; ``failed`` is called with the first of
    several errors in a row. Before :meth:`start`, and therefore before twistd has forked, lines
    are written at once.
    """

    def __init__(
        self,
        output: Output,
        left_out: Callable[[int], bytes],
        limit: int = QUEUE_LIMIT,
        failed: Callable[[OSError], object] = lambda error: None,
    ) -> None:
        self._output = output
        self._left_out = left_out
        self._limit = limit
        self._failed = failed
        # A signal handler may call put() during put(): see queue's documentation.
        self._queue: SimpleQueue[bytes | Callable[[], object] | None] = SimpleQueue()
        self._lock = threading.RLock()
        self._arrived: deque[tuple[bytes, bool]] = deque()
        self._admitting = False  # guarded, with what follows
        self._waiting = 0  # bytes
        self._lost = 0
        self._losing = False
        self._torn = False  # the last line was written in part; the writing thread's
        self._failing = False  # the writing thread's, too
        self._thread: threading.Thread | None = None
        self._closed = False
        self._last_moment: float | None = None

    def start(self) -> None:
        """From now on, write on a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def put(self, line: bytes, critical: bool = False) -> None:
        """Queue ``line``, which ends with a line break. Never blocks after :meth:`start`."""
        if self._closed:
            return
        self._arrived.append((line, critical))
        with self._lock:
            while self._arrived and not self._admitting:
                self._admitting = True
                try:
                    while self._arrived:
                        self._admit(*self._arrived.popleft())
                finally:
                    self._admitting = False
        if self._last_moment is not None:
            self.flush(self._last_moment - time.monotonic())

    def call(self, function: Callable[[], object]) -> None:
        """Call ``function`` on the writing thread, after the lines that were put before.

        ``function`` handles its own errors. Safe in a signal handler.
        """
        if self._thread is None:
            function()
        else:
            self._queue.put(function)

    def flush(self, seconds: float) -> bool:
        """Wait up to ``seconds`` until all lines are written; returns whether they are."""
        if self._thread is None:
            return True
        written = threading.Lock()
        written.acquire()
        self._queue.put(written.release)
        return written.acquire(timeout=max(0.0, seconds))

    def finish(self, seconds: float = FLUSH_TIMEOUT) -> None:
        """Make each further ``put`` wait until its line is written, for ``seconds`` in all."""
        if self._last_moment is None:
            self._last_moment = time.monotonic() + seconds
        self.flush(self._last_moment - time.monotonic())

    def close(self, seconds: float = FLUSH_TIMEOUT) -> bool:
        """Write all lines within ``seconds`` and stop; returns whether they were written."""
        self._closed = True
        written = self.flush(seconds)
        self._queue.put(None)
        return written

    # -- on the caller's thread, under the lock -----------------------------------------------

    def _admit(self, line: bytes, critical: bool) -> None:
        if self._thread is None:
            self._write([line])
            return
        if self._losing and self._waiting <= self._limit // 2:
            self._losing = False
            self._queue.put(self._tell_lost)
        limit = 2 * self._limit if critical else self._limit
        if self._waiting and self._waiting + len(line) > limit:
            self._losing = True
            self._lost += 1
        elif self._losing and not critical:
            self._lost += 1
        else:
            self._waiting += len(line)
            self._queue.put(line)

    # -- on the thread that writes ------------------------------------------------------------

    def _run(self) -> None:
        lines: list[bytes] = []
        size = 0
        ended = False
        while not ended:
            item: bytes | Callable[[], object] | None
            try:
                item = self._queue.get(block=not lines)
                ended = item is None
            except Empty:
                item = None
            if isinstance(item, bytes):
                lines.append(item)
                size += len(item)
                if size < CHUNK:
                    continue
            if lines:
                self._write(lines)
                with self._lock:
                    self._waiting -= size
                    drained = not self._waiting
                lines, size = [], 0
                if drained:
                    self._tell_lost()
            if callable(item):
                item()

    def _tell_lost(self) -> None:
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost and self._write([self._left_out(lost)], count=False):
            with self._lock:
                self._lost += lost

    def _write(self, lines: list[bytes], count: bool = True) -> int:
        """Write the lines; after an error, the rest is lost. Returns and counts the lost ones."""
        if self._torn:
            lines = [b"\n", *lines]
        data = memoryview(b"".join(lines))
        written = 0
        try:
            while written < len(data):
                written += self._output.write(bytes(data[written:]))
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._failing = True
                self._failed(error)
        lost = 0
        for line in lines:
            done = min(written, len(line))
            written -= done
            if done == len(line):
                self._torn = False
            else:
                self._torn = self._torn or done > 0
                lost += line != b"\n"
        if lost and count:
            with self._lock:
                self._lost += lost
        return lost

"""The threads that read the log: some for history and catching up, others for searches.

Any search can take long, and a page of history cannot, so that they have separate threads. A search
is interrupted after :data:`SEARCH_SECONDS`. One source has at most one search running, and the
sources take turns. At most :data:`SEARCHES_WAITING` searches wait; further ones are refused. This
module must not know SQL, or the queries that its threads run.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable
from typing import TypeVar

from twisted_chat.core.errors import HistoryUnavailable, Refusal, SearchBusy, SearchTooSlow
from twisted_chat.i18n.language import N_
from twisted_chat.journal.fair_queue import FairQueue
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of
from twisted_chat.journal.sqlite.reader import Reader

#: Threads that read pages of the log, and threads that search.
HISTORY_THREADS = 2
SEARCH_THREADS = 2

#: Seconds after which a search is interrupted.
SEARCH_SECONDS = 1.0

#: Seconds between two interruptions of one search: SQLite misses one that comes before it begins.
INTERRUPT_INTERVAL = 0.05

#: The most searches that wait: of one source, and in total.
SEARCHES_OF_SOURCE = 100
SEARCHES_WAITING = 1000

#: No limit for pages that wait: each connection waits for one answer at a time.
MANY = 1_000_000

#: Seconds that :meth:`Readers.start` and :meth:`Readers.close` wait for the threads.
START_TIMEOUT = CLOSE_TIMEOUT = 2.0

#: Why a message was not saved, or a page not read, after the stop.
STOPPING = N_("the server is being stopped")

T = TypeVar("T")
#: Work for a thread; the argument is a function that returns the thread's reader.
_Work = Callable[[Callable[[], Reader]], object]
_log = logging.getLogger(__name__)


class Watch:
    """Interrupts searches that take longer than :data:`SEARCH_SECONDS`, from a thread of its own:
    FTS5 can spend any time on one row, without calling SQLite's progress handler.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._deadlines: dict[Reader, float] = {}  # guarded by _change
        self._closed = False  # set under _change
        self._thread = threading.Thread(target=self._run, name="search watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def search(self, reader: Reader, query: Callable[[Reader], T]) -> T:
        """Return ``query(reader)``, or interrupt it if it takes too long.

        :raises SearchTooSlow: it was interrupted.
        :raises HistoryUnavailable: the watch is closed.
        :raises sqlite3.Error: it failed.
        """
        with self._change:
            if self._closed:  # the thread that would interrupt it may have ended
                raise HistoryUnavailable(reason=STOPPING)
            self._deadlines[reader] = time.monotonic() + SEARCH_SECONDS
            self._change.notify()
        try:
            return query(reader)
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            if self._closed:
                raise HistoryUnavailable(reason=STOPPING) from None
            raise SearchTooSlow(seconds=SEARCH_SECONDS) from None
        finally:
            with self._change:  # so that no late interruption hits the reader's next query
                del self._deadlines[reader]

    def close(self) -> None:
        """Interrupt all searches, and end the thread when none runs any more."""
        with self._change:
            self._closed = True
            self._deadlines = dict.fromkeys(self._deadlines, 0.0)
            self._change.notify()

    def _run(self) -> None:
        with self._change:
            while self._deadlines or not self._closed:
                now = time.monotonic()
                late = [reader for reader, end in self._deadlines.items() if end <= now]
                for reader in late:
                    reader.interrupt()
                ends = [end - now for end in self._deadlines.values()]
                self._change.wait(INTERRUPT_INTERVAL if late else min(ends, default=None))


class _Threads:
    """Threads that take their work from a :class:`.FairQueue`, each with a reader of its own."""

    def __init__(
        self,
        name: str,
        count: int,
        open_reader: Callable[[], Reader],
        of_source: int,
        of_all: int,
    ) -> None:
        self._open_reader = open_reader
        self._change = threading.Condition()
        # Guarded by _change.
        self._queue: FairQueue[_Work] = FairQueue(of_source, of_all)
        self._closed = False
        self._ready = 0
        self._threads = [
            threading.Thread(target=self._run, name=f"{name} {n}", daemon=True)
            for n in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        with self._change:
            self._change.wait_for(lambda: self._ready == len(self._threads), START_TIMEOUT)

    def put(self, source: Hashable, work: _Work) -> Refusal | None:
        """Queue ``work`` for ``source``; returns None, or why it is refused."""
        with self._change:
            if self._closed:
                return HistoryUnavailable(reason=STOPPING)
            if not self._queue.put(source, work):
                return SearchBusy()
            self._change.notify()
            return None

    def close(self) -> None:
        """Take no more work, and end the threads when the queue is empty."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def join(self, end: float) -> None:
        """Wait until the threads have ended, or until ``end`` (of ``time.monotonic``)."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        reader: Reader | None = None

        def get() -> Reader:
            nonlocal reader
            if reader is None:
                reader = self._open_reader()
            return reader

        try:
            get()
        except Exception:
            _log.exception("a reader of the log was not opened, and will be when it is needed")
        with self._change:
            self._ready += 1
            self._change.notify_all()
        while True:
            with self._change:
                while (taken := self._queue.take()) is None:
                    if self._closed:
                        break
                    self._change.wait()
            if taken is None:
                break
            source, work = taken
            work(get)
            with self._change:
                self._queue.done(source)
                self._change.notify()
        if reader is not None:
            reader.close()


class Readers:
    """Reads and searches the log on threads. The methods may be called on any thread.

    :param open_reader: opens a reader of the log.
    :param answer: ``answer(function, *arguments)`` calls a function on the chat's thread.
    """

    def __init__(self, open_reader: Callable[[], Reader], answer: Callable[..., object]) -> None:
        self._answer = answer
        self._watch = Watch()
        self._pages = _Threads("journal reader", HISTORY_THREADS, open_reader, 1, MANY)
        self._searches = _Threads(
            "journal search", SEARCH_THREADS, open_reader, SEARCHES_OF_SOURCE, SEARCHES_WAITING
        )

    def start(self, with_threads: bool) -> None:
        """Start the threads, which open their readers now: later, no file descriptor may be left.

        Without ``with_threads``, only :meth:`limited` may be used.
        """
        self._watch.start()
        if with_threads:
            for threads in (self._pages, self._searches):
                threads.start()

    def read(self, query: Callable[[Reader], T], reply: Callable[[T | Refusal], None]) -> None:
        """Call ``reply`` with the result of ``query``, or with a refusal."""
        self._put(self._pages, object(), query, reply)

    def search(
        self, query: Callable[[Reader], T], reply: Callable[[T | Refusal], None], source: Hashable
    ) -> None:
        """Call ``reply`` with the result of ``query``, a search of ``source``, or a refusal."""
        self._put(self._searches, source, self.limited(query), reply)

    def limited(self, query: Callable[[Reader], T]) -> Callable[[Reader], T]:
        """A function that calls ``query``, and interrupts it if it takes too long."""
        return lambda reader: self._watch.search(reader, query)

    def close(self) -> None:
        """Interrupt the searches, answer all that waits, and close the readers.

        It returns after :data:`CLOSE_TIMEOUT` seconds at the latest.
        """
        for threads in (self._pages, self._searches):
            threads.close()
        self._watch.close()
        end = time.monotonic() + CLOSE_TIMEOUT
        for threads in (self._pages, self._searches):
            threads.join(end)

    def _put(
        self,
        threads: _Threads,
        source: Hashable,
        query: Callable[[Reader], T],
        reply: Callable[[T | Refusal], None],
    ) -> None:
        def work(get: Callable[[], Reader]) -> None:
            def read() -> T:
                reader = get()
                with reader.in_use:
                    return query(reader)

            self._answer(reply, result_of(read))

        refusal = threads.put(source, work)
        if refusal is not None:
            self._answer(reply, refusal)


def result_of(read: Callable[[], T]) -> T | Refusal:
    """The result of ``read``, or a refusal in place of its exception."""
    try:
        return read()
    except Refusal as refusal:
        return refusal
    except SQLITE_FAULTS as error:
        return HistoryUnavailable(reason=reason_of(error))
    except Exception as error:
        _log.exception("internal error: the log was not read")
        return HistoryUnavailable(reason=error)

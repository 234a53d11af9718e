"""The writer thread: group commit, in order.

A group is whatever has come while the last one was committing. One transaction a group:
the slower the disk, the larger the group.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from twisted_chat.errors import HistoryUnavailable, Refusal
from twisted_chat.journal import Draft, Failed, HistoryReader, Marker, Outcome, RoomState, Saved
from twisted_chat.journal.store import Reader, Store
from twisted_chat.language import N_
from twisted_chat.messages import Entry

#: Places in the queue, drafts and markers alike. When it is full, senders are not read.
QUEUE_LIMIT = 10_000

#: Threads that read the log for ``/history`` and for readers that fell behind.
READERS = 2

#: Why a message that came too late was not saved.
STOPPING = N_("the server is being stopped")

T = TypeVar("T")
_log = logging.getLogger(__name__)


class GroupCommitJournal:
    """A :class:`twisted_chat.journal.Journal` over the :class:`Store` that ``open_store`` opens.

    ``call_from_thread(function, *arguments)`` runs a function on the thread that owns the
    chat, in the order of the calls.
    """

    def __init__(
        self, open_store: Callable[[], Store], call_from_thread: Callable[..., object]
    ) -> None:
        self._open_store = open_store
        self._call_from_thread = call_from_thread
        self._wake = threading.Condition()
        self._queue: list[Draft | Marker] = []  # guarded by _wake
        self._reads: list[Callable[[], None]] = []  # guarded by _wake; in memory only
        self._stopping = False  # guarded by _wake
        self._thread = threading.Thread(target=self._run, name="journal writer", daemon=True)
        self._readers = ThreadPoolExecutor(READERS, "journal reader")
        self._reader_of_thread = threading.local()
        # The rest belongs to the thread that owns the chat.
        self._deliver: Callable[[Sequence[Outcome]], None] = _nobody
        self._outstanding = 0
        self._waiting_for_space: list[Callable[[], None]] = []
        self._stopped: Callable[[], None] = _nothing

    def start(self, deliver: Callable[[Sequence[Outcome]], None]) -> Sequence[RoomState]:
        self._store = self._open_store()
        rooms = self._store.rooms()
        self._deliver = deliver
        self._thread.start()
        return rooms

    def append(self, draft: Draft) -> None:
        self._put(draft)

    def mark(self, callback: Callable[[], None]) -> None:
        self._put(Marker(callback))

    @property
    def full(self) -> bool:
        return self._outstanding >= QUEUE_LIMIT

    def when_space(self, callback: Callable[[], None]) -> None:
        self._waiting_for_space.append(callback)

    def read_after(
        self, room: str, after: int, through: int, limit: int, reply: HistoryReader
    ) -> None:
        self._read(lambda reader: reader.after(room, after, through, limit), reply)

    def read_before(self, room: str, before: int, limit: int, reply: HistoryReader) -> None:
        self._read(lambda reader: reader.before(room, before, limit), reply)

    def stop(self, stopped: Callable[[], None]) -> None:
        self._stopped = stopped
        with self._wake:
            self._stopping = True
            self._wake.notify()

    # -- on the thread that owns the chat ------------------------------------------------------

    def _put(self, item: Draft | Marker) -> None:
        self._outstanding += 1
        with self._wake:
            taken = not self._stopping
            if taken:
                self._queue.append(item)
                self._wake.notify()
        if not taken:
            self._call_from_thread(self._delivered, _failed((item,), STOPPING))

    def _delivered(self, outcomes: Sequence[Outcome]) -> None:
        self._outstanding -= len(outcomes)
        try:
            self._deliver(outcomes)
        finally:
            if self._waiting_for_space and self._outstanding <= QUEUE_LIMIT // 2:
                waiting, self._waiting_for_space = self._waiting_for_space, []
                for callback in waiting:
                    callback()

    def _close(self) -> None:
        self._readers.shutdown(wait=False)
        self._store.close()
        self._stopped()

    def _read(self, query: Callable[[Reader], Sequence[Entry]], reply: HistoryReader) -> None:
        def job() -> None:
            result: Sequence[Entry] | Refusal
            try:
                result = query(self._thread_reader())
            except sqlite3.Error as error:
                result = HistoryUnavailable(reason=error)
            self._call_from_thread(reply, result)

        if self._store.in_memory:
            with self._wake:
                self._reads.append(job)
                self._wake.notify()
        else:
            self._readers.submit(job)

    # -- on the reader threads -----------------------------------------------------------------

    def _thread_reader(self) -> Reader:
        reader: Reader | None = getattr(self._reader_of_thread, "reader", None)
        if reader is None:
            reader = self._reader_of_thread.reader = self._store.reader()
        return reader

    # -- on the writer thread ------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._queue or self._reads or self._stopping):
                    self._wake.wait()
                group, self._queue = self._queue, []
                reads, self._reads = self._reads, []
                if not group and not reads:
                    break
            if group:
                self._call_from_thread(self._delivered, self._commit(group))
            for read in reads:
                read()
        self._call_from_thread(self._close)

    def _commit(self, group: Sequence[Draft | Marker]) -> Sequence[Outcome]:
        """What became of each item of ``group``, in its order."""
        drafts = [item for item in group if isinstance(item, Draft)]
        try:
            saved = iter(self._store.commit(drafts) if drafts else ())
        except sqlite3.Error as error:
            _log.error("%d messages were not saved: %s", len(drafts), error)
            return _failed(group, str(error))
        except Exception as error:
            _log.exception("a defect: %d messages were not saved", len(drafts))
            return _failed(group, str(error))
        return [Saved(item, next(saved)) if isinstance(item, Draft) else item for item in group]


def _failed(group: Sequence[Draft | Marker], reason: str) -> Sequence[Outcome]:
    return [Failed(item, reason) if isinstance(item, Draft) else item for item in group]


def _nothing() -> None:
    """Nobody waits for the end."""


def _nobody(outcomes: Sequence[Outcome]) -> None:
    raise AssertionError("the journal was not started")

"""A client's state in a file, which a separate thread reads and writes.

A message is on disk when its ``Deferred`` fires. All other changes are written together with the
next message, or after :data:`DELAY` seconds. The reactor's thread must not touch the file, and this
module must not know its format.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_chat.client.state import NOT_OPEN, TYPED_LIMIT, Kept, Notes, NotKept
from twisted_chat.client.state_database import Change, Group, StateDatabase, open_database
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of

#: Seconds until changes other than messages are written, or a failed write is repeated.
DELAY = 1.0

T = TypeVar("T")


class FileState:
    """A :class:`.State` in an SQLite file, which one process at a time can use.

    Changes that come during a transaction go into the next one together. If a write fails, its
    messages are refused with :class:`.NotKept`, and its other changes are written again later.
    """

    _log = Logger()

    def __init__(self, reactor: Any, path: str | os.PathLike[str]) -> None:
        """Make a state that is not open yet.

        :param reactor: provides IReactorFromThreads and IReactorTime.
        :param path: the file, which is made by :meth:`open` if it does not exist.
        :raises TypeError: ``path`` is not a path.
        """
        self._reactor = reactor
        self._path = Path(path)
        self._open = False
        self._busy = False  # whether the thread is working
        self._failing = False  # whether the last write failed
        self._closing: list[Deferred[None]] = []
        self._pool: ThreadPoolExecutor | None = None
        self._database: StateDatabase | None = None
        self._notes = Notes()
        # Unwritten changes: of messages, in order; the names of attributes of _notes; typed lines.
        self._changes: list[Change] = []
        self._facts: set[str] = set()
        self._typed: deque[str] = deque(maxlen=TYPED_LIMIT)
        self._urgent = False
        #: Fire when the facts are written, or cannot be written.
        self._noting: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None

    def open(self) -> Deferred[Kept]:
        self._pool = ThreadPoolExecutor(1, "client state")
        self._busy = True
        opening = self._in_thread(lambda: open_database(self._path))
        return opening.addCallbacks(self._opened, self._not_opened)

    def keep(self, id: str, line: bytes) -> Deferred[None]:
        if not self._open:
            return fail(NotKept(reason=NOT_OPEN))
        kept: Deferred[None] = Deferred()
        self._changes.append(Change(id, line, kept))
        self._urgent = True
        self._step()
        return kept

    def forget(self, id: str) -> None:
        if self._open:
            self._changes.append(Change(id))
            self._step()

    def seen(self, room: str, number: int) -> None:
        if self._open and self._notes.see(room, number):
            self._changed("rooms")

    def of_log(self, log: str) -> Deferred[None]:
        if not self._open or log == self._notes.log:
            return succeed(None)
        self._notes.log = log
        noted: Deferred[None] = Deferred()
        self._noting.append(noted)
        self._urgent = True
        self._changed("log")
        return noted

    def left(self, room: str) -> None:
        if self._open and self._notes.rooms.pop(room, None) is not None:
            self._changed("rooms")

    def ignore(self, names: Sequence[str]) -> None:
        if self._open:
            self._notes.ignored = tuple(names)
            self._changed("ignored")

    def typed(self, line: str) -> None:
        if self._open:
            self._typed.append(line)
            self._step()

    def draft(self, text: str) -> None:
        if self._open:
            self._notes.draft = text
            self._changed("draft")

    def close(self) -> Deferred[None]:
        self._open = False
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        self._step()
        return closed

    # -- the work of the thread ---------------------------------------------------------------

    def _changed(self, fact: str) -> None:
        self._facts.add(fact)
        self._step()

    def _step(self) -> None:
        """Begin the next write or the closing, if the thread is free."""
        if self._busy:
            return
        unwritten = bool(self._changes or self._facts or self._typed)
        if unwritten and (self._urgent or self._closing):
            self._write()
        elif self._closing:
            self._close_file()
        elif unwritten and self._timer is None:
            self._timer = self._reactor.callLater(DELAY, self._due)

    def _due(self) -> None:
        self._timer = None
        self._urgent = True
        self._step()

    def _opened(self, found: tuple[StateDatabase, Kept]) -> Kept:
        self._database, kept = found
        self._notes.rooms = dict(kept.rooms)
        self._notes.ignored = kept.ignored
        self._notes.draft = kept.draft
        self._notes.log = kept.log
        self._open = not self._closing
        self._busy = False
        self._step()
        return kept

    def _not_opened(self, why: Failure) -> Failure:
        self._ended(None)
        return why

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        facts = {name: json.dumps(getattr(self._notes, name)) for name in self._facts}
        group = Group(self._changes, list(self._typed), facts, self._noting)
        self._changes = []
        self._noting = []
        self._facts.clear()
        self._typed.clear()
        self._urgent = False
        self._busy = True
        database = self._database
        assert database is not None, "only what was opened is written"
        self._in_thread(lambda: database.write(group)).addCallbacks(
            self._written, self._not_written, callbackArgs=(group,), errbackArgs=(group,)
        )

    def _written(self, _: None, group: Group) -> None:
        self._busy = False
        self._failing = False
        for change in group.changes:
            if change.kept is not None:
                change.kept.callback(None)
        for noted in group.noting:
            noted.callback(None)
        self._step()

    def _not_written(self, why: Failure, group: Group) -> None:
        self._busy = False
        if not self._failing:
            self._failing = True
            self._complain(why)
        if not self._closing:
            self._changes[:0] = [change for change in group.changes if change.kept is None]
            self._facts.update(group.facts)
            self._typed = deque([*group.typed, *self._typed], maxlen=TYPED_LIMIT)
        for change in group.changes:
            if change.kept is not None:
                change.kept.errback(NotKept(reason=why.value))
        for noted in group.noting:
            noted.callback(None)
        self._step()

    def _complain(self, why: Failure) -> None:
        if why.check(*SQLITE_FAULTS):
            self._log.error(
                "{path} was not written: {reason}", path=self._path, reason=reason_of(why.value)
            )
        else:
            self._log.failure("internal error: {path} was not written", why, path=self._path)

    def _close_file(self) -> None:
        if self._database is None:
            self._ended(None)
            return
        self._busy = True
        self._in_thread(self._database.close).addBoth(self._ended)

    def _ended(self, result: Failure | None) -> None:
        if result is not None:
            self._complain(result)
        self._busy = False
        self._database = None
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None
        waiting, self._closing = self._closing, []
        for closed in waiting:
            closed.callback(None)

    def _in_thread(self, function: Callable[[], T]) -> Deferred[T]:
        """Call ``function`` in the thread; fires in the reactor's thread with its result."""
        result: Deferred[T] = Deferred()

        def job() -> None:
            try:
                value = function()
            except BaseException:
                self._reactor.callFromThread(result.errback, Failure())
            else:
                self._reactor.callFromThread(result.callback, value)

        assert self._pool is not None, "there is a thread from open to close"
        self._pool.submit(job)
        return result

"""What keeps a log from taking entries that SQLite would take: its files are gone, or too large.

It is asked before each group is written, on the writer thread; the log of the server is told once
of what is wrong, and once when that is over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted_chat.core.changes import Draft
from twisted_chat.journal.sqlite.files import CEILING_REACHED, MISPLACED

#: Bytes of the database, more or less, that an entry needs besides its text, and for each
#: character of the text: in the table and its indexes, in the search index, in the log of writes.
ENTRY_BYTES = 500
CHARACTER_BYTES = 4

#: A text has at most so many characters.
_LONGEST = 4096

#: Parts of the ceiling at which the operator is told; and below which that begins anew.
WARNINGS = (0.8, 0.9)
QUIET = 0.75

#: Part of the ceiling that must be free before the operator is told that it is over.
ROOM = 0.01

#: Seconds from one attempt to make the write-ahead log shorter to the next.
SHORTENING_INTERVAL = 0.1

#: Seconds for which a size that nobody limits is good enough.
SIZE_INTERVAL = 1.0

_log = logging.getLogger(__name__)


class Guarded(Protocol):
    """What is asked of a :class:`twisted_chat.journal.sqlite.store.Store`."""

    path: str

    @property
    def in_memory(self) -> bool: ...

    def is_in_place(self) -> bool: ...

    def size(self) -> int: ...

    def shorten_log(self) -> None: ...


class Guard:
    """Of one open log. ``clock`` gives seconds that never go backwards."""

    def __init__(
        self, store: Guarded, clock: Callable[[], float] = time.monotonic, *, most: int = 0
    ) -> None:
        self._store = store
        self._clock = clock
        #: Bytes that the database may have; 0 is any number. It can change at any time.
        self.most = most
        #: Bytes that it had at last.
        self.size = store.size()
        #: Why nothing is saved now; empty if there is nothing. In English.
        self.obstacle = ""
        self._warned = 0.0
        self._shortened = -SHORTENING_INTERVAL
        self._measured = clock()

    def allows(self, drafts: Sequence[Draft]) -> tuple[int, str]:
        """How many of ``drafts`` can be written, the first ones; and if none, why not.

        Some need less space than is assumed: after those that are allowed, others may fit too.
        """
        if not self._is_in_place():
            self._stop(
                MISPLACED,
                "%s was deleted or replaced while the server runs: nothing is saved until it is"
                " in its place again, with the files beside it, or the server is started again",
                self._store.path,
            )
            return 0, MISPLACED
        allowed = self._fitting(drafts)
        if not allowed:
            self._stop(
                CEILING_REACHED,
                "the database has %d bytes, and --max-database allows %d: nothing is saved until"
                " old entries are removed (--keep) or more is allowed",
                self.size,
                self.most,
            )
            return 0, CEILING_REACHED
        self._go_on()
        return allowed, ""

    def look(self) -> None:
        """See whether an obstacle is gone: entries were removed, say, or more is allowed."""
        self.size = self._store.size()
        if self._space() < _needed(_LONGEST):
            self._store.shorten_log()
            self.size = self._store.size()
        if self._is_in_place():
            self._go_on()

    def _is_in_place(self) -> bool:
        return self._store.in_memory or self._store.is_in_place()

    def _go_on(self) -> None:
        if self.obstacle == CEILING_REACHED and self._space() < self.most * ROOM:
            return  # a short line may find a place, but hardly the next
        if self.obstacle:
            self.obstacle = ""
            _log.warning("messages are saved again")

    def _stop(self, reason: str, line: str, *arguments: object) -> None:
        if self.obstacle != reason:
            self.obstacle = reason
            _log.critical(line, *arguments)

    def _fitting(self, drafts: Sequence[Draft]) -> int:
        now = self._clock()
        if not self.most:
            if now - self._measured >= SIZE_INTERVAL:
                self._measured = now
                self.size = self._store.size()
            return len(drafts)
        self.size = self._store.size()
        self._warn()
        if self._space() >= len(drafts) * _needed(_LONGEST):
            return len(drafts)
        fits = self._space() >= sum(_needed(len(draft.text)) for draft in drafts)
        if not fits and now - self._shortened >= SHORTENING_INTERVAL:
            self._shortened = now
            self._store.shorten_log()
            self.size = self._store.size()
        space = self._space()
        for number, draft in enumerate(drafts):
            space -= _needed(len(draft.text))
            if space < 0:
                return number
        return len(drafts)

    def _space(self) -> int:
        return self.most - self.size if self.most else _needed(_LONGEST)

    def _warn(self) -> None:
        part = self.size / self.most
        reached = max((warning for warning in WARNINGS if part >= warning), default=0.0)
        if reached > self._warned:
            _log.warning(
                "the database has %d bytes, which is %d %% of what --max-database allows",
                self.size,
                100 * part,
            )
            self._warned = reached
        elif part < QUIET:
            self._warned = 0.0


def _needed(characters: int) -> int:
    return ENTRY_BYTES + CHARACTER_BYTES * characters

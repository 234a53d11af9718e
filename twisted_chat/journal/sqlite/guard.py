"""Keeps entries from being written to files that are out of their place, or have the maximum size.

The guard is asked before each group is written, on the writer thread. It logs each obstacle once,
and once when it is over. It must not know SQL.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted_chat.core.changes import Draft
from twisted_chat.core.mailboxes import StoredMessage
from twisted_chat.journal.sqlite.files import CEILING_REACHED, MISPLACED

#: Approximate bytes that an entry needs besides its text, and for each character of its text, in
#: the table and its indexes, the search index and the write-ahead log.
ENTRY_BYTES = 500
CHARACTER_BYTES = 4

#: The most characters of a text.
_LONGEST = 4096

#: Parts of the maximum size at which warnings are logged; the part below which that begins again.
WARNINGS = (0.8, 0.9)
QUIET = 0.75

#: The part of the maximum size that must be free before entries count as saved again.
ROOM = 0.01

#: Seconds between two attempts to shorten the write-ahead log.
SHORTENING_INTERVAL = 0.1

#: Seconds between two measurements of a size that is not limited.
SIZE_INTERVAL = 1.0

_log = logging.getLogger(__name__)


class Guarded(Protocol):
    """The part of a :class:`twisted_chat.journal.sqlite.store.Store` that the guard uses."""

    path: str

    @property
    def in_memory(self) -> bool: ...

    def is_in_place(self) -> bool: ...

    def size(self) -> int: ...

    def shorten_log(self) -> None: ...


class Guard:
    """The guard of one open log.

    :param store: the log.
    :param clock: returns seconds that never go backwards.
    :param most: the maximum size in bytes; 0 is no limit.
    """

    def __init__(
        self, store: Guarded, clock: Callable[[], float] = time.monotonic, *, most: int = 0
    ) -> None:
        self._store = store
        self._clock = clock
        #: The maximum size in bytes; 0 is no limit. It can change at any time.
        self.most = most
        #: The size in bytes when it was last measured.
        self.size = store.size()
        #: Why nothing is saved now, in English; "" if entries are saved.
        self.obstacle = ""
        self._warned = 0.0
        self._shortened = -SHORTENING_INTERVAL
        self._measured = clock()

    def allows(self, drafts: Sequence[Draft | StoredMessage]) -> tuple[int, str]:
        """How many of ``drafts``, from the first, can be written; and the reason if it is none.

        Drafts may need less space than assumed: ask again for the rest after writing those.
        """
        if not self.is_in_place():
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

    def is_in_place(self) -> bool:
        """Whether what is written is found again: the files are where they were."""
        return self._store.in_memory or self._store.is_in_place()

    def look(self) -> None:
        """Find out whether an obstacle is over, for example because entries were removed."""
        self.size = self._store.size()
        if self._space() < _needed(_LONGEST):
            self._store.shorten_log()
            self.size = self._store.size()
        if self.is_in_place():
            self._go_on()

    def _go_on(self) -> None:
        if self.obstacle == CEILING_REACHED and self._space() < self.most * ROOM:
            return  # there may be space for a short entry, but hardly for the next
        if self.obstacle:
            self.obstacle = ""
            _log.warning("messages are saved again")

    def _stop(self, reason: str, line: str, *arguments: object) -> None:
        if self.obstacle != reason:
            self.obstacle = reason
            _log.critical(line, *arguments)

    def _fitting(self, drafts: Sequence[Draft | StoredMessage]) -> int:
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

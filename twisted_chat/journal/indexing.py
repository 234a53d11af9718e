"""Brings the search index on behind the commits, in steps, on the writer thread.

While entries keep coming, the steps are small, so that no commit waits long. This module must not
know SQL.
"""

from __future__ import annotations

import logging
import time

from twisted_chat.core.errors import SearchNotReady
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of
from twisted_chat.journal.sqlite.store import Store

#: Seconds without a new entry after which a step is done; entries that one step indexes; the number
#: of unindexed entries above which a step follows every group.
INDEX_DELAY = 1.0
INDEX_STEP = 500
INDEX_BACKLOG = 1_000_000

#: The number of unindexed entries from which steps are done sooner, as when the index is made anew;
#: and then the seconds without a new entry.
INDEX_FAR_BEHIND = 5000
INDEX_PAUSE = 0.05

#: Seconds that a search waits for the index.
INDEX_WAIT = 5.0

#: Entries that are indexed after a group if no change waits; and the most that this takes, as a
#: share of the time.
INDEX_LITTLE = 100
INDEX_SHARE = 0.05

_log = logging.getLogger(__name__)


class Indexing:
    """Brings the search index of ``store`` on. It belongs to the writer thread.

    :raises sqlite3.Error: the store cannot be read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        #: The number of entries that are not indexed yet, or a higher number.
        self.behind = store.unindexed()
        #: The number of times that the index was made anew.
        self.made_anew = store.search_index.made_anew
        self._fails = False
        #: The time (of ``time.monotonic``) from which :meth:`step_a_little` indexes again.
        self._again = 0.0

    def not_ready(self) -> SearchNotReady:
        """The refusal of a search because the index is too far behind."""
        return SearchNotReady(percent=self._store.search_index.percent())

    def delay(self) -> float | None:
        """Seconds without a new entry after which to do a step; None if all is indexed."""
        if not self.behind:
            return None
        is_far_behind = self.behind >= INDEX_FAR_BEHIND and not self._fails
        return INDEX_PAUSE if is_far_behind else INDEX_DELAY

    def step(self, limit: int) -> bool:
        """Index up to ``limit`` more entries; returns False if that failed, which is logged."""
        self._fails = True
        try:
            done = self._store.index(limit)
        except SQLITE_FAULTS as error:
            _log.error("the search index was not brought on: %s", reason_of(error))
            return False
        except Exception:
            _log.exception("internal error: the search index was not brought on")
            return False
        self._fails = False
        has_more = done == limit or self._store.search_index.has_more
        self.behind = max(1, self.behind - done) if has_more else 0
        self.look_whether_anew()
        return True

    def step_a_little(self) -> None:
        """Index a few entries, unless that has lately taken more than :data:`INDEX_SHARE`."""
        start = time.monotonic()
        if start >= self._again:
            self.step(INDEX_LITTLE)
            end = time.monotonic()
            self._again = end + (end - start) / INDEX_SHARE

    def make_anew(self, made_anew: int, reason: str) -> None:
        """Make the index anew, which a search found damaged, unless that was done since.

        :param made_anew: the value of :attr:`made_anew` at the beginning of the search.
        :param reason: the damage, in SQLite's words.
        """
        if made_anew == self.made_anew:
            self._store.search_index.make_anew(reason)
            self.look_whether_anew()

    def look_whether_anew(self) -> None:
        """Count the unindexed entries again if the store has made the index anew."""
        if self.made_anew != self._store.search_index.made_anew:
            self.made_anew = self._store.search_index.made_anew
            self.behind = self._store.unindexed()

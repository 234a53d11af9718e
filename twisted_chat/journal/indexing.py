"""The search index follows the commits, in steps, on the thread that writes.

The steps are small while entries keep coming, so that no commit waits long for one.
"""

from __future__ import annotations

import logging
import time

from twisted_chat.core.errors import SearchNotReady
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of
from twisted_chat.journal.sqlite.store import Store

#: Seconds without a new entry after which the index goes on; entries that one step indexes; entries
#: not indexed above which a step follows every group.
INDEX_DELAY = 1.0
INDEX_STEP = 500
INDEX_BACKLOG = 1_000_000

#: Entries not indexed above which the index goes on sooner, as when it is made anew; and after how
#: many seconds without a new entry.
INDEX_FAR_BEHIND = 5000
INDEX_PAUSE = 0.05

#: Seconds that a search waits for the index.
INDEX_WAIT = 5.0

#: Entries indexed between two groups, when nothing waits; and the share of the time that takes.
INDEX_LITTLE = 100
INDEX_SHARE = 0.05

_log = logging.getLogger(__name__)


class Indexing:
    """Brings the search index of ``store`` on.

    :raises sqlite3.Error: the store cannot be read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        #: Entries that are not indexed yet, at most.
        self.behind = store.unindexed()
        #: The number of times that the index was made anew.
        self.made_anew = store.search_index.made_anew
        self._fails = False
        #: The time, by ``time.monotonic``, from which :meth:`step_a_little` indexes again.
        self._again = 0.0

    def not_ready(self) -> SearchNotReady:
        """The refusal of a search for which the index is too far behind."""
        return SearchNotReady(percent=self._store.search_index.percent())

    def delay(self) -> float | None:
        """Seconds of quiet after which the index goes on; None if it need not."""
        if not self.behind:
            return None
        is_far_behind = self.behind >= INDEX_FAR_BEHIND and not self._fails
        return INDEX_PAUSE if is_far_behind else INDEX_DELAY

    def step(self, limit: int) -> bool:
        """Bring the search index on by up to ``limit`` entries; returns whether that went well."""
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
        """Index a few entries, unless that took too large a share of the time lately."""
        start = time.monotonic()
        if start >= self._again:
            self.step(INDEX_LITTLE)
            end = time.monotonic()
            self._again = end + (end - start) / INDEX_SHARE

    def make_anew(self, made_anew: int, reason: str) -> None:
        """A search found the index damaged: make it anew, if that has not happened since.

        :param made_anew: :attr:`made_anew` at the beginning of the search.
        """
        if made_anew == self.made_anew:
            self._store.search_index.make_anew(reason)
            self.look_whether_anew()

    def look_whether_anew(self) -> None:
        """Count again if the store has made the index anew."""
        if self.made_anew != self._store.search_index.made_anew:
            self.made_anew = self._store.search_index.made_anew
            self.behind = self._store.unindexed()

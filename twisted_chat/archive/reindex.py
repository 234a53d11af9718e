"""``twisted-chat reindex``: rebuilds the search index of a database from its entries.

Unlike the rest of this package it writes, so no server may have the database open.
"""

from __future__ import annotations

import os
from contextlib import closing

from twisted_chat.archive.database import DatabaseOlder, open_archive, refusal_for
from twisted_chat.archive.progress import Progress
from twisted_chat.core.characters import visible
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS
from twisted_chat.journal.sqlite.store import Store
from twisted_chat.journal.sqlite.upgrade import schema_scripts

#: Entries that are indexed at once.
STEP = 1000

#: The reason for rebuilding the index, in the log.
ASKED = "an operator asks for it"


def reindex(path: str, progress: Progress) -> int:
    """Rebuild the search index of the database at ``path``; returns the number of its entries.

    :raises CannotStart: it cannot be opened, or a server serves it.
    :raises DatabaseMalformed: SQLite finds it damaged.
    """
    with open_archive(path) as archive:
        if archive.version() < len(schema_scripts()):
            raise DatabaseOlder(path=visible(path))
    entries = 0
    try:
        with closing(Store(os.path.realpath(path))) as store:
            store.search_index.make_anew(ASKED)
            progress.expect(store.unindexed())
            while count := store.index(STEP):
                entries += count
                progress.advance(count)
    except SQLITE_FAULTS as error:
        raise refusal_for(error, path) from error
    return entries

"""Writes records, and people who can come back, on the writer thread, between the commits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from twisted_chat.core.account_errors import AccountNotSaved
from twisted_chat.core.changes import Keep, KeptPerson
from twisted_chat.core.errors import Refusal
from twisted_chat.core.mailboxes import StoredMessage
from twisted_chat.core.records import Forgotten, Record
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of
from twisted_chat.journal.sqlite.files import CEILING_REACHED, MISPLACED
from twisted_chat.journal.sqlite.guard import Guard
from twisted_chat.journal.sqlite.store import Store

_log = logging.getLogger(__name__)


class Stored(NamedTuple):
    """Records to write, and the callback for the result."""

    records: Sequence[Record | Forgotten]
    done: Callable[[Refusal | None], None]


class Writer:
    """Writes to ``store``; results are told by ``call_from_thread(done, result)``."""

    def __init__(self, store: Store, guard: Guard, call_from_thread: Callable[..., object]) -> None:
        self._store = store
        self._guard = guard
        self._call_from_thread = call_from_thread

    def write_people(self, kept: Sequence[Keep]) -> None:
        """Write the people who can come back: the last record of each, in one transaction."""
        last: dict[int, KeptPerson | None] = {}
        for change in kept:
            last.update((person.author, person) for person in change.people)
            last.update(dict.fromkeys(change.forgotten))
        if not last:
            return
        try:
            self._store.keep(
                [person for person in last.values() if person is not None],
                [author for author, person in last.items() if person is None],
            )
        except SQLITE_FAULTS as error:
            _log.error("who can come back after a restart was not saved: %s", reason_of(error))
        except Exception:
            _log.exception("internal error: who can come back after a restart was not saved")

    def write_records(self, waiting: Sequence[Stored], kept: list[Keep] | None = None) -> None:
        """Write records in one transaction; if that fails, those of each call in one.

        If there are any, the people ``kept`` are written and cleared before: the records may delete
        some of them.
        """
        if not waiting:
            return
        if kept:
            self.write_people(kept)
            kept.clear()
        obstacle = self._write([record for stored in waiting for record in stored.records])
        for records, done in waiting:
            reason = self._write(records) if obstacle and len(waiting) > 1 else obstacle
            self._call_from_thread(done, AccountNotSaved(reason=reason) if reason else None)

    def _write(self, records: Sequence[Record | Forgotten]) -> str:
        """Write ``records``; returns why that failed, or ""."""
        if not self._guard.is_in_place():
            return MISPLACED
        messages = [record for record in records if isinstance(record, StoredMessage)]
        if messages:
            allowed, reason = self._guard.allows(messages)
            if allowed < len(messages):
                return reason or CEILING_REACHED
        try:
            self._store.store(records)
        except SQLITE_FAULTS as error:
            _log.error("%d records were not saved: %s", len(records), reason_of(error))
            return reason_of(error)
        except Exception as error:
            _log.exception("internal error: %d records were not saved", len(records))
            return str(error)
        return ""

"""The records that changes have altered, until each node has written them to its own log.

A request whose change alters records is answered when they are on disk. This module must not know
what a record means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from twisted_chat.core.account_errors import AccountNotSaved
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.errors import Refusal
from twisted_chat.core.records import Forgotten, Record, place

Answer = Callable[[Refusal | None], None]

#: The kind of a record and its key: see :func:`.records.place`.
_Key = tuple[str, str]


class Alterations:
    """Altered records; ``store`` writes some to the log: see :meth:`.Journal.store`."""

    def __init__(self, store: Callable[[Sequence[Record | Forgotten], Answer], None]) -> None:
        self._store = store
        self._altered: dict[_Key, Record | Forgotten] = {}
        #: Records that :meth:`look` writes: of little things, or again after a failure.
        self._waiting: dict[_Key, Record | Forgotten] = {}
        #: The newest of the records that are being written.
        self._written: dict[_Key, Record | Forgotten] = {}
        self._afterwards: list[Callable[[], None]] = []

    def altered(self, record: Record | Forgotten) -> None:
        """Write ``record`` at the next :meth:`save`, in place of what was to be written."""
        key = place(record)
        self._waiting.pop(key, None)
        self._altered[key] = record

    def altered_a_little(self, record: Record) -> None:
        """Write ``record`` at the next :meth:`look`."""
        key = place(record)
        if key in self._altered:
            self._altered[key] = record
        else:
            self._waiting[key] = record

    def afterwards(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after the answer of the next :meth:`save`, whatever it is."""
        self._afterwards.append(callback)

    def save(self, answer: Answer) -> None:
        """Write the altered records, then call ``answer``: with None, or with a refusal if they
        could not be written. In that case, :meth:`look` tries again.
        """
        altered, self._altered = self._altered, {}
        if self._afterwards:
            answer = partial(_answer_all, answer, self._afterwards)
            self._afterwards = []
        if altered:
            self._write(altered, answer)
        else:
            answer(None)

    def look(self) -> None:
        """Write what waits. Call this about once a second."""
        waiting, self._waiting = self._waiting, {}
        if waiting:
            self._write(waiting, nothing)

    def _write(self, records: dict[_Key, Record | Forgotten], answer: Answer) -> None:
        self._written.update(records)
        self._store(tuple(records.values()), partial(self._saved, records, answer))

    def _saved(
        self, records: dict[_Key, Record | Forgotten], answer: Answer, refusal: Refusal | None
    ) -> None:
        newest = {key: one for key, one in records.items() if self._written.get(key) is one}
        for key in newest:
            del self._written[key]
        if refusal is None:
            answer(None)
        else:  # what was altered since then is newer
            self._waiting = {**newest, **self._waiting}
            answer(AccountNotSaved(reason=refusal.details.get("reason", "")))


def _answer_all(
    answer: Answer, callbacks: Sequence[Callable[[], None]], refusal: Refusal | None
) -> None:
    with ExitStack() as stack:  # each is called, even if one of them fails
        for callback in reversed(callbacks):
            stack.callback(callback)
        answer(refusal)

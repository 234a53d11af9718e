"""A chat over a database that no server serves: nobody can connect to it, operators can ask it.

It runs on the thread that asks; the journal's threads put their calls into its queue. This module
must not know what the requests do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue

from twisted_chat.archive.database import DatabaseOlder, open_archive
from twisted_chat.core.characters import visible
from twisted_chat.core.chat import Chat
from twisted_chat.core.errors import DatabaseUnusable, Refusal
from twisted_chat.core.operator import Operator
from twisted_chat.core.operator_requests import OperatorAnswer, OperatorRequest
from twisted_chat.i18n.language import N_
from twisted_chat.journal.group_commit import LOCK_TIMEOUT, GroupCommitJournal
from twisted_chat.journal.sqlite.files import COMPANIONS
from twisted_chat.journal.sqlite.store import Store
from twisted_chat.journal.sqlite.upgrade import schema_scripts
from twisted_chat.server.build import build_chat

#: Seconds without any progress after which the database counts as unusable.
TIMEOUT = LOCK_TIMEOUT + 20

#: The reason for that.
TOO_SLOW = N_("it took too long")

#: Asks for something, and returns the answer.
Ask = Callable[[OperatorRequest], Sequence[OperatorAnswer]]


@contextmanager
def opened(path: str) -> Iterator[Ask]:
    """The database at ``path``, for as long as the context lasts; the function asks its operator.

    :raises CannotStart: it does not exist or cannot be opened, or a server serves it.
    """
    with open_archive(path) as archive:
        if archive.version() < len(schema_scripts()):
            raise DatabaseOlder(path=visible(path))
    database = _Database(os.path.realpath(path))
    database.open()
    try:
        yield database.ask
    finally:
        database.close()


class _Database:
    def __init__(self, path: str) -> None:
        self._path = path
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        journal = GroupCommitJournal(partial(Store, path), self._call, self._call)
        self._chat: Chat = build_chat(
            journal,
            later=lambda seconds, call: None,  # nobody is there for whom anything is due later
            seconds=time.monotonic,
            microseconds=lambda: time.time_ns() // 1000,
        )
        self._operator = Operator(self._chat, lambda action, name: None)

    def open(self) -> None:
        self._wait_for(self._chat.open)
        if os.geteuid() == 0:
            self._give_to_owner()

    def ask(self, request: OperatorRequest) -> Sequence[OperatorAnswer]:
        results: list[Sequence[OperatorAnswer] | Refusal] = []
        self._operator.handle(request, results.append)
        self._run(results)
        if isinstance(results[0], Refusal):
            raise results[0]
        return results[0]

    def close(self) -> None:
        self._wait_for(lambda stopped: self._chat.stop(lambda: stopped(None)))

    def _wait_for(self, begin: Callable[[Callable[[Refusal | None], None]], None]) -> None:
        results: list[Refusal | None] = []
        begin(results.append)
        self._run(results)
        if results[0] is not None:
            raise results[0]

    def _run(self, results: Sequence[object]) -> None:
        """Make the calls that come, until there is a result."""
        while not results:
            try:
                call = self._calls.get(timeout=TIMEOUT)
            except Empty:
                raise DatabaseUnusable(path=visible(self._path), reason=TOO_SLOW) from None
            call()

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        self._calls.put(partial(function, *arguments))

    def _give_to_owner(self) -> None:
        """Let the owner of the database have the files beside it, in case that they stay."""
        status = os.stat(self._path)
        for suffix in (*COMPANIONS, ".lock"):
            with suppress(OSError):
                os.chown(f"{self._path}{suffix}", status.st_uid, status.st_gid)

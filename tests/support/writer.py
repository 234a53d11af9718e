"""The journal with its threads, and the loop that its outcomes are delivered to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import count
from queue import SimpleQueue
from typing import Any

from twisted_chat.core.callbacks import nothing
from twisted_chat.core.changes import Barrier, Draft, Group, Ordered, Outcome, Removed, Saved
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry
from twisted_chat.core.journal import Found
from twisted_chat.journal.group_commit import GroupCommitJournal
from twisted_chat.journal.sqlite.store import Store


def draft(text: str, room: str = "lobby", *, message_id: str | None = None, time: int = 0) -> Draft:
    return Draft(room, time, "say", "Ana", text, -3, message_id)


class Loop:
    """The thread that owns the chat: runs what other threads call."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.outcomes: list[Outcome] = []
        self.waiting: dict[int, Callable[[], None]] = {}

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._calls.put(lambda: function(*arguments))

    def apply(self, group: Group) -> None:
        self.outcomes.extend(group.outcomes)
        for outcome in group.outcomes:
            if isinstance(outcome, Ordered) and isinstance(outcome.change, Barrier):
                self.waiting.pop(outcome.change.request, nothing)()

    def run_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._calls.get(timeout=10)()


class Setup:
    def __init__(self, path: str) -> None:
        self.loop = Loop()
        self._numbers = count(1)
        self.stores: list[Store] = []
        self.journal = GroupCommitJournal(
            lambda: self._open(path), self.loop.call, lambda wake: wake()
        )
        opened: list[object] = []
        self.journal.open(self.loop.apply, opened.append)
        if isinstance(opened[0], Refusal):
            raise opened[0]

    def mark(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when all that was submitted before has been applied."""
        number = next(self._numbers)
        self.loop.waiting[number] = callback
        self.journal.submit((Barrier(number),))

    def _open(self, path: str) -> Store:
        self.stores.append(Store(path))
        return self.stores[-1]

    def stop(self) -> None:
        stopped: list[bool] = []
        self.journal.stop(lambda: stopped.append(True))
        self.loop.run_until(lambda: bool(stopped))

    def say(self, *drafts: Draft) -> list[Entry]:
        """Say it, wait until it is saved, and return the entries."""
        before = len(self.loop.outcomes)
        for each in drafts:
            self.journal.submit((each,))
        self.loop.run_until(lambda: len(self.loop.outcomes) == before + len(drafts))
        saved = self.loop.outcomes[before:]
        return [outcome.entry for outcome in saved if isinstance(outcome, Saved)]

    def search(
        self, words: str, room: str | None = None, limit: int = 100, *, hidden: Collection[str] = ()
    ) -> list[str]:
        found: list[Found | Refusal] = []
        self.journal.search(words, room, limit, found.append, hidden=hidden)
        self.loop.run_until(lambda: bool(found))
        assert not isinstance(found[0], Refusal)
        return [entry.text for entry in found[0].entries]

    def remove_before(
        self, time: int, now: int | None = None, **rooms: int
    ) -> list[tuple[str, int]]:
        """Remove what is old; returns the steps that were told. ``rooms`` have another ``time``."""
        begin = len(self.loop.outcomes)
        self.journal.remove_before(time, now, rooms)
        return self.removed(begin)

    def removed(self, begin: int) -> list[tuple[str, int]]:
        """The steps of a removal that come to an end, of all outcomes after the first ``begin``."""
        while True:
            before = len(self.loop.outcomes)
            self.search("a job that comes after the next step")
            if len(self.loop.outcomes) == before:
                changes = [o.change for o in self.loop.outcomes[begin:] if isinstance(o, Ordered)]
                return [(c.room, c.last) for c in changes if isinstance(c, Removed)]

    def read_all(self, room: str = "lobby") -> list[Entry]:
        found: list[Sequence[Entry] | Refusal] = []
        self.journal.read_before(room, 10**9, 10**6, found.append)
        self.loop.run_until(lambda: bool(found))
        assert not isinstance(found[0], Refusal)
        return list(found[0])

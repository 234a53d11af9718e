"""The groups of changes that the journal hands back: acknowledged, then applied in their order.

This module must not know what a change does; :mod:`twisted_chat.core.state` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import NamedTuple
from weakref import WeakValueDictionary

from twisted_chat.core.changes import Failed, Group, Ordered, Saved
from twisted_chat.core.events import Entry
from twisted_chat.core.people import Person
from twisted_chat.core.state import State

_log = logging.getLogger(__name__)


class _News(NamedTuple):
    """New entries of one room, and their authors."""

    entries: list[Entry]
    authors: set[int]


class Outcomes:
    """Hands the outcomes of this node's drafts to their senders, and applies all changes.

    :param node: the name of this node.
    :param state: applies the changes.
    :param said: called with the sender and the entry for each new entry of this node, if given.
    """

    def __init__(
        self, node: str, state: State, said: Callable[[Person, Entry], None] | None
    ) -> None:
        self._node = node
        self._state = state
        self._said = said
        self._numbers = count(1)
        #: The sessions by their numbers, which :attr:`.Draft.sender` has. An entry goes away with
        #: its session.
        self._sessions: WeakValueDictionary[int, Person] = WeakValueDictionary()

    def number(self, person: Person) -> int:
        """A new number for the session of ``person``; its drafts have it as their ``sender``."""
        number = next(self._numbers)
        self._sessions[number] = person
        return number

    def apply(self, group: Group) -> None:
        """Acknowledge all entries of ``group``, which is on disk, then publish and apply it."""
        is_own = group.node == self._node
        saved: dict[int, list[Entry]] = {}
        fresh: dict[str, _News] = {}
        steps: list[Callable[[], None]] = []
        own, news = [], None
        before: tuple[int, str] | None = None  # of a sender, many entries can follow each other
        for outcome in group.outcomes:
            if type(outcome) is Saved:
                entry = outcome.entry
                room, place = entry.room, (outcome.draft.sender, entry.room)
                if place != before:
                    before, news = place, None
                    own = saved.setdefault(outcome.draft.sender, [])
                own.append(entry)
                if outcome.fresh:
                    if news is None:
                        news = fresh.get(room)
                        if news is None:
                            news = fresh[room] = _News([], set())
                            publish = partial(self._state.publish, room, news.entries)
                            steps.append(partial(publish, news.authors))
                        news.authors.add(entry.author)
                    news.entries.append(entry)
            elif isinstance(outcome, Ordered):
                fresh, before = {}, None  # entries after this change are published after it
                carry_out = partial(self._state.apply, outcome.change, group.node)
                steps.append(partial(carry_out, outcome.rooms))
            elif is_own:
                assert isinstance(outcome, Failed)
                self._not_saved(outcome)
        if is_own:
            self._acknowledge(saved, group)
        for step in steps:
            try:
                step()
            except Exception:  # other people's entries are published all the same
                _log.exception("internal error: a change was not carried out")

    def _acknowledge(self, saved: Mapping[int, Sequence[Entry]], group: Group) -> None:
        for number, entries in saved.items():
            sender = self._sessions.get(number)
            if sender is not None:
                sender.acknowledge(entries)
        if self._said is not None:
            for outcome in group.outcomes:
                if isinstance(outcome, Saved) and outcome.fresh:
                    sender = self._sessions.get(outcome.draft.sender)
                    if sender is not None:
                        self._said(sender, outcome.entry)

    def _not_saved(self, failed: Failed) -> None:
        sender = self._sessions.get(failed.draft.sender)
        if sender is not None:
            sender.not_saved(failed.draft, failed.refusal)

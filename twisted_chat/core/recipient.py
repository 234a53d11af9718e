"""Shows events to a person in the chat, over the connection that they have now.

Each person has a style: the language, times, and the room's name before lines from other rooms. The
person's own lines and those of ignored people are left out of a batch. This module must not know
requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import compress

from msgspec import structs

from twisted_chat.core.changes import Draft
from twisted_chat.core.chat import Chat
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import (
    Acknowledged,
    Entry,
    Event,
    PresenceSummary,
    Refused,
    Replayed,
    Style,
)
from twisted_chat.core.ignoring import IgnoreList
from twisted_chat.core.link import Link, NoConnection
from twisted_chat.core.people import Person
from twisted_chat.core.room import Batch, Outlet, Rendering, Room
from twisted_chat.core.sources import Source
from twisted_chat.core.unconfirmed import Shown as Sent
from twisted_chat.core.unconfirmed import Unconfirmed

#: The last entries of one connection that are not shown to it, if the account has several.
SAID_LIMIT = 1000


class Recipient(Person):
    """A person in the chat at the other end of a :class:`~twisted_chat.core.link.Link`."""

    # Without these, the protocols' read-only property and abstract method would be inherited.
    author = 0
    credential = ""
    token_rooms: frozenset[str] = frozenset()
    __hash__ = object.__hash__
    #: For an account, the entries that were written over this connection: room and number.
    _said: deque[tuple[str, int]] | None = None

    _connection: Link

    def __init__(self, chat: Chat, connection: Link, language: str) -> None:
        self._chat = chat
        self._connection = connection
        self._receipts = False
        #: The number of entries that this person wrote and that are not saved yet.
        self._unsaved = 0
        #: Whether the person was told that a line of theirs was not saved or not sent.
        self._has_lost = False
        self._unconfirmed = Unconfirmed()
        self._ignored = IgnoreList()
        self._set_style(language, timestamps=False)

    @property
    def is_limited(self) -> bool:
        return bool(self.token_rooms)

    @property
    def source(self) -> Source:
        return self._connection.source

    @property
    def name(self) -> str:
        return self.nickname.text

    @property
    def style(self) -> Style:
        return self._style

    @property
    def language(self) -> str:
        return self._style.language

    @property
    def outlet(self) -> Outlet:
        return self._connection.outlet

    @property
    def away(self) -> bool:
        return isinstance(self._connection, NoConnection)

    # -- events for everybody in a room --------------------------------------------------------

    def rendering(self, room: Room) -> Rendering | None:
        if self._ignored or self.away:
            return None
        return self._rendering(room)

    def _rendering(self, room: Room) -> Rendering:
        return self._connection.rendering(
            self._style if room is self.current else self._style_elsewhere
        )

    def receive(self, batch: Batch) -> None:
        rendering = self._rendering(batch.room)
        if self._ignored and batch.about:
            part = self._without_ignored(batch)
            if part is None:
                return
            batch = part
        left_out = self._left_out(batch)
        if not left_out:
            self.outlet.deliver(batch.rendered(rendering))
        elif len(left_out) < len(batch.events):
            self.outlet.deliver(batch.rendered_without(rendering, left_out))

    def _left_out(self, batch: Batch) -> Sequence[int]:
        """The indexes of the person's own events and of those by ignored people."""
        if batch.hidden:
            own = batch.hidden.get(self, ())
        else:
            own = () if self.profile.receives_own_lines else self._own_indexes(batch)
        if not self._ignored:
            return own
        ignored = (at for at, event in enumerate(batch.events) if self._ignores_author(event))
        return sorted({*own, *ignored})

    def _own_indexes(self, batch: Batch) -> Sequence[int]:
        """The indexes of the entries that were written over this connection."""
        own = batch.own_indexes(self.author)
        if self.author <= 0 or not own:
            return own
        said = self._said or ()
        entries = ((at, batch.events[at]) for at in own)
        return [
            at
            for at, entry in entries
            if isinstance(entry, Entry) and (entry.room, entry.number) in said
        ]

    def _without_ignored(self, batch: Batch) -> Batch | None:
        """``batch`` without the events about ignored people; None if nothing is left."""
        if all(not self.ignores(member.author) for about in batch.about for member in about):
            return batch
        hidden = batch.hidden.get(self, ())
        events: list[Event] = []
        for place, (event, about) in enumerate(zip(batch.events, batch.about, strict=True)):
            wanted = [not self.ignores(member.author) for member in about]
            if place in hidden or not any(wanted):
                continue
            if isinstance(event, PresenceSummary):
                people = tuple(compress(event.people, wanted))
                event = structs.replace(event, people=people, count=sum(wanted))
            events.append(event)
        return Batch(batch.room, events) if events else None

    def _ignores_author(self, event: Event) -> bool:
        entry = event.entry if isinstance(event, Replayed) else event
        return isinstance(entry, Entry) and self.ignores(entry.author)

    def ignores(self, author: int) -> bool:
        return author in self._ignored

    def ignored_becomes(self, author: int, account: int) -> None:
        if author in self._ignored:
            self._ignored.replace(author, self._chat.ignored.get(account, ""))

    def ignores_now(self, ignored: Sequence[tuple[int, str]]) -> None:
        self._ignored = IgnoreList()
        for author, name in ignored:
            self._ignored.add(self._chat.ignored.get(author, name))
        self._chat.restyle(self)

    # -- events for this person alone ----------------------------------------------------------

    def show(self, *events: Event) -> None:
        self._connection.show(events, self._style)

    def refuse(self, refusal: Refusal, id: str | None = None) -> None:
        self._chat.refused[refusal.code] += 1
        self.show(Refused(refusal, id))

    def show_surely(self, event: Event) -> Sent:
        shown = self._unconfirmed.add(event)
        self._send(shown)
        return shown

    def arrival(self) -> Callable[[], bool]:
        return self._connection.arrival()

    def _send(self, shown: Sent) -> None:
        if not self.away:
            self.show(shown.event)
            shown.sent(self._connection.arrival())

    def _show_again(self) -> None:
        """Show the events that did not arrive once more, as the person is back."""
        for shown in self._unconfirmed.missing():
            self._send(shown)

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        self._unsaved -= len(entries)
        if self.author > 0 and not self.profile.receives_own_lines:
            if self._said is None:
                self._said = deque(maxlen=SAID_LIMIT)
            self._said.extend((entry.room, entry.number) for entry in entries)
        if self.profile.receives_acknowledgements or self._receipts:
            self.show(Acknowledged(tuple(entries)))

    def not_saved(self, draft: Draft, refusal: Refusal) -> None:
        self._unsaved -= 1
        self._has_lost = True
        if self.profile.deduplicates:  # the program sends unacknowledged messages again
            self.refuse(refusal, draft.message_id)
        else:
            self._chat.refused[refusal.code] += 1
            self.show_surely(Refused(refusal))

    def resume_later(self) -> None:
        self._connection.close()

    # -- style ----------------------------------------------------------------------------------

    def _set_style(self, language: str, timestamps: bool) -> None:
        self._style = Style(language, timestamps)
        self._style_elsewhere = Style(language, timestamps, prefixed=True)
        self._chat.restyle(self)

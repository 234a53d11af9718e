"""Who is in the chat: at this node, and at others.

What the chat knows of a person (:class:`Person`) is a session, if its connection is at this node. A
person at another node is :class:`Elsewhere`: in rooms, under a nickname, and shown nothing by us.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

from twisted_chat.core.changes import Draft, KeptPerson
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry, Event
from twisted_chat.core.names import Nickname
from twisted_chat.core.profile import Profile
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.room import Batch, Cursor, Member, Outlet, Rendering, Room
from twisted_chat.core.sources import Source
from twisted_chat.core.unconfirmed import Shown

#: Where to start in each room: after an entry that was seen, or where anybody starts.
Positions = Mapping[str, int | None]


class Person(Member, Hashable, Protocol):
    """What the chat knows of somebody connected."""

    #: Where they come from, for the operator's log.
    address: str
    nickname: Nickname
    #: The number of the session, which drafts have as their sender.
    number: int
    #: A secret: what a program comes back with.
    client_id: bytes
    #: What the log knows them by, made of the client id.
    author: bytes
    #: The rooms whose log is not the one that this program saw, which it was not told yet.
    replaced: set[str]
    #: The code to come back with.
    code: str
    #: What kind of client they use.
    profile: Profile
    #: The rooms they are in, in the order in which they came.
    cursors: dict[str, Cursor]
    #: The room that plain lines go to.
    current: Room | None

    @property
    def source(self) -> Source:
        """What they are counted for: an address or a network."""

    def rendering(self, room: Room) -> Rendering | None:
        """How this person is shown ``room``; None if they get batches of their own."""

    def resume_later(self) -> None:
        """What was to be shown could not be read: close, if it will be asked for again."""

    def show(self, *events: Event) -> None:
        """Show events that are for this person alone."""

    def show_surely(self, event: Event) -> Shown:
        """Show ``event``, which is not in the log, and again if it does not arrive and the person
        comes back.
        """

    def refuse(self, refusal: Refusal, id: str | None = None) -> None:
        """Show why something was not done; ``id`` is that of the request."""

    def on_private_message(self, author: bytes, name: str) -> None:
        """Somebody who is called ``name`` told this person something in private."""

    @property
    def away(self) -> bool:
        """Whether there is no connection at the moment."""

    @property
    def is_leaving(self) -> bool:
        """Whether they have left, which is not applied yet."""

    def kept(self) -> KeptPerson | None:
        """What is to be kept of this person, so that they can come back after a restart."""

    def ignores(self, author: bytes | None) -> bool:
        """Whether this person does not want to see what ``author`` says."""

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """What this person said is saved."""

    def not_saved(self, draft: Draft, refusal: Refusal) -> None:
        """Something that this person said is not saved."""

    def goes_on_elsewhere(self) -> None:
        """The person came back over a connection of another session, here or at another node."""

    def dismiss(self) -> None:
        """Tell this person that the server stops, and close their connection."""


class _Nowhere:
    """The outlet of somebody at another node: nothing goes out here."""

    ready = False

    def deliver(self, rendered: Rendered) -> None: ...


_NOWHERE = _Nowhere()


class Elsewhere:
    """Somebody whose connection is at another ``node``; ``source`` is the key of their source."""

    def __init__(self, node: str, author: bytes, source: str | None) -> None:
        self.node = node
        self.author = author
        self.source = source
        self.nickname = Nickname("", "", frozenset())
        self.cursors: dict[str, Cursor] = {}

    @property
    def name(self) -> str:
        return self.nickname.text

    @property
    def outlet(self) -> Outlet:
        return _NOWHERE

    def receive(self, batch: Batch) -> None: ...


#: Somebody in the chat.
Anybody = Person | Elsewhere

"""Who is in the chat: what it knows of a person."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

from twisted_chat.core.errors import Refusal
from twisted_chat.core.journal import Draft, KeptPerson
from twisted_chat.core.messages import Entry, Event
from twisted_chat.core.names import Nickname
from twisted_chat.core.profile import Profile
from twisted_chat.core.room import Cursor, Member, Rendering, Room
from twisted_chat.core.sources import Source
from twisted_chat.core.unconfirmed import Shown

#: Where to start in each room: after an entry that was seen, or where anybody starts.
Positions = Mapping[str, int | None]


class Person(Member, Hashable, Protocol):
    """What the chat knows of somebody connected."""

    #: Where they come from, for the operator's log.
    address: str
    nickname: Nickname
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

    def heard_from(self, sender: Person) -> None:
        """``sender`` told this person something in private."""

    @property
    def away(self) -> bool:
        """Whether there is no connection at the moment."""

    def kept(self) -> KeptPerson | None:
        """What is to be kept of this person, so that they can come back after a restart."""

    def ignores(self, author: bytes | None) -> bool:
        """Whether this person does not want to see what ``author`` says."""

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """What this person said is saved."""

    def not_saved(self, draft: Draft, refusal: Refusal) -> None:
        """Something that this person said is not saved."""

    def dismiss(self) -> None:
        """Tell this person that the server stops, and close their connection."""

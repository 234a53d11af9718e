"""The people in the chat: at this node, and at others.

A :class:`Person` has their connection at this node; a session implements it. :class:`Elsewhere` is
a person at another node: they have a nickname and are in rooms, but this node shows them nothing.

A guest has one connection. An account can have several, each a :class:`Person` or an
:class:`Elsewhere` with cursors of its own; together they are one person to everybody else
(:class:`Everybody`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence, Set
from itertools import chain
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

#: For each room, the number of the last entry that the person saw; None: start as a newcomer does.
Positions = Mapping[str, int | None]


class Person(Member, Hashable, Protocol):
    """The part of a session that the chat uses."""

    #: The address of the client, for the operator's log.
    address: str
    nickname: Nickname
    #: The number of the session, which drafts have as their ``sender``.
    number: int
    #: 16 bytes, a secret: a program comes back with it.
    client_id: bytes
    #: The author number, which identifies the person in the log.
    author: int
    #: The id of the credential with which an account came in; "" for a guest, or if none is kept.
    credential: str
    #: The rooms to which the token is limited with which the person came in; empty: all rooms.
    token_rooms: frozenset[str]
    #: Rooms whose log is not the one that this program saw, as long as it was not told so.
    replaced_logs: Set[str]
    #: The code with which a person comes back.
    code: str
    #: The kind of client that they use.
    profile: Profile
    #: The person's cursors by the names of their rooms, in the order in which they joined them.
    cursors: dict[str, Cursor]
    #: The room to which plain lines go.
    current: Room | None

    @property
    def kept_as(self) -> int:
        """The author number under which the record is kept with which they can come back."""

    @property
    def is_limited(self) -> bool:
        """Whether the connection's token is limited to some rooms: it shares none with the other
        connections of the account.
        """

    @property
    def source(self) -> Source:
        """The source that the connection counts for: an address or a network."""

    def rendering(self, room: Room) -> Rendering | None:
        """The rendering of ``room`` for this person; None if they get batches of their own."""

    def resume_later(self) -> None:
        """Close the connection after entries could not be read: the client will ask again."""

    def show(self, *events: Event) -> None:
        """Show ``events`` to this person alone."""

    def show_surely(self, event: Event) -> Shown:
        """Show ``event``, which is not in the log; show it again if it did not arrive by the time
        the person comes back.
        """

    def arrival(self) -> Callable[[], bool]:
        """A function that returns whether all that was shown until now has arrived; see
        :meth:`.Link.arrival`. Do not call this if the person is away.
        """

    def refuse(self, refusal: Refusal, id: str | None = None) -> None:
        """Show why the request with this ``id`` was refused."""

    def on_private_message(self, author: int, name: str) -> None:
        """Note that ``author``, whose nickname is ``name``, sent this person a private message."""

    @property
    def away(self) -> bool:
        """Whether the person has no connection at the moment."""

    @property
    def is_leaving(self) -> bool:
        """Whether the person has left, but the change is not applied yet."""

    def kept(self) -> KeptPerson | None:
        """The record with which the person can come back after a restart of the server.

        None if they cannot come back with a code.
        """

    def ignores(self, author: int) -> bool:
        """Whether this person ignores ``author``."""

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Acknowledge ``entries``, which this person wrote and which are saved."""

    def not_saved(self, draft: Draft, refusal: Refusal) -> None:
        """Tell the person why ``draft``, which they wrote, was not saved."""

    def goes_on_elsewhere(self) -> None:
        """End here: the person came back over a connection of another session, on any node."""

    def becomes(self, account: int) -> None:
        """Be the account of this number from now on: the guest has registered."""

    def ignored_becomes(self, author: int, account: int) -> None:
        """If this person ignores the guest ``author``, ignore the ``account`` that they are now."""

    def ignores_now(self, ignored: Sequence[tuple[int, str]]) -> None:
        """Ignore these people, and no others: author numbers and nicknames."""

    def ends_code(self) -> None:
        """Let nobody come back with the code of this connection, unless it has asked for that."""

    def is_out(self) -> None:
        """The person is out of the chat: they ask for nothing more, and cannot come back. When that
        is on disk, :meth:`is_closed` is called.
        """

    def is_closed(self, refusal: Refusal) -> None:
        """Show why the person is out of the chat, and close the connection."""

    def dismiss(self) -> None:
        """Tell this person that the server stops, and close their connection."""


class _Nowhere:
    """The outlet of somebody at another node: it sends nothing."""

    ready = False

    def deliver(self, rendered: Rendered) -> None: ...


_NOWHERE = _Nowhere()


class Elsewhere:
    """Somebody whose connection is at another node.

    :param node: the name of that node.
    :param author: the author number.
    :param source: the key of their :class:`twisted_chat.core.sources.Source`.
    :param number: the number of the session at that node.
    :param credential: the id of the credential with which an account came in.
    :param is_limited: see :attr:`Person.is_limited`.
    """

    def __init__(
        self,
        node: str,
        author: int,
        source: str | None,
        number: int = 0,
        *,
        credential: str = "",
        is_limited: bool = False,
    ) -> None:
        self.node = node
        self.author = author
        self.source = source
        self.number = number
        self.credential = credential
        self.is_limited = is_limited
        self.nickname = Nickname("", "", frozenset())
        self.cursors: dict[str, Cursor] = {}

    @property
    def name(self) -> str:
        return self.nickname.text

    @property
    def outlet(self) -> Outlet:
        return _NOWHERE

    def receive(self, batch: Batch) -> None: ...


#: Somebody in the chat, with one connection.
Anybody = Person | Elsewhere


class Everybody:
    """All people in the chat, by author number, with their connections."""

    def __init__(self) -> None:
        #: The first connection of each person.
        self._first: dict[int, Anybody] = {}
        #: The further connections of an account.
        self._others: dict[int, list[Anybody]] = {}

    def __iter__(self) -> Iterator[Anybody]:
        """All connections."""
        others = (other for some in tuple(self._others.values()) for other in some)
        return chain(tuple(self._first.values()), others)

    def get(self, author: int) -> Anybody | None:
        """The first connection of the person, or None if they are not in the chat."""
        return self._first.get(author)

    def connections(self, author: int) -> list[Anybody]:
        """All connections of the person, the first one first; empty if they are not in the chat."""
        first = self._first.get(author)
        return [] if first is None else [first, *self._others.get(author, ())]

    def recipients(self, author: int) -> list[Anybody]:
        """Those connections of the person that private messages go to: all but limited ones."""
        return [one for one in self.connections(author) if not one.is_limited]

    def add(self, connection: Anybody) -> None:
        """Add a connection of the person ``connection.author``."""
        if connection.author in self._first:
            self._others.setdefault(connection.author, []).append(connection)
        else:
            self._first[connection.author] = connection

    def replace(self, old: Anybody, connection: Anybody) -> None:
        """Put ``connection`` in the place of ``old``, the only connection of the same person."""
        self._first[old.author] = connection

    def remove(self, connection: Anybody) -> Anybody | None:
        """Remove ``connection``; returns the person's first connection now, or None if none is
        left.
        """
        author = connection.author
        others = self._others.get(author, [])
        if self._first[author] is not connection:
            others.remove(connection)
        elif others:
            self._first[author] = others.pop(0)
        else:
            del self._first[author]
        if not others:
            self._others.pop(author, None)
        return self._first.get(author)

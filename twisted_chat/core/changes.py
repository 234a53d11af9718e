"""Changes: everything that all clients must see in the same order, as values.

A session submits a change, the journal puts it into the one order, and every node applies it at
that place (:meth:`twisted_chat.core.chat.Chat.apply`). The rules:

* A change contains names, numbers and texts: no function, connection or other object of the
  process.
* Values that depend on a clock, a setting, the network or chance are computed before the
  submission, and the change contains them.
* ``person`` is an author (:mod:`twisted_chat.core.author`): it identifies a person on all
  nodes.
* A change of somebody who can have several connections has ``device``, the number of the session.
* Numbers have a meaning only at the submitting node: ``request`` is the request that waits for
  the answer, ``sender`` is the session to which an entry is acknowledged.

A :class:`Draft` becomes an entry of the log. All other changes are applied and leave no entry.
This module must not know how a change is ordered, stored or carried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from twisted_chat.core.account_changes import AccountChange
from twisted_chat.core.characters import find_unsafe
from twisted_chat.core.errors import ControlCharacter, Refusal
from twisted_chat.core.events import Entry, Kind
from twisted_chat.core.mail_changes import MailChange
from twisted_chat.core.names import Nickname, room_name
from twisted_chat.core.room_changes import RoomChange


class Draft(msgspec.Struct, gc=False):
    """An entry before it has a number; the fields are those of :class:`.Entry`.

    ``time`` is in microseconds since 1970 UTC. ``sender`` is the number of the session to which
    the entry is acknowledged; 0 if there is none.
    """

    room: str
    time: int
    kind: Kind
    nickname: str
    text: str
    author: int
    message_id: str | None
    sender: int = 0


class Enter(msgspec.Struct, frozen=True, tag=True):
    """``person`` enters the chat under a nickname, and ``rooms``, the current one first.

    It is refused if somebody else has the nickname. A person who is in the chat already, at any
    node, moves to the submitting node and keeps their present nickname. ``source`` is the key of a
    :class:`twisted_chat.core.sources.Source`. A person who has an account owns those of the rooms
    ``founds`` that do not exist yet.

    If ``person`` is an account, this is one more connection of the same person, under the nickname
    of the account. It is refused if the account has no ``credential`` of this id any more ("" if
    none is needed), or if it was logged out everywhere since ``logouts`` was read. ``is_limited``:
    the connection shares no rooms with the others. ``device`` is the number of the session at the
    submitting node.
    """

    person: int
    nickname: Nickname
    source: str | None
    rooms: tuple[str, ...]
    request: int
    founds: tuple[str, ...] = ()
    device: int = 0
    credential: str = ""
    is_limited: bool = False
    logouts: int = 0


class Rename(msgspec.Struct, frozen=True, tag=True):
    """``person`` changes the nickname. It is refused if somebody else has the new one."""

    person: int
    nickname: Nickname
    source: str | None
    request: int


class JoinRooms(msgspec.Struct, frozen=True, tag=True):
    """``person`` joins ``rooms``; ``founds`` is as in :class:`Enter`.

    ``key`` is the encoded hash of the room's password, if the person gave the right one.
    """

    person: int
    rooms: tuple[str, ...]
    request: int
    founds: tuple[str, ...] = ()
    key: str = ""
    device: int = 0


class LeaveRoom(msgspec.Struct, frozen=True, tag=True):
    """``person`` leaves ``room``."""

    person: int
    room: str
    request: int
    device: int = 0


class Depart(msgspec.Struct, frozen=True, tag=True):
    """``person`` leaves the chat; an account may have other connections, which stay.

    With ``keeps_name``, nobody but this person or ``source`` can take the nickname until a
    :class:`Forget`.
    """

    person: int
    keeps_name: bool
    source: str | None
    request: int
    device: int = 0


class Forget(msgspec.Struct, frozen=True, tag=True):
    """``person``, who has left, cannot come back any more: their nickname becomes free."""

    person: int


class TellPerson(msgspec.Struct, frozen=True, tag=True):
    """``person`` sends a private message to ``recipient`` (an author), nicknamed ``name``.

    ``time`` is in microseconds since 1970 UTC.
    """

    person: int
    recipient: int
    name: str
    text: str
    time: int
    request: int


class Answered(msgspec.Struct, frozen=True, tag=True):
    """The outcome of the :class:`TellPerson` that ``node`` submitted for ``request``."""

    node: str
    request: int
    outcome: Literal["delivered", "no-such-person", "not-reading", "not-confirmed"]


class Announce(msgspec.Struct, frozen=True, tag=True):
    """The server announces ``text`` to ``room``, or to everybody (None)."""

    text: str
    room: str | None


class Barrier(msgspec.Struct, frozen=True, tag=True):
    """Nothing changes; the submitting node learns that all earlier changes were applied."""

    request: int


class Removed(msgspec.Struct, frozen=True, tag=True):
    """The entries of ``room`` up to number ``last`` were removed from the log."""

    room: str
    last: int


class KeptPerson(msgspec.Struct, frozen=True, gc=False):
    """The record of a person who can come back with a code, at any node, also after a restart.

    ``code`` is the hash of the code. ``rooms`` has each room, the
    current one first, with the number of the last entry that arrived at the client, or None.
    ``ignored`` has a pair for each ignored person: the author, and a nickname. ``credential`` is
    the id of that with which an ``account`` came in; "" if none is needed.
    """

    author: int
    code: bytes
    nickname: str
    language: str
    timestamps: bool
    rooms: tuple[tuple[str, int | None], ...]
    ignored: tuple[tuple[int, str], ...] = ()
    account: int = 0
    credential: str = ""


class Keep(msgspec.Struct, frozen=True, tag=True):
    """Write the records ``people``, each in place of the author's earlier one.

    The records of the authors in ``forgotten`` are deleted.
    """

    people: tuple[KeptPerson, ...]
    forgotten: tuple[int, ...] = ()


class NodeGone(msgspec.Struct, frozen=True, tag=True):
    """``node`` has disappeared, and its people with it."""

    node: str


#: The changes that leave no entry.
Applied = (
    Enter
    | Rename
    | JoinRooms
    | LeaveRoom
    | Depart
    | Forget
    | TellPerson
    | Answered
    | Announce
    | Barrier
    | Removed
    | Keep
    | NodeGone
    | MailChange
    | RoomChange
    | AccountChange
)
Change = Draft | Applied


class RoomState(msgspec.Struct, frozen=True):
    """The state of a room in the log: entries ``base + 1`` to ``last`` are kept.

    ``topic_by`` is the nickname of the person who set the topic; empty if unknown.
    """

    name: str
    base: int
    last: int
    topic: str
    topic_by: str = ""


class Saved(msgspec.Struct, frozen=True, gc=False):
    """``draft`` is on disk as ``entry``.

    If not ``fresh``, the draft was a repeat, and the entry was on disk before.
    """

    draft: Draft
    entry: Entry
    fresh: bool = True


class Failed(msgspec.Struct, frozen=True):
    """``draft`` is not on disk, and ``refusal`` says why."""

    draft: Draft
    refusal: Refusal


class Ordered(msgspec.Struct, frozen=True):
    """``change`` has its place in the order.

    ``rooms`` has, by name, the state of the rooms that somebody enters with ``change``.
    """

    change: Applied
    rooms: Mapping[str, RoomState] = {}


#: The answer of the journal to a submitted change.
Outcome = Saved | Failed | Ordered


class Group(msgspec.Struct, frozen=True):
    """The outcomes of changes that ``node`` submitted, in the order in which they are applied."""

    node: str
    outcomes: Sequence[Outcome]


def rooms_opened(change: Change) -> tuple[str, ...]:
    """The names of the rooms that somebody enters with ``change``."""
    return change.rooms if isinstance(change, (Enter, JoinRooms)) else ()


def announcement(text: str, room: str | None = None) -> Announce:
    """An announcement of ``text`` to ``room``, or to everybody (None).

    :raises Refusal: ``text`` contains an unsafe character, or ``room`` is not a valid room name.
    """
    unsafe = find_unsafe(text)
    if unsafe is not None:
        raise ControlCharacter(character=ord(unsafe))
    return Announce(text, None if room is None else room_name(room))

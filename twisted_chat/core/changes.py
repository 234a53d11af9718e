"""Changes: what all clients must see in the same order, as values.

A session submits a change, the journal gives it its place in the one order, and
:meth:`twisted_chat.core.chat.Chat.apply` carries it out there, on every node that applies the log.
The rules:

* A change contains names, numbers and texts: no function, connection or other object of the
  process.
* What depends on a clock, a setting, the network or chance is computed before the submission and
  is in the change.
* ``person`` is an author key (:mod:`twisted_chat.core.author`): it identifies a person on all
  nodes.
* ``request`` and ``sender`` are numbers that only the submitting node understands: of the request
  that waits for the answer, and of the session to which an entry is acknowledged.

A :class:`Draft` becomes an entry of the log. The others are applied, and not kept as history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from twisted_chat.core.characters import find_unsafe
from twisted_chat.core.errors import ControlCharacter, Refusal
from twisted_chat.core.events import Entry, Kind
from twisted_chat.core.names import Nickname, room_name


class Draft(msgspec.Struct, gc=False):
    """An entry before it has a number; ``time`` is in microseconds since 1970 UTC."""

    room: str
    time: int
    kind: Kind
    nickname: str
    text: str
    author: bytes | None
    message_id: str | None
    sender: int = 0


class Enter(msgspec.Struct, frozen=True, tag=True):
    """``person`` comes into the chat under a nickname, and into ``rooms``, the current one first.

    Refused if somebody else holds the nickname. A person who is here already, on whatever node,
    goes on at the one that submitted this, under the nickname that they have. ``source`` is the key
    of a :class:`twisted_chat.core.sources.Source`.
    """

    person: bytes
    nickname: Nickname
    source: str | None
    rooms: tuple[str, ...]
    request: int


class Rename(msgspec.Struct, frozen=True, tag=True):
    """``person`` has another nickname. Refused if somebody else holds it."""

    person: bytes
    nickname: Nickname
    source: str | None
    request: int


class Join(msgspec.Struct, frozen=True, tag=True):
    """``person`` joins ``rooms``."""

    person: bytes
    rooms: tuple[str, ...]
    request: int


class Leave(msgspec.Struct, frozen=True, tag=True):
    """``person`` leaves ``room``."""

    person: bytes
    room: str
    request: int


class Depart(msgspec.Struct, frozen=True, tag=True):
    """``person`` leaves the chat; with ``keeps_name``, their nickname is kept for them, or for
    ``source``, until :class:`Forget`.
    """

    person: bytes
    keeps_name: bool
    source: str | None
    request: int


class Forget(msgspec.Struct, frozen=True, tag=True):
    """``person`` cannot come back: the nickname is not kept any more."""

    person: bytes


class Tell(msgspec.Struct, frozen=True, tag=True):
    """``person`` tells ``recipient``, who is called ``name``, something in private."""

    person: bytes
    recipient: bytes
    name: str
    text: str
    time: int
    request: int


class Answered(msgspec.Struct, frozen=True, tag=True):
    """What became of the :class:`Tell` that ``node`` submitted for ``request``."""

    node: str
    request: int
    outcome: Literal["delivered", "no-such-person", "not-reading", "not-confirmed"]


class Announce(msgspec.Struct, frozen=True, tag=True):
    """The server says ``text``, to everybody or to one room."""

    text: str
    room: str | None


class Barrier(msgspec.Struct, frozen=True, tag=True):
    """Nothing changes; the submitting node learns that all before it was applied."""

    request: int


class Removed(msgspec.Struct, frozen=True, tag=True):
    """The entries of ``room`` up to the number ``last`` are not kept any more."""

    room: str
    last: int


class KeptPerson(msgspec.Struct, frozen=True):
    """What is kept of somebody who can come back with a code, on any node, also after a restart.

    ``code`` is its hash; ``rooms`` has each room with the number of the last entry that arrived,
    or None, the current one first; ``ignored`` has the author key of each person they ignore, in
    hexadecimal, with a name.
    """

    author: bytes
    code: bytes
    nickname: str
    language: str
    timestamps: bool
    rooms: tuple[tuple[str, int | None], ...]
    ignored: tuple[tuple[str, str], ...] = ()


class Keep(msgspec.Struct, frozen=True, tag=True):
    """Keep ``people``, in place of what was kept of these authors, and not those ``forgotten``."""

    people: tuple[KeptPerson, ...]
    forgotten: tuple[bytes, ...] = ()


class NodeGone(msgspec.Struct, frozen=True, tag=True):
    """``node`` has disappeared, and its people with it."""

    node: str


#: What is applied and is no entry.
Applied = (
    Enter
    | Rename
    | Join
    | Leave
    | Depart
    | Forget
    | Tell
    | Answered
    | Announce
    | Barrier
    | Removed
    | Keep
    | NodeGone
)
Change = Draft | Applied


class RoomState(msgspec.Struct, frozen=True):
    """What the log knows of a room: entries ``base + 1`` to ``last`` are kept.

    ``topic_by`` set the topic; empty if that is not kept any more.
    """

    name: str
    base: int
    last: int
    topic: str
    topic_by: str = ""


class Saved(msgspec.Struct, frozen=True, gc=False):
    """``draft`` is on disk as ``entry``: since now if ``fresh``, or else since it first came."""

    draft: Draft
    entry: Entry
    fresh: bool = True


class Failed(msgspec.Struct, frozen=True):
    """``draft`` is not on disk, and ``refusal`` says why."""

    draft: Draft
    refusal: Refusal


class Ordered(msgspec.Struct, frozen=True):
    """``change`` has its place in the order.

    ``rooms``: what the log knows there of the rooms that it opens, by name.
    """

    change: Applied
    rooms: Mapping[str, RoomState] = {}


#: What comes back of a change.
Outcome = Saved | Failed | Ordered


class Group(msgspec.Struct, frozen=True):
    """What became of changes that ``node`` submitted, in the order in which they are applied."""

    node: str
    outcomes: Sequence[Outcome]


def rooms_opened(change: Change) -> tuple[str, ...]:
    """The rooms that somebody comes into with ``change``."""
    return change.rooms if isinstance(change, (Enter, Join)) else ()


def announcement(text: str, room: str | None = None) -> Announce:
    """What the server says, to everybody or to one room.

    :raises Refusal: the text has a control character, or the room's name is not one.
    """
    unsafe = find_unsafe(text)
    if unsafe is not None:
        raise ControlCharacter(character=ord(unsafe))
    return Announce(text, None if room is None else room_name(room))

"""Requests: what a person or a program asks.

A dialect makes one of bytes, and a session answers it. They are frozen values that hold names and
texts, never a connection. :mod:`twisted_chat.core.commands` has a row for each.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """The base of requests and events.

    They are values and refer to nothing that could refer back, so the garbage collector
    need not look at the many there are.
    """


class Request(Message, frozen=True, kw_only=True, gc=False):
    """What a client asks. ``id`` is its own name for the request; an answer repeats it."""

    id: str | None = None


class Hello(Request, frozen=True):
    """A program introduces itself.

    ``client`` is its client id, 16 bytes in hex: whoever comes again with the same one is
    the same person. ``resume`` has the number of the last entry that it saw in each room, and
    ``log`` what :class:`.Welcomed` told of the log that those numbers are of. ``ignored`` are the
    people whom it ignores, with a name for each: see :class:`.Ignoring`.
    """

    nickname: str
    client: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")] | None = None
    language: str | None = None
    resume: dict[str, int] = msgspec.field(default_factory=dict)
    log: str = ""
    ignored: dict[str, str] | None = None


class Resume(Request, frozen=True):
    """Come back after a lost connection, with the code that was told on coming in."""

    code: str


class ChooseName(Request, frozen=True):
    """Take a nickname: the first one, or another one."""

    name: str


class Say(Request, frozen=True, gc=False):
    """Say ``text`` in a room, the current one if none is named; ``id`` is the message's id."""

    text: str
    room: str | None = None
    kind: Literal["say", "act"] = "say"


class Tell(Request, frozen=True):
    """Tell one person something in private."""

    name: str
    text: str


class Reply(Request, frozen=True):
    """Tell something to whoever sent the last private message."""

    text: str


class Join(Request, frozen=True):
    room: str


class Leave(Request, frozen=True):
    """Leave a room, the current one if none is named."""

    room: str | None = None


class ListRooms(Request, frozen=True):
    """The rooms with people in them, the fullest first; with ``all``, the empty ones too.

    Those with ``word`` in their name or topic, if one is given, and which come ``after`` the room
    of this name in that order.
    """

    word: str = ""
    after: str = ""
    all: bool = False


class ListPeople(Request, frozen=True):
    """Who is in a room, the current one if none is named."""

    room: str | None = None


class Topic(Request, frozen=True):
    """Show a room's topic, or set it to ``text``; the current room's if none is named."""

    text: str | None = None
    room: str | None = None


class Ignore(Request, frozen=True):
    """Stop showing what ``name`` says; without a name, list who is ignored."""

    name: str | None = None


class Unignore(Request, frozen=True):
    name: str


class ReadHistory(Request, frozen=True):
    """Show ``limit`` entries of a room's log.

    Those after number ``after``; or else the last ones before ``before``, or of all.
    """

    room: str | None = None
    limit: int | None = None
    before: int | None = None
    after: int | None = None


class Search(Request, frozen=True):
    """Show the latest entries that hold all of ``words``, in one room or in all."""

    words: str
    room: str | None = None
    limit: int | None = None


class SetReceipts(Request, frozen=True):
    """Whether to be shown the number of each own line once it is saved."""

    on: bool


class Ping(Request, frozen=True):
    pass


class ListLimits(Request, frozen=True):
    """What is limited on this server."""


class SetLanguage(Request, frozen=True):
    language: str | None = None


class SetTimestamps(Request, frozen=True):
    on: bool


class Help(Request, frozen=True):
    command: str | None = None


class AreYouThere(Request, frozen=True):
    """Telnet's AYT (RFC 854): a sign of life is wanted."""


class Interrupt(Request, frozen=True):
    """Telnet's IP (RFC 854): Ctrl-C was pressed."""


class Cancel(Request, frozen=True):
    """Drop the lines that wait in front of it."""


class Quit(Request, frozen=True):
    pass

"""Requests of people and programs.

A dialect parses bytes to a request, and a session answers it. Requests are frozen values that
contain names and texts, never a connection. :mod:`twisted_chat.core.commands` has a row for each.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from twisted_chat.core.room_rules import KEEP_LIMIT, SLOW_LIMIT, Speak


class Message(msgspec.Struct, frozen=True, gc=False):
    """The base of requests and events.

    They refer to nothing that could refer back to them, so the garbage collector need not
    examine them.
    """


class Request(Message, frozen=True, kw_only=True, gc=False):
    """The base of requests. ``id`` is the client's own name for it; the answer repeats it."""

    id: str | None = None


class Hello(Request, frozen=True):
    """A program introduces itself.

    ``client`` is its client id, 16 bytes in hexadecimal: a later connection with the same id is the
    same person. ``resume`` has the number of the last entry that it saw in each room, and ``log``
    is the ``log`` of the :class:`.Welcomed` with which it saw them. ``ignored`` has a name for each
    person whom it ignores, by the ``person`` of :class:`.Ignoring`. With one of ``password``,
    ``token`` and ``code``, it belongs to the account called ``nickname``.
    """

    nickname: str
    client: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")] | None = None
    language: str | None = None
    resume: dict[str, int] = msgspec.field(default_factory=dict)
    log: str = ""
    ignored: dict[str, str] | None = None
    password: str | None = None
    token: str | None = None
    code: str | None = None

    def __repr__(self) -> str:
        return f"Hello({self.nickname!r})"  # the rest are secrets


class Resume(Request, frozen=True):
    """Come back after a lost connection, with the code that was shown on joining the chat."""

    code: str


class ChooseName(Request, frozen=True):
    """Choose the first nickname, or change it."""

    name: str


class Say(Request, frozen=True, gc=False):
    """Send a message to ``room`` (None: the current one); ``id`` is the message's id.

    ``kind`` is ``act`` for ``/me``.
    """

    text: str
    room: str | None = None
    kind: Literal["say", "act"] = "say"


class Tell(Request, frozen=True):
    """Send a private message to the person with the nickname ``name``."""

    name: str
    text: str


class Reply(Request, frozen=True):
    """Send a private message to the sender of the last one."""

    text: str


class Join(Request, frozen=True):
    """Join ``room``, or create it. It becomes the current room.

    With ``password``, it is only joined, and not created.
    """

    room: str
    password: str | None = None

    def __repr__(self) -> str:
        return f"Join({self.room!r})"  # and not the password


class Leave(Request, frozen=True):
    """Leave ``room`` (None: the current one)."""

    room: str | None = None


class ListRooms(Request, frozen=True):
    """List the rooms with people in them, the fullest first; with ``all``, every room by name.

    With ``word``, only the rooms whose name or topic contains it; with ``after``, only those that
    follow the room of this name in that order.
    """

    word: str = ""
    after: str = ""
    all: bool = False


class ListPeople(Request, frozen=True):
    """List the people in ``room`` (None: the current one)."""

    room: str | None = None


class Topic(Request, frozen=True):
    """Show the topic of ``room`` (None: the current one), or set it to ``text``."""

    text: str | None = None
    room: str | None = None


class Ignore(Request, frozen=True):
    """Ignore the person with the nickname ``name``; without one, list the ignored people."""

    name: str | None = None


class Unignore(Request, frozen=True):
    """Stop ignoring the person with the nickname ``name``."""

    name: str


class ReadHistory(Request, frozen=True):
    """Show up to ``limit`` entries of a room's log (None: the server's default).

    The first ones after number ``after``; or else the last ones before number ``before``, or the
    last ones of all.
    """

    room: str | None = None
    limit: int | None = None
    before: int | None = None
    after: int | None = None


class Search(Request, frozen=True):
    """Show up to ``limit`` of the newest entries with all of ``words``, in one room or in all."""

    words: str
    room: str | None = None
    limit: int | None = None


class SetReceipts(Request, frozen=True):
    """Switch receipts on or off: the number of each own line once it is saved."""

    on: bool


class Ping(Request, frozen=True):
    """Ask for a :class:`.Pong`."""


class ListLimits(Request, frozen=True):
    """Show the limits of this server."""


class SetLanguage(Request, frozen=True):
    """Choose a language, or show the current one (None)."""

    language: str | None = None


class SetTimestamps(Request, frozen=True):
    """Switch the time of each line on or off."""

    on: bool


class Help(Request, frozen=True):
    """Show all commands, or one of them."""

    command: str | None = None


class AreYouThere(Request, frozen=True):
    """Telnet's AYT (RFC 854): ask for a sign of life."""


class Interrupt(Request, frozen=True):
    """Telnet's IP (RFC 854): Ctrl-C was pressed."""


class Cancel(Request, frozen=True):
    """Drop the waiting lines in front of it."""


class Quit(Request, frozen=True):
    """Leave the chat; the connection closes."""


# -- accounts ---------------------------------------------------------------------------------


class GiveSecret(Request, frozen=True):
    """The answer to :class:`.SecretAsked`; if it is blank, the person wants another nickname."""

    secret: str

    def __repr__(self) -> str:
        return "GiveSecret()"


class Register(Request, frozen=True):
    """Register the present nickname: the guest becomes an account with this password."""

    password: str

    def __repr__(self) -> str:
        return "Register()"


class SetPassword(Request, frozen=True):
    """Set the password of the account.

    ``old`` is the present one; it is needed unless the client has come in with it.
    """

    password: str
    old: str | None = None

    def __repr__(self) -> str:
        return "SetPassword()"


class ListDevices(Request, frozen=True):
    """List the connections, devices and tokens of the account."""


class AddDevice(Request, frozen=True):
    """Ask for a code, valid once and for ten minutes, with which another device comes in."""


class NewToken(Request, frozen=True):
    """Ask for a token called ``label``, limited to ``rooms`` if there are any.

    With ``device``, it is for the client itself to keep in place of the password.
    """

    label: str
    rooms: tuple[str, ...] = ()
    device: bool = False


class RevokeToken(Request, frozen=True):
    """Revoke the token or device called ``label``; connections that used it are closed."""

    label: str


class LogOut(Request, frozen=True):
    """Leave, and revoke this device's token; with ``everywhere``, those of all devices."""

    everywhere: bool = False


class Unregister(Request, frozen=True):
    """Close the account. ``nickname`` is its nickname, typed as a confirmation.

    ``password`` is needed unless the client has come in with it.
    """

    nickname: str
    password: str | None = None

    def __repr__(self) -> str:
        return f"Unregister({self.nickname!r})"  # and not the password


class Mark(Request, frozen=True):
    """The person has read ``room`` up to entry ``seq``."""

    room: str
    seq: int


# -- the rules of rooms -----------------------------------------------------------------------


class ChangeRoom(Request, frozen=True):
    """Set rules of ``room`` (None: the current one); without any, show them.

    They are those of :class:`.RoomRules`, each None to leave it as it is. ``password`` belongs to
    the value ``password`` of ``join``. ``keep_days`` is 0 to keep entries for ever, or ``default``.
    """

    room: str | None = None
    speak: Speak | None = None
    join: Literal["all", "registered", "invited", "password"] | None = None
    password: str | None = None
    hidden: bool | None = None
    slow: Annotated[int, msgspec.Meta(ge=0, le=SLOW_LIMIT)] | None = None
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=KEEP_LIMIT)] | Literal["default"] | None = None

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__)
        return f"ChangeRoom({', '.join(one for one in shown if not one.startswith('password'))})"


class GiveRole(Request, frozen=True):
    """Give the person with the nickname ``name`` a role in ``room`` (None: the current one).

    ``none`` takes away the role, or the invitation.
    """

    name: str
    role: Literal["owner", "moderator", "speaker", "none"]
    room: str | None = None


class InvitePerson(Request, frozen=True):
    """Let the person with the nickname ``name`` join ``room`` (None: the current one)."""

    name: str
    room: str | None = None

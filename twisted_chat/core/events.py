"""Events, which people and programs are shown; a dialect renders them to bytes.

Events are frozen values that contain names and texts, never a connection. Below, *the client* is
the receiver of an event.
"""

from __future__ import annotations

from typing import Literal

from twisted_chat.core.errors import Refusal
from twisted_chat.core.limits import DEFAULTS, Limits
from twisted_chat.core.requests import Message

#: The kinds of entries: a message, an action (``/me``), a new topic.
Kind = Literal["say", "act", "topic"]


class Style(Message, frozen=True):
    """The way in which one person is shown events; equal styles share one rendering.

    ``prefixed``: the event belongs to a room that is not the current one. ``local``: times are in
    the zone of this machine, otherwise in UTC. ``crlf``: lines end with CR LF, if the dialect has
    a choice.
    """

    language: str
    timestamps: bool = False
    prefixed: bool = False
    local: bool = False
    crlf: bool = False


class Event(Message, frozen=True, gc=False):
    """The base of events. Events that can answer a request have its ``id``."""


class Entry(Event, frozen=True, gc=False):
    """One entry of a room's log, saved.

    ``number`` counts from 1 in each room without a gap. ``time`` is in microseconds since 1970 UTC.
    ``author`` is a number: see :mod:`twisted_chat.core.author`. ``message_id`` is the author's own
    name for the message, if any. ``hash`` covers the entry and the one before it.
    """

    room: str
    number: int
    time: int
    kind: Kind
    nickname: str
    text: str
    author: int
    message_id: str | None
    hash: bytes


class Greeted(Event, frozen=True):
    """The connection is open, and the server asks for a name."""


class Welcomed(Event, frozen=True):
    """The name was accepted.

    ``motd`` is the operator's message of the day, by lines. ``rooms`` has, for each of the client's
    rooms, the ``last`` of its :class:`Entered`. The client can come back with ``client_id`` (16
    bytes) or ``code``; ``resumed`` if it has just done so. ``limits`` are those of this server.
    ``log`` identifies the log: a program keeps it for its next :class:`.Hello`. ``account`` is the
    number of the client's account; 0 for a guest.
    """

    nickname: str
    motd: tuple[str, ...]
    rooms: dict[str, int]
    client_id: bytes
    code: str
    resumed: bool
    limits: Limits = DEFAULTS
    id: str | None = None
    log: str = ""
    account: int = 0


class Entered(Event, frozen=True):
    """The client is in ``room``, which is its current room now if ``current``.

    Otherwise the person joined it over another connection of their account.

    ``people`` are the others, at most a page of ``people_count``. ``last`` is the number of the
    entry before the next one that is shown: for a newcomer, that of the room's last entry; for a
    client that comes back, or has not read everything yet, that of the last entry it was shown.
    Entries are kept for ``keep_days`` days (0: for ever); with ``until_stop``, only until the
    server stops. ``replaced``: the log is not the one that the program saw; entries that it saw
    after ``last`` are not in it, and other entries have their numbers. ``topic_by`` is the nickname
    of the person who set the topic, or "" if unknown.
    """

    room: str
    people: tuple[str, ...]
    people_count: int
    topic: str
    last: int
    keep_days: float
    id: str | None = None
    until_stop: bool = False
    replaced: bool = False
    topic_by: str = ""
    current: bool = True


class SecretAsked(Event, frozen=True):
    """The client's next line is the secret of the account ``name``; ``hidden``: it is not shown."""

    name: str
    hidden: bool = False


class AccountOffered(Event, frozen=True):
    """A guest who has come back can register; with ``has_account``, a password can be set."""

    nickname: str
    has_account: bool = False


class Registered(Event, frozen=True):
    """The client's nickname belongs to its ``account`` now, whose number this is."""

    nickname: str
    account: int
    id: str | None = None


class PasswordSet(Event, frozen=True):
    """The password of the client's account was set."""

    id: str | None = None


class TokenMade(Event, frozen=True):
    """A token was made, which is shown only once. ``rooms`` are those to which it is limited."""

    label: str
    token: str
    rooms: tuple[str, ...] = ()
    id: str | None = None


class TokenRevoked(Event, frozen=True):
    """The token or device ``label`` was revoked."""

    label: str
    id: str | None = None


class CodeMade(Event, frozen=True):
    """A code was made with which another device of the person comes in within ``minutes``."""

    nickname: str
    code: str
    minutes: int
    id: str | None = None


class Device(Message, frozen=True):
    """A row of :class:`DevicesListed`: a token or device of the account, or a connection without.

    ``connections`` is the number of present connections with it, ``this`` whether the client's is
    one of them. ``made`` is the time in microseconds since 1970 UTC, or 0.
    """

    label: str
    kind: str
    connections: int
    this: bool = False
    made: int = 0
    rooms: tuple[str, ...] = ()


class DevicesListed(Event, frozen=True):
    """The devices, tokens and other connections of the client's account."""

    devices: tuple[Device, ...]
    id: str | None = None


class Marked(Event, frozen=True):
    """The person has read ``room`` up to entry ``number``, on another of their connections."""

    room: str
    number: int


class Unregistered(Event, frozen=True):
    """The client's account ``nickname`` is closed; the connection closes next."""

    nickname: str
    id: str | None = None


class RoomLeft(Event, frozen=True):
    """The client left ``room``; ``current`` is its current room now, if any."""

    room: str
    current: str | None
    id: str | None = None


class Joined(Event, frozen=True):
    """Somebody joined ``room``; ``arrived`` if they joined the chat, too."""

    room: str
    nickname: str
    arrived: bool


class Left(Event, frozen=True):
    """Somebody left ``room``; ``departed`` if they left the chat, too."""

    room: str
    nickname: str
    departed: bool


class PresenceSummary(Event, frozen=True):
    """Several people joined ``room`` at nearly the same time, or left it if not ``joined``.

    ``people`` are some of them, ``count`` is their number. ``chat`` is as ``arrived`` of
    :class:`Joined` and ``departed`` of :class:`Left`. The client can be one of them.
    """

    room: str
    joined: bool
    chat: bool
    people: tuple[str, ...]
    count: int


class Renamed(Event, frozen=True):
    """Somebody has another nickname now; ``own`` if it is the client."""

    old: str
    new: str
    own: bool = False
    id: str | None = None


class Told(Event, frozen=True):
    """A private message; with ``own``, the confirmation that the client's message was delivered.

    ``time`` is in microseconds since 1970 UTC. ``kept``: it was kept while the client was away.
    """

    sender: str
    recipient: str
    text: str
    time: int
    own: bool = False
    id: str | None = None
    kept: bool = False


class MessageKept(Event, frozen=True):
    """The client's private message is kept for ``recipient``, who is away.

    ``time`` is in microseconds since 1970 UTC.
    """

    recipient: str
    time: int
    id: str | None = None


class MailStarts(Event, frozen=True):
    """Private messages follow that were kept while the client was away; ``count`` of them."""

    count: int


class Announced(Event, frozen=True):
    """An announcement by the operator or the embedding application, to one room or all (None)."""

    text: str
    room: str | None = None


class RoomSummary(Message, frozen=True):
    """A row of :class:`RoomsListed`; ``people`` is their number."""

    room: str
    people: int
    topic: str


class RoomsListed(Event, frozen=True):
    """A page of rooms, with the ``word`` and ``all`` of the request.

    ``count`` is the number of matching rooms among those that were examined. If ``more``, further
    rooms may follow the room ``after``.
    """

    rooms: tuple[RoomSummary, ...]
    count: int
    id: str | None = None
    more: bool = False
    word: str = ""
    all: bool = False
    after: str = ""


class PeopleListed(Event, frozen=True):
    """The people in ``room``: at most a page of ``people_count``."""

    room: str
    people: tuple[str, ...]
    people_count: int
    id: str | None = None


class TopicShown(Event, frozen=True):
    """The topic of ``room`` ("" if it has none), and the person who set it, if known."""

    room: str
    topic: str
    id: str | None = None
    topic_by: str = ""


class ReplayStarts(Event, frozen=True):
    """Earlier entries of ``room`` follow, as :class:`Replayed`.

    They are from before the client joined or, if ``resumed``, from its absence.
    """

    room: str
    resumed: bool


class Replayed(Event, frozen=True):
    """An entry from before the client joined, or from its absence."""

    entry: Entry


class LinesSkipped(Event, frozen=True):
    """The client is so far behind that entries ``first`` to ``last`` are not shown to it."""

    room: str
    first: int
    last: int


class EntriesRemoved(Event, frozen=True):
    """Missed entries of ``room`` are no longer kept; the oldest one kept is number ``first``."""

    room: str
    first: int


class HistoryShown(Event, frozen=True):
    """A page of a room's log, oldest first; ``first`` is the oldest number that can be shown.

    If ``before`` or ``after`` is not 0, the page is not full although there are more entries
    before or after that number: the client ignores the authors of nearly all entries up to there.
    """

    room: str
    entries: tuple[Entry, ...]
    first: int
    id: str | None = None
    before: int = 0
    after: int = 0


class SearchShown(Event, frozen=True):
    """The results of a search for ``words``, newest first.

    ``snippets`` has, for each entry, the part of its text around the first word.
    """

    words: str
    entries: tuple[Entry, ...]
    snippets: tuple[str, ...]
    id: str | None = None


class Acknowledged(Event, frozen=True):
    """Messages of the client are saved."""

    entries: tuple[Entry, ...]


class Replaced(Event, frozen=True):
    """The client came back over another connection; this one closes."""


class ReceiptsSet(Event, frozen=True):
    """Receipts are on or off now."""

    on: bool


class Pong(Event, frozen=True):
    """The answer to :class:`.Ping`."""

    id: str | None = None


class LimitsShown(Event, frozen=True):
    """The limits of this server."""

    limits: Limits
    id: str | None = None


class Slowed(Event, frozen=True):
    """The client's address sends more than ``burst`` lines at once and ``per_second`` per second:
    the rest waits.
    """

    burst: float
    per_second: float


class NotSent(Event, frozen=True):
    """``count`` waiting lines of the client were dropped."""

    count: int


class NothingWaits(Event, frozen=True):
    """The answer to :class:`.Cancel` if no line waits."""


class Goodbye(Event, frozen=True):
    """The answer to :class:`.Quit`: the connection closes."""


class IgnoredListed(Event, frozen=True):
    """The nicknames of the ignored people."""

    people: tuple[str, ...]
    id: str | None = None


class Ignoring(Event, frozen=True):
    """The client ignores ``nickname`` now or, if not ``on``, no longer.

    ``person`` is that person's author in decimal digits, which does not change with the nickname.
    """

    nickname: str
    on: bool
    id: str | None = None
    person: str = ""


class LanguageShown(Event, frozen=True):
    """The client's language, and all ``languages``; ``changed`` if it is a new choice."""

    language: str
    languages: tuple[str, ...]
    changed: bool
    id: str | None = None


class TimestampsSet(Event, frozen=True):
    """The time of each line is on or off now."""

    on: bool


class HelpShown(Event, frozen=True):
    """The help of one command, or of all (None)."""

    command: str | None


class StillHere(Event, frozen=True):
    """The answer to :class:`.AreYouThere`."""


class HowToLeave(Event, frozen=True):
    """The answer to :class:`.Interrupt`: how to leave."""


class Refused(Event, frozen=True):
    """A request was refused; ``id`` is the request's."""

    refusal: Refusal
    id: str | None = None


class ServerStopping(Event, frozen=True):
    """The server is shutting down; the connection closes next.

    ``until_stop``: the log is in memory and ends with the server. ``some_unsaved``: the client was
    told of lines of its own that were not saved or not sent.
    """

    until_stop: bool = False
    some_unsaved: bool = False

"""Events: what somebody is shown; a dialect makes bytes of it.

They are frozen values that hold names and texts, never a connection.
"""

from __future__ import annotations

from typing import Literal

from twisted_chat.core.errors import Refusal
from twisted_chat.core.limits import DEFAULTS, Limits
from twisted_chat.core.requests import Message

#: What an entry of a room's log is: something said, something done (``/me``), a new topic.
Kind = Literal["say", "act", "topic"]


class Style(Message, frozen=True):
    """How one person wants to be shown events: equal styles share one rendering.

    ``prefixed`` is set for the rooms that are not the person's current one. Times are UTC, or
    ``local``: in the zone of this machine. With ``crlf``, lines end with CR LF, where a dialect has
    a choice.
    """

    language: str
    timestamps: bool = False
    prefixed: bool = False
    local: bool = False
    crlf: bool = False


class Event(Message, frozen=True, gc=False):
    """What somebody is shown. One that can be the answer to a request has its ``id``."""


class Entry(Event, frozen=True, gc=False):
    """One entry of a room's log, saved.

    ``number`` counts from 1 in each room without a gap; ``time`` is in microseconds since
    1970 UTC; ``author`` is the key (16 bytes) that a hash makes of the author's client id, and
    ``message_id`` the author's own name for it, if any.
    """

    room: str
    number: int
    time: int
    kind: Kind
    nickname: str
    text: str
    author: bytes | None
    message_id: str | None
    hash: bytes


class Greeted(Event, frozen=True):
    """A connection was made: a name is wanted."""


class Welcomed(Event, frozen=True):
    """The name was accepted.

    ``motd`` is the operator's message of the day, by lines; ``rooms`` has, for each room one is
    in, the number that ``last`` of its :class:`Entered` has. With ``client_id`` or ``code`` one
    can come back; ``resumed`` if that is what happened. ``limits`` are those of this server.
    ``log`` is what a program keeps of the log: see :mod:`twisted_chat.journal.runs`.
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


class Entered(Event, frozen=True):
    """One's own move: ``room`` is the current room now.

    ``people`` are the others in it, at most a page of them; ``last`` is the number of the entry
    that precedes the next one that is shown: for those who come anew that of the room's last
    entry; for those who come back, or have not read everything yet, that of the last entry they
    were shown. Entries are kept for ``keep_days``, 0 for ever; if ``until_stop``, until the
    server stops at the latest. If ``replaced``, the log is not the one that a program saw: what it
    saw after ``last`` is not in it, and other entries have those numbers or will have them.
    ``topic_by`` set the topic, if that is known.
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


class RoomLeft(Event, frozen=True):
    """One's own move: out of ``room``; ``current`` is the current room now, if any."""

    room: str
    current: str | None
    id: str | None = None


class Joined(Event, frozen=True):
    """Somebody came into ``room``; ``arrived`` if they were not in the chat before."""

    room: str
    nickname: str
    arrived: bool


class Left(Event, frozen=True):
    """Somebody left ``room``; ``departed`` if they left the chat."""

    room: str
    nickname: str
    departed: bool


class Crowd(Event, frozen=True):
    """Several people came into ``room`` within a moment, or left it if not ``came``.

    ``people`` are some of them, ``count`` is all; ``chat`` as ``arrived`` of :class:`Joined` and
    ``departed`` of :class:`Left`. Whoever is shown it may be one of them.
    """

    room: str
    came: bool
    chat: bool
    people: tuple[str, ...]
    count: int


class Renamed(Event, frozen=True):
    """Somebody has another nickname now; ``own`` if it is oneself."""

    old: str
    new: str
    own: bool = False
    id: str | None = None


class Told(Event, frozen=True):
    """A private message; ``own`` is the sender's confirmation that it was delivered."""

    sender: str
    recipient: str
    text: str
    time: int
    own: bool = False
    id: str | None = None


class Announced(Event, frozen=True):
    """The operator or the embedding application says something."""

    text: str
    room: str | None = None


class RoomSummary(Message, frozen=True):
    room: str
    people: int
    topic: str


class RoomsListed(Event, frozen=True):
    """A page of the rooms that were asked for, with the ``word`` and ``all`` of the request.

    ``count`` is how many there are of them, of those that were looked at; there are ``more`` after
    the room ``after``, or may be.
    """

    rooms: tuple[RoomSummary, ...]
    count: int
    id: str | None = None
    more: bool = False
    word: str = ""
    all: bool = False
    after: str = ""


class PeopleListed(Event, frozen=True):
    room: str
    people: tuple[str, ...]
    people_count: int
    id: str | None = None


class TopicShown(Event, frozen=True):
    room: str
    topic: str
    id: str | None = None
    topic_by: str = ""


class ReplayStarts(Event, frozen=True):
    """What was said in ``room`` follows, as :class:`Replayed`.

    It was said before one came, or if ``resumed``, while one was away.
    """

    room: str
    resumed: bool


class Replayed(Event, frozen=True):
    """An entry from before one joined."""

    entry: Entry


class LinesSkipped(Event, frozen=True):
    """A reader fell so far behind that entries ``first`` to ``last`` are not shown to it."""

    room: str
    first: int
    last: int


class EntriesRemoved(Event, frozen=True):
    """What one missed in ``room`` is no longer kept; the oldest entry kept is ``first``."""

    room: str
    first: int


class HistoryShown(Event, frozen=True):
    """A page of a room's log, oldest first; the room's oldest entry that can be shown is ``first``.

    The page is not full, although there is more, if ``before`` or ``after`` is not 0: up to that
    number, nearly all was said by people whom one ignores.
    """

    room: str
    entries: tuple[Entry, ...]
    first: int
    id: str | None = None
    before: int = 0
    after: int = 0


class SearchShown(Event, frozen=True):
    """What a search for ``words`` found, the latest first; ``snippets`` has the part of each
    entry's text that is around the first word.
    """

    words: str
    entries: tuple[Entry, ...]
    snippets: tuple[str, ...]
    id: str | None = None


class Acknowledged(Event, frozen=True):
    """One's own messages are saved."""

    entries: tuple[Entry, ...]


class Replaced(Event, frozen=True):
    """One has come back over another connection; this one closes."""


class ReceiptsSet(Event, frozen=True):
    on: bool


class Pong(Event, frozen=True):
    id: str | None = None


class LimitsShown(Event, frozen=True):
    limits: Limits
    id: str | None = None


class Slowed(Event, frozen=True):
    """More than ``burst`` lines at once and ``per_second`` a second come from the address of the
    client: the rest waits.
    """

    burst: float
    per_second: float


class NotSent(Event, frozen=True):
    """``count`` lines of one's own, which waited, were dropped."""

    count: int


class NothingWaits(Event, frozen=True):
    """The answer to :class:`Cancel` where no line waits."""


class Goodbye(Event, frozen=True):
    """The answer to :class:`Quit`: the connection closes."""


class IgnoredListed(Event, frozen=True):
    people: tuple[str, ...]
    id: str | None = None


class Ignoring(Event, frozen=True):
    """``nickname`` is ignored from now on, or no longer if not ``on``.

    ``person`` is the author key of who that is, in hexadecimal, which stays theirs.
    """

    nickname: str
    on: bool
    id: str | None = None
    person: str = ""


class LanguageShown(Event, frozen=True):
    """The language in use; ``languages`` are those there are."""

    language: str
    languages: tuple[str, ...]
    changed: bool
    id: str | None = None


class TimestampsSet(Event, frozen=True):
    on: bool


class HelpShown(Event, frozen=True):
    command: str | None


class StillHere(Event, frozen=True):
    """The answer to :class:`AreYouThere`."""


class HowToLeave(Event, frozen=True):
    """The answer to :class:`Interrupt`."""


class Refused(Event, frozen=True):
    """What was asked was not done; ``id`` is the request's."""

    refusal: Refusal
    id: str | None = None


class ServerStopping(Event, frozen=True):
    """The service is being stopped; the connection closes next.

    If ``until_stop``, the log is in memory: what was said goes with the server. If
    ``some_unsaved``, the person was told of lines of theirs that were not saved or not sent.
    """

    until_stop: bool = False
    some_unsaved: bool = False

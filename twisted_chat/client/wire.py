"""The JSON Lines dialect from the client's side: requests out, events in. Pure.

``docs/protocol.rst`` describes every message. A line is parsed to the event that the server
rendered, so a client can show events as the server would; :mod:`twisted_chat.client.events` has
the few events that only a client has. All texts of an event are safe to show on a terminal,
whatever the server sent.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

import msgspec
from msgspec import structs

from twisted_chat.client.account_lines import (
    CodeLine,
    DevicesLine,
    MarkedLine,
    PasswordSetLine,
    RegisteredLine,
    TokenLine,
    TokenRevokedLine,
    UnregisteredLine,
)
from twisted_chat.client.events import (
    Connected,
    Disconnected,
    LogReplaced,
    Receipt,
    RequestRefused,
)
from twisted_chat.client.line import Line as _Line
from twisted_chat.client.line import Name as _Name
from twisted_chat.client.line import Number as _Number
from twisted_chat.client.line import Text as _Text
from twisted_chat.client.line import Time as _Time
from twisted_chat.client.room_lines import InvitedLine, RoleSetLine, RoomSettingsLine
from twisted_chat.core.characters import visible, visible_lines
from twisted_chat.core.errors import ControlCharacter
from twisted_chat.core.events import (
    Announced,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    HistoryShown,
    IgnoredListed,
    Ignoring,
    Joined,
    Kind,
    LanguageShown,
    Left,
    LimitsShown,
    MessageKept,
    NotSent,
    PeopleListed,
    Pong,
    PresenceSummary,
    Refused,
    Renamed,
    Replaced,
    RoomLeft,
    RoomsListed,
    RoomSummary,
    SearchShown,
    ServerStopping,
    Slowed,
    Style,
    Told,
    TopicShown,
    Welcomed,
)
from twisted_chat.core.limits import DEFAULTS, Limits
from twisted_chat.core.requests import Request
from twisted_chat.dialects import jsonl

_TYPES = {request: name for name, request in jsonl.REQUESTS.items()}

_STYLE = Style("en")

#: Lines of a server's message of the day, at most.
MOTD_LINES = 1000


class NotUnderstood(ValueError):
    """A received line does not belong to this dialect."""


# -- out --------------------------------------------------------------------------------------


def encode(request: Request) -> bytes:
    """``request`` as a line, without the line's end.

    :raises ControlCharacter: a text of the request contains a lone surrogate.
    """
    fields = {name: value for name, value in structs.asdict(request).items() if value is not None}
    try:
        return msgspec.json.encode({"type": _TYPES[type(request)], **fields})
    except UnicodeEncodeError as error:
        raise ControlCharacter(character=ord(error.object[error.start])) from None


# -- in ---------------------------------------------------------------------------------------


class _Said(_Line, tag="said"):
    room: _Name
    seq: _Number
    time: _Time
    nickname: _Name
    text: _Text
    kind: str = "say"
    id: str | None = None
    account: _Number = 0

    def event(self) -> Entry:
        kind = cast("Kind", self.kind)  # an unknown kind is shown as a message
        return Entry(
            self.room,
            self.seq,
            self.time,
            kind,
            self.nickname,
            self.text,
            self.account,
            self.id,
            b"",
        )


class _Ack(_Line, tag="ack"):
    id: str | None
    room: _Name
    seq: _Number
    time: _Time

    def event(self) -> Event:
        return Receipt(self.room, self.seq, self.time, self.id)


class _Error(_Line, tag="error"):
    code: str
    text: str
    id: str | None = None
    account: bool = False

    def event(self) -> Event:
        details = {"account": True} if self.account else {}
        return Refused(RequestRefused(code=self.code, text=self.text, **details), self.id)


class _Welcome(_Line, tag="welcome"):
    nickname: _Name
    client: str
    resumed: bool
    rooms: dict[_Name, _Number]
    motd: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=MOTD_LINES)] = ()
    version: int = jsonl.VERSION
    limits: Limits = DEFAULTS
    id: str | None = None
    log: Annotated[str, msgspec.Meta(max_length=jsonl.LOG_LIMIT)] = ""
    account: _Number = 0

    def event(self) -> Event:
        if self.version != jsonl.VERSION:
            raise ValueError(f"version {self.version}")
        client_id = bytes.fromhex(self.client)
        return Welcomed(
            self.nickname,
            self.motd,
            self.rooms,
            client_id,
            "",
            self.resumed,
            self.limits,
            self.id,
            self.log,
            self.account,
        )


class _Entered(_Line, tag="entered"):
    room: _Name
    topic: _Text
    people: tuple[_Name, ...]
    count: int
    last: _Number
    keep_days: float = 0
    id: str | None = None
    until_stop: bool = False
    replaced: bool = False
    topic_by: _Name = ""
    current: bool = True

    def event(self) -> Event:
        return Entered(
            self.room,
            self.people,
            self.count,
            self.topic,
            self.last,
            self.keep_days,
            self.id,
            self.until_stop,
            self.replaced,
            self.topic_by,
            self.current,
        )


class _Exited(_Line, tag="exited"):
    room: _Name
    id: str | None = None

    def event(self) -> Event:
        return RoomLeft(self.room, None, self.id)


class _Joined(_Line, tag="joined"):
    room: _Name
    nickname: _Name
    arrived: bool

    def event(self) -> Event:
        return Joined(self.room, self.nickname, self.arrived)


class _Left(_Line, tag="left"):
    room: _Name
    nickname: _Name
    departed: bool

    def event(self) -> Event:
        return Left(self.room, self.nickname, self.departed)


class _PresenceSummary(_Line, tag="crowd"):
    room: _Name
    came: bool
    chat: bool
    people: tuple[_Name, ...]
    count: int

    def event(self) -> Event:
        return PresenceSummary(self.room, self.came, self.chat, self.people, self.count)


class _Renamed(_Line, tag="renamed"):
    old: _Name
    new: _Name
    own: bool = False
    id: str | None = None

    def event(self) -> Event:
        return Renamed(self.old, self.new, self.own, self.id)


class _Told(_Line, tag="told"):
    nickname: _Name
    text: str
    time: _Time
    kept: bool = False

    def event(self) -> Event:
        return Told(self.nickname, "", self.text, self.time, kept=self.kept)


class _Delivered(_Line, tag="delivered"):
    name: _Name
    time: _Time
    id: str | None = None

    def event(self) -> Event:
        return Told("", self.name, "", self.time, own=True, id=self.id)


class _Kept(_Line, tag="kept"):
    name: _Name
    time: _Time
    id: str | None = None

    def event(self) -> Event:
        return MessageKept(self.name, self.time, self.id)


class _History(_Line, tag="history"):
    room: _Name
    first: _Number
    entries: tuple[_Said, ...]
    id: str | None = None
    before: _Number = 0
    after: _Number = 0

    def event(self) -> Event:
        entries = tuple(said.event() for said in self.entries)
        page = self.room, entries, self.first, self.id
        return HistoryShown(*page, self.before, self.after)


class _Found(_Line, tag="found"):
    words: str
    entries: tuple[_Said, ...]
    snippets: tuple[str, ...]
    id: str | None = None

    def event(self) -> Event:
        entries = tuple(said.event() for said in self.entries)
        snippets = self.snippets
        if len(snippets) != len(entries):
            snippets = tuple(visible(entry.text) for entry in entries)
        return SearchShown(self.words, entries, snippets, self.id)


class _Rooms(_Line, tag="rooms"):
    rooms: tuple[RoomSummary, ...]
    count: int
    id: str | None = None
    more: bool = False
    word: str = ""
    all: bool = False
    after: str = ""

    def event(self) -> Event:
        listed = self.rooms, self.count, self.id, self.more
        return RoomsListed(*listed, self.word, self.all, self.after)


class _People(_Line, tag="people"):
    room: _Name
    people: tuple[_Name, ...]
    count: int
    id: str | None = None

    def event(self) -> Event:
        return PeopleListed(self.room, self.people, self.count, self.id)


class _Topic(_Line, tag="topic"):
    room: _Name
    topic: _Text
    id: str | None = None
    topic_by: _Name = ""

    def event(self) -> Event:
        return TopicShown(self.room, self.topic, self.id, self.topic_by)


class _Removed(_Line, tag="removed"):
    room: _Name
    first: _Number

    def event(self) -> Event:
        return EntriesRemoved(self.room, self.first)


class _Announced(_Line, tag="announced"):
    text: str
    room: _Name | None = None

    def event(self) -> Event:
        return Announced(self.text, self.room)


class _Ignoring(_Line, tag="ignoring"):
    nickname: _Name
    on: bool
    id: str | None = None
    person: str = ""

    def event(self) -> Event:
        return Ignoring(self.nickname, self.on, self.id, self.person)


class _Ignored(_Line, tag="ignored"):
    people: tuple[_Name, ...]
    id: str | None = None

    def event(self) -> Event:
        return IgnoredListed(self.people, self.id)


class _Language(_Line, tag="language"):
    language: str
    languages: tuple[str, ...]
    id: str | None = None

    def event(self) -> Event:
        return LanguageShown(self.language, self.languages, changed=False, id=self.id)


class _Limits(_Line, tag="limits"):
    limits: Limits
    id: str | None = None

    def event(self) -> Event:
        return LimitsShown(self.limits, self.id)


class _Slowed(_Line, tag="slowed"):
    burst: float
    per_second: float

    def event(self) -> Event:
        return Slowed(self.burst, self.per_second)


class _NotSent(_Line, tag="not-sent"):
    count: int

    def event(self) -> Event:
        return NotSent(self.count)


class _Pong(_Line, tag="pong"):
    id: str | None = None

    def event(self) -> Event:
        return Pong(self.id)


class _Replaced(_Line, tag="replaced"):
    def event(self) -> Event:
        return Replaced()


class _Stopping(_Line, tag="stopping"):
    until_stop: bool = False
    some_unsaved: bool = False

    def event(self) -> Event:
        return ServerStopping(self.until_stop, self.some_unsaved)


_LINES = (
    _Said | _Ack | _Error | _Welcome | _Entered | _Exited | _Joined | _Left | _PresenceSummary
    | _Renamed | _Told | _Delivered | _Kept | _History | _Found | _Rooms | _People | _Topic
    | _Removed | _Announced | _Ignoring | _Ignored | _Language | _Limits | _Slowed | _NotSent
    | _Pong | _Replaced | _Stopping | RoomSettingsLine | RoleSetLine | InvitedLine | RegisteredLine
    | PasswordSetLine | TokenLine | TokenRevokedLine | CodeLine | DevicesLine | MarkedLine
    | UnregisteredLine
)  # fmt: skip


class _Envelope(msgspec.Struct):
    type: str


#: The types of lines that contain messages, whose texts can have several lines.
_MESSAGES = frozenset({"said", "told", "history", "found"})

_envelope = msgspec.json.Decoder(_Envelope)
_decoder = msgspec.json.Decoder(_LINES)
_known = frozenset(str(kind.__struct_config__.tag) for kind in _Line.__subclasses__())


def decode(line: bytes) -> Event | None:
    """The event of ``line``, which has no line end; None if its type is unknown to this client.

    :raises NotUnderstood: ``line`` does not belong to the dialect.
    """
    try:
        text = line.decode("utf-8")
        kind = _envelope.decode(text).type
        if kind not in _known:
            return None
        if text.isprintable() and "\\" not in text:
            read: _Line = _decoder.decode(text)
        else:
            read = msgspec.convert(
                _all_visible(msgspec.json.decode(text), kind in _MESSAGES), _LINES
            )
        return read.event()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise NotUnderstood(visible(str(error))) from None


def as_json(event: Event) -> bytes:
    """``event`` as a line of JSON that ends with LF, for programs that read a client's output.

    The line is as the server sends it, but without the client id, which is a secret. Events that
    only a client has get a line too.
    """
    if isinstance(event, Receipt):
        return _line("ack", id=event.id, room=event.room, seq=event.number, time=event.time)
    if isinstance(event, Connected):
        return _line("connected")
    if isinstance(event, Disconnected):
        return _line("disconnected", reason=event.reason, retry=event.retry)
    if isinstance(event, LogReplaced):
        return _line("log-replaced", room=event.room)
    if isinstance(event, Welcomed):
        event = structs.replace(event, client_id=b"")
    return jsonl.render([event], _STYLE).data


def _line(type: str, **fields: object) -> bytes:
    return msgspec.json.encode({"type": type, **fields}) + b"\n"


def _all_visible(value: Any, has_lines: bool = False) -> Any:
    """``value`` with all texts visible; with ``has_lines``, the texts of messages keep their LF."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {
            visible(key): visible_lines(item)
            if has_lines and key == "text" and isinstance(item, str)
            else _all_visible(item, has_lines)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_all_visible(item, has_lines) for item in value]
    return value

"""The JSON Lines dialect, for programs: each line is one JSON object, whose ``type`` names it.

``docs/protocol.rst`` describes every message. Requests are decoded directly to the classes of
:mod:`twisted_chat.core.requests`. This module has their names on the wire, the checks beyond their
types, and the form of events. It must not know the bytes of other dialects, or sessions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import msgspec
from msgspec import structs

from twisted_chat.core.account_errors import SecretMissing
from twisted_chat.core.characters import PRINTABLE, find_unsafe, visible, visible_lines
from twisted_chat.core.commands import TABLE
from twisted_chat.core.errors import (
    BadRequest,
    ControlCharacter,
    LineTooLong,
    Refusal,
    TooManyLines,
    UnknownType,
)
from twisted_chat.core.events import (
    AccountOffered,
    Acknowledged,
    Announced,
    CodeMade,
    DevicesListed,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    Goodbye,
    Greeted,
    HelpShown,
    HistoryShown,
    HowToLeave,
    IgnoredListed,
    Ignoring,
    Joined,
    LanguageShown,
    Left,
    LimitsShown,
    LinesSkipped,
    MailStarts,
    Marked,
    MessageKept,
    NothingWaits,
    NotSent,
    PasswordSet,
    PeopleListed,
    Pong,
    PresenceSummary,
    ReceiptsSet,
    Refused,
    Registered,
    Renamed,
    Replaced,
    Replayed,
    ReplayStarts,
    RoomLeft,
    RoomsListed,
    SearchShown,
    SecretAsked,
    ServerStopping,
    Slowed,
    StillHere,
    Style,
    TimestampsSet,
    TokenMade,
    TokenRevoked,
    Told,
    TopicShown,
    Unregistered,
    Welcomed,
)
from twisted_chat.core.limits import (
    SEARCH_BYTES,
    SEARCH_WORDS,
    SOFT_LIMIT,
    TEXT_LIMIT,
    TEXT_LINES,
    Limits,
)
from twisted_chat.core.names import ROOM_LIMIT
from twisted_chat.core.profile import PROGRAM
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.requests import Request, Say, Tell
from twisted_chat.dialects.base import Dialect, line_ends
from twisted_chat.dialects.lines import LineSplitter
from twisted_chat.dialects.room_fields import RENDERERS as ABOUT_ROOMS

#: The version of this protocol. It grows by one with a change that could break a client.
VERSION = 1

#: The most bytes of a line: enough for any text, even with each character escaped.
LINE_LIMIT = 16_384

#: The deepest nesting of objects and arrays in a line; the outermost object counts. It is far below
#: the recursion limit of any interpreter, so that all of them refuse the same lines.
DEPTH_LIMIT = 64

#: The most characters of an id that a client gives to a request.
ID_LIMIT = 64

#: The most characters of the text by which a client identifies the log (``log`` of ``welcome``).
LOG_LIMIT = 512

#: The first byte of a connection in this dialect.
FIRST_BYTE = b"{"

_ANY_STYLE = Style("en")

#: The requests that programs can make, by their ``type``.
REQUESTS: dict[str, type[Request]] = {row.json: row.request for row in TABLE.rows if row.json}


class _Envelope(msgspec.Struct, gc=False):
    """The fields of every line, with any types, so that an error can name an invalid line's id."""

    type: Any = None
    id: Any = None


_envelope = msgspec.json.Decoder(_Envelope)
_decoders = {name: msgspec.json.Decoder(request) for name, request in REQUESTS.items()}
_decode_say = msgspec.json.Decoder(Say).decode
_encoder = msgspec.json.Encoder()

#: The first bytes of a ``say`` line, in the two forms that nearly all programs write.
_SAY = frozenset({b'{"type":"say",', b'{"type": "say"'})
_SAY_LENGTH = 14

#: The bytes of lines of printable ASCII.
_PRINTABLE = PRINTABLE + b"\n"


#: A string with its quotation marks; where the line is not JSON, the last one may be missing.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)

#: The beginning of an object, up to the first object or array in it.
_FLAT = re.compile(rb'\s*\{(?:[^"\[\]{}]|"(?:[^"\\]|\\.)*")*', re.DOTALL)

#: The change of depth at each bracket.
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - _STEPS.keys())


# -- in ---------------------------------------------------------------------------------------


def _is_json(data: bytes) -> bool:
    return data.startswith(FIRST_BYTE)


def parse(line: bytes) -> Request:
    """The request on ``line``, which comes without its line end.

    :raises Refusal: it is not JSON, not a valid request, or contains a control character.
    """
    says = parse_says([line])
    return says[0] if says else _parse_any(line)


def parse_says(lines: Sequence[bytes]) -> list[Say]:
    """The requests on ``lines``, which arrived together; empty unless each is a plain ``say``.

    The requests are those that :func:`parse` returns, but this is faster.
    """
    data = b"\n".join(lines)
    if (
        not {line[:_SAY_LENGTH] for line in lines} <= _SAY
        or data.count(b'"type"') != len(lines)
        or b"\\u" in data  # a field's name could be written with it
        or (len(data) > LINE_LIMIT and max(map(len, lines)) > LINE_LIMIT)
        or data.count(b"[") + data.count(b"{") - len(lines) >= DEPTH_LIMIT  # might be too deep
    ):
        return []
    try:
        data.decode()  # the decoder does not check the fields that it skips
        says = list(map(_decode_say, lines))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    is_printable = b"\\" not in data and not data.translate(None, _PRINTABLE)
    return says if all(map(_fits if is_printable else _is_plain, says)) else []


def _is_plain(say: Say) -> bool:
    """Whether ``say`` needs no closer check."""
    id, room, text = say.id, say.room, say.text
    return (
        _fits(say)
        and text.isprintable()
        and (id is None or id.isprintable())
        and (room is None or room.isprintable())
    )


def _fits(say: Say) -> bool:
    """Whether ``say``, whose texts are printable, needs no closer check."""
    id, room, text = say.id, say.room, say.text
    return (
        4 * len(text) <= TEXT_LIMIT
        and not text.isspace()
        and text != ""
        and (id is None or 0 < len(id) <= ID_LIMIT)
        and (room is None or len(room) <= ROOM_LIMIT)
    )


def _parse_any(line: bytes) -> Request:
    id = None
    try:
        line.decode("utf-8")  # the decoders do not check the fields that they skip
        if _is_too_deep(line):
            id = _first_id(line)
            raise BadRequest(reason=f"more than {DEPTH_LIMIT} objects and arrays in one another")
        envelope = _envelope.decode(line)
        id = envelope.id if _is_id(envelope.id) else None
        request = _decode(envelope.type, line)
        _check(request)
    except Refusal as refusal:
        refusal.request_id = id
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(reason=visible(str(error))) from None
    return request


def _is_too_deep(line: bytes) -> bool:
    if line.count(b"[") + line.count(b"{") <= DEPTH_LIMIT:
        return False
    brackets = _STRING.sub(b"", line).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEPTH_LIMIT


def _first_id(line: bytes) -> str | None:
    """The id in a line that is too deep to decode, if it comes before any nested value."""
    flat = _FLAT.match(line)
    if flat is None:
        return None
    try:
        envelope = _envelope.decode(flat[0].rpartition(b",")[0] + b"}")
    except msgspec.DecodeError:
        return None
    return envelope.id if _is_id(envelope.id) else None


def _decode(type: object, line: bytes) -> Request:
    if not isinstance(type, str):
        raise BadRequest(reason="type is a text")
    decoder = _decoders.get(type)
    if decoder is None:
        raise UnknownType(type=visible(type[:ID_LIMIT]))
    try:
        return decoder.decode(line)
    except msgspec.DecodeError as error:
        raise BadRequest(reason=visible(str(error))) from None


def _check(request: Request) -> None:
    for name in request.__struct_fields__:
        value = getattr(request, name)
        several = isinstance(value, dict | tuple)
        for text in (value,) if isinstance(value, str) else value if several else ():
            unsafe = find_unsafe(_joined(text) if _has_lines(request, name) else text)
            if unsafe is not None:
                raise ControlCharacter(character=ord(unsafe))
            if 4 * len(text) > TEXT_LIMIT and len(text.encode()) > TEXT_LIMIT:
                raise LineTooLong(limit=TEXT_LIMIT)
    if request.id is not None and not _is_id(request.id):
        raise BadRequest(reason=f"an id has 1 to {ID_LIMIT} characters")


def _has_lines(request: Request, field: str) -> bool:
    """Whether this field can have several lines: the text of a message."""
    return field == "text" and (
        isinstance(request, Tell) or (isinstance(request, Say) and request.kind == "say")
    )


def _joined(text: str) -> str:
    """``text`` without LF.

    :raises TooManyLines: it has too many of them.
    """
    if text.count("\n") >= TEXT_LINES:
        raise TooManyLines(limit=TEXT_LINES)
    return text.replace("\n", "")


def _is_id(id: object) -> bool:
    return isinstance(id, str) and 0 < len(id) <= ID_LIMIT and find_unsafe(id) is None


# -- out --------------------------------------------------------------------------------------


def batch_style(style: Style) -> Style:
    """One style for all: events for several members do not depend on their styles."""
    return _ANY_STYLE


def render(events: Sequence[Event], style: Style) -> Rendered:
    """``events`` as lines that end with LF: one for each event, or for each acknowledged entry."""
    data = _lines([_RENDERERS[type(event)](event, style) for event in events])
    if not data.isascii() or b"\x7f" in data:
        # JSON escapes the C0 controls only.
        data = "\n".join(visible(line) for line in data.decode().split("\n")).encode()
    return Rendered(data, events, _ends)


def _ends(data: bytes, events: Sequence[Event]) -> list[int]:
    ends = line_ends(data, events)
    if len(ends) == len(events):
        return ends
    lines = (max(1, len(e.entries)) if isinstance(e, Acknowledged) else 1 for e in events)
    return [ends[count - 1] for count in accumulate(lines)]


def _lines(values: Sequence[object]) -> bytes:
    try:
        return _encoder.encode_lines(values)
    except UnicodeEncodeError:  # a lone surrogate, from a damaged database
        return b"".join(map(_line, values))  # only the damaged line is encoded differently


def _line(value: object) -> bytes:
    try:
        return _encoder.encode_lines([value])
    except UnicodeEncodeError:
        return _encoder.encode_lines([_all_visible(msgspec.to_builtins(value))])


def _all_visible(value: Any) -> Any:
    if isinstance(value, str):
        return visible_lines(value)  # JSON escapes LF
    if isinstance(value, dict):
        return {_all_visible(key): _all_visible(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_all_visible(item) for item in value]
    return value


class _Said(msgspec.Struct, tag="said", gc=False, omit_defaults=True):
    """An entry of a room's log. As most lines are entries, fields with defaults are left out."""

    room: str
    seq: int
    time: int
    nickname: str
    text: str
    kind: str | None = None
    id: str | None = None
    account: int = 0


class _Ack(msgspec.Struct, tag="ack", gc=False):
    """The acknowledgement of an entry to its author."""

    id: str | None
    room: str
    seq: int
    time: int


def _said(entry: Entry, style: Style) -> _Said:
    return _Said(
        entry.room,
        entry.number,
        entry.time,
        visible(entry.nickname),
        visible_lines(entry.text),
        None if entry.kind == "say" else entry.kind,
        entry.message_id,
        entry.author if entry.author > 0 else 0,
    )


def _welcomed(event: Welcomed, style: Style) -> dict[str, Any]:
    return {
        "type": "welcome",
        "id": event.id,
        "version": VERSION,
        "nickname": event.nickname,
        "client": event.client_id.hex(),
        "resumed": event.resumed,
        "rooms": event.rooms,
        "motd": event.motd,
        "limits": _limits(event.limits),
        "log": event.log,
        **({"account": event.account} if event.account else {}),
    }


def _limits(limits: Limits) -> dict[str, Any]:
    """The limits of :class:`.Limits` under their names there, and those of this dialect."""
    own = {"line": LINE_LIMIT, "id": ID_LIMIT, "soft_waiting": SOFT_LIMIT, "lines": TEXT_LINES}
    own |= {"search_words": SEARCH_WORDS, "search_bytes": SEARCH_BYTES}
    return own | structs.asdict(limits)


def _limits_shown(event: LimitsShown, style: Style) -> dict[str, Any]:
    return {"type": "limits", "id": event.id, "limits": _limits(event.limits)}


def _entered(event: Entered, style: Style) -> dict[str, Any]:
    return {
        "type": "entered",
        "id": event.id,
        "room": event.room,
        "topic": event.topic,
        "people": event.people,
        "count": event.people_count,
        "last": event.last,
        "keep_days": event.keep_days,
        **({"until_stop": True} if event.until_stop else {}),
        **({"replaced": True} if event.replaced else {}),
        **({"topic_by": event.topic_by} if event.topic_by else {}),
        **({} if event.current else {"current": False}),
    }


def _topic_shown(event: TopicShown, style: Style) -> dict[str, Any]:
    fields = {"type": "topic", "id": event.id, "room": event.room, "topic": visible(event.topic)}
    return {**fields, "topic_by": event.topic_by} if event.topic_by else fields


def _told(event: Told, style: Style) -> dict[str, Any]:
    if event.own:
        return {"type": "delivered", "id": event.id, "name": event.recipient, "time": event.time}
    fields = {"type": "told", "nickname": event.sender, "text": event.text, "time": event.time}
    return {**fields, "kept": True} if event.kept else fields


def _acknowledged(event: Acknowledged, style: Style) -> msgspec.Raw:
    """One line for each entry."""
    lines = _lines([_Ack(e.message_id, e.room, e.number, e.time) for e in event.entries])
    return msgspec.Raw(lines[:-1])


def _refused(event: Refused, style: Style) -> dict[str, Any]:
    refusal = event.refusal
    text = visible(refusal.sentence(style.language))
    fields = {"type": "error", "id": event.id, "code": refusal.code, "text": text}
    return {**fields, "account": True} if isinstance(refusal, SecretMissing) else fields


def _history_shown(event: HistoryShown, style: Style) -> dict[str, Any]:
    fields = {
        "type": "history",
        "id": event.id,
        "room": event.room,
        "first": event.first,
        "entries": [_said(entry, style) for entry in event.entries],
    }
    goes_on = {"before": event.before, "after": event.after}
    return fields | {name: number for name, number in goes_on.items() if number}


def _search_shown(event: SearchShown, style: Style) -> dict[str, Any]:
    return {
        "type": "found",
        "id": event.id,
        "words": event.words,
        "entries": [_said(entry, style) for entry in event.entries],
        "snippets": [visible(snippet) for snippet in event.snippets],
    }


def _rooms_listed(event: RoomsListed, style: Style) -> dict[str, Any]:
    rooms = [{"room": r.room, "people": r.people, "topic": r.topic} for r in event.rooms]
    return {
        "type": "rooms",
        "id": event.id,
        "rooms": rooms,
        "count": event.count,
        "more": event.more,
        **({"after": event.after} if event.after else {}),
        **({"word": event.word} if event.word else {}),
        **({"all": True} if event.all else {}),
    }


def _people_listed(event: PeopleListed, style: Style) -> dict[str, Any]:
    return {
        "type": "people",
        "id": event.id,
        "room": event.room,
        "people": event.people,
        "count": event.people_count,
    }


def _stopping(event: ServerStopping, style: Style) -> dict[str, Any]:
    return {
        "type": "stopping",
        **({"until_stop": True} if event.until_stop else {}),
        **({"some_unsaved": True} if event.some_unsaved else {}),
    }


def _devices_listed(event: DevicesListed, style: Style) -> dict[str, Any]:
    return {"type": "devices", "id": event.id, "devices": event.devices}


def _fields(type: str, **names: str) -> Callable[[Any, Style], dict[str, Any]]:
    """A renderer of lines whose fields are attributes of the event: ``wire_name="attribute"``."""

    def render(event: Event, style: Style) -> dict[str, Any]:
        return {"type": type} | {wire: getattr(event, name) for wire, name in names.items()}

    return render


_RENDERERS: dict[type[Event], Callable[[Any, Style], Any]] = {
    **ABOUT_ROOMS,
    Acknowledged: _acknowledged,
    PresenceSummary: _fields(
        "crowd", room="room", came="joined", chat="chat", people="people", count="count"
    ),
    CodeMade: _fields("code", id="id", nickname="nickname", code="code", minutes="minutes"),
    DevicesListed: _devices_listed,
    Marked: _fields("marked", room="room", seq="number"),
    PasswordSet: _fields("password-set", id="id"),
    Registered: _fields("registered", id="id", nickname="nickname", account="account"),
    TokenMade: _fields("token", id="id", label="label", token="token", rooms="rooms"),
    TokenRevoked: _fields("token-revoked", id="id", label="label"),
    Unregistered: _fields("unregistered", id="id", nickname="nickname"),
    Announced: _fields("announced", text="text", room="room"),
    Entered: _entered,
    EntriesRemoved: _fields("removed", room="room", first="first"),
    Entry: _said,
    HistoryShown: _history_shown,
    IgnoredListed: _fields("ignored", id="id", people="people"),
    Ignoring: _fields("ignoring", id="id", nickname="nickname", on="on", person="person"),
    Joined: _fields("joined", room="room", nickname="nickname", arrived="arrived"),
    MessageKept: _fields("kept", id="id", name="recipient", time="time"),
    LanguageShown: _fields("language", id="id", language="language", languages="languages"),
    Left: _fields("left", room="room", nickname="nickname", departed="departed"),
    LimitsShown: _limits_shown,
    NotSent: _fields("not-sent", count="count"),
    PeopleListed: _people_listed,
    Pong: _fields("pong", id="id"),
    Refused: _refused,
    Renamed: _fields("renamed", id="id", old="old", new="new", own="own"),
    Replaced: _fields("replaced"),
    RoomLeft: _fields("exited", id="id", room="room"),
    RoomsListed: _rooms_listed,
    SearchShown: _search_shown,
    ServerStopping: _stopping,
    Slowed: _fields("slowed", burst="burst", per_second="per_second"),
    Told: _told,
    TopicShown: _topic_shown,
    Welcomed: _welcomed,
}

#: Events that only people are shown: they follow from no request of a program.
FOR_PEOPLE: frozenset[type[Event]] = frozenset(
    {
        AccountOffered,
        Goodbye,
        Greeted,
        HelpShown,
        HowToLeave,
        LinesSkipped,
        MailStarts,
        NothingWaits,
        ReceiptsSet,
        Replayed,
        ReplayStarts,
        SecretAsked,
        StillHere,
        TimestampsSet,
    }
)

JSONL = Dialect(
    name="jsonl",
    profile=PROGRAM,
    recognises=_is_json,
    new_splitter=LineSplitter,
    parse=parse,
    parse_says=parse_says,
    render=render,
    batch_style=batch_style,
    line_limit=LINE_LIMIT,
)

"""The export formats: JSON Lines, Markdown and CSV. Pure.

None of them contains the client id of an author, which is a secret.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from io import StringIO
from typing import Protocol

import msgspec
from msgspec.structs import astuple

from twisted_chat.core.characters import find_unsafe, visible
from twisted_chat.core.events import Entry
from twisted_chat.i18n.language import N_, catalogue

_encode = msgspec.json.Encoder().encode

_EPOCH = datetime(1970, 1, 1)


class Format(Protocol):
    """Called once with all entries, in batches, room by room; yields texts to write."""

    def __call__(self, batches: Iterator[Sequence[Entry]], language: str, /) -> Iterator[str]: ...


class _Exported(msgspec.Struct):
    """The exported fields of an entry; the time as in RFC 3339, in UTC."""

    room: str
    seq: int
    time: str
    kind: str
    nickname: str
    text: str
    id: str | None


def _exported(entry: Entry) -> _Exported:
    time = f"{_when(entry).isoformat(timespec='microseconds')}Z"
    values = (entry.room, entry.number, time, entry.kind, entry.nickname, entry.text)
    return _Exported(*values, entry.message_id)


def _when(entry: Entry) -> datetime:
    return _EPOCH + timedelta(microseconds=entry.time)


# -- JSON Lines -------------------------------------------------------------------------------


def jsonl(batches: Iterator[Sequence[Entry]], language: str) -> Iterator[str]:
    """One object per entry, with its exact text."""
    for entries in batches:
        yield "".join(f"{_object(entry)}\n" for entry in entries)


def _object(entry: Entry) -> str:
    line = _encode(_exported(entry)).decode()
    # Control characters would reach a terminal that shows the lines; escaped, they do not.
    return json.dumps(json.loads(line)) if find_unsafe(line) else line


# -- Markdown ---------------------------------------------------------------------------------

# Characters that begin or end markup within a line (CommonMark 0.31, chapter 6; GitHub's tables,
# strikethrough and formulas), or turn an address into a link. Our own characters begin each line,
# so no text can.
_MARKUP = re.compile(r"[\\`*_{}\[\]<>#!|~&:@$^=]|(?<=\S)\.(?=\S)")


def escaped(text: str) -> str:
    """``text`` as Markdown that shows it literally."""
    return _MARKUP.sub(r"\\\g<0>", visible(text))


def _escaped_lines(text: str) -> str:
    """As :func:`escaped`, with a line break for each LF; each line begins with our characters."""
    return "<br>".join(map(escaped, text.split("\n")))


def markdown(batches: Iterator[Sequence[Entry]], language: str) -> Iterator[str]:
    """A heading for each room and each day (UTC), and an item for each entry."""
    room, day = None, None
    for entries in batches:
        lines = []
        for entry in entries:
            time = _when(entry)
            if entry.room != room:
                lines += ["" if room is None else "\n", f"# {escaped('#' + entry.room)}\n"]
                room, day = entry.room, None
            if time.date() != day:
                lines.append(f"\n## {time:%Y-%m-%d}\n\n")
                day = time.date()
            lines.append(f"- `{entry.number}` {time:%H:%M:%S} {_spoken(entry, language)}\n")
        yield "".join(lines)


def _spoken(entry: Entry, language: str) -> str:
    name, text = f"**{escaped(entry.nickname)}**", _escaped_lines(entry.text)
    if entry.kind == "act":
        return f"\\* {name} {text}"
    if entry.kind == "topic":
        changed = N_("{name} changed the topic to: {topic}")
        sentence = changed if entry.text else N_("{name} cleared the topic.")
        return catalogue(language).gettext(sentence).format(name=name, topic=text)
    return f"{name}: {text}"


# -- CSV --------------------------------------------------------------------------------------

# A spreadsheet treats a cell that begins so as a formula, which can fetch and send data (OWASP,
# "CSV Injection"). Such a cell gets an apostrophe in front, and so does a cell that begins with
# one: removing the first apostrophe of such cells restores the text. This protects programs that
# split at commas; a program that was told to split at other characters can be fooled.
_FORMULA = re.compile(r"['\t\r\n]|\s*[=+\-@＝＋－＠]")


def guarded(text: str) -> str:
    """``text`` as a cell that no spreadsheet treats as a formula."""
    text = visible(text)
    return f"'{text}" if _FORMULA.match(text) else text


def comma_separated(batches: Iterator[Sequence[Entry]], language: str) -> Iterator[str]:
    """A header and one record per entry, as in RFC 4180."""
    yield _records([_Exported.__struct_fields__])
    for entries in batches:
        yield _records([_cells(entry) for entry in entries])


def _cells(entry: Entry) -> Sequence[object]:
    values = astuple(_exported(entry))
    return [guarded(value) if isinstance(value, str) else value for value in values]


def _records(records: Sequence[Sequence[object]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(records)
    return text.getvalue()


FORMATS: dict[str, Format] = {"jsonl": jsonl, "markdown": markdown, "csv": comma_separated}

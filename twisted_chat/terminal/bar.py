"""The rows around the typed line: the prompt, unsent lines above it, the bar below it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from twisted_chat.core.characters import visible
from twisted_chat.dialects.display import shown
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.terminal.colours import clip, width
from twisted_chat.terminal.view import Tab, Talk

#: Lines waiting for the server that are shown above the prompt, at most.
WAITING_SHOWN = 3

MORE_WAITING = N_("… and {count} more")
PEOPLE = N_("people: {count}")
UNSENT = N_("{count} unsent")
DELAY = N_("{milliseconds} ms")
ONLINE = N_("online")
CONNECTING = N_("connecting")
NAMELESS = N_("connected, without a name yet")
OFFLINE = N_("offline")
NEXT_ATTEMPT = N_("offline, next attempt in {seconds} s")


class Part(NamedTuple):
    """A part of the bar. If not all parts fit, those with the highest rank are left out first."""

    text: str
    rank: int
    style: str = ""


GAP = "  "

#: Columns of a shortened topic, at least; with fewer, the topic is left out.
_SHORTEST_TOPIC = 8


def bar(talk: Talk, columns: int) -> list[Part]:
    """The parts of the bar that fit into ``columns`` columns, in their order."""
    parts = fit([*_current(talk), *_state(talk), *_others(talk)], columns)
    tab = talk.tabs.get(talk.room or "")
    room = columns - _width(parts) - len(GAP)
    if tab and tab.topic and room >= _SHORTEST_TOPIC and parts[0].text == _numbered(talk, tab):
        parts.insert(1, Part(clip(shown(tab.topic), room), 0))
    return parts


def fit(parts: Sequence[Part], columns: int) -> list[Part]:
    """The parts that fit together; a single part that does not fit is shortened."""
    kept = list(parts)
    while len(kept) > 1 and _width(kept) > columns:
        kept.remove(max(reversed(kept), key=lambda part: part.rank))
    return [part._replace(text=clip(part.text, columns)) for part in kept]


def _width(parts: Sequence[Part]) -> int:
    return sum(width(part.text) for part in parts) + len(GAP) * max(0, len(parts) - 1)


def _current(talk: Talk) -> list[Part]:
    tab = talk.tabs.get(talk.room or "")
    if tab is None:
        return []
    people = catalogue(talk.language).gettext(PEOPLE).format(count=tab.count)
    return [Part(_numbered(talk, tab), 1, "class:bar.news"), Part(people, 5)]


def _state(talk: Talk) -> list[Part]:
    translate = catalogue(talk.language).gettext
    parts = []
    if talk.connection == "online":
        parts.append(Part(translate(ONLINE), 7))
    elif talk.connection == "connecting" and talk.prompt is not None:
        parts.append(Part(translate(NAMELESS), 7))
    elif talk.connection == "connecting":
        parts.append(Part(translate(CONNECTING), 0, "class:bar.alarm"))
    else:
        text = translate(NEXT_ATTEMPT if talk.retry > 0 else OFFLINE)
        parts.append(Part(text.format(seconds=math.ceil(talk.retry)), 0, "class:bar.alarm"))
    if talk.waiting:
        parts.append(Part(translate(UNSENT).format(count=len(talk.waiting)), 2))
    if talk.delay is not None:
        parts.append(Part(translate(DELAY).format(milliseconds=round(talk.delay * 1000)), 6))
    return parts


def _others(talk: Talk) -> list[Part]:
    parts = []
    for name, tab in talk.tabs.items():
        if name == talk.room:
            continue
        text = _numbered(talk, tab)
        if tab.mentioned:
            parts.append(Part(f"{text} {tab.unread}!", 3, "class:bar.alarm"))
        elif tab.unread:
            parts.append(Part(f"{text} {tab.unread}", 4, "class:bar.news"))
        else:
            parts.append(Part(text, 8))
    return parts


def _numbered(talk: Talk, tab: Tab) -> str:
    return f"{list(talk.tabs).index(tab.name) + 1}:#{visible(tab.name)}"


# -- the lines around the prompt --------------------------------------------------------------


def prompt(talk: Talk, columns: int) -> str:
    """The text before the typed line, short enough to leave room for that line."""
    if talk.prompt is not None:
        return f"{visible(talk.prompt)} "
    room = "" if talk.room is None else f"#{visible(talk.room)}"
    return f"{clip(room, columns // 2 - 2)}> "


def waiting(talk: Talk, columns: int) -> list[str]:
    """One row for each of the last lines that wait for the server."""
    more = len(talk.waiting) - WAITING_SHOWN
    rows = [f"… {visible(line)}" for line in talk.waiting[-WAITING_SHOWN:]]
    if more > 0:
        rows.insert(0, catalogue(talk.language).gettext(MORE_WAITING).format(count=more))
    return [clip(row, columns) for row in rows]

"""The lines for a person: events as the text dialect renders them, and the client's own notices.

A :class:`.view.View` shows the lines. This module must not know how requests are made, or which
lines are held.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from twisted_chat.core.characters import visible
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry, Event, Refused, Replayed, Style, Told
from twisted_chat.core.requests import Request, Say, Tell, Topic
from twisted_chat.dialects import wording
from twisted_chat.dialects.display import rows
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.terminal import commands
from twisted_chat.terminal.days import Days
from twisted_chat.terminal.view import Line, LineKind, View

NOT_SAID = N_("Not sent: {text}")
NO_TOPIC = N_("Topic not changed: {text}")


class Display:
    """The lines of one person, on :attr:`view`."""

    view: View

    def __init__(self, language: str, *, hold: bool, days: Days | None) -> None:
        """
        :param language: ``en`` or ``pt_BR``.
        :param hold: whether the caller holds the lines of all rooms but the current one; if not,
            those lines are shown with the room's name in front.
        :param days: adds a line with the date where the date changes; None for no such lines.
        """
        self.language = language
        self.hold = hold
        self.nickname: str | None = None
        #: The current room.
        self.room: str | None = None
        #: Whether something was refused.
        self.has_refused = False
        self._days = days

    def translate(self, sentence: str, **details: object) -> str:
        """``sentence`` in the person's language."""
        translated = catalogue(self.language).gettext(sentence) if sentence else ""
        return translated.format(**details) if details else translated

    # -- lines --------------------------------------------------------------------------------

    def lines(self, kind: LineKind, event: Event) -> list[Line]:
        """The lines of ``event``, as the server would show it."""
        room: str | None = getattr(event, "room", None)
        prefixed = not self.hold and room is not None and room != self.room
        style = Style(self.language, prefixed=prefixed, local=True)
        lines = wording.lines([event], style)
        return [Line(text=text, kind=kind, room=room) for text in lines]

    def entry(self, entry: Entry) -> list[Line]:
        """The lines of an entry of a room's log; only the first one has the nickname."""
        own = entry.nickname == self.nickname
        line, *others = self.lines("act" if entry.kind == "act" else "said", entry)
        if entry.kind == "topic":
            return [Line(text=line.text, kind="notice", room=entry.room, time=entry.time)]
        first = Line(
            text=line.text,
            kind=line.kind,
            room=entry.room,
            nickname=visible(entry.nickname),
            body=rows(entry.text)[0],
            time=entry.time,
            number=entry.number,
            own=own,
            mentions=not own and self._is_named_in(entry.text),
        )
        replace = msgspec.structs.replace
        return [first, *(replace(other, number=entry.number, own=own) for other in others)]

    def old_entry(self, entry: Entry) -> list[Line]:
        """The lines of an entry from before the person joined; with its date if not ``hold``."""
        line, *others = self.entry(entry)
        if self.hold:
            return [line, *others]
        first = self.lines("said", Replayed(entry))[0]
        return [msgspec.structs.replace(line, text=first.text), *others]

    def mark(self, text: str, room: str) -> Line:
        """A mark above new lines, or above the lines of another room."""
        return Line(text=text, kind="mark", room=room)

    def _is_named_in(self, text: str) -> bool:
        if not self.nickname:
            return False
        return bool(re.search(rf"(?<!\w){re.escape(self.nickname)}(?!\w)", text, re.IGNORECASE))

    # -- shown at once ------------------------------------------------------------------------

    def put(self, lines: Sequence[Line]) -> None:
        """Show ``lines``, with the date where it changes."""
        self.view.show(lines if self._days is None else list(self._days.with_dates(lines)))

    def show(self, event: Event) -> None:
        """Show ``event`` as the server would."""
        self.view.show(self.lines("notice", event))

    def show_lines(self, kind: LineKind, texts: Iterable[str]) -> None:
        """Show ``texts``, a line each."""
        self.view.show([Line(text=text, kind=kind) for text in texts])

    def show_help(self, command: str | None) -> None:
        """Show the commands, or one of them."""
        style = Style(self.language, local=True)
        self.show_lines("notice", wording.help_lines(command, style, commands.table()))

    def show_private(self, event: Told, nickname: str) -> None:
        """Show a private message from or to ``nickname``."""
        line, *others = self.lines("private", event)
        first = Line(
            text=line.text,
            kind="private",
            nickname=visible(nickname),
            body=rows(event.text)[0],
            time=event.time,
            own=event.own,
            mentions=not event.own,
        )
        self.put([first, *others])

    def notice(self, sentence: str, *, plain: bool = False, **details: object) -> None:
        """Show a notice of the client, in brackets.

        :param sentence: the English sentence, marked for translation.
        :param plain: whether the sentence has its own brackets.
        :param details: the values of the sentence's fields.
        """
        shown = {
            name: visible(value) if isinstance(value, str) else value
            for name, value in details.items()
        }
        text = self.translate(sentence, **shown)
        self.show_lines("notice", [text if plain else f"[{text}]"])

    def server(self, kind: LineKind, text: str) -> None:
        """Show a notice of the server."""
        self.show_lines(kind, [f"[{self.translate(N_('SERVER'))}]: {text}"])

    def refuse(self, refusal: Refusal) -> None:
        """Show why a request was refused."""
        self.has_refused = True
        self.view.show(self.lines("error", Refused(refusal)))

    def not_said(self, request: Request | None) -> None:
        """Show the text of a refused message, so that the person can send it in another way."""
        text = text_of(request)
        if text is not None:
            sentence = NO_TOPIC if isinstance(request, Topic) else NOT_SAID
            self.server("error", self.translate(sentence, text=visible(text)))


def text_of(request: Request | None) -> str | None:
    """The text of ``request``, if it is a message."""
    return request.text if isinstance(request, (Say, Tell, Topic)) else None

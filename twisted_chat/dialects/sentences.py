"""Pieces of the text dialect's wording: sentences in a language, notices, times, lists. Pure.

This module must not know any particular event.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from twisted_chat.core.characters import visible
from twisted_chat.core.events import Style
from twisted_chat.i18n.language import N_, catalogue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def translate(style: Style, sentence: str, **details: object) -> str:
    """``sentence`` in the language of ``style``; unsafe characters in ``details`` are replaced."""
    shown = {
        name: visible(value) if isinstance(value, str) else value for name, value in details.items()
    }
    return catalogue(style.language).gettext(sentence).format(**shown)


def notice(style: Style, sentence: str, **details: object) -> str:
    """A line of the server in the language of ``style``."""
    server = translate(style, N_("SERVER"))  # inside the f-string, extraction would miss it
    return f"[{server}]: {translate(style, sentence, **details)}"


def when(time: int, style: Style) -> datetime:
    """``time``, in microseconds since 1970 UTC, in the time zone of ``style``."""
    moment = _EPOCH + timedelta(microseconds=time)
    return moment.astimezone() if style.local else moment


def some(people: Sequence[str], count: int, style: Style) -> str:
    """A list of nicknames, and how many more there are of ``count`` people."""
    names = ", ".join(people)
    if count > len(people):
        names += " " + translate(style, N_("and {n} more"), n=count - len(people))
    return names

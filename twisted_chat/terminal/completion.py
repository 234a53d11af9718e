"""Completion with the Tab key: nicknames, rooms, commands and their arguments.

Pure. This module must not know the keyboard, or where candidates are shown.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import NamedTuple

from twisted_chat.core.characters import visible
from twisted_chat.core.commands import Argument
from twisted_chat.core.errors import Refusal
from twisted_chat.i18n.language import LANGUAGES
from twisted_chat.terminal import commands
from twisted_chat.terminal.view import Tab


class Known(NamedTuple):
    """The names for candidates: the person's rooms, the current room, and their nickname."""

    tabs: Mapping[str, Tab]
    room: str | None
    nickname: str | None
    language: str


class Completion(NamedTuple):
    """Candidates to replace the last ``length`` characters before the cursor.

    Each candidate ends with the separator before the next word.
    """

    length: int
    candidates: list[str]

    @property
    def common(self) -> str:
        """The common beginning of all candidates."""
        if not self.candidates:
            return ""
        # The first and the last in alphabetical order differ the most.
        first, last = min(self.candidates), max(self.candidates)
        same = (one == other for one, other in zip(first, last, strict=False))
        return first[: sum(takewhile(bool, same))]


_SWITCH = {"en": ("on", "off"), "pt_BR": ("ligar", "desligar")}


def complete(before: str, known: Known) -> Completion:
    """The candidates for the last word of ``before``, the text before the cursor; best first."""
    start = max(before.rfind(" "), before.rfind("\t")) + 1
    word = before[start:]
    if before.startswith("/") and not before.startswith("//"):
        offered = _command_line(before[:start], word, known)
    else:
        offered = _text(word, known, ": " if start == 0 else " ")
    return Completion(len(word), list(dict.fromkeys(offered)))


def _command_line(head: str, word: str, known: Known) -> Iterable[str]:
    if not head:
        return _commands("/", word.removeprefix("/"), known.language)
    name, *arguments = head.split()
    table = commands.table()
    if arguments and f"{name[1:]} {arguments[0]}" in table:
        name = f"{name} {arguments.pop(0)}"
    try:
        first = table.find(name).first
    except Refusal:
        return _second_words(name, word, known) if not arguments else ()
    return _FIRST[Argument.TEXT if arguments else first](word, known)


def _text(word: str, known: Known, after_nickname: str = " ") -> Iterable[str]:
    if not word:
        return ()
    if word.startswith("#"):
        return _rooms(word, known)
    return _matching(word, _people(known.room, known), after_nickname)


def _commands(slash: str, word: str, language: str) -> Iterable[str]:
    """Names of commands in the person's language, or in any language if none of them fits."""
    typed = commands.table().typed
    mine = [(command.name(language), command) for command in typed]
    others = [(name, command) for command in typed for name in command.names]
    for names in (mine, others):
        found = [
            f"{slash}{name} " if command.arguments or not slash else f"{slash}{name}"
            for name, command in names
            if _fold(name).startswith(_fold(word))
        ]
        if found:
            return found
    return ()


def _second_words(name: str, word: str, known: Known) -> Iterable[str]:
    """The second words of the commands whose first word is ``name``."""
    found = _commands("/", f"{name[1:]} {word}", known.language)
    return (command.partition(" ")[2] for command in found)


def _rooms(word: str, known: Known) -> Iterable[str]:
    return (f"#{room}" for room in _matching(word.removeprefix("#"), known.tabs))


def _people(room: str | None, known: Known) -> Iterable[str]:
    tab = known.tabs.get(room) if room is not None else None
    return (name for name in tab.people if name != known.nickname) if tab else ()


def _everybody(known: Known) -> Iterator[str]:
    for room in (known.room, *known.tabs):
        yield from _people(room, known)


def _matching(word: str, names: Iterable[str], after: str = " ") -> Iterator[str]:
    key = _fold(word)
    return (visible(name) + after for name in names if _fold(name).startswith(key))


#: Finds candidates for a command's first argument, by the kind of the argument.
_FIRST: dict[Argument, Callable[[str, Known], Iterable[str]]] = {
    Argument.PERSON: lambda word, known: _matching(word, _everybody(known)),
    Argument.ROOM: _rooms,
    Argument.SWITCH: lambda word, known: _matching(word, _SWITCH[known.language]),
    Argument.LANGUAGE: lambda word, known: _matching(word, LANGUAGES),
    Argument.COMMAND: lambda word, known: _commands("", word.removeprefix("/"), known.language),
    Argument.TEXT: _text,
}


def _fold(word: str) -> str:
    """``word`` without case and accents, which people often leave out."""
    decomposed = unicodedata.normalize("NFD", word.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))

"""The commands of the text dialect: their names, usage and help beside each other.

Each command turns the rest of its line into a request. The English name is the first; the
others are for people who think in Portuguese. Names are matched without case or accents.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from twisted_chat.core.errors import UnknownCommand, UnknownCommandNear, WrongUsage
from twisted_chat.core.messages import (
    Cancel,
    ChooseName,
    Help,
    Ignore,
    Join,
    Leave,
    ListLimits,
    ListPeople,
    ListRooms,
    Quit,
    ReadHistory,
    Reply,
    Request,
    Resume,
    Say,
    Search,
    SetLanguage,
    SetReceipts,
    SetTimestamps,
    Tell,
    Topic,
    Unignore,
)
from twisted_chat.i18n.language import N_, catalogue

#: Characters of a word that is looked at: more than twice those of the longest name of a command.
WORD_LIMIT = 32


class _BadArguments(Exception):
    """The rest of the line does not fit the command."""


@dataclass(frozen=True, slots=True)
class Command:
    """``parse`` gets the text after the command's name, stripped."""

    names: tuple[str, ...]
    arguments: str
    help: str
    parse: Callable[[str], Request]

    def usage(self, language: str) -> str:
        """How to type it, in ``language``."""
        translate = catalogue(language).gettext
        name = self.names[0] if language == "en" else self.names[1]
        return f"/{name} {translate(self.arguments)}" if self.arguments else f"/{name}"


def parse(line: str) -> Request:
    """The request that a line starting with ``/`` makes.

    :raises Refusal: there is no such command, or its arguments are wrong.
    """
    name, rest = _split(line[1:])
    command = find(name)
    try:
        return command.parse(rest)
    except _BadArguments:
        raise WrongCommandUsage(command) from None


def find(name: str) -> Command:
    """The command called ``name``, with or without its slash.

    :raises UnknownCommand: there is none; the nearest one, if any, is named.
    """
    key = _key(name.removeprefix("/"))
    if key in _BY_NAME:
        return _BY_NAME[key]
    near = difflib.get_close_matches(key, _BY_NAME, n=1) if key else []
    if near:
        raise UnknownCommandNear(command=f"/{name}", nearest=f"/{near[0]}")
    raise UnknownCommand(command=f"/{name}")


class WrongCommandUsage(WrongUsage):
    """The usage is worded in the language of whoever is told."""

    def __init__(self, command: Command) -> None:
        super().__init__(usage=command.usage("en"))
        self.command = command

    def sentence(self, language: str) -> str:
        usage = self.command.usage(language)
        return catalogue(language).gettext(self.template).format(usage=usage)


# -- reading arguments ------------------------------------------------------------------------


def _key(word: str) -> str:
    """``word`` without case and accents; "" if it is much longer than any that is known: to
    decompose it takes time that grows with the square of its marks.
    """
    if len(word) > WORD_LIMIT:
        return ""
    decomposed = unicodedata.normalize("NFD", word.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _split(text: str) -> tuple[str, str]:
    """The first word, and what comes after it."""
    word = text.split(maxsplit=1)[0] if text and not text[0].isspace() else ""
    return word, text[len(word) :].strip()


def _nothing(request: Callable[[], Request]) -> Callable[[str], Request]:
    def parse(rest: str) -> Request:
        if rest:
            raise _BadArguments()
        return request()

    return parse


def _one(request: Callable[[str], Request]) -> Callable[[str], Request]:
    def parse(rest: str) -> Request:
        if len(rest.split()) != 1:
            raise _BadArguments()
        return request(rest)

    return parse


def _optional(request: Callable[[str | None], Request]) -> Callable[[str], Request]:
    def parse(rest: str) -> Request:
        if len(rest.split()) > 1:
            raise _BadArguments()
        return request(rest or None)

    return parse


def _text(request: Callable[[str], Request]) -> Callable[[str], Request]:
    def parse(rest: str) -> Request:
        if not rest:
            raise _BadArguments()
        return request(rest)

    return parse


def _tell(rest: str) -> Request:
    name, text = _split(rest)
    if not text:
        raise _BadArguments()
    return Tell(name, text)


_ON_OFF = {
    "on": True,
    "off": False,
    "ligar": True,
    "ligado": True,
    "sim": True,
    "desligar": False,
    "desligado": False,
    "nao": False,
}


def _on_off(request: Callable[[bool], Request]) -> Callable[[str], Request]:
    def parse(rest: str) -> Request:
        on = _ON_OFF.get(_key(rest))
        if on is None:
            raise _BadArguments()
        return request(on)

    return parse


def _search(rest: str) -> Request:
    room = None
    if rest.startswith("#"):
        room, rest = _split(rest)
    if not rest:
        raise _BadArguments()
    return Search(rest, room)


_BEFORE = frozenset({"before", "antes"})
_AFTER = {"after", "depois", "apos"}
_ALL = {"all", "todas"}

#: More digits than any entry's number has: what is longer is not a number but a mistake.
_DIGITS = 18


def _history(rest: str) -> Request:
    words = rest.split()
    room = limit = before = None
    if words and not _is_number(words[0].lstrip("-")) and _key(words[0]) not in _BEFORE:
        room = words.pop(0)
    if words and _is_number(words[0]):
        limit = int(words.pop(0))
    if words and _key(words[0]) in _BEFORE:
        words.pop(0)
        if not words or not _is_number(words[0]):
            raise _BadArguments()
        before = int(words.pop(0))
    if words or limit == 0:
        raise _BadArguments()
    return ReadHistory(room, limit, before)


def _rooms(rest: str) -> Request:
    words = rest.split()
    wants_all = bool(words) and _key(words[0]) in _ALL
    if wants_all:
        words.pop(0)
    after = ""
    if len(words) > 1 and _key(words[-2]) in _AFTER:
        after = words.pop()
        words.pop()
    if len(words) > 1:
        raise _BadArguments()
    return ListRooms(words[0] if words else "", after, wants_all)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= _DIGITS


# -- the table --------------------------------------------------------------------------------

COMMANDS = (
    Command(
        ("join", "entrar", "j"),
        N_("ROOM"),
        N_("Go to a room; it is made if there is none. What you type goes there."),
        _one(Join),
    ),
    Command(("leave", "deixar", "part"), N_("[ROOM]"), N_("Leave a room."), _optional(Leave)),
    Command(
        ("rooms", "salas", "list"),
        N_("[all] [WORD] [after ROOM]"),
        N_("List the rooms with people in them, or all; those with a word in their name or topic."),
        _rooms,
    ),
    Command(
        ("who", "quem", "names"), N_("[ROOM]"), N_("Show who is in a room."), _optional(ListPeople)
    ),
    Command(
        ("topic", "assunto", "topico"),
        N_("[TEXT | -]"),
        N_("Show the room's topic, or set it; /topic - clears it."),
        lambda rest: Topic("" if rest == "-" else rest or None),
    ),
    Command(
        ("msg", "privado", "mensagem", "query"),
        N_("NAME TEXT"),
        N_("Tell somebody something in private."),
        _tell,
    ),
    Command(
        ("reply", "responder"),
        N_("TEXT"),
        N_("Answer the last private message."),
        _text(Reply),
    ),
    Command(("nick", "apelido"), N_("NAME"), N_("Change your name."), _one(ChooseName)),
    Command(
        ("me", "eu"),
        N_("TEXT"),
        N_("Say what you are doing: /me waves."),
        _text(lambda text: Say(text, kind="act")),
    ),
    Command(
        ("ignore", "ignorar"),
        N_("[NAME]"),
        N_("Stop seeing what somebody says, or list whom you ignore."),
        _optional(Ignore),
    ),
    Command(
        ("unignore", "designorar"),
        N_("NAME"),
        N_("See again what somebody says."),
        _one(Unignore),
    ),
    Command(
        ("history", "historico"),
        N_("[ROOM] [COUNT] [before NUMBER]"),
        N_("Show what was said, with the number of each line."),
        _history,
    ),
    Command(
        ("search", "buscar"),
        N_("[#ROOM] WORDS"),
        N_("Find what was said, the latest first."),
        _search,
    ),
    Command(
        ("receipts", "recibos"),
        N_("on|off"),
        N_("Show the number of each line of yours once it is saved."),
        _on_off(SetReceipts),
    ),
    Command(
        ("resume", "retomar"),
        N_("CODE"),
        N_("Come back after a lost connection, instead of typing a name."),
        _one(Resume),
    ),
    Command(
        ("lang", "idioma"),
        "[en|pt_BR]",
        N_("Choose your language."),
        _optional(SetLanguage),
    ),
    Command(
        ("timestamps", "horarios"),
        N_("on|off"),
        N_("Show the time (UTC) of each line."),
        _on_off(SetTimestamps),
    ),
    Command(
        ("limits", "limites"),
        "",
        N_("Show what is limited on this server."),
        _nothing(ListLimits),
    ),
    Command(
        ("cancel", "cancelar"),
        "",
        N_("Drop the lines of yours that still wait to be sent."),
        _nothing(Cancel),
    ),
    Command(
        ("help", "ajuda"),
        N_("[COMMAND]"),
        N_("Show the commands, or one of them."),
        _optional(Help),
    ),
    Command(
        ("quit", "sair", "exit"),
        "",
        N_("Leave the chat; sair alone on a line does the same."),
        _nothing(Quit),
    ),
)

_BY_NAME = {name: command for command in COMMANDS for name in command.names}

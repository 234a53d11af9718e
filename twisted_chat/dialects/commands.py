"""Parses typed commands: one function for each :class:`~twisted_chat.core.commands.Form`. Pure.

This module must not know any particular command: the table of :mod:`twisted_chat.core.commands` has
the commands, their names and their help.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_chat.core import commands
from twisted_chat.core.commands import Command, Form, Table, key_of
from twisted_chat.core.errors import WrongUsage
from twisted_chat.core.requests import Request
from twisted_chat.core.room_rules import KEEP_LIMIT, SLOW_LIMIT
from twisted_chat.i18n.language import catalogue

#: Returns the request with the given fields, in their order.
_Make = Callable[..., Request]


class _BadArguments(Exception):
    """The rest of the line does not fit the command's form."""


class WrongCommandUsage(WrongUsage):
    """As :class:`.WrongUsage`, with the usage in the language of the reader."""

    def __init__(self, command: Command) -> None:
        super().__init__(usage=command.usage("en"))
        self.command = command

    def sentence(self, language: str) -> str:
        usage = self.command.usage(language)
        return catalogue(language).gettext(self.template).format(usage=usage)


def parse(line: str, table: Table | None = None) -> Request:
    """The request of a line that begins with ``/``.

    :param line: the line, without its line end.
    :param table: the commands; by default those of the server.
    :raises Refusal: there is no such command, or its arguments are wrong.
    """
    table = table or commands.TABLE
    name, rest = _split(line[1:])
    second, after = _split(rest)
    if second and f"{name} {second}" in table:
        name, rest = f"{name} {second}", after
    command = table.find(name)
    try:
        return _READERS[command.form](command.request, rest)
    except _BadArguments:
        raise WrongCommandUsage(command) from None


def _split(text: str) -> tuple[str, str]:
    """The first word, and the rest."""
    word = text.split(maxsplit=1)[0] if text and not text[0].isspace() else ""
    return word, text[len(word) :].strip()


# -- the forms --------------------------------------------------------------------------------

#: Words for yes and no, in every language.
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

_BEFORE = frozenset({"before", "antes"})
_AFTER = frozenset({"after", "depois", "apos"})
_ALL = frozenset({"all", "todas"})
_EVERYWHERE = frozenset({"everywhere", "todos", "tudo"})

#: The most digits of a number; no entry's number has as many.
_DIGITS = 18


def _nothing(make: _Make, rest: str) -> Request:
    if rest:
        raise _BadArguments()
    return make()


def _word(make: _Make, rest: str) -> Request:
    if len(rest.split()) != 1:
        raise _BadArguments()
    return make(rest)


def _optional_word(make: _Make, rest: str) -> Request:
    if len(rest.split()) > 1:
        raise _BadArguments()
    return make(rest or None)


def _text(make: _Make, rest: str) -> Request:
    if not rest:
        raise _BadArguments()
    return make(rest)


def _switch(make: _Make, rest: str) -> Request:
    on = _ON_OFF.get(key_of(rest))
    if on is None:
        raise _BadArguments()
    return make(on)


def _action(make: _Make, rest: str) -> Request:
    if not rest:
        raise _BadArguments()
    return make(rest, kind="act")


def _name_and_text(make: _Make, rest: str) -> Request:
    name, text = _split(rest)
    if not text:
        raise _BadArguments()
    return make(name, text)


def _room_and_words(make: _Make, rest: str) -> Request:
    room = None
    if rest.startswith("#"):
        room, rest = _split(rest)
    if not rest:
        raise _BadArguments()
    return make(rest, room)


def _topic(make: _Make, rest: str) -> Request:
    return make("" if rest == "-" else rest or None)


def _page_of_history(make: _Make, rest: str) -> Request:
    words = rest.split()
    room = limit = before = None
    if words and not _is_number(words[0].lstrip("-")) and key_of(words[0]) not in _BEFORE:
        room = words.pop(0)
    if words and _is_number(words[0]):
        limit = int(words.pop(0))
    if words and key_of(words[0]) in _BEFORE:
        words.pop(0)
        if not words or not _is_number(words[0]):
            raise _BadArguments()
        before = int(words.pop(0))
    if words or limit == 0:
        raise _BadArguments()
    return make(room, limit, before)


def _page_of_rooms(make: _Make, rest: str) -> Request:
    words = rest.split()
    wants_all = bool(words) and key_of(words[0]) in _ALL
    if wants_all:
        words.pop(0)
    after = ""
    if len(words) > 1 and key_of(words[-2]) in _AFTER:
        after = words.pop()
        words.pop()
    if len(words) > 1:
        raise _BadArguments()
    return make(words[0] if words else "", after, wants_all)


def _room_and_password(make: _Make, rest: str) -> Request:
    room, password = _split(rest)
    if not room:
        raise _BadArguments()
    return make(room, password or None)


#: The rules that ``/room`` sets, and their values, in every language.
_RULES = {
    "speak": "speak",
    "falar": "speak",
    "join": "join",
    "entrar": "join",
    "hidden": "hidden",
    "oculta": "hidden",
    "slow": "slow",
    "lenta": "slow",
    "keep": "keep_days",
    "guardar": "keep_days",
}
_SPEAK = {
    "all": "all",
    "todos": "all",
    "registered": "registered",
    "registrados": "registered",
    "speakers": "speakers",
    "oradores": "speakers",
}
_JOIN = {
    "all": "all",
    "todos": "all",
    "registered": "registered",
    "registrados": "registered",
    "invited": "invited",
    "convidados": "invited",
}
#: The value of ``join`` after which a password follows.
PASSWORD = frozenset({"password", "senha"})
_DEFAULT = frozenset({"default", "padrao"})
_FOR_EVER = frozenset({"forever", "sempre"})
_ROLES = {
    "owner": "owner",
    "dono": "owner",
    "dona": "owner",
    "moderator": "moderator",
    "moderador": "moderator",
    "moderadora": "moderator",
    "speaker": "speaker",
    "orador": "speaker",
    "oradora": "speaker",
    "none": "none",
    "nenhum": "none",
}


def _rules_of_room(make: Callable[..., Request], rest: str) -> Request:
    room = None
    if rest.startswith("#"):
        room, rest = _split(rest)
    word, value = _split(rest)
    if not word:
        return make(room)
    rule = _RULES.get(key_of(word))
    first, secret = _split(value)
    if rule == "join" and key_of(first) in PASSWORD and secret:
        return make(room, join="password", password=secret)
    return make(room, **{_named(rule): _value(rule, key_of(value))})


def _named(rule: str | None) -> str:
    if rule is None:
        raise _BadArguments()
    return rule


def _value(rule: str | None, word: str) -> str | bool | int:
    """The value of a rule."""
    found: str | bool | int | None
    if rule == "speak":
        found = _SPEAK.get(word)
    elif rule == "join":
        found = _JOIN.get(word)
    elif rule == "hidden":
        found = _ON_OFF.get(word)
    elif _is_number(word):
        found = int(word)
        found = None if found > (SLOW_LIMIT if rule == "slow" else KEEP_LIMIT) else found
    elif rule == "slow":
        found = 0 if _ON_OFF.get(word) is False else None
    else:
        found = "default" if word in _DEFAULT else 0 if word in _FOR_EVER else None
    if found is None:
        raise _BadArguments()
    return found


def _role(make: _Make, rest: str) -> Request:
    name, role, *rooms = rest.split() if len(rest.split()) >= 2 else ("", "")
    if len(rooms) > 1 or key_of(role) not in _ROLES:
        raise _BadArguments()
    return make(name, _ROLES[key_of(role)], *rooms)


def _name_and_room(make: _Make, rest: str) -> Request:
    words = rest.split()
    if not 1 <= len(words) <= 2:
        raise _BadArguments()
    return make(*words)


def _label_and_rooms(make: _Make, rest: str) -> Request:
    label, *rooms = rest.split() or [""]
    if not label:
        raise _BadArguments()
    return make(label, tuple(rooms))


def _everywhere(make: _Make, rest: str) -> Request:
    if rest and key_of(rest) not in _EVERYWHERE:
        raise _BadArguments()
    return make(bool(rest))


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= _DIGITS


_READERS: dict[Form, Callable[[_Make, str], Request]] = {
    Form.NOTHING: _nothing,
    Form.WORD: _word,
    Form.OPTIONAL_WORD: _optional_word,
    Form.TEXT: _text,
    Form.SWITCH: _switch,
    Form.ACTION: _action,
    Form.NAME_AND_TEXT: _name_and_text,
    Form.ROOM_AND_WORDS: _room_and_words,
    Form.TOPIC: _topic,
    Form.PAGE_OF_HISTORY: _page_of_history,
    Form.PAGE_OF_ROOMS: _page_of_rooms,
    Form.ROOM_AND_PASSWORD: _room_and_password,
    Form.RULES_OF_ROOM: _rules_of_room,
    Form.ROLE: _role,
    Form.NAME_AND_ROOM: _name_and_room,
    Form.LABEL_AND_ROOMS: _label_and_rooms,
    Form.EVERYWHERE: _everywhere,
}

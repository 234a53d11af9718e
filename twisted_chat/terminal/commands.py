"""The commands of the client, in addition to those of the server."""

from __future__ import annotations

from twisted_chat.core import commands
from twisted_chat.core.commands import Command, Phase, Table, key_of
from twisted_chat.core.errors import UnknownCommand
from twisted_chat.core.requests import ChangeRoom, Join, Register, Request, SetPassword
from twisted_chat.dialects import text
from twisted_chat.dialects.commands import PASSWORD, WrongCommandUsage
from twisted_chat.i18n.language import N_

#: The requests whose command has a password as its argument.
_WITH_PASSWORD = (Register, SetPassword)


class More(Request, frozen=True):
    """Show the next page of the last shown history or search."""


class TypePassword(Request, frozen=True):
    """Ask for a password without showing it, and make a request with it."""

    wanted: type[Register | SetPassword]


MORE = Command(
    request=More,
    names=("more", "mais"),
    help=N_("Show the next page of the history or of the search results."),
)


def table() -> Table:
    """The commands of the server, then those of the client."""
    return Table((*commands.TABLE.rows, MORE))


def parse(line: bytes) -> Request:
    """Parse a typed line to a request.

    :raises Refusal: see :func:`twisted_chat.dialects.text.parse`.
    """
    try:
        return text.parse(line, table())
    except WrongCommandUsage as refusal:
        wanted = refusal.command.request
        if len(line.split()) == 1 and issubclass(wanted, _WITH_PASSWORD):
            return TypePassword(wanted)
        raise


def has_secret(line: str) -> bool:
    """Whether ``line``, which may be unfinished, is a command with a password in it."""
    words = line.split()
    if len(words) < 2 or words[0][0] not in text.SLASHES:
        return False
    try:
        request = table().find(words[0][1:]).request
    except UnknownCommand:
        return False
    if issubclass(request, Join):
        return len(words) > 2
    if issubclass(request, ChangeRoom):
        return any(key_of(word) in PASSWORD for word in words[2:-1])
    return issubclass(request, _WITH_PASSWORD)


def is_legal(request: Request, phase: Phase) -> bool:
    """Whether ``request``, the result of :func:`parse`, can be made in ``phase``."""
    if isinstance(request, TypePassword):
        return phase is Phase.CHATTING
    return phase in table().by_request[type(request)].phases


def as_typed(line: str) -> str | None:
    """The text to type so that ``line`` is sent as a message; None if that is impossible."""
    if line.strip() == text.LEAVE:
        return None
    return f"/{line}" if line.startswith("/") else line

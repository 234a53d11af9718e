"""The commands that the client has beside those of the text dialect."""

from __future__ import annotations

import difflib

from twisted_chat.core.errors import UnknownCommand, UnknownCommandNear
from twisted_chat.core.messages import Request
from twisted_chat.dialects import commands, text
from twisted_chat.dialects.commands import Command, WrongCommandUsage
from twisted_chat.i18n.language import N_


class More(Request, frozen=True):
    """Show the next page of the history or the search that was shown last."""


MORE = Command(
    ("more", "mais"),
    "",
    N_("Show the next page of the history or of what was found."),
    lambda rest: More(),
)

_MORE = frozenset(f"/{name}".encode() for name in MORE.names)

#: The most characters of a command that is not known that are compared with those there are.
_LONGEST = 32

#: All of them, as they are listed.
COMMANDS = (*commands.COMMANDS, MORE)


def parse(line: bytes) -> Request:
    """The request that ``line`` makes.

    :raises Refusal: see :func:`twisted_chat.dialects.text.parse`.
    """
    name, *rest = line.split(None, 1) or (b"",)
    if name.lower() in _MORE:
        if rest and rest[0].strip():
            raise WrongCommandUsage(MORE)
        return More()
    try:
        return text.parse(line)
    except UnknownCommand as refusal:
        command = str(refusal.details["command"])
        if _nearest(command) not in MORE.names:
            raise
        raise UnknownCommandNear(command=command, nearest=f"/{_nearest(command)}") from None


def _nearest(command: str) -> str:
    """The command that ``command`` looks like, if there is one."""
    names = [name for one in COMMANDS for name in one.names]
    key = command.removeprefix("/").lower()[:_LONGEST]
    return next(iter(difflib.get_close_matches(key, names, n=1)), "")


def as_typed(line: str) -> str | None:
    """What to type so that ``line`` is said; None if there is no way."""
    if line.strip() == text.LEAVE:
        return None
    return f"/{line}" if line.startswith("/") else line

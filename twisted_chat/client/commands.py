"""The commands that the client has beside those of the text dialect."""

from __future__ import annotations

from twisted_chat.dialects import commands, text
from twisted_chat.dialects.commands import Command
from twisted_chat.language import N_
from twisted_chat.messages import Request


class More(Request, frozen=True):
    """Show the next page of the history or the search that was shown last."""


MORE = Command(
    ("more", "mais"),
    "",
    N_("Show the next page of the history or of what was found."),
    lambda rest: More(),
)

_MORE = frozenset(f"/{name}".encode() for name in MORE.names)

#: All of them, as they are listed.
COMMANDS = (*commands.COMMANDS, MORE)


def parse(line: bytes) -> Request:
    """The request that ``line`` makes.

    :raises Refusal: see :func:`twisted_chat.dialects.text.parse`.
    """
    return More() if line.strip() in _MORE else text.parse(line)

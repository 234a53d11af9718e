"""The commands of the client, in addition to those of the server."""

from __future__ import annotations

from twisted_chat.core import commands
from twisted_chat.core.commands import Command, Phase, Table
from twisted_chat.core.requests import Request
from twisted_chat.dialects import text
from twisted_chat.i18n.language import N_


class More(Request, frozen=True):
    """Show the next page of the last shown history or search."""


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
    return text.parse(line, table())


def is_legal(request: Request, phase: Phase) -> bool:
    """Whether ``request``, the result of :func:`parse`, can be made in ``phase``."""
    return phase in table().by_request[type(request)].phases


def as_typed(line: str) -> str | None:
    """The text to type so that ``line`` is sent as a message; None if that is impossible."""
    if line.strip() == text.LEAVE:
        return None
    return f"/{line}" if line.startswith("/") else line

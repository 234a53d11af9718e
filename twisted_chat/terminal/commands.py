"""The commands that the client has beside those of the server."""

from __future__ import annotations

from twisted_chat.core import commands
from twisted_chat.core.commands import Command, State, Table
from twisted_chat.core.requests import Request
from twisted_chat.dialects import text
from twisted_chat.i18n.language import N_


class More(Request, frozen=True):
    """Show the next page of the history or the search that was shown last."""


MORE = Command(
    request=More,
    names=("more", "mais"),
    help=N_("Show the next page of the history or of the search results."),
)


def table() -> Table:
    """The commands of the server, then those of the client."""
    return Table((*commands.TABLE.rows, MORE))


def parse(line: bytes) -> Request:
    """The request that ``line`` makes.

    :raises Refusal: see :func:`twisted_chat.dialects.text.parse`.
    """
    return text.parse(line, table())


def is_legal(request: Request, state: State) -> bool:
    """Whether ``request``, one that can be typed, can be made in this state of a conversation."""
    return state in table().by_request[type(request)].states


def as_typed(line: str) -> str | None:
    """What to type so that ``line`` is said; None if there is no way."""
    if line.strip() == text.LEAVE:
        return None
    return f"/{line}" if line.startswith("/") else line

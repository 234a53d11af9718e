"""What a person is shown, and what they type: the two sides of a terminal.

:class:`View` is the terminal as the conversation sees it; :class:`Talk` is the conversation as
a terminal sees it. Neither knows the other one's parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

#: ``said``: in a room, by somebody; ``act``: ``/me``; ``private``: to one person only; ``notice``:
#: by the server or the client; ``error``: something was not done; ``mark``: what follows is new,
#: or of another room.
LineKind = Literal["said", "act", "private", "notice", "error", "mark"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line to be shown. All its texts are safe to show on a terminal.

    ``text`` is all of it, as the text dialect has it: ``[Ana]: oi``. ``nickname`` is whose line
    it is, and ``body`` what stands behind that. ``time`` is in microseconds since 1970 UTC.
    """

    text: str
    kind: LineKind
    room: str | None = None
    nickname: str | None = None
    body: str | None = None
    time: int | None = None
    number: int | None = None
    #: Whether it is one's own.
    own: bool = False
    #: Whether somebody else says one's own name in it, or it is for oneself alone.
    mentions: bool = False


class Tab(msgspec.Struct):
    """One room that one is in, for the bar and for completion."""

    name: str
    topic: str = ""
    #: The nicknames that are known, those who spoke last first; and how many people there are.
    people: list[str] = msgspec.field(default_factory=list)
    count: int = 0
    #: Lines that were not shown yet, as another room is the current one.
    unread: int = 0
    #: Whether one's own name is said in them.
    mentioned: bool = False


#: ``offline``: there is no connection, and the next attempt comes by itself.
Connection = Literal["connecting", "online", "offline"]


class View(Protocol):
    """Where lines are shown. Called on the reactor's thread."""

    def show(self, lines: Sequence[Line]) -> None:
        """Show lines, in their order, below all that were shown before."""

    def refresh(self) -> None:
        """Something else that :class:`Talk` tells has changed."""

    def alert(self) -> None:
        """Somebody said one's name: ring the bell, if that is wanted."""


class Talk(Protocol):
    """What a view can ask, and what it tells. On the reactor's thread, like all here."""

    connection: Connection

    @property
    def nickname(self) -> str | None:
        """One's nickname; None before it is chosen."""

    @property
    def room(self) -> str | None:
        """The current room; None before one is in any."""

    @property
    def timestamps(self) -> bool:
        """Whether lines are shown with their time (local)."""

    @property
    def language(self) -> str:
        """``en`` or ``pt_BR``."""

    @property
    def tabs(self) -> Mapping[str, Tab]:
        """The rooms that one is in, in the order in which one came."""

    @property
    def delay(self) -> float | None:
        """Seconds that the last question and its answer took, if it is known."""

    @property
    def retry(self) -> float:
        """Seconds until the next attempt to connect, while offline."""

    @property
    def waiting(self) -> Sequence[str]:
        """What was typed and is not saved by the server yet, oldest first."""

    @property
    def prompt(self) -> str | None:
        """A question that the next line answers, such as the one for a name; often None."""

    def typed(self, line: str) -> None:
        """A line was typed and Enter pressed."""

    def pasted(self, lines: Sequence[str]) -> None:
        """Lines were pasted and are to be said as they are, in their order: none is a command."""

    def switch(self, room: str) -> None:
        """Make ``room``, which one is in, the current one, and show what is new in it."""

    def switch_by(self, step: int) -> None:
        """Switch to the room so many places further on, around the end."""

    def switch_to_news(self) -> None:
        """Switch to the room in which something is new, where one's name was said first."""

    def leave(self) -> None:
        """Leave the chat, as ``sair``."""

"""The two sides of a terminal, as interfaces.

:class:`View` is the terminal as the conversation sees it; :class:`Talk` is the conversation as
a terminal sees it.
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
    #: Whether the person wrote it.
    own: bool = False
    #: Whether somebody else mentions the person in it, or it is a private message to them.
    mentions: bool = False


class Tab(msgspec.Struct):
    """One room of the person, for the bar and for completion."""

    name: str
    topic: str = ""
    #: The known nicknames, the last speaker first; and the number of people.
    people: list[str] = msgspec.field(default_factory=list)
    count: int = 0
    #: Messages that were not shown, as another room is the current one.
    unread: int = 0
    #: Whether one of them mentions the person.
    mentioned: bool = False


#: ``offline``: there is no connection, and the next attempt comes by itself.
Connection = Literal["connecting", "online", "offline"]


class View(Protocol):
    """Where lines are shown. Called on the reactor's thread."""

    def show(self, lines: Sequence[Line]) -> None:
        """Show lines below all earlier ones."""

    def refresh(self) -> None:
        """Read :class:`Talk` again: something other than lines has changed."""

    def alert(self) -> None:
        """Somebody mentioned the person: ring the bell, if that is configured."""


class Talk(Protocol):
    """What a view can ask, and what it tells. On the reactor's thread, like all here."""

    connection: Connection

    @property
    def nickname(self) -> str | None:
        """The person's nickname; None before they have one."""

    @property
    def room(self) -> str | None:
        """The current room; None if the person is in none."""

    @property
    def timestamps(self) -> bool:
        """Whether lines are shown with their time (local)."""

    @property
    def language(self) -> str:
        """``en`` or ``pt_BR``."""

    @property
    def tabs(self) -> Mapping[str, Tab]:
        """The person's rooms by name, in the order of joining."""

    @property
    def delay(self) -> float | None:
        """Seconds between the last ``ping`` and its answer, if known."""

    @property
    def retry(self) -> float:
        """Seconds until the next attempt to connect, while offline."""

    @property
    def waiting(self) -> Sequence[str]:
        """The typed messages that the server has not saved, oldest first."""

    @property
    def prompt(self) -> str | None:
        """A question that the next line answers, such as the one for a name; often None."""

    def typed(self, line: str) -> None:
        """A line was typed and Enter pressed."""

    def pasted(self, lines: Sequence[str]) -> None:
        """Lines were pasted and are to be said as they are, in their order: none is a command."""

    def switch(self, room: str) -> None:
        """Make ``room``, one of the person's rooms, the current one, and show its new lines."""

    def switch_by(self, step: int) -> None:
        """Switch to the room ``step`` places further on; the first follows the last."""

    def switch_to_news(self) -> None:
        """Switch to a room with unread messages, first to one that mentions the person."""

    def leave(self) -> None:
        """Leave the chat, as ``sair``."""

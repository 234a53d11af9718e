"""The interfaces between a conversation and a terminal.

:class:`View` is the terminal, as the conversation uses it; :class:`Talk` is the conversation, as a
terminal uses it. This module must not know any implementation of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

#: ``said``: a message in a room; ``act``: a message with ``/me``; ``private``: a private message;
#: ``notice``: a notice of the server or the client; ``error``: a refusal; ``mark``: a rule above
#: lines that are new, or of another room or day.
LineKind = Literal["said", "act", "private", "notice", "error", "mark"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line to show. All its texts are safe to show on a terminal.

    A message can have several lines: only the first one has ``nickname``, ``body`` and ``time``.

    ``text`` is the whole line, as in the text dialect: ``[Ana]: oi``. ``nickname`` is the sender,
    ``body`` is the text of the message, and ``number`` is its sequence number in the log of
    ``room``. ``time`` is in microseconds since 1970, UTC.
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
    #: Whether it is another person's message that mentions the person, or a private one to them.
    mentions: bool = False


class Tab(msgspec.Struct):
    """One room of the person, for the bar and for completion."""

    name: str
    topic: str = ""
    #: The known nicknames, the last speaker first; and the number of people.
    people: list[str] = msgspec.field(default_factory=list)
    count: int = 0
    #: The number of messages that were not shown yet, because another room is the current one.
    unread: int = 0
    #: Whether one of the unread messages mentions the person.
    mentioned: bool = False


#: With ``offline``, there is no connection, and the client will try again by itself.
Connection = Literal["connecting", "online", "offline"]


class View(Protocol):
    """Shows lines. Called on the reactor's thread."""

    def show(self, lines: Sequence[Line]) -> None:
        """Show lines below all earlier ones."""

    def refresh(self) -> None:
        """Read :class:`Talk` again: something other than lines has changed."""

    def alert(self) -> None:
        """Ring the bell, if that is configured: a message mentions the person."""


class Talk(Protocol):
    """The conversation that a view shows, and to which it passes the person's input.

    Used on the reactor's thread.
    """

    connection: Connection

    @property
    def nickname(self) -> str | None:
        """The person's nickname; None before they have one."""

    @property
    def room(self) -> str | None:
        """The current room; None if the person is in none."""

    @property
    def timestamps(self) -> bool:
        """Whether lines are shown with their time, in the person's time zone."""

    @property
    def language(self) -> str:
        """The person's language: ``en`` or ``pt_BR``."""

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
        """The question that the next typed line answers, such as for a nickname; usually None."""

    @property
    def hides(self) -> bool:
        """Whether the answer to the question is a secret, which the view must not show."""

    def typed(self, line: str) -> None:
        """Do what the typed ``line`` says: the person has pressed Enter."""

    def pasted(self, lines: Sequence[str]) -> None:
        """Send pasted lines as messages, in their order; none of them is a command."""

    def switch(self, room: str) -> None:
        """Make ``room``, one of the person's rooms, the current one, and show its new lines."""

    def switch_by(self, step: int) -> None:
        """Switch to the room ``step`` places further on; the first follows the last."""

    def switch_to_news(self) -> None:
        """Switch to a room with unread messages, first to one that mentions the person."""

    def leave(self) -> None:
        """Leave the chat, as the line ``sair`` does."""

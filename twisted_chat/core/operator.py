"""Carries out what an operator asks for.

An operator has no session: :class:`Operator` asks the chat in their place. This module must not
know how a request comes, nor where a command prints its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted_chat.core.changes import announcement
from twisted_chat.core.characters import visible
from twisted_chat.core.chat import Chat
from twisted_chat.core.errors import LineTooLong, NoSuchRoom, Refusal, WrongUsage
from twisted_chat.core.operator_requests import (
    Done,
    MakeAnnouncement,
    OperatorAnswer,
    OperatorRequest,
)
from twisted_chat.i18n.language import N_

#: Called with the answer to a request, or with the reason why it is refused.
Reply = Callable[[Sequence[OperatorAnswer] | Refusal], None]

#: Called with each action, such as ``announce``, once it is done, and the names that it is about.
#: It gets no text of a message and no secret.
Note = Callable[[str, str], None]


class NoRoomToAnnounceTo(NoSuchRoom):
    template = N_("There is no room #{room}.")


class Operator:
    """Carries out requests in ``chat``, whose log is open; ``note`` is told of each one."""

    def __init__(self, chat: Chat, note: Note) -> None:
        self._chat = chat
        self._note = note

    def handle(self, request: OperatorRequest, reply: Reply) -> None:
        """Carry out ``request``, then call ``reply``, during this call or later.

        :raises Refusal: it is refused; ``reply`` is not called.
        """
        self._announce(request, reply)

    def _announce(self, request: MakeAnnouncement, reply: Reply) -> None:
        if not request.text.strip():
            raise WrongUsage(usage="twisted-chat announce TEXT")
        if not self._chat.limits.fits(request.text):
            raise LineTooLong(limit=self._chat.limits.text)
        room = None
        if request.room is not None:
            room = self._chat.reading.existing(request.room)
            if room is None:
                raise NoRoomToAnnounceTo(room=visible(request.room.removeprefix("#")))
        self._chat.announce(announcement(request.text, room))

        def announced() -> None:
            self._note("announce", "" if room is None else f"#{room}")
            reply((Done(),))

        self._chat.barrier(announced)

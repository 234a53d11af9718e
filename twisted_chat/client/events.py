"""What only a client is told; everything else comes from :mod:`twisted_chat.core.events`."""

from __future__ import annotations

from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Event
from twisted_chat.i18n.language import N_


class RequestRefused(Refusal):
    """The server did not do what was asked.

    ``details`` has the stable ``code`` of ``docs/protocol.rst`` and the ``text`` for people, which
    the server has put into their language.
    """

    @property
    def code(self) -> str:  # type: ignore[override]
        """The server's code, such as ``name-taken``."""
        return str(self.details["code"])

    def sentence(self, language: str) -> str:
        return str(self.details["text"])


class NotDelivered(Refusal):
    code = "not-delivered"
    template = N_("Your private message to {name} may not have been delivered: {text}")


class TakenOver(Refusal):
    code = "taken-over"
    template = N_(
        "Another client connected with the same client id and took the place of this one."
    )


class ClientStopped(Refusal):
    code = "client-stopped"
    template = N_("The client was stopped before the answer came.")


class TakenBack(Refusal):
    code = "taken-back"
    template = N_("It was cancelled before it was sent.")


class Receipt(Event, frozen=True):
    """A message of one's own is on the server's disk, in this place of the room's log."""

    room: str
    number: int
    time: int
    id: str | None = None


class Connected(Event, frozen=True):
    """There is a connection; who we are is told to the server, if it is known."""


class Disconnected(Event, frozen=True):
    """There is no connection, for ``reason``, a short sentence in English.

    ``retry`` is after how many seconds the next attempt is made; None: none is. ``refusal`` is
    why this side would not have that connection, such as a certificate that is not trusted.
    """

    reason: str
    retry: float | None
    refusal: Refusal | None = None


class LogReplaced(Event, frozen=True):
    """The server has another log of ``room`` than it had: its numbers begin anew."""

    room: str

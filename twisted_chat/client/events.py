"""Events and refusals of the client itself; :mod:`twisted_chat.core.events` has the server's."""

from __future__ import annotations

from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Event
from twisted_chat.i18n.language import N_


class RequestRefused(Refusal):
    """The server refused a request.

    ``details`` has the stable ``code`` of ``docs/protocol.rst``, and the ``text`` for people, in
    the language of the client's session.
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
    """A message of this client is on the server's disk.

    ``number`` is its sequence number in the log of ``room``; ``time`` is in microseconds since
    1970, UTC; ``id`` is the id of the request.
    """

    room: str
    number: int
    time: int
    id: str | None = None


class Connected(Event, frozen=True):
    """The client is connected, and has introduced itself if it has a nickname."""


class Disconnected(Event, frozen=True):
    """The client has no connection; ``reason`` is a short sentence in English.

    ``retry`` is the number of seconds until the next attempt; None if there will be none.
    ``refusal`` is why the client itself rejected the connection, such as for a certificate that is
    not trusted; otherwise None.
    """

    reason: str
    retry: float | None
    refusal: Refusal | None = None


class LogReplaced(Event, frozen=True):
    """The server has another log of ``room`` than before: its sequence numbers begin anew."""

    room: str

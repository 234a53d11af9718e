"""What an operator asks for with ``twisted-chat announce``, as values.

They are sent over the operator's socket, and carried out by :mod:`twisted_chat.core.operator`.
None of them contains a secret. This module must not know how they are sent.
"""

from __future__ import annotations

import msgspec


class _Request(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True): ...


class MakeAnnouncement(_Request, frozen=True, tag="announce"):
    """Announce ``text`` to everybody, or to the people in ``room``."""

    text: str
    room: str | None = None


#: What an operator can ask for.
OperatorRequest = MakeAnnouncement


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request, and the language of the operator, for refusals."""

    request: OperatorRequest
    language: str = "en"


class _Answer(msgspec.Struct, frozen=True, tag_field="type"): ...


class Done(_Answer, frozen=True, tag="done"):
    """The last line of an answer: the request was carried out."""


class Declined(_Answer, frozen=True, tag="refused"):
    """The last line of an answer: a refusal's code, and its sentence in the operator's language."""

    code: str
    text: str


#: One line of an answer: :class:`Done` and :class:`Declined` are the last ones.
OperatorAnswer = Done | Declined

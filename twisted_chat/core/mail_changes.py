"""The changes of kept private messages, as values; the rules of :mod:`.changes` hold for them.

This module must not know how a change is carried out.
"""

from __future__ import annotations

import msgspec


class KeepMessage(msgspec.Struct, frozen=True, tag=True):
    """Keep a private message of ``person`` for the account ``recipient``, nicknamed ``name``.

    ``sender`` is the sender's nickname; ``origin`` is as in :class:`.StoredMessage`. ``time`` is
    in microseconds since 1970 UTC. It is refused if too many wait.
    """

    person: int
    recipient: int
    name: str
    sender: str
    text: str
    time: int
    origin: int
    request: int


class DropMessages(msgspec.Struct, frozen=True, tag=True):
    """The kept messages for ``recipient`` with these ``numbers`` have arrived, or cannot be kept.

    The numbers are those of :class:`.StoredMessage`.
    """

    recipient: int
    numbers: tuple[int, ...]


class DropOldMessages(msgspec.Struct, frozen=True, tag=True):
    """Kept messages from before ``before``, in microseconds since 1970 UTC, are kept no longer."""

    before: int


#: The changes in this module.
MailChange = KeepMessage | DropMessages | DropOldMessages

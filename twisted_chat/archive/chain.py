"""Whether entries fit in the chain of their room, each by the rule of its format."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from twisted_chat.core.author import NOBODY, guest_number
from twisted_chat.journal.chain import FIRST, PRESENT, Starter, link, seal, starter

#: Raised for a damaged value: of a wrong type, too large, or a text that is not UTF-8.
_DAMAGE = (AttributeError, KeyError, OverflowError, TypeError, ValueError, struct.error)


class Chain:
    """The chain of one room, from its base on.

    :param hash: the hash of the last entry before the first one that is examined.
    :param secret: that of the log (:func:`.guest_number`); it is not needed for databases from
        before version 8, whose entries have the format 0 here.
    """

    def __init__(self, room: str, hash: bytes, secret: bytes) -> None:
        self._room = room
        self._hash = hash
        self._secret = secret
        self._start: Starter | None = None

    def fits(self, room: int, number: int, row: Sequence[Any]) -> bool:
        """Whether ``row`` is the next entry.

        :param room: the id of the room that the entry must have, and ``number`` its number.
        :param row: room, number, time, kind, nickname, text, author, message id, salt, format and
            hash, as SQLite returns them.
        """
        here, numbered, time, kind, nickname, text, author, message_id, salt, format, hash = row
        if here != room or numbered != number:
            return False
        content = number, time, kind, nickname, text
        try:
            if format == PRESENT:
                if self._start is None:
                    self._start = starter(self._room)
                expected = seal(self._start, self._hash, salt, *content, author, message_id)
            elif format == FIRST:
                if author != (guest_number(salt, self._secret) if salt else NOBODY):
                    return False
                if not isinstance(message_id, str):
                    return False
                expected = link(self._hash, self._room, *content, salt or None, message_id or None)
            elif format == 0:
                expected = link(self._hash, self._room, *content, salt, message_id)
            else:
                return False
        except _DAMAGE:
            return False
        self._hash = expected
        return bool(expected == hash)

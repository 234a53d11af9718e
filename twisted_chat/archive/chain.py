"""Whether entries fit in the chain of their room, each by the rule of its format."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from twisted_chat.core.author import NOBODY, guest_number
from twisted_chat.journal.chain import (
    FIRST,
    PRESENT,
    REPEATED,
    SALT_SIZE,
    SIZE,
    Starter,
    link,
    starter,
)
from twisted_chat.journal.chain import seal as sealed

#: Raised for a damaged value: of a wrong type, too large, or a text that is not UTF-8.
_DAMAGE = (AttributeError, KeyError, OverflowError, TypeError, ValueError, struct.error)


class Chain:
    """The chain of one room, from its base on.

    :param hash: the hash of the last entry before the first one that is examined.
    :param secret: that of the log (:func:`.guest_number`); before version 8 there was none.
    """

    def __init__(self, room: str, hash: bytes, secret: bytes) -> None:
        self._room = room
        self._hash = hash
        self._secret = secret
        self._start: Starter | None = None

    def fits(self, room: int, number: int, row: Sequence[Any]) -> bool:
        """Whether ``row`` is the next entry.

        :param room: the id of the room that the entry must have, and ``number`` its number.
        :param row: room, number, time, kind, nickname, text, author, message id, seal and format;
            or before version 8, None as the author, and the author key and the hash at the end. All
            as SQLite returns them.
        """
        here, numbered, time, kind, nickname, text, author, message_id, *rest = row
        if here != room or numbered != number:
            return False
        content = number, time, kind, nickname, text
        try:
            if author is None:
                key, hash = rest
                if not isinstance(key, bytes | None) or not isinstance(message_id, str | None):
                    return False
                expected = link(self._hash, self._room, *content, key, message_id)
                return self._goes_on(expected, hash)
            seal, format = rest
            if not isinstance(seal, bytes) or not isinstance(message_id, str):
                return False
            salt, hash = seal[:-SIZE], seal[-SIZE:]
            if format == PRESENT and len(salt) == SALT_SIZE:
                if self._start is None:
                    self._start = starter(self._room)
                expected = sealed(self._start, self._hash, salt, *content, author, message_id)
            elif format in (FIRST, REPEATED) and author == self._author(salt):
                expected = self._former(content, salt, message_id, hash)
            else:
                return False
        except _DAMAGE:
            return False
        return self._goes_on(expected, hash)

    def _former(
        self, content: tuple[Any, Any, Any, Any, Any], key: bytes, message_id: str, hash: bytes
    ) -> bytes:
        """The hash in the first format. There, NULL and nothing were two values for "none"."""
        keys, ids = ((key,) if key else (None, b"")), ((message_id,) if message_id else (None, ""))
        links = [link(self._hash, self._room, *content, key, id) for key in keys for id in ids]
        return hash if hash in links else links[0]

    def _author(self, key: bytes) -> int:
        return guest_number(key, self._secret) if key else NOBODY

    def _goes_on(self, expected: bytes, hash: object) -> bool:
        self._hash = expected
        return expected == hash

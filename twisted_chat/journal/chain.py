"""The hash that chains each entry to the one before it.

SQLite does not notice a flipped bit in a text or an edited row; the chain of hashes reveals it.
"""

from __future__ import annotations

import hashlib

import msgspec

#: Bytes of a hash, and the hash before a room's first entry.
SIZE = 32
START = bytes(SIZE)

# MessagePack gives each sequence of values one unambiguous form, whatever the texts contain.
_encode = msgspec.msgpack.Encoder().encode


def link(
    previous: bytes,
    room: str,
    number: int,
    time: int,
    kind: str,
    nickname: str,
    text: str,
    author: int | bytes | None,
    message_id: str | None,
) -> bytes:
    """The hash (BLAKE2b, RFC 7693, 32 bytes) of an entry; ``previous`` is that of the one before.

    :param time: microseconds since 1970 UTC.
    :param author: the author; for entries of an earlier version, the author key or None.
    :raises UnicodeEncodeError: a text contains a lone surrogate.
    """
    content = _encode((room, number, time, kind, nickname, text, author or None, message_id))
    return hashlib.blake2b(previous + content, digest_size=SIZE).digest()

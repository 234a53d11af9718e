"""The hash that chains each entry to the one before it.

SQLite does not notice a flipped bit in a text or an edited row; the chain of hashes reveals it.

There are two formats, and each entry records its own. In the second, the hash of an entry covers
its content only by the *content hash*, which has a random salt. So the content of an entry can be
removed later, and the chain stays whole; and without the salt, nobody can find out by guessing what
the content was.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

import msgspec

#: Bytes of a hash, and the hash before a room's first entry.
SIZE = 32
START = bytes(SIZE)

#: The first format, and the present one.
FIRST, PRESENT = 1, 2

#: The first format, in an entry whose message id was not its own: see :mod:`.upgrade`.
REPEATED = 0

#: Bytes of a salt, in the present format.
SALT_SIZE = 16

#: How the kind of an entry is hashed, in the present format.
KINDS = {"say": 0, "act": 1, "topic": 2}

# MessagePack gives each sequence of values one unambiguous form, whatever the texts contain.
encode = msgspec.msgpack.Encoder().encode

#: The number, the time, the author and the kind.
pack = struct.Struct(">QqqB").pack

# BLAKE2b (RFC 7693); its "person" keeps hashes for different purposes apart. To copy a hash object
# takes less time than to make one.
content_hash = hashlib.blake2b(digest_size=SIZE, person=b"twisted-chat txt").copy
_room_hash = hashlib.blake2b(digest_size=SIZE, person=b"twisted-chat rm").copy
_entry_hash = hashlib.blake2b(digest_size=SIZE, person=b"twisted-chat log").copy

#: Makes a hash object that has a room's name in it: see :func:`starter`.
Starter = Callable[[], "hashlib.blake2b"]


def starter(room: str) -> Starter:
    """The first argument of :func:`seal` for the entries of ``room``.

    :raises UnicodeEncodeError: the name contains a lone surrogate.
    """
    name = _room_hash()
    name.update(room.encode())
    started = _entry_hash()
    started.update(name.digest())
    return started.copy


def seal(
    start: Starter,
    previous: bytes,
    salt: bytes | bytearray,
    number: int,
    time: int,
    kind: str,
    nickname: str,
    text: str,
    author: int,
    message_id: str,
) -> bytes:
    """The hash of an entry in the present format; ``previous`` is that of the one before.

    :param time: microseconds since 1970 UTC.
    :param message_id: "" if it has none.
    :raises UnicodeEncodeError: a text contains a lone surrogate.
    """
    content = content_hash()
    content.update(salt + encode((nickname, text, message_id)))
    hash = start()
    hash.update(previous + content.digest() + pack(number, time, author, KINDS[kind]))
    return hash.digest()


def link(
    previous: bytes,
    room: str,
    number: int,
    time: int,
    kind: str,
    nickname: str,
    text: str,
    author: bytes | None,
    message_id: str | None,
) -> bytes:
    """The hash of an entry in the first format; ``previous`` is that of the one before.

    :param time: microseconds since 1970 UTC.
    :param author: the author key, or None.
    :raises UnicodeEncodeError: a text contains a lone surrogate.
    """
    content = encode((room, number, time, kind, nickname, text, author, message_id))
    return hashlib.blake2b(previous + content, digest_size=SIZE).digest()

"""What the author of an entry is known by in the log: a hash of the client id.

A client id is a secret: a program that knows one is that person. So the log, its copies and every
part of the process but the session that was told the id have this hash, which opens nothing.
"""

from __future__ import annotations

import hashlib

#: Bytes of an author key.
SIZE = 16


def author_key(client_id: bytes) -> bytes:
    """The BLAKE2b hash (RFC 7693), :data:`SIZE` bytes, of ``client_id``.

    No salt and no work factor are needed: a client id is 128 random bits, which nobody guesses.
    """
    return hashlib.blake2b(client_id, digest_size=SIZE, person=b"twisted-chat id").digest()

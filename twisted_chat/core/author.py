"""The author key: a hash of the client id, which identifies the author of an entry in the log.

A client id is a secret: a program that knows it can come back as that person. So only the person's
own session has the client id. The log, its copies and the rest of the process have the author key,
with which nobody can come back.
"""

from __future__ import annotations

import hashlib

#: Length of an author key, in bytes.
SIZE = 16


def author_key(client_id: bytes) -> bytes:
    """The BLAKE2b hash (RFC 7693), :data:`SIZE` bytes, of ``client_id``.

    It needs no salt and no work factor: a client id is 128 random bits, which nobody can guess.
    """
    return hashlib.blake2b(client_id, digest_size=SIZE, person=b"twisted-chat id").digest()

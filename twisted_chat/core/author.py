"""Authors: the number that says in the log who wrote an entry.

Everywhere in the chat, an author is one number: positive for an account (its number), negative for
a guest, 0 for nobody. It grants no access: it is stored with each entry, and clients see it.

A client id is a secret: a program that knows it can come back as that person. So only the person's
own session has the client id. The rest of the process finds a person by the author key, a hash of
the client id. A guest's author is a hash of that key, which needs the secret of the log: somebody
who has a copy of some entries cannot find out whose they are, even with a list of client ids.
"""

from __future__ import annotations

import hashlib

#: Length of an author key, in bytes.
SIZE = 16

#: The author of an entry that nobody wrote.
NOBODY = 0


def author_key(client_id: bytes) -> bytes:
    """The BLAKE2b hash (RFC 7693), :data:`SIZE` bytes, of ``client_id``.

    It needs no salt and no work factor: a client id is 128 random bits, which nobody can guess.
    """
    return hashlib.blake2b(client_id, digest_size=SIZE, person=b"twisted-chat id").digest()


def guest_number(key: bytes, secret: bytes) -> int:
    """The author of a guest: from -2**62 to -1.

    It is 62 bits of BLAKE2b (RFC 7693), with the ``secret`` of the log as its key.

    :param key: the author key of the guest's client id.
    :param secret: up to 64 bytes, :attr:`.Journal.secret`.
    """
    hashed = hashlib.blake2b(key, digest_size=8, key=secret, person=b"twisted-chat aut").digest()
    return ~(int.from_bytes(hashed, "big") >> 2)

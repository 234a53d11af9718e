"""Secrets: how tokens and codes are made, and the forms in which secrets are compared.

A token or code is random, so one fast hash of it is enough: nobody can guess it, whatever the
hash costs. A password is chosen by a person; :mod:`twisted_chat.core.passwords` hashes it slowly.
This module must not know whom a secret belongs to.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from precis_i18n import get_profile

from twisted_chat.core.account_errors import PasswordTooLong, PasswordTooShort
from twisted_chat.core.characters import stripped
from twisted_chat.core.codes import ALPHABET, letters, new_code

__all__ = [
    "PASSWORD_BYTES",
    "PASSWORD_CHARACTERS",
    "TOKEN_PREFIX",
    "checked_password",
    "is_token",
    "new_code",
    "new_id",
    "new_token",
    "normalized",
    "secret_hash",
]

#: The start of every token, by which people and programs that look for leaked secrets know one.
TOKEN_PREFIX = "tchat_"

#: Random characters in a token: 142 bits.
TOKEN_SIZE = 30

#: Limits of a password: the fewest characters (NIST SP 800-63B, 5.1.1.1), and the most bytes.
PASSWORD_CHARACTERS = 8
PASSWORD_BYTES = 1024

#: Length of the hash of a token or code, in bytes.
_HASH_SIZE = 32

_TOKEN = re.compile(f"{TOKEN_PREFIX}[{ALPHABET}]{{{TOKEN_SIZE}}}")

_OPAQUE = get_profile("OpaqueString")


def new_token() -> str:
    """A new token, such as ``tchat_bcdf…``: it lets in whoever has it, so it is shown only once."""
    return TOKEN_PREFIX + letters(TOKEN_SIZE)


def new_id() -> str:
    """A new id of a credential, which is no secret."""
    return letters(8)


def secret_hash(text: str, key: bytes) -> str:
    """The hash of a token or code, in hexadecimal; case, hyphens and blanks do not matter.

    It is BLAKE2b (RFC 7693) with the secret of the log as its ``key``, up to 64 bytes, and with a
    personalization of its own, so that it is equal to no other hash of the same text. It needs
    neither salt nor work factor: the text is random.
    """
    data = _bare(text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(
        data, digest_size=_HASH_SIZE, key=key, person=b"twisted-chat sec"
    ).hexdigest()


def is_token(text: str) -> bool:
    """Whether ``text`` has the form of a token: it was one, as nobody guesses them."""
    return _TOKEN.fullmatch(_bare(text)) is not None


def _bare(text: str) -> str:
    """A token or code without what does not matter in it."""
    return "".join(text.split()).replace("-", "").lower()


def checked_password(text: str) -> str:
    """``text``, a new password, in the form in which it is hashed: see :func:`normalized`.

    :raises PasswordTooShort: it has fewer than :data:`PASSWORD_CHARACTERS` characters.
    :raises PasswordTooLong: it has more than :data:`PASSWORD_BYTES` bytes.
    """
    password = normalized(text)
    if password is None:
        raise PasswordTooLong(limit=PASSWORD_BYTES)
    if len(password) < PASSWORD_CHARACTERS:
        raise PasswordTooShort(limit=PASSWORD_CHARACTERS)
    return password


def normalized(text: str) -> str | None:
    """The password ``text`` by the rules of PRECIS ``OpaqueString`` (RFC 8265, section 4.2): every
    space is U+0020, and the text is in NFC. Case and width matter. Blanks and invisible
    characters at its beginning and end are left out, as they are from a line of the text dialect.

    ``OpaqueString`` also refuses characters that the interpreter's Unicode does not know yet, and
    joiners in emoji. People may use them, so the same rules are applied to such a text, and nothing
    is refused. None if it has more than :data:`PASSWORD_BYTES` bytes.
    """
    if len(text.encode("utf-8", "surrogatepass")) > PASSWORD_BYTES:
        return None  # and is not normalized: that takes time quadratic in the number of marks
    try:
        password: str = _OPAQUE.enforce(text)
    except UnicodeEncodeError:
        spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
        password = unicodedata.normalize("NFC", spaced)
    password = stripped(password)
    return None if len(password.encode("utf-8", "surrogatepass")) > PASSWORD_BYTES else password

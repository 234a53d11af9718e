"""Random codes that people type.

This module must not know anything of the program.
"""

from __future__ import annotations

import secrets

#: The characters of codes: no vowels, so that no words arise, and no ``l``, ``0`` or ``1``.
ALPHABET = "bcdfghjkmnpqrstvwxz23456789"

#: Groups in a code, and characters in each group. A code has 95 random bits: enough that nobody
#: guesses one of many codes.
GROUPS = 5
GROUP = 4


def letters(count: int) -> str:
    """``count`` random characters of :data:`ALPHABET`, 4.75 bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(count))


def new_code() -> str:
    """A new code, such as ``bcdf-ghjk-mnpq-rstv-wxz2``."""
    return "-".join(letters(GROUP) for _ in range(GROUPS))

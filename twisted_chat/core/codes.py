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
    # One random number, as each asks the system for its bits.
    number = secrets.randbelow(len(ALPHABET) ** count)
    found = []
    for _ in range(count):
        number, at = divmod(number, len(ALPHABET))
        found.append(ALPHABET[at])
    return "".join(found)


def new_code() -> str:
    """A new code, such as ``bcdf-ghjk-mnpq-rstv-wxz2``."""
    text = letters(GROUPS * GROUP)
    return "-".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))

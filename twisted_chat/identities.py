"""Who can come back: as the same person, over another connection.

A program comes back with its client id, a person with the short code that was told on coming
in. It must not know what a person is. Everything here runs on one thread.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

PersonT = TypeVar("PersonT", bound=Hashable)

#: No vowels, so that no words arise, and nothing that is easily taken for something else.
_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"
_HALF = 4

#: How many people who are gone are remembered; the oldest are forgotten first.
GONE_LIMIT = 10_000


class Identities(Generic[PersonT]):
    """``window`` is how many seconds somebody who is gone can come back with a code, and
    ``clock`` gives seconds that never go backwards.
    """

    def __init__(self, window: float, clock: Callable[[], float]) -> None:
        self.window = window
        self._clock = clock
        self._by_client: dict[bytes, PersonT] = {}
        self._by_code: dict[str, PersonT] = {}
        self._clients: dict[PersonT, bytes] = {}
        self._codes: dict[PersonT, str] = {}
        self._gone: dict[PersonT, float] = {}

    def add_client(self, person: PersonT, author: bytes) -> None:
        """``person``, a program, can come back with the client id whose author key this is."""
        self._clients[person] = author
        self._by_client[author] = person

    def add_code(self, person: PersonT) -> str:
        """``person`` can come back with the code that is returned."""
        number = secrets.randbelow(len(_ALPHABET) ** (2 * _HALF))
        code = ""
        while len(code) < 2 * _HALF:
            number, letter = divmod(number, len(_ALPHABET))
            code += _ALPHABET[letter]
        self._codes[person] = code
        self._by_code[code] = person
        return f"{code[:_HALF]}-{code[_HALF:]}"

    def gone(self, person: PersonT) -> None:
        """``person`` has lost the connection and left: from now on the window counts."""
        self._forget_old()
        if person in self._codes:
            self._gone[person] = self._clock()

    def back(self, person: PersonT) -> None:
        """``person`` is here again."""
        self._gone.pop(person, None)

    def forget(self, person: PersonT) -> None:
        """``person`` cannot come back."""
        self._gone.pop(person, None)
        if person in self._codes:
            del self._by_code[self._codes.pop(person)]
        if person in self._clients:
            del self._by_client[self._clients.pop(person)]

    def by_client(self, author: bytes) -> PersonT | None:
        """Who has the client id whose author key this is."""
        return self._by_client.get(author)

    def by_code(self, code: str) -> PersonT | None:
        """Who was told this code, however it is written."""
        self._forget_old()
        return self._by_code.get(code.replace("-", "").replace(" ", "").lower())

    def _forget_old(self) -> None:
        end = self._clock() - self.window
        for person, since in tuple(self._gone.items()):
            if since >= end and len(self._gone) <= GONE_LIMIT:
                break  # in the order in which they went
            self.forget(person)

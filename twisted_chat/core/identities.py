"""Who can come back: as the same person, over another connection.

A program comes back with its client id, a person with the code that was shown on coming in, which
changes whenever it is used. Of a code, only its hash is kept. It must not know what a person is.
Everything here runs on one thread.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import Generic, TypeVar

PersonT = TypeVar("PersonT", bound=Hashable)

#: No vowels, so that no words arise, and nothing that is easily taken for something else.
_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"

#: A code is so many groups of so many letters: 95 bits, of which 80 are a secret that nobody
#: guesses, however many codes there are and however long it takes.
GROUPS = 5
GROUP = 4


def _nothing() -> None:
    """Nobody needs to know."""


def _nobody(person: object) -> None:
    """Nobody needs to know."""


class Identities(Generic[PersonT]):
    """``window`` is how many seconds somebody who is gone can come back with a code, and
    ``clock`` gives seconds that never go backwards.
    """

    def __init__(self, window: float, clock: Callable[[], float]) -> None:
        self.window = window
        #: Called with each person with a code who is forgotten.
        self.on_forget: Callable[[PersonT], None] = _nobody
        self.clock = clock
        self._by_client: dict[bytes, PersonT] = {}
        self._by_code: dict[bytes, PersonT] = {}
        self._clients: dict[PersonT, bytes] = {}
        #: The hashes of each one's codes: the one that holds, and before it, while it may not
        #: have been seen, the one that was used last.
        self._codes: dict[PersonT, list[bytes]] = {}
        self._gone: OrderedDict[PersonT, tuple[float, Callable[[], None]]] = OrderedDict()

    def add_client(self, person: PersonT, author: bytes) -> None:
        """``person``, a program, can come back with the client id whose author key this is."""
        self._clients[person] = author
        self._by_client[author] = person

    def add_code(self, person: PersonT) -> str:
        """``person`` can come back with the code that is returned.

        The one before works as well until :meth:`forget_last_code`: the new one may get lost.
        """
        letters = [secrets.choice(_ALPHABET) for _ in range(GROUPS * GROUP)]
        code = hash_code("".join(letters))
        earlier = self._codes.setdefault(person, [])
        for old in earlier[:-1]:
            del self._by_code[old]
        self._codes[person] = [*earlier[-1:], code]
        self._by_code[code] = person
        return "-".join(
            "".join(letters[start : start + GROUP]) for start in range(0, len(letters), GROUP)
        )

    def forget_last_code(self, person: PersonT) -> None:
        """Only the newest code of ``person`` holds from now on."""
        codes = self._codes.get(person, [])
        for old in codes[:-1]:
            del self._by_code[old]
        del codes[:-1]

    def take_code_back(self, person: PersonT) -> None:
        """The newest code of ``person`` was never shown: the one before holds."""
        codes = self._codes.get(person, [])
        if codes:
            del self._by_code[codes.pop()]
        if not codes:
            self._codes.pop(person, None)

    def is_newest(self, person: PersonT, code: str) -> bool:
        """Whether ``code`` is the newest one of ``person``."""
        return self._codes.get(person, [b""])[-1] == hash_code(code)

    def gone(self, person: PersonT, forgotten: Callable[[], None] = _nothing) -> bool:
        """``person`` has lost the connection and left: from now on the window counts.

        ``forgotten()`` is called when they cannot come back any more. Returns whether they can.
        """
        self.forget_old()
        if person not in self._codes:
            return False
        self._gone[person] = self.clock(), forgotten
        return True

    def back(self, person: PersonT) -> None:
        """``person`` is here again."""
        self._gone.pop(person, None)

    def forget(self, person: PersonT) -> None:
        """``person`` cannot come back."""
        _, forgotten = self._gone.pop(person, (0, _nothing))
        codes = self._codes.pop(person, None)
        for code in codes or ():
            del self._by_code[code]
        if codes is not None:
            self.on_forget(person)
        self.forget_client(person)
        forgotten()

    def forget_client(self, person: PersonT) -> None:
        """``person``, a program, cannot come back with its client id."""
        author = self._clients.pop(person, None)
        if author is not None and self._by_client.get(author) == person:
            del self._by_client[author]

    def let_go(self, person: PersonT) -> None:
        """``person`` has come back elsewhere: nothing here leads to them, nor is anything forgotten
        that is kept of them.
        """
        self._gone.pop(person, None)
        for code in self._codes.pop(person, ()):
            del self._by_code[code]
        self.forget_client(person)

    def by_client(self, author: bytes) -> PersonT | None:
        """Who has the client id whose author key this is."""
        return self._by_client.get(author)

    def by_code(self, code: str) -> PersonT | None:
        """Who was told this code, however it is written."""
        self.forget_old()
        return self._by_code.get(hash_code(code))

    def people(self) -> list[PersonT]:
        """Everybody who has a code."""
        return list(self._codes)

    def newest_code(self, person: PersonT) -> bytes | None:
        """The hash of the newest code of ``person``."""
        codes = self._codes.get(person)
        return codes[-1] if codes else None

    def forget_old(self) -> None:
        """Forget those whose window is over."""
        end = self.clock() - self.window
        while self._gone:
            person, (since, _) = next(iter(self._gone.items()))
            if since >= end:
                break  # in the order in which they went
            self.forget(person)


def hash_code(code: str) -> bytes:
    """What is kept of a code, however it is written. It is random, so that one hash is enough."""
    letters = code.replace("-", "").replace(" ", "").lower()
    return sha256(letters.encode("utf-8", "surrogatepass")).digest()

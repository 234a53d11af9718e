"""Codes and client ids, with which a person can come back over another connection.

A program comes back with its client id. A person comes back with the code that the server showed
when they entered the chat; each use replaces it by a new code. Only the hash of a code is kept.
This module must not know what a person is. Everything here runs on one thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Generic, TypeVar

from twisted_chat.core.callbacks import nothing
from twisted_chat.core.codes import new_code

PersonT = TypeVar("PersonT", bound=Hashable)


class Identities(Generic[PersonT]):
    """Finds the person that a code or a client id belongs to.

    :param window: seconds for which a person who has left can come back with a code.
    :param clock: a clock in seconds that never goes backwards.
    """

    def __init__(self, window: float, clock: Callable[[], float]) -> None:
        self.window = window
        #: The secret of the log, which is known when that is open.
        self.key = b""
        #: Called with each person who had a code and is forgotten.
        self.on_forget: Callable[[PersonT], None] = nothing
        self.clock = clock
        self._by_client: dict[bytes, PersonT] = {}
        self._by_code: dict[bytes, PersonT] = {}
        self._clients: dict[PersonT, bytes] = {}
        #: The hashes of each person's valid codes: the newest last. Before it, the previous code
        #: stays until the newest is known to have arrived.
        self._codes: dict[PersonT, list[bytes]] = {}
        #: People who left, the first to leave first: the time in seconds, and the callback.
        self._gone: OrderedDict[PersonT, tuple[float, Callable[[], None]]] = OrderedDict()

    def add_client(self, person: PersonT, key: bytes) -> None:
        """Let ``person``, a program, come back with its client id.

        ``key`` is the author key of the client id (:func:`.author_key`).
        """
        self._clients[person] = key
        self._by_client[key] = person

    def add_code(self, person: PersonT) -> str:
        """Give ``person`` a new code, such as ``bcdf-ghjk-mnpq-rstv-wxz2``, and return it.

        The previous code is valid until :meth:`forget_last_code`, as the new one may get lost on
        its way to the client.
        """
        text = new_code()
        code = self.hash(text)
        earlier = self._codes.setdefault(person, [])
        for old in earlier[:-1]:
            del self._by_code[old]
        self._codes[person] = [*earlier[-1:], code]
        self._by_code[code] = person
        return text

    def forget_last_code(self, person: PersonT) -> None:
        """Make all codes of ``person`` but the newest invalid."""
        codes = self._codes.get(person, [])
        for old in codes[:-1]:
            del self._by_code[old]
        del codes[:-1]

    def take_code_back(self, person: PersonT) -> None:
        """Make the newest code of ``person``, which was never shown, invalid."""
        codes = self._codes.get(person, [])
        if codes:
            del self._by_code[codes.pop()]
        if not codes:
            self._codes.pop(person, None)

    def is_newest(self, person: PersonT, code: str) -> bool:
        """Whether ``code`` is the newest code of ``person``."""
        return self._codes.get(person, [b""])[-1] == self.hash(code)

    def gone(self, person: PersonT, forgotten: Callable[[], None] = nothing) -> bool:
        """Start the window of ``person``, who has lost the connection and left.

        Returns whether they can come back. If so, ``forgotten()`` is called when they no longer
        can.
        """
        self.forget_old()
        if person not in self._codes:
            return False
        self._gone[person] = self.clock(), forgotten
        return True

    def back(self, person: PersonT) -> None:
        """End the window of ``person``, who has come back."""
        self._gone.pop(person, None)

    def forget(self, person: PersonT, *, but_client: bool = False) -> None:
        """Forget the codes and the client id of ``person``, who cannot come back any more; with
        ``but_client``, only the codes.
        """
        _, forgotten = self._gone.pop(person, (0, nothing))
        codes = self._codes.pop(person, None)
        for code in codes or ():
            del self._by_code[code]
        if codes is not None:
            self.on_forget(person)
        if not but_client:
            self.forget_client(person)
        forgotten()

    def forget_client(self, person: PersonT) -> None:
        """Forget the client id of ``person``, a program."""
        key = self._clients.pop(person, None)
        if key is not None and self._by_client.get(key) == person:
            del self._by_client[key]

    def let_go(self, person: PersonT) -> None:
        """Remove ``person``, who has come back as another session, here or at another node.

        No callback is called: the other session has their record and their nickname.
        """
        self._gone.pop(person, None)
        for code in self._codes.pop(person, ()):
            del self._by_code[code]
        self.forget_client(person)

    def by_client(self, key: bytes) -> PersonT | None:
        """The person whose client id has the author key ``key``, or None."""
        return self._by_client.get(key)

    def by_code(self, code: str) -> PersonT | None:
        """The person with this code, or None; case, hyphens and spaces do not matter."""
        self.forget_old()
        return self._by_code.get(self.hash(code))

    def hash(self, code: str) -> bytes:
        """The hash of ``code``: see :func:`hash_code`."""
        return hash_code(code, self.key)

    def people(self) -> list[PersonT]:
        """Everybody who has a code."""
        return list(self._codes)

    def newest_code(self, person: PersonT) -> bytes | None:
        """The hash of the newest code of ``person``; None if they have no code."""
        codes = self._codes.get(person)
        return codes[-1] if codes else None

    def forget_old(self) -> None:
        """Forget the people whose window is over."""
        end = self.clock() - self.window
        while self._gone:
            person, (since, _) = next(iter(self._gone.items()))
            if since >= end:
                break  # all others left later
            self.forget(person)


def hash_code(code: str, key: bytes) -> bytes:
    """The hash of ``code``, 32 bytes of BLAKE2b (RFC 7693) with the secret of the log as its
    ``key``; case, hyphens and spaces do not matter.

    One round without salt is enough: a code is random.
    """
    letters = code.replace("-", "").replace(" ", "").lower()
    data = letters.encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=32, key=key, person=b"twisted-chat res").digest()

"""Who can come back with a code after the server was started again.

The log keeps of each person the hash of the code, the nickname, how far each room was seen and
whom they ignore. It is written behind the commits: on coming, on going, within a second when one
changes but what was seen, and that about twice a minute (:meth:`Keeper.look`). So after a server
that was killed, lines of the last half minute may be shown once more; after one that was stopped,
none is.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from twisted_chat.core.changes import Keep, KeptPerson
from twisted_chat.core.identities import Identities, hash_code
from twisted_chat.core.journal import Journal

#: Seconds from one :meth:`Keeper.look` to the next.
INTERVAL = 1.0

#: Looks in which everybody is looked at once; but of more people than this, so many at each.
LOOKS = 30
AT_ONCE = 500


class Person(Hashable, Protocol):
    """What is known here of somebody with a code."""

    author: bytes

    def kept(self) -> KeptPerson | None:
        """What is to be kept of them; None if they are not in the chat."""


PersonT = TypeVar("PersonT", bound=Person)


class Keeper(Generic[PersonT]):
    """Keeps those whom ``identities`` knows in ``journal``."""

    def __init__(self, journal: Journal, identities: Identities[PersonT]) -> None:
        self._journal = journal
        self._identities = identities
        self._clock = identities.clock
        identities.on_forget = self.forget
        #: Those of before the start who have not come back, by their code.
        self._before: dict[bytes, KeptPerson] = {}
        self._codes_before: dict[bytes, bytes] = {}
        self._until = 0.0
        #: Those whom other nodes keep, by their code, and the code of each author.
        self._elsewhere: dict[bytes, KeptPerson] = {}
        self._codes_elsewhere: dict[bytes, bytes] = {}
        self._saved: dict[PersonT, KeptPerson] = {}
        self._changed: dict[PersonT, None] = {}
        self._forgotten: list[bytes] = []
        self._round: Iterator[PersonT] = iter(())

    def start(self) -> None:
        """Know again who could come back when the server ended, from now on for a whole window."""
        self._before = {person.code: person for person in self._journal.people()}
        self._codes_before = {person.author: person.code for person in self._before.values()}
        self._until = self._clock() + self._identities.window

    def take(self, code: str) -> KeptPerson | None:
        """Who was told ``code`` before the start; nobody else is given them."""
        hashed = hash_code(code)
        elsewhere = self._elsewhere.get(hashed)
        if elsewhere is not None:
            return elsewhere
        if self._clock() > self._until:
            return None
        return self._before.pop(hashed, None)

    def put_back(self, person: KeptPerson) -> None:
        """They did not come back: the code holds on."""
        if person.code not in self._elsewhere:
            self._before[person.code] = person

    def learn(self, change: Keep) -> None:
        """Another node keeps these people."""
        for author in [*(person.author for person in change.people), *change.forgotten]:
            self._forget_elsewhere(author)
            self._before.pop(self._codes_before.pop(author, b""), None)
        for person in change.people:
            self._elsewhere[person.code] = person
            self._codes_elsewhere[person.author] = person.code

    def _forget_elsewhere(self, author: bytes) -> None:
        """The person with this author key is kept here: what others kept does not hold."""
        self._elsewhere.pop(self._codes_elsewhere.pop(author, b""), None)

    def changed(self, person: PersonT) -> None:
        """Write how ``person`` is now, in a moment."""
        self._changed[person] = None

    def save(self, person: PersonT, kept: KeptPerson | None) -> None:
        """Write ``kept`` of ``person`` now."""
        if kept is not None:
            self._saved[person] = kept
            self._forget_elsewhere(kept.author)
            self._journal.submit((Keep((kept,)),))

    def forget(self, person: PersonT) -> None:
        """``person`` cannot come back: remove them, in a moment."""
        self._changed.pop(person, None)
        self._saved.pop(person, None)
        self._forgotten.append(person.author)

    def let_go(self, person: PersonT) -> None:
        """``person`` is kept elsewhere from now on."""
        self._changed.pop(person, None)
        self._saved.pop(person, None)

    def look(self) -> None:
        """Write what has changed; to be called once an :data:`INTERVAL`."""
        self._identities.forget_old()
        if self._before and self._clock() > self._until:
            self._forgotten += [person.author for person in self._before.values()]
            self._before.clear()
            self._codes_before.clear()
        self._write([*self._changed, *self._next()])

    def save_all(self) -> None:
        """The server stops: write how everybody is now."""
        self._write(self._identities.people())

    def _next(self) -> list[PersonT]:
        """Some people, in turn."""
        everybody = self._identities.people()
        count = min(AT_ONCE, -(-len(everybody) // LOOKS))
        some = list(islice(self._round, count))
        if len(some) < count:
            self._round = iter(everybody)
        return some

    def _write(self, people: Iterable[PersonT]) -> None:
        written = []
        for person in people:
            kept = person.kept()
            if kept is not None and kept != self._saved.get(person):
                self._saved[person] = kept
                written.append(kept)
        forgotten, self._forgotten = self._forgotten, []
        self._changed.clear()
        if written or forgotten:
            self._journal.submit((Keep(tuple(written), tuple(forgotten)),))

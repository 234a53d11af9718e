"""The records of people with a code, with which they can come back after a restart of the server.

A record (:class:`.KeptPerson`) has the hash of the code, the nickname, the last entry seen in each
room, the ignored people and the style. It is written to the log after the waiting commits:

* when the person enters, and when they leave;
* within a second when a field other than the last entries changes (:meth:`Keeper.changed`);
* about twice a minute when the last entries change (:meth:`Keeper.look`).

So after the server was killed, a person who comes back may see lines of the last half minute
again; after an orderly stop, none. This module must not know sessions or the format of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

from twisted_chat.core.changes import Keep, KeptPerson
from twisted_chat.core.identities import Identities
from twisted_chat.core.journal import Journal

#: Seconds from one :meth:`Keeper.look` to the next.
INTERVAL = 1.0

#: Looks in which each person is examined once, unless there are more people than one look may
#: examine: at most ``AT_ONCE``.
LOOKS = 30
AT_ONCE = 500


class Person(Hashable, Protocol):
    """A person with a code, as far as this module knows them."""

    @property
    def kept_as(self) -> int:
        """The author number under which the record is kept."""

    def kept(self) -> KeptPerson | None:
        """The person's present record; None if they have no code, or no accepted nickname yet."""


PersonT = TypeVar("PersonT", bound=Person)


class Keeper(Generic[PersonT]):
    """Writes the records of the people in ``identities`` to ``journal``, and finds earlier ones."""

    def __init__(self, journal: Journal, identities: Identities[PersonT]) -> None:
        self._journal = journal
        self._identities = identities
        self._clock = identities.clock
        identities.on_forget = self.forget
        #: Records from before the start whose person has not come back, by the hash of the code;
        #: and that hash by author.
        self._before: dict[bytes, KeptPerson] = {}
        self._codes_before: dict[int, bytes] = {}
        #: Those whose person is entering now, by author.
        self._taken: dict[int, KeptPerson] = {}
        #: The time, in seconds, at which those records expire.
        self._until = 0.0
        #: Records that other nodes wrote, by the hash of the code; and that hash by author.
        self._elsewhere: dict[bytes, KeptPerson] = {}
        self._codes_elsewhere: dict[int, bytes] = {}
        #: The record of each person that was written last.
        self._saved: dict[PersonT, KeptPerson] = {}
        self._changed: dict[PersonT, None] = {}
        self._forgotten: list[int] = []
        self._round: Iterator[PersonT] = iter(())

    @property
    def forgotten(self) -> Sequence[int]:
        """The authors of the records that the next look deletes."""
        return self._forgotten

    def start(self, may_come: Callable[[KeptPerson], bool]) -> None:
        """Read the records of the log; their codes are valid for a whole window from now on.

        Those of people who may not come any more, as ``may_come`` says, are deleted.
        """
        self._identities.key = self._journal.secret
        for person in self._journal.people():
            if may_come(person):
                self._before[person.code] = person
            else:
                self._forgotten.append(person.author)
        self._codes_before = {person.author: person.code for person in self._before.values()}
        self._until = self._clock() + self._identities.window

    def take(self, code: str) -> KeptPerson | None:
        """The record with ``code`` that another node wrote, or that is from before the start.

        None if there is no such record. A record from before the start is returned only once.
        """
        hashed = self._identities.hash(code)
        elsewhere = self._elsewhere.get(hashed)
        if elsewhere is not None:
            return elsewhere
        if self._clock() > self._until:
            return None
        person = self._before.pop(hashed, None)
        if person is not None:
            self._taken[person.author] = person
        return person

    def put_back(self, person: KeptPerson) -> None:
        """Put back a record that was taken: its person could not enter. The code stays valid, if
        the account's logins have not ended meanwhile.
        """
        if self._taken.pop(person.author, None) is person:
            self._before[person.code] = person

    def learn(self, change: Keep) -> None:
        """Remember the records that another node wrote or deleted."""
        for author in [*(person.author for person in change.people), *change.forgotten]:
            self._forget_elsewhere(author)
            self._before.pop(self._codes_before.pop(author, b""), None)
        for person in change.people:
            self._elsewhere[person.code] = person
            self._codes_elsewhere[person.author] = person.code

    def _forget_elsewhere(self, author: int) -> None:
        """Forget the record of ``author`` that another node wrote."""
        self._elsewhere.pop(self._codes_elsewhere.pop(author, b""), None)

    def changed(self, person: PersonT) -> None:
        """Write the record of ``person``, who has changed, at the next look."""
        self._changed[person] = None

    def save(self, person: PersonT, kept: KeptPerson | None) -> None:
        """Write the record ``kept`` of ``person`` now; do nothing if it is None."""
        if kept is not None:
            self._saved[person] = kept
            self._taken.pop(kept.author, None)
            self._forget_elsewhere(kept.author)
            self._journal.submit((Keep((kept,)),))

    def forget(self, person: PersonT) -> None:
        """Delete the record of ``person``, who cannot come back any more, at the next look."""
        self._changed.pop(person, None)
        self._saved.pop(person, None)
        self._taken.pop(person.kept_as, None)
        self._forgotten.append(person.kept_as)

    def let_go(self, person: PersonT) -> None:
        """Write no more records of ``person``: another session, here or at another node, does."""
        self._changed.pop(person, None)
        self._saved.pop(person, None)

    def forget_account(self, account: int, people: Collection[object]) -> None:
        """Let nobody come back as ``account`` with a code, but those of ``people``, who are here.

        The records that other nodes wrote are forgotten; those nodes delete them.
        """
        for person, kept in tuple(self._saved.items()):
            if kept.account == account and person not in people:
                self._identities.forget(person)
        before = *self._before.values(), *self._taken.values()
        for kept in [kept for kept in before if kept.account == account]:
            self._before.pop(kept.code, None)
            self._taken.pop(kept.author, None)
            self._codes_before.pop(kept.author, None)
            self._forgotten.append(kept.author)  # the next start would let them come back
        for kept in [kept for kept in self._elsewhere.values() if kept.account == account]:
            self._forget_elsewhere(kept.author)

    def look(self) -> None:
        """Write the records that have changed. Call this once every :data:`INTERVAL`."""
        self._identities.forget_old()
        if self._before and self._clock() > self._until:
            self._forgotten += [person.author for person in self._before.values()]
            self._before.clear()
            self._codes_before.clear()
        self._write([*self._changed, *self._next()])

    def save_all(self) -> None:
        """Write all records that have changed: the server stops."""
        self._write(self._identities.people())

    def _next(self) -> list[PersonT]:
        """The next people to examine, in turn."""
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

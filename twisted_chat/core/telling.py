"""Asks for private messages: to people who are here, and to accounts whose person is away.

It checks what depends on the clock and on this node's connections, then submits a change: a
:class:`.TellPerson`, or a :class:`.KeepMessage` if no connection of the recipient's account reads.
A message that was not delivered to an account after all is kept as well. This module must not know
how a message is shown or stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted_chat.core.accounts import Accounts
from twisted_chat.core.author import guest_number
from twisted_chat.core.changes import TellPerson
from twisted_chat.core.checks import Checks
from twisted_chat.core.errors import NoSuchPerson, NotReading, Refusal, TooManyKept
from twisted_chat.core.flood import TokenBucket
from twisted_chat.core.journal import Journal
from twisted_chat.core.mail_changes import KeepMessage
from twisted_chat.core.names import nickname
from twisted_chat.core.people import Anybody, Elsewhere, Person
from twisted_chat.core.registry import Registry
from twisted_chat.core.sources import KEPT_MESSAGES, Source

#: Accounts whose messages for people who are away are counted, before those are forgotten whose
#: count does not matter any more.
_COUNTED = 1000

Answer = Callable[[Refusal | None], None]


class _Expect(Protocol):
    def __call__(self, answer: Answer, person: Person, id: str | None, /) -> int: ...


class Telling:
    """Submits private messages.

    :param connections: the connections of a person, by the author number.
    :param submit: submits a change.
    :param expect: gives the request number of a change whose answer goes to the callback; the other
        arguments are the connection that asks, and the id of its request.
    :param clock: gives microseconds since 1970 UTC.
    :param seconds: a clock in seconds that never goes backwards.
    :param journal: has the secret for the hashes of sources.
    """

    def __init__(
        self,
        checks: Checks,
        registry: Registry[Anybody],
        accounts: Accounts,
        connections: Callable[[int], Sequence[Anybody]],
        submit: Callable[[TellPerson | KeepMessage], None],
        expect: _Expect,
        clock: Callable[[], int],
        seconds: Callable[[], float],
        journal: Journal,
    ) -> None:
        self._checks = checks
        self._registry = registry
        self._accounts = accounts
        self._connections = connections
        self._submit = submit
        self._expect = expect
        self._clock = clock
        self._seconds = seconds
        self._journal = journal
        #: By the number of the sender's account.
        self._kept: dict[int, TokenBucket] = {}

    def tell(self, person: Person, name: str, text: str, answer: Answer, id: str | None) -> None:
        """Send a private message to the person with the nickname ``name``.

        :param answer: called when the change is applied.
        :param id: the id of the request.
        :raises Refusal: ``text`` is too long, nobody has this name, the person is a guest who does
            not read, or too many messages are kept.
        """
        self._checks.text(text)
        try:
            wanted = nickname(name)
        except Refusal:
            raise NoSuchPerson(name=name) from None
        found = self._registry.find(wanted)
        if found is not None:
            connections = self._connections(found.author)
            if any(isinstance(one, Elsewhere) or one.outlet.ready for one in connections):
                request = self._expect(answer, person, id)
                told = found.author, found.name, text, self._clock()
                self._submit(TellPerson(person.author, *told, request))
                return
            if found.author < 0:
                raise NotReading(name=found.name)
        account = self._accounts.named(wanted)
        if account is None:
            raise NoSuchPerson(name=name)
        told = account.number, account.nickname.text, text, self._clock()
        self._submit_kept(TellPerson(person.author, *told, 0), person, answer, id)

    def keep(self, told: TellPerson, person: Person, id: str | None) -> None:
        """Keep the message ``told``, which ``person`` sent to an account and was not delivered.

        The sender is told the outcome. ``id`` is the id of the request.
        """

        def answer(refusal: Refusal | None) -> None:
            if refusal is not None:
                person.refuse(refusal, id)

        try:
            self._submit_kept(told, person, answer, id)
        except Refusal as refusal:
            person.refuse(refusal, id)

    def name_of(self, author: int) -> str | None:
        """The nickname of the person with this author number, if they can be sent a message."""
        connections = self._connections(author)
        if connections:
            return connections[0].name
        account = self._accounts.get(author)
        return account.nickname.text if account is not None else None

    def _submit_kept(
        self, told: TellPerson, person: Person, answer: Answer, id: str | None
    ) -> None:
        """:raises TooManyKept: too many messages of this source or account are kept."""
        source, author = person.source, told.person
        if not source.trusted:
            wait = max(source.kept_message_wait(), self._wait(author))
            if wait:
                limit, minutes = int(KEPT_MESSAGES.burst), math.ceil(wait / 60)
                raise TooManyKept(name=told.name, limit=limit, minutes=minutes)
            source.count_kept_message()
            self._count(author)
        who = author, told.recipient, told.name, person.name
        request = self._expect(answer, person, id)
        self._submit(KeepMessage(*who, told.text, told.time, self._origin(source), request))

    def _wait(self, author: int) -> float:
        """The seconds until another message of this account can be kept."""
        bucket = self._kept.get(author)
        return 0.0 if bucket is None else bucket.wait(self._seconds())

    def _count(self, author: int) -> None:
        if author < 0:
            return
        now = self._seconds()
        if author not in self._kept and len(self._kept) >= _COUNTED:
            self._kept = {one: b for one, b in self._kept.items() if b.time_to_fill(now) > 0}
        self._kept.setdefault(author, TokenBucket(KEPT_MESSAGES, now)).take(now)

    def _origin(self, source: Source) -> int:
        """``source`` as a keyed hash, from which nobody without the log's secret learns it."""
        if source.trusted:
            return 0
        return guest_number(f"source {source.key}".encode(), self._journal.secret)

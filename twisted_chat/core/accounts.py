"""Accounts: permanent numbers, each with a nickname that nobody else can take.

An account belongs to one person, however many connections they have. Its number is positive and is
the author of the person's entries; a guest's author is a negative number
(:mod:`twisted_chat.core.author`). A nickname of an account, and whatever looks like it, is reserved
for ever: also while nobody is connected, after a rename, and after the account has ended. Otherwise
another person could read messages that were meant for the old one.

:class:`Accounts` is a part of the state that all nodes share: only changes alter it
(:mod:`twisted_chat.core.account_changes`). This module must not know how a secret is made or
checked; it has only the hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from msgspec import structs

from twisted_chat.core.account_errors import NameOwned, TooManyNames
from twisted_chat.core.names import Nickname

#: Nicknames that one account has had and that stay reserved for it, besides the present one. The
#: person takes no further one then; an operator may give one.
FORMER_LIMIT = 4

#: The kinds of credentials. A ``code`` is valid once and for ten minutes, unless it is an
#: invitation; a ``device`` is the token that a client keeps in place of a password.
CredentialKind = Literal["password", "token", "device", "code", "certificate", "key"]

#: The id of the credential that is a password: an account has at most one.
PASSWORD = "password"


class Credential(msgspec.Struct, frozen=True):
    """Something that proves that a client belongs to an account.

    :param id: its name within the account; no secret.
    :param kind: what it is.
    :param hash: of the password (argon2id, encoded with its parameters), of the token or code
        (:func:`.secrets.secret_hash`), or the fingerprint of the certificate or key.
    :param label: what the person calls it, such as the name of a machine.
    :param rooms: the rooms to which a token is limited; empty: all rooms.
    :param made: when it was made, in microseconds since 1970 UTC.
    :param expires: when it ends, in microseconds since 1970 UTC; 0: never.
    """

    id: str
    kind: CredentialKind
    hash: str
    label: str = ""
    rooms: tuple[str, ...] = ()
    made: int = 0
    expires: int = 0


class Account(msgspec.Struct, frozen=True):
    """One account, as it is stored.

    :param number: its permanent number, from 1.
    :param nickname: the nickname, which is reserved for it. Its keys are stored, as later versions
        of Unicode may give others.
    :param status: an account that is not ``active`` lets nobody in. One that was ``disabled`` can
        be enabled again; one that is ``closed`` cannot.
    :param credentials: at most one of them is a password.
    :param former: nicknames that it had before; they stay reserved.
    :param ignored: for each ignored person, the author number and a nickname.
    :param read: by room, the number of the last entry that the person has read.
    :param made: when it was made, in microseconds since 1970 UTC.
    :param directory: if the operator's directory of people has made it, the name (folded) by which
        the directory knows the person; otherwise "", and the directory lets nobody into it.
    :param logouts: how many times it was logged out everywhere.
    """

    number: int
    nickname: Nickname
    status: Literal["active", "disabled", "closed"] = "active"
    credentials: tuple[Credential, ...] = ()
    former: tuple[Nickname, ...] = ()
    ignored: tuple[tuple[int, str], ...] = ()
    read: dict[str, int] = {}
    made: int = 0
    directory: str = ""
    logouts: int = 0

    def credential(self, id: str) -> Credential | None:
        """The credential with this id, or None."""
        return next((one for one in self.credentials if one.id == id), None)

    @property
    def password(self) -> str:
        """The encoded hash of the password; "" if there is none."""
        credential = self.credential(PASSWORD)
        return "" if credential is None else credential.hash


class Accounts:
    """All accounts, found by number, by nickname and by the hash of a secret."""

    def __init__(self) -> None:
        self._by_number: dict[int, Account] = {}
        #: The account that owns a key of a nickname: see :class:`.Nickname`.
        self._owners: dict[str, int] = {}
        self._by_folded: dict[str, int] = {}
        #: By the hash of a token or code: the account, and the id of the credential.
        self._by_hash: dict[str, tuple[int, str]] = {}
        #: For each ignored author, the accounts that ignore them.
        self._ignored_by: dict[int, set[int]] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Account]:
        return iter(tuple(self._by_number.values()))

    def after(self, number: int) -> Iterator[Account]:
        """The accounts with higher numbers than this one, by number."""
        numbers = range(number + 1, self._last + 1)
        return (self._by_number[each] for each in numbers if each in self._by_number)

    def get(self, number: int) -> Account | None:
        """The account with this number, or None."""
        return self._by_number.get(number)

    def named(self, nickname: Nickname) -> Account | None:
        """The account whose nickname this is, in any case, or None; former ones do not count."""
        return self._by_number.get(self._by_folded.get(nickname.folded, 0))

    def owner(self, nickname: Nickname) -> Account | None:
        """The account whose nickname this is or was, in any case, or None; one that only looks
        like it does not count.
        """
        account = self._by_number.get(self._owners.get(nickname.folded, 0))
        if account is None:
            return None
        names = {name.folded for name in (account.nickname, *account.former)}
        return account if nickname.folded in names else None

    def with_secret(self, hash: str) -> tuple[Account, Credential] | None:
        """The account and its credential with this hash of a token or code, or None."""
        number, id = self._by_hash.get(hash, (0, ""))
        account = self._by_number.get(number)
        credential = None if account is None else account.credential(id)
        return None if account is None or credential is None else (account, credential)

    def ignoring(self, author: int) -> list[Account]:
        """The accounts that ignore ``author``."""
        return [self._by_number[number] for number in sorted(self._ignored_by.get(author, ()))]

    def logouts(self, number: int) -> int:
        """How many times the account was logged out everywhere; 0 if there is none."""
        account = self._by_number.get(number)
        return 0 if account is None else account.logouts

    def lets_in(self, number: int, credential: str) -> bool:
        """Whether the account is active and has the credential of this id; "" if none is needed."""
        account = self._by_number.get(number)
        if account is None or account.status != "active":
            return False
        return not credential or account.credential(credential) is not None

    def check_free(self, nickname: Nickname, person: int = 0) -> None:
        """Check that ``person`` (an author) may take ``nickname``.

        :raises NameOwned: it, or a nickname that looks like it, belongs to another account.
        """
        for key in nickname.keys | {nickname.folded}:
            if self._owners.get(key, person) != person:
                raise NameOwned(name=nickname.text)

    def add(
        self,
        nickname: Nickname,
        credentials: Iterable[Credential],
        made: int,
        directory: str = "",
    ) -> Account:
        """Make an account; ``made`` is the time in microseconds since 1970 UTC.

        :raises NameOwned: the nickname belongs to another account.
        """
        self.check_free(nickname)
        account = Account(
            self._last + 1,
            nickname,
            credentials=tuple(credentials),
            made=made,
            directory=directory,
        )
        self.put(account)
        return account

    def renamed(
        self, account: Account, nickname: Nickname, *, by_operator: bool = False
    ) -> Account:
        """``account`` with another nickname, which it does not have yet.

        :raises NameOwned: the nickname belongs to another account.
        :raises TooManyNames: the account has had too many. That does not bind an operator.
        """
        self.check_free(nickname, account.number)
        former = [one for one in account.former if one.folded != nickname.folded]
        if account.nickname.folded != nickname.folded:
            former.append(account.nickname)
        had = {one.folded for one in (account.nickname, *account.former)}
        if nickname.folded not in had and len(former) > FORMER_LIMIT and not by_operator:
            raise TooManyNames(limit=FORMER_LIMIT)
        return structs.replace(account, nickname=nickname, former=tuple(former))

    def put(self, account: Account) -> None:
        """Add ``account``, or put it in the place of the one with its number."""
        before = self._by_number.get(account.number)
        for ignored, _ in () if before is None else before.ignored:
            ignoring = self._ignored_by.get(ignored, set())
            ignoring.discard(account.number)
            if not ignoring:
                self._ignored_by.pop(ignored, None)
        for ignored, _ in account.ignored:
            self._ignored_by.setdefault(ignored, set()).add(account.number)
        if before is not None:
            self._by_folded.pop(before.nickname.folded, None)
            for credential in before.credentials:
                self._by_hash.pop(credential.hash, None)
        for name in (account.nickname, *account.former):
            self._owners.update(dict.fromkeys(name.keys | {name.folded}, account.number))
        self._by_folded[account.nickname.folded] = account.number
        for credential in account.credentials:
            if credential.kind != "password":
                self._by_hash[credential.hash] = account.number, credential.id
        self._by_number[account.number] = account
        self._last = max(self._last, account.number)

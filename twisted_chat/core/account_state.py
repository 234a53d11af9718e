"""Carries out the changes of accounts; a part of :class:`twisted_chat.core.state.State`.

It is deterministic, as the state is: it reads the change and the state, never a clock, a setting or
chance. This module must not know how secrets are checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Protocol

from msgspec import structs

from twisted_chat.core.account_changes import (
    AccountChange,
    DropCredentials,
    MakeAccount,
    MarkRead,
    RenameAccount,
    SetCredential,
    SetIgnored,
    SetStatus,
)
from twisted_chat.core.account_errors import (
    AccountDisabled,
    AccountEnded,
    NameClaimed,
    NoAccount,
    NoSuchAccount,
    TokenExists,
    TooManyDevices,
    TooManyTokens,
    WrongSecret,
)
from twisted_chat.core.accounts import PASSWORD, Account, Accounts, Credential
from twisted_chat.core.alterations import Alterations
from twisted_chat.core.changes import Enter, KeptPerson
from twisted_chat.core.errors import NameTaken, Refusal
from twisted_chat.core.events import Marked
from twisted_chat.core.names import Nickname
from twisted_chat.core.people import Anybody, Elsewhere, Everybody, Person
from twisted_chat.core.registry import Registry

#: Connections that one account can have at a time with each credential: a program that connects
#: again and again does not shut its owner out.
DEVICE_LIMIT = 32

#: Credentials of one account: tokens and devices together, and codes. A further code replaces the
#: oldest one.
TOKEN_LIMIT = 32
CODE_LIMIT = 5

#: Rooms whose read mark one account has. Beyond that, the oldest mark is forgotten.
READ_LIMIT = 1000


class Crowd(Protocol):
    """What the state does with people whose account changes."""

    def take_out(self, person: Anybody) -> None:
        """The connection ``person`` leaves the chat."""

    def forget_codes(self, account: int) -> None:
        """Let nobody come back with a code as ``account``, but those who are in the chat."""

    def rename(self, first: Anybody, nickname: Nickname) -> None:
        """Give all connections of ``first`` the nickname, which the registry has given it."""


class AccountState:
    """All accounts, and what changes of them do to the people who are connected.

    :param records: the records to write to the log.
    """

    def __init__(
        self,
        accounts: Accounts,
        people: Everybody,
        registry: Registry[Anybody],
        crowd: Crowd,
        records: Alterations,
    ) -> None:
        self._accounts = accounts
        self._people = people
        self._registry = registry
        self._crowd = crowd
        self._records = records

    # -- people come in and change their names -------------------------------------------------

    def let_in(self, change: Enter) -> Nickname:
        """Check that the person may enter; returns their nickname.

        :raises Refusal: the nickname belongs to another account, or the account lets nobody in.
        """
        if change.person <= 0:
            self._accounts.check_free(change.nickname, change.person)
            return change.nickname
        account = self._accounts.get(change.person)
        if account is None or account.status == "closed":
            raise WrongSecret()
        if account.status == "disabled":
            raise AccountDisabled(name=account.nickname.text)
        if change.logouts != account.logouts:  # the person was about to enter
            raise AccountEnded()
        connections = self._people.connections(account.number)
        if sum(one.credential == change.credential for one in connections) >= DEVICE_LIMIT:
            raise TooManyDevices(limit=DEVICE_LIMIT)
        if change.credential:
            credential = account.credential(change.credential)
            if credential is None:
                raise WrongSecret()
            if credential.kind == "code":  # it is valid once
                self._put(account, credentials=_without(account, {credential.id}))
        return account.nickname

    def may_come(self, kept: KeptPerson) -> bool:
        """Whether the person of the record may still come back with their code."""
        return not kept.account or self._accounts.lets_in(kept.account, kept.credential)

    def check_name(self, person: int, nickname: Nickname) -> None:
        """Check that ``person`` may take ``nickname``.

        :raises Refusal: it belongs to another account, or the person's account has had too many.
        """
        self._accounts.check_free(nickname, person)
        account = self._accounts.get(person)
        if account is not None:
            self._accounts.renamed(account, nickname)

    def renamed(self, person: int, nickname: Nickname) -> None:
        """Note that ``person``, perhaps an account, has another nickname."""
        account = self._accounts.get(person)
        if account is not None:
            renamed = self._accounts.renamed(account, nickname, by_operator=True)  # it was checked
            self._accounts.put(renamed)
            self._records.altered(renamed)

    # -- changes -------------------------------------------------------------------------------

    def apply(self, change: AccountChange) -> None:
        """Carry out ``change``.

        :raises Refusal: nothing was changed.
        """
        match change:
            case MakeAccount():
                self._make(change)
            case SetCredential():
                self._set_credential(change)
            case DropCredentials():
                self._drop_credentials(change)
            case SetStatus():
                self._set_status(change)
            case RenameAccount():
                self._rename(change)
            case SetIgnored():
                self._set_ignored(change)
            case MarkRead():
                self._mark_read(change)

    def _make(self, change: MakeAccount) -> None:
        if not change.person:
            account = self._accounts.add(
                change.nickname, change.credentials, change.time, change.directory
            )
            self._records.altered(account)
            self._evict(change.nickname)
            return
        person = self._people.get(change.person)
        if person is None or person.nickname.folded != change.nickname.folded:
            raise NameTaken(name=change.nickname.text)  # the guest has left, or has another name
        account = self._accounts.add(person.nickname, change.credentials, change.time)
        self._records.altered(account)
        for cursor in person.cursors.values():
            cursor.room.flush_presence(person)  # the account is another member
        self._people.remove(person)
        before = person.author
        if isinstance(person, Elsewhere):
            person.author = account.number
            person.credential = PASSWORD
        else:
            person.becomes(account.number)
        self._people.add(person)
        for cursor in person.cursors.values():
            cursor.room.registered(person)
        self._stay_ignored(before, account.number)
        self._crowd.forget_codes(account.number)  # the code that was given to the guest

    def _stay_ignored(self, guest: int, number: int) -> None:
        """Everybody who ignores ``guest`` ignores the account ``number`` from now on."""
        for other in self._here(self._people):
            other.ignored_becomes(guest, number)
        for ignoring in self._accounts.ignoring(guest):
            ignored = ((number if who == guest else who, name) for who, name in ignoring.ignored)
            self._put(ignoring, ignored=tuple(ignored))

    def _evict(self, nickname: Nickname) -> None:
        """Guests who have ``nickname``, or one that looks like it, leave the chat."""
        for holder in self._registry.holders(nickname):
            if holder.author < 0:
                self._close(holder, NameClaimed(name=nickname.text))

    def _set_credential(self, change: SetCredential) -> None:
        account, new = self._active(change.account), change.credential
        kept = [one for one in account.credentials if one.id != new.id]
        if new.kind == "device":  # the client has lost the token that it had under this label
            kept = [one for one in kept if (one.kind, one.label) != (new.kind, new.label)]
        elif new.kind == "token" and any(one.label == new.label for one in kept if one.label):
            raise TokenExists(label=new.label)
        if new.kind in ("token", "device"):
            count = sum(one.kind in ("token", "device") for one in kept)
            if count >= TOKEN_LIMIT:
                raise TooManyTokens(limit=TOKEN_LIMIT)
        codes = [one for one in kept if one.kind == "code"]
        if new.kind == "code" and len(codes) >= CODE_LIMIT:
            kept.remove(codes[0])
        self._put(account, credentials=(*kept, new))
        if new.id == PASSWORD:  # perhaps somebody else knew the old one, and has a code
            for connection in self._here(self._people.connections(account.number)):
                connection.ends_code()
            self._crowd.forget_codes(account.number)

    def _drop_credentials(self, change: DropCredentials) -> None:
        account = self._active(change.account)
        ids = set(change.ids)
        if change.everywhere:
            ids |= {one.id for one in account.credentials if one.kind in ("device", "code")}
        logouts = account.logouts + change.everywhere
        self._put(account, credentials=_without(account, ids), logouts=logouts)
        for connection in self._people.connections(account.number):
            if change.everywhere or connection.credential in ids:
                self._close(connection, AccountEnded())
        self._crowd.forget_codes(account.number)

    def _set_status(self, change: SetStatus) -> None:
        account = self._not_closed(change.account)
        if change.status == "closed":
            self._put(account, status="closed", credentials=(), ignored=(), read={}, directory="")
        else:
            self._put(account, status=change.status)
        refusal: Refusal = AccountEnded()
        if change.status == "disabled":
            refusal = AccountDisabled(name=account.nickname.text)
        if change.status != "active":
            for connection in self._people.connections(account.number):
                self._close(connection, refusal)
            self._crowd.forget_codes(account.number)

    def _rename(self, change: RenameAccount) -> None:
        account = self._not_closed(change.account)
        self._accounts.renamed(account, change.nickname, by_operator=True)  # raises refusals
        self._evict(change.nickname)
        first = self._people.get(account.number)
        if first is None:
            self.renamed(account.number, change.nickname)
        else:
            self._registry.claim(first, change.nickname, account.number)
            self._crowd.rename(first, change.nickname)

    def _set_ignored(self, change: SetIgnored) -> None:
        account = self._active(change.account)
        self._put(account, ignored=change.ignored)
        for connection in self._here(self._people.connections(account.number)):
            connection.ignores_now(change.ignored)

    def _mark_read(self, change: MarkRead) -> None:
        account = self._accounts.get(change.account)
        if account is None or account.read.get(change.room, 0) >= change.number:
            return
        read = {room: at for room, at in account.read.items() if room != change.room}
        read[change.room] = change.number
        while len(read) > READ_LIMIT:
            del read[next(iter(read))]
        marked = structs.replace(account, read=read)
        self._accounts.put(marked)
        self._records.altered_a_little(marked)
        for connection in self._here(self._people.connections(account.number)):
            counts = connection.profile.resumes_by_number and change.room in connection.cursors
            if counts and connection.number != change.device:
                connection.show(Marked(change.room, change.number))

    # -- inside --------------------------------------------------------------------------------

    def _not_closed(self, number: int) -> Account:
        account = self._accounts.get(number)
        if account is None or account.status == "closed":
            raise NoSuchAccount(name=str(number))
        return account

    def _active(self, number: int) -> Account:
        account = self._accounts.get(number)
        if account is None or account.status != "active":
            raise NoAccount()
        return account

    def _put(self, account: Account, **changes: object) -> None:
        changed = structs.replace(account, **changes)
        self._accounts.put(changed)
        self._records.altered(changed)

    def _close(self, connection: Anybody, refusal: Refusal) -> None:
        """``connection`` leaves the chat; at this node, it is told why and closed when the records
        are written.
        """
        self._crowd.take_out(connection)
        if not isinstance(connection, Elsewhere):
            connection.is_out()
            self._records.afterwards(partial(connection.is_closed, refusal))

    def _here(self, connections: Iterable[Anybody]) -> list[Person]:
        return [one for one in connections if not isinstance(one, Elsewhere)]


def _without(account: Account, ids: set[str]) -> tuple[Credential, ...]:
    return tuple(one for one in account.credentials if one.id not in ids)

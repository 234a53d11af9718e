"""Proofs: which account a client belongs to, by the secret that it gives.

The order of the checks: the source, and the account, have not given too many wrong secrets; a token
or code has the hash of a credential of this account; a password has the account's hash. A name
without a password, or without an account, is checked against a hash that nobody knows, so that the
answer takes as long. What is wrong is not told: only that it is.

Wrong passwords count for the account, too; tokens and codes are not held up by that count, as
nobody guesses them. A source from which somebody has come into the account before waits only for
the wrong secrets that it has given for this account itself. What guesses nothing is not counted: no
secret at all, and what has the form of a token, such as one that was revoked. This module must not
know sessions, nor show, log or keep a secret.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Literal, Protocol, TypeVar

import msgspec

from twisted_chat.core.account_errors import (
    AccountDisabled,
    DirectoryFailed,
    NameOwned,
    RegistrationByInvitation,
    RegistrationClosed,
    SecretNeedsTLS,
    TooManyAccounts,
    TooManyWrongSecrets,
    WrongSecret,
)
from twisted_chat.core.accounts import PASSWORD, Account, Accounts, Credential
from twisted_chat.core.errors import Refusal
from twisted_chat.core.guesses import REGISTRATIONS, Guesses, KnownSources, Registrations
from twisted_chat.core.names import Nickname, nickname
from twisted_chat.core.passwords import NoPasswords, Passwords
from twisted_chat.core.secrets import is_token, normalized
from twisted_chat.core.sources import Source

#: What a client can prove with: see :class:`.Credential`.
Kind = Literal["password", "token", "code"]

ANY_KIND: frozenset[Kind] = frozenset({"password", "token", "code"})

#: The kinds of credentials that each of them can be.
_CREDENTIALS: dict[Kind, frozenset[str]] = {
    "password": frozenset(),
    "token": frozenset({"token", "device"}),
    "code": frozenset({"code"}),
}


#: Who may register a name: see :class:`Policy`.
Registration = Literal["open", "invite", "off"]


class Desk(Protocol):
    """The part of :class:`.AccountDesk` that makes accounts."""

    def hash(self, secret: str) -> str:
        """The hash of a token or code, as it is stored."""

    def make(
        self,
        person: int,
        nickname: Nickname,
        credentials: Sequence[Credential],
        answer: Callable[[Refusal | None], None],
        *,
        directory: str = "",
    ) -> None:
        """Make an account called ``nickname``; ``person`` is the guest who registers, or 0.

        ``directory`` is as in :class:`.Account`.
        """


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator allows.

    :param registration: who may register a name: everybody, those whom the operator invites (and
        who have an account by that), or nobody.
    :param guests: whether people without an account may talk.
    :param insecure_secrets: whether secrets are accepted over connections that are not encrypted.
    """

    registration: Registration = "open"
    guests: bool = True
    insecure_secrets: bool = False


class DirectoryAnswer(msgspec.Struct, frozen=True):
    """The answer of a :class:`Directory`: whether the secret is right, and the person's nickname
    there if it is another one than the given name.
    """

    ok: bool
    nickname: str | None = None


class Directory(Protocol):
    """Knows people and their secrets in the server's place, such as LDAP; asked off the thread.

    Names, secrets and replies are as those of :meth:`.Passwords.verify`.
    """

    def ask(
        self,
        name: str,
        secret: str,
        reply: Callable[[DirectoryAnswer | Refusal], None],
        *,
        source: Hashable,
        check: Callable[[], Refusal | None],
    ) -> None:
        """Reply whether ``secret`` is that of ``name``, or a :class:`.DirectoryFailed`."""


class Claim(msgspec.Struct, frozen=True):
    """A client says that it belongs to the account called ``name``, and gives a secret.

    :param kinds: what the secret can be.
    :param source: the source of the connection.
    :param queue: the connections with the same one have their secrets checked one by one.
    :param is_wanted: whether the client still waits for the answer.
    """

    name: Nickname
    secret: str
    kinds: frozenset[Kind]
    source: Source
    queue: Hashable
    is_wanted: Callable[[], bool]

    def __repr__(self) -> str:
        return f"Claim({self.name.text!r})"  # and not the secret


class Proof(msgspec.Struct, frozen=True):
    """A client has proved that it belongs to ``account``, with the credential of this id.

    ``rooms`` are those to which the credential is limited; empty: all rooms. ``credential`` is ""
    if a directory has said so.
    """

    account: int
    nickname: Nickname
    credential: str
    kind: str
    rooms: frozenset[str] = frozenset()


AnswerT = TypeVar("AnswerT")

#: Called with the proof, or with the reason why there is none.
Reply = Callable[[Proof | Refusal], None]


class Proofs:
    """Checks the secrets that clients give.

    :param desk: makes the account of a person whom the directory knows.
    :param seconds: seconds that never go backwards.
    :param microseconds: the time, in microseconds since 1970 UTC.
    """

    def __init__(
        self,
        accounts: Accounts,
        desk: Desk,
        seconds: Callable[[], float],
        microseconds: Callable[[], int],
    ) -> None:
        self._accounts = accounts
        self._desk = desk
        self._microseconds = microseconds
        self.policy = Policy()
        self.passwords: Passwords = NoPasswords()
        self.directory: Directory | None = None
        self._of_sources = Guesses(seconds)
        self._of_accounts = Guesses(seconds)
        #: Wrong secrets of a source for an account: both together are the key.
        self._of_both = Guesses(seconds)
        #: Wrong secrets for names without an account: they count as if they had one.
        self._of_names = Guesses(seconds)
        #: Passwords of each account (number) or name without one that are being checked.
        self._being_checked: Counter[int | str] = Counter()
        self._known = KnownSources()
        self._registrations = Registrations(seconds)

    # -- what is allowed -----------------------------------------------------------------------

    def check_secure(self, is_secure: bool) -> None:
        """Check that a secret may travel over a connection.

        :raises SecretNeedsTLS: it is not encrypted, and leaves this machine.
        """
        if not (is_secure or self.policy.insecure_secrets):
            raise SecretNeedsTLS()

    def wait(self, source: Source) -> int:
        """The seconds after which a client of ``source`` may try a secret; 0 if it may now."""
        return 0 if source.trusted else math.ceil(self._of_sources.wait(source.key))

    def count_wrong(self, source: Source) -> None:
        """Count a wrong secret of a client of ``source``."""
        if not source.trusted:
            self._of_sources.count(source.key)

    def check_registration(self, source: Source) -> None:
        """Check that somebody of ``source`` may register a name, and count it.

        :raises Refusal: the operator does not allow it, or the source has registered too many.
        """
        if self.policy.registration == "off":
            raise RegistrationClosed()
        if self.policy.registration == "invite":
            raise RegistrationByInvitation()
        if source.trusted:
            return
        seconds = self._registrations.wait(source.key)
        if seconds:
            minutes = math.ceil(seconds / 60)
            raise TooManyAccounts(limit=REGISTRATIONS, minutes=minutes)
        self._registrations.count(source.key)

    def asks_for_secret(self, name: Nickname) -> bool:
        """Whether a person who chooses ``name`` is asked for a secret: it belongs to an account, or
        the directory knows who it belongs to and there are no guests.
        """
        account = self._accounts.owner(name)
        if account is not None:
            return account.status != "closed"
        return self.directory is not None and not self.policy.guests

    def knows(self, name: Nickname) -> bool:
        """Whether ``name`` can have a secret: of an account, or in the directory."""
        account = self._accounts.owner(name)
        return self.directory is not None if account is None else account.status != "closed"

    # -- proving -------------------------------------------------------------------------------

    def prove(self, claim: Claim, reply: Reply) -> None:
        """Check ``claim``, and call ``reply`` at once or later."""
        account = self._accounts.owner(claim.name)
        if account is not None and account.status == "closed":
            account = None
        refusal = self._held(claim, account, with_password=False)
        if refusal is not None:
            reply(refusal)
            return
        credential = self._credential(claim, account)
        if account is not None and credential is not None:
            self._reply_with(account, credential, claim, reply)
        elif "password" not in claim.kinds:
            self._wrong(claim, account, reply, with_password=False)
        else:
            self._verify(claim, account, reply)

    def _credential(self, claim: Claim, account: Account | None) -> Credential | None:
        """The token or code of ``account`` that the client has given, or None."""
        found = self._accounts.with_secret(self._desk.hash(claim.secret))
        if found is None or account is None or found[0].number != account.number:
            return None
        credential = found[1]
        if not any(credential.kind in _CREDENTIALS[kind] for kind in claim.kinds):
            return None
        if credential.expires and credential.expires <= self._microseconds():
            return None
        return credential

    def _verify(self, claim: Claim, account: Account | None, reply: Reply) -> None:
        """Check the secret as a password: by its hash, and else by the directory."""
        password = normalized(claim.secret)
        encoded = "" if account is None else account.password

        def verified(right: bool | Refusal) -> None:
            now = None if account is None else self._accounts.get(account.number)
            credential = None if now is None else now.credential(PASSWORD)
            if isinstance(right, Refusal):
                reply(right)
            elif right and now is not None and credential is not None:
                if credential.hash == encoded:
                    self._reply_with(now, credential, claim, reply)
                else:  # it was changed meanwhile
                    self._wrong(claim, account, reply)
            elif (
                self.directory is not None
                and not encoded
                and _is_asked_about(account)
                and not is_token(claim.secret)
            ):
                self._ask_directory(self.directory, claim, account, reply)
            else:
                self._wrong(claim, account, reply)

        if password is None:  # longer than any password: that says nothing of the name
            self._wrong(claim, account, reply)
            return
        if not password:
            reply(WrongSecret())
            return
        check, done = self._turn(claim, account, verified)
        self.passwords.verify(encoded, password, done, source=claim.queue, check=check)

    def _turn(
        self, claim: Claim, account: Account | None, reply: Callable[[AnswerT], None]
    ) -> tuple[Callable[[], Refusal | None], Callable[[AnswerT], None]]:
        """The check when the turn of ``claim`` has come, as several may have waited together; and
        ``reply``, which ends the turn.

        A secret that is being checked counts as a wrong one for that time: it may become one.
        """
        key = claim.name.folded if account is None else account.number
        began = False

        def check() -> Refusal | None:
            nonlocal began
            if not claim.is_wanted():
                return WrongSecret()
            refusal = self._held(claim, account, with_password=True)
            if refusal is None:
                began = True
                self._being_checked[key] += 1
            return refusal

        def done(answer: AnswerT) -> None:
            if began:
                self._being_checked[key] -= 1
                self._being_checked += Counter()  # drops the counts of 0
            reply(answer)

        return check, done

    def _held(
        self, claim: Claim, account: Account | None, *, with_password: bool
    ) -> Refusal | None:
        """Why no secret of ``claim`` is tried now, or None if one is."""
        key = claim.source.key
        if account is not None and self._known.has(account.number, key):
            seconds = self._of_both.wait((key, account.number))
        else:
            seconds = 0.0 if claim.source.trusted else self._of_sources.wait(key)
            if with_password and account is None:
                seconds = max(seconds, self._wait(self._of_names, claim.name.folded))
            elif with_password and account is not None:
                seconds = max(seconds, self._wait(self._of_accounts, account.number))
        return TooManyWrongSecrets(seconds=math.ceil(seconds)) if seconds else None

    def _wait(self, guesses: Guesses, key: int | str) -> float:
        """The seconds until a password of this account or name may be tried."""
        if self._being_checked[key] >= guesses.left(key):
            return guesses.wait(key) or 1.0
        return 0.0

    def _wrong(
        self, claim: Claim, account: Account | None, reply: Reply, *, with_password: bool = True
    ) -> None:
        if not is_token(claim.secret) and claim.secret.strip():
            self.count_wrong(claim.source)
            if account is not None:
                self._of_both.count((claim.source.key, account.number))
            if with_password and account is None:
                self._of_names.count(claim.name.folded)
            elif with_password and account is not None:
                self._of_accounts.count(account.number)
        reply(WrongSecret())

    def _reply_with(
        self, account: Account, credential: Credential, claim: Claim, reply: Reply
    ) -> None:
        self._prove(account, claim, reply, credential.id, credential.kind, credential.rooms)

    def _prove(
        self,
        account: Account,
        claim: Claim,
        reply: Reply,
        credential: str = "",
        kind: str = "",
        rooms: Sequence[str] = (),
    ) -> None:
        if account.status == "disabled":
            reply(AccountDisabled(name=account.nickname.text))
            return
        self._known.add(account.number, claim.source.key)
        reply(Proof(account.number, account.nickname, credential, kind, frozenset(rooms)))

    # -- the directory -------------------------------------------------------------------------

    def _ask_directory(
        self, directory: Directory, claim: Claim, account: Account | None, reply: Reply
    ) -> None:
        def answered(answer: DirectoryAnswer | Refusal) -> None:
            if isinstance(answer, Refusal):
                reply(answer)
            elif not answer.ok:
                self._wrong(claim, account, reply)
            else:
                self._come_from_directory(claim, answer, reply)

        # The secret as it was given: the directory has its own rules for it.
        check, done = self._turn(claim, account, answered)
        directory.ask(claim.name.text, claim.secret, done, source=claim.queue, check=check)

    def _come_from_directory(self, claim: Claim, answer: DirectoryAnswer, reply: Reply) -> None:
        """The directory knows the person: find their account, or make it."""
        try:
            name = claim.name if answer.nickname is None else nickname(answer.nickname)
        except Refusal:
            reply(DirectoryFailed())
            return

        def found(refusal: Refusal | None) -> None:
            account = self._accounts.owner(name)
            if account is None or account.status == "closed":
                reply(refusal or NameOwned(name=name.text))
            elif account.password or account.directory != claim.name.folded:
                reply(NameOwned(name=name.text))  # it is somebody else's, whoever made it
            else:
                self._prove(account, claim, reply, kind="directory")

        if self._accounts.owner(name) is None:
            self._desk.make(0, name, (), found, directory=claim.name.folded)
        else:
            found(None)


def _is_asked_about(account: Account | None) -> bool:
    """Whether the directory may know the secret: it has made the account, or there is none."""
    return account is None or bool(account.directory)

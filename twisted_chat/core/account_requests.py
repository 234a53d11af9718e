"""The requests of people about their own account: password, devices, tokens, logging out.

Each becomes a change (:mod:`twisted_chat.core.account_desk`) and is answered when that is applied
and saved. Secrets are hashed before the submission, and are shown to nobody but the person. This
module must not know how a person logs in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import NoReturn

from twisted_chat.core.account_desk import Answer
from twisted_chat.core.account_errors import (
    AccountNotSaved,
    HasAccount,
    LabelInvalid,
    NoAccount,
    NoSuchToken,
    NotTheName,
    PasswordElsewhere,
    PasswordNeeded,
    TokenLimited,
    TooBusyForSecrets,
    TooManyPasswords,
    TooManyWrongSecrets,
    WrongPassword,
    WrongSecret,
)
from twisted_chat.core.accounts import PASSWORD, Account, Credential, CredentialKind
from twisted_chat.core.characters import find_unsafe
from twisted_chat.core.commands import TABLE, Phase, Tokens
from twisted_chat.core.errors import BadRequest, ControlCharacter, Refusal
from twisted_chat.core.events import (
    AccountOffered,
    CodeMade,
    Device,
    DevicesListed,
    Event,
    PasswordSet,
    Registered,
    TokenMade,
    TokenRevoked,
    Unregistered,
)
from twisted_chat.core.leaving import Leaver
from twisted_chat.core.names import fold
from twisted_chat.core.proofs import Claim, Kind, Proof
from twisted_chat.core.requests import (
    AddDevice,
    ListDevices,
    LogOut,
    Mark,
    NewToken,
    Quit,
    Register,
    RevokeToken,
    SetPassword,
    Unregister,
)
from twisted_chat.core.secrets import checked_password, new_code, new_id, new_token

#: Minutes for which a code for another device is valid.
CODE_MINUTES = 10

#: The most characters of the label of a token or device, and rooms to which a token is limited.
LABEL_LIMIT = 64
TOKEN_ROOMS_LIMIT = 100

_MINUTE = 60_000_000


class AccountHolder(Leaver):
    """The part of a session that manages the person's account."""

    #: Shown in place of the reason why the connection is closed, if this person has asked for it.
    _farewell: Event | None = None

    #: The hash of the password that this connection has given.
    _proved = ""

    #: Whether this connection is setting the password, so that its own code stays valid.
    _sets_password = False

    #: Whether this person was told how to register.
    _was_offered = False

    # -- becoming an account -------------------------------------------------------------------

    def _offer_account(self) -> None:
        """Tell a guest who has come back, and so wants the name again, how to register it: once."""
        policy = self._chat.proofs.policy
        is_guest = self.author < 0 and not self.profile.introduces_itself
        is_possible = policy.registration == "open" and (
            policy.insecure_secrets or self._connection.secure
        )
        if is_guest and is_possible and not self._was_offered:
            self._was_offered = True
            self.show(AccountOffered(self.name))

    def _ask_for_password(self) -> None:
        """Tell a person who came in with a code, and has no password, how to set one."""
        account = self._chat.accounts.get(self.author)
        if account is None or account.password or account.directory:
            return
        if not self.profile.introduces_itself:
            self.show(AccountOffered(self.name, has_account=True))

    def _register(self, request: Register) -> None:
        if self.author > 0:
            raise HasAccount()
        chat = self._chat
        chat.proofs.check_secure(self._connection.secure)
        password = checked_password(request.password)
        chat.accounts.check_free(self.nickname, self.author)
        chat.reserved.check(self.nickname)  # it may be reserved since the guest took it
        chat.proofs.check_registration(self.source)

        def make(hash: str, answer: Answer) -> None:
            chat.desk.make(self.author, self.nickname, (self._password(hash),), answer)

        def done() -> None:
            chat.audit("registered", self.address, self.name)
            self.show(Registered(self.name, self.author, request.id))
            if self._ignored:
                self._ignored_changed()

        self._hash(password, make, request.id, done)

    def _set_password(self, request: SetPassword) -> None:
        account = self._account()
        proofs = self._chat.proofs
        proofs.check_secure(self._connection.secure)
        if proofs.directory is not None and account.directory and not account.password:
            raise PasswordElsewhere()
        password = checked_password(request.password)

        def set_password(hash: str, answer: Answer) -> None:
            def answered(refusal: Refusal | None) -> None:
                self._sets_password = False
                answer(refusal)

            self._sets_password = True
            self._chat.desk.set_credential(account.number, self._password(hash), answered)

        def done() -> None:
            self._chat.audit("password-set", self.address, self.name)
            self.show(PasswordSet(request.id))

        hash_new = partial(self._hash, password, set_password, request.id, done)
        self._with_password(request.old, request.id, hash_new)

    def _with_password(
        self, password: str | None, id: str | None, proceed: Callable[[], None]
    ) -> None:
        """Call ``proceed`` if ``password`` is that of the account, or this connection gave it.

        :raises PasswordNeeded: there is one, and it was not given.
        """
        account = self._account()
        if not account.password or (password is None and self._proved == account.password):
            proceed()
            return
        if password is None:
            raise PasswordNeeded()
        proofs = self._chat.proofs
        proofs.check_secure(self._connection.secure)
        end = self._begin()

        def is_wanted() -> bool:
            return self._phase is not Phase.CLOSED and self._connection.is_there

        def answered(result: Proof | Refusal) -> None:
            try:
                if self._phase is Phase.CLOSED:
                    return
                if isinstance(result, Refusal):
                    self._not_the_password(result)
                proceed()
            except Refusal as refusal:
                self.refuse(refusal, id)
            finally:
                end()

        kinds: frozenset[Kind] = frozenset({"password"})
        queue = self.secrets_queue
        claim = Claim(self.nickname, password, kinds, self.source, queue, is_wanted)
        proofs.prove(claim, answered)

    def _not_the_password(self, refusal: Refusal) -> NoReturn:
        if isinstance(refusal, WrongSecret):
            self._chat.audit("wrong-secret", self.address, self.name)
            raise WrongPassword()
        if isinstance(refusal, TooManyWrongSecrets):
            self._chat.audit("refused-secret", self.address, self.name)
            raise TooManyPasswords(**refusal.details)
        raise refusal

    def ends_code(self) -> None:
        if not self._sets_password:
            self._chat.identities.forget(self, but_client=True)
            self.code = ""

    def _password(self, hash: str) -> Credential:
        self._proved = hash
        return Credential(PASSWORD, "password", hash, made=self._chat.desk.clock())

    def _hash(
        self,
        password: str,
        ask: Callable[[str, Answer], None],
        id: str | None,
        done: Callable[[], None],
    ) -> None:
        """Hash ``password``, call ``ask`` with the hash, and ``done`` when its change is saved."""
        end = self._begin()

        def hashed(result: str | Refusal) -> None:
            try:
                if self._phase is Phase.CLOSED:
                    return  # the server is stopping
                if isinstance(result, Refusal):
                    self.refuse(result, id)
                else:
                    self._ask_desk(partial(ask, result), id, done)
            finally:
                end()

        def check() -> Refusal | None:
            return None if self._connection.is_there else TooBusyForSecrets()

        self._chat.proofs.passwords.hash(password, hashed, source=self.secrets_queue, check=check)

    @property
    def secrets_queue(self) -> Hashable:
        """Secrets of connections with the same queue are checked or hashed one after the other."""
        return self._connection.searcher if self.source.trusted else self.source

    # -- devices and tokens --------------------------------------------------------------------

    def _list_devices(self, request: ListDevices) -> None:
        account = self._account()
        now = self._chat.desk.clock()
        used = Counter(one.credential for one in self._chat.people.connections(account.number))
        rows = [
            self._device(one, used.pop(one.id, 0))
            for one in account.credentials
            if one.id != PASSWORD and (not one.expires or one.expires > now)
        ]
        without = used.total()
        if without:  # with a password, a code that is used up, or what a directory knows
            own = account.credential(self.credential)
            this = own is None or own.id == PASSWORD
            rows.append(Device("", "password", without, this))
        self.show(DevicesListed(tuple(rows), request.id))

    def _device(self, one: Credential, connections: int) -> Device:
        this = one.id == self.credential
        return Device(one.label, one.kind, connections, this, one.made, one.rooms)

    def _add_device(self, request: AddDevice) -> None:
        account = self._account()
        self._chat.proofs.check_secure(self._connection.secure)
        code = new_code()
        credential = self._credential("code", code, minutes=CODE_MINUTES)

        def done() -> None:
            self._chat.audit("code-made", self.address, self.name)
            self.show(CodeMade(self.name, code, CODE_MINUTES, request.id))

        ask = partial(self._chat.desk.set_credential, account.number, credential)
        self._ask_desk(ask, request.id, done)

    def _new_token(self, request: NewToken) -> None:
        account = self._account()
        self._chat.proofs.check_secure(self._connection.secure)
        label = _checked_label(request.label)
        if len(request.rooms) > TOKEN_ROOMS_LIMIT:
            raise BadRequest(reason=f"a token has at most {TOKEN_ROOMS_LIMIT} rooms")
        room = self._chat.reading.room
        rooms = tuple(dict.fromkeys(room(self, name).name for name in request.rooms))
        token = new_token()
        kind: CredentialKind = "device" if request.device else "token"
        credential = self._credential(kind, token, label, rooms)

        def done() -> None:
            self._chat.audit("token-made", self.address, self.name, label=label)
            self.show(TokenMade(label, token, rooms, request.id))
            self._chat.keeper.changed(self)  # it is perhaps the credential of this client now

        # This client is that device from now on, unless the token is limited and it is not.
        device = self.number if request.device and not rooms else 0
        ask = partial(self._chat.desk.set_credential, account.number, credential, device=device)
        self._ask_desk(ask, request.id, done)

    def _credential(
        self,
        kind: CredentialKind,
        secret: str,
        label: str = "",
        rooms: tuple[str, ...] = (),
        minutes: int = 0,
    ) -> Credential:
        """A new credential; it ends after ``minutes``, if that is not 0."""
        now = self._chat.desk.clock()
        expires = now + minutes * _MINUTE if minutes else 0
        return Credential(new_id(), kind, self._chat.desk.hash(secret), label, rooms, now, expires)

    def _revoke_token(self, request: RevokeToken) -> None:
        account = self._account()
        tokens = [one for one in account.credentials if one.kind in ("token", "device")]
        found = [one for one in tokens if one.label == request.label.strip()]
        if not found:
            raise NoSuchToken(label=request.label.strip())

        def done() -> None:
            self._chat.audit("token-revoked", self.address, self.name, label=found[0].label)
            self.show(TokenRevoked(found[0].label, request.id))

        self._farewell = TokenRevoked(found[0].label, request.id)
        self._drop([one.id for one in found], request.id, done)

    # -- leaving -------------------------------------------------------------------------------

    def _log_out(self, request: LogOut) -> None:
        account = self._account()
        credential = account.credential(self.credential)
        ids = [credential.id] if credential is not None and credential.kind == "device" else []
        if request.everywhere:
            self._check_token(Tokens.NONE)
        elif not ids:
            self._quit(Quit())
            return
        self._chat.audit("logged-out", self.address, self.name)
        self._drop(ids, request.id, everywhere=request.everywhere)

    def _unregister(self, request: Unregister) -> None:
        account = self._account()
        if fold(request.nickname.strip()) != self.nickname.folded:
            command = TABLE.by_request[Unregister].name(self.language)
            raise NotTheName(usage=f"/{command} {self.name}")

        def close() -> None:
            self._chat.audit("unregistered", self.address, self.name)
            self._farewell = Unregistered(self.name, request.id)
            ask = partial(self._chat.desk.set_status, account.number, "closed")
            self._ask_desk(ask, request.id)

        self._with_password(request.password, request.id, close)

    def _say_why_closed(self, refusal: Refusal) -> None:
        if self._farewell is None:
            super()._say_why_closed(refusal)
        else:
            self.show(self._farewell)
            if isinstance(self._farewell, TokenRevoked):  # that of this connection
                self._chat.audit(
                    "token-revoked", self.address, self.name, label=self._farewell.label
                )

    # -- read marks ----------------------------------------------------------------------------

    def _mark(self, request: Mark) -> None:
        account = self._account()
        room = self._own_room(request.room)
        if request.seq < 0:
            raise BadRequest(reason="seq is at least 0")
        number = min(request.seq, room.last)
        self._chat.desk.mark_read(account.number, room.name, number, self.number)

    # -- helpers -------------------------------------------------------------------------------

    def _account(self) -> Account:
        """The person's account.

        :raises NoAccount: they are a guest.
        """
        account = self._chat.accounts.get(self.author)
        if account is None:
            raise NoAccount()
        return account

    def _check_token(self, tokens: Tokens) -> None:
        """Check that the person came in with one of ``tokens``, or with none of a bot.

        :raises TokenLimited: they came in with another token.
        """
        if self.is_limited and tokens is not Tokens.ALL:
            raise TokenLimited()
        account = self._chat.accounts.get(self.author)
        credential = None if account is None else account.credential(self.credential)
        if tokens is Tokens.NONE and credential is not None and credential.kind == "token":
            raise TokenLimited()

    def _drop(
        self,
        ids: Sequence[str],
        id: str | None,
        done: Callable[[], None] | None = None,
        *,
        everywhere: bool = False,
    ) -> None:
        drop = self._chat.desk.drop_credentials
        self._ask_desk(partial(drop, self.author, ids, everywhere=everywhere), id, done)

    def _ask_desk(
        self,
        ask: Callable[[Answer], None],
        id: str | None,
        done: Callable[[], None] | None = None,
    ) -> None:
        """Ask for a change of the account, and handle nothing else until it is answered.

        ``done`` is called when it is applied, unless the connection was closed by it.
        """
        end = self._begin()

        def answer(refusal: Refusal | None) -> None:
            is_applied = refusal is None or isinstance(refusal, AccountNotSaved)
            try:
                if self._is_out and is_applied:  # the farewell is shown next
                    if refusal is not None:
                        self.refuse(refusal)
                    return
                self._farewell = None
                if self._phase is Phase.CLOSED:
                    return
                if is_applied and done is not None:
                    done()
                if refusal is not None:
                    self.refuse(refusal, None if is_applied else id)
            finally:
                end()

        ask(answer)


def _checked_label(text: str) -> str:
    """``text`` as the label of a token or device.

    :raises Refusal: it is blank, too long, or contains a control character.
    """
    label = text.strip()
    unsafe = find_unsafe(label)
    if unsafe is not None:
        raise ControlCharacter(character=ord(unsafe))
    if not 0 < len(label) <= LABEL_LIMIT:
        raise LabelInvalid(limit=LABEL_LIMIT)
    return label

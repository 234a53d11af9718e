"""How a client proves that it belongs to an account, before it enters the chat.

A person who chooses the nickname of an account is asked for a secret, which is their next line, and
again until one is right: only a blank line asks for another nickname. Otherwise a password that is
typed once more would become a nickname, which everybody sees. Scripts write both on one line,
``Ana:SECRET``. A program gives its secret in ``hello``. The secret goes to
:mod:`twisted_chat.core.proofs` and nowhere else. This module must not know how a secret is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from twisted_chat.core.account_errors import (
    GuestsNotAllowed,
    LooksLikeSecret,
    SecretMissing,
    SecretNeedsTLS,
    SecretNotAsked,
    WrongSecret,
)
from twisted_chat.core.accounts import PASSWORD
from twisted_chat.core.author import NOBODY
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.changes import KeptPerson
from twisted_chat.core.commands import Phase
from twisted_chat.core.errors import BadRequest, NameMissing, Refusal, TooManyGuesses
from twisted_chat.core.events import SecretAsked
from twisted_chat.core.link import Link
from twisted_chat.core.names import Nickname, fold, nickname
from twisted_chat.core.people import Positions
from twisted_chat.core.proofs import ANY_KIND, Claim, Kind, Proof
from twisted_chat.core.requests import ChooseName, GiveSecret, Hello, Say
from twisted_chat.core.room_requests import RoomHolder

#: Wrong codes and secrets after which the connection is closed: the client is guessing.
WRONG_SECRETS_LIMIT = 5


class LoginLink(Link, Protocol):
    """The part of a connection that is used here."""

    def wrong_secret(self, name: str) -> None:
        """Tell the operator that the client gave a wrong secret of the account called ``name``."""


class Login(RoomHolder):
    """The part of a session that asks for secrets."""

    _connection: LoginLink

    #: The nickname whose secret is the client's next line, if it was asked for one.
    _secret_of: Nickname | None = None
    #: The number of wrong codes and secrets.
    _wrong_secrets = 0
    #: Whether a person has come in with a secret, and has not sent a message yet.
    _has_said_nothing = False

    @property
    def asks_secret(self) -> bool:
        """Whether the next line of the client is a secret."""
        return self._secret_of is not None

    def _enter(
        self,
        name: Nickname,
        positions: Positions,
        client_id: bytes | None,
        id: str | None,
        entered: Callable[[], None] = nothing,
        refused: Callable[[], None] = nothing,
        resumed: bool = False,
    ) -> None:
        raise NotImplementedError

    def _first_rooms(self) -> dict[str, int | None]:
        """The rooms that clients of this profile join first, with their starting positions."""
        if not self.profile.enters_default_room:
            return {}
        room = self._chat.default_room
        if self.token_rooms and room not in self.token_rooms:
            room = min(self.token_rooms)
        return {room: None}

    def _with_first_rooms(self, positions: Mapping[str, int]) -> dict[str, int | None]:
        """``positions``, and the first rooms before them if the limit of rooms allows it."""
        if len(positions) < self._chat.limits.rooms:
            return {**self._first_rooms(), **positions}
        return dict(positions)

    # -- people --------------------------------------------------------------------------------

    def _choose_first_name(self, request: ChooseName) -> None:
        """Enter as a guest, or ask for the secret of an account."""
        text, colon, secret = request.name.partition(":")
        # A blank after the colon, or a name of nobody: it is a line such as "note: buy milk".
        if colon and secret[:1].strip() and self._chat.proofs.knows(nickname(text)):
            self._prove_typed(nickname(text), secret, request.id)
            return
        name = nickname(request.name)
        if self._chat.proofs.asks_for_secret(name):
            self._check_typed()
            self._ask_secret(name)
            return
        self._check_guest(name)
        self._enter(name, self._first_rooms(), None, request.id)

    def _check_guest(self, name: Nickname) -> None:
        """Check that somebody without an account may enter under ``name``.

        :raises Refusal: it belongs to an account or is reserved, or there are no guests.
        """
        if self._chat.proofs.asks_for_secret(name):
            raise self._secret_missing(name)
        if not self._chat.proofs.policy.guests:
            raise GuestsNotAllowed()
        self._chat.reserved.check(name)

    def _secret_missing(self, name: Nickname) -> SecretMissing:
        """The refusal of ``name`` for lack of a secret.

        :raises SecretNeedsTLS: the client must not send one over this connection.
        """
        self._chat.proofs.check_secure(self._connection.secure)
        return SecretMissing(name=name.text)

    def _be_again(self, kept: KeptPerson) -> None:
        """Be the person of the record ``kept``, with the rights that they had.

        :raises Refusal: there are no guests, or no secret may be given over this connection.
        """
        if kept.account:
            self._chat.proofs.check_secure(self._connection.secure)
        elif not self._chat.proofs.policy.guests:
            raise GuestsNotAllowed()
        account = self._chat.accounts.get(kept.account)
        credential = None if account is None else account.credential(kept.credential)
        self.author, self._kept_as = kept.account or kept.author, kept.author
        self.credential = kept.credential  # the change that lets the person in looks at it again
        self.token_rooms = frozenset(() if credential is None else credential.rooms)

    def _be_nobody(self) -> None:
        """Be nobody again, as the person could not enter."""
        self.author, self.credential, self.token_rooms = NOBODY, "", frozenset()
        self._kept_as = 0
        self._proved = ""

    def _ask_secret(self, name: Nickname) -> None:
        self._secret_of = name

        def told(hidden: bool) -> None:
            if self._secret_of is name:
                self.show(SecretAsked(name.text, hidden))

        self._connection.hide_typing(True, told)

    def ask_again(self) -> None:
        """Ask once more for the secret, as the line that came is none."""
        if self._secret_of is not None and self._phase is Phase.CHOOSING:
            self._ask_secret(self._secret_of)

    def _check_typed(self) -> None:
        """Check that a person may type a secret.

        :raises SecretNotAsked: others could read it. The next line is a nickname.
        """
        try:
            self._chat.proofs.check_secure(self._connection.secure)
        except SecretNeedsTLS:
            raise SecretNotAsked() from None

    def _give_secret(self, request: GiveSecret) -> None:
        name, self._secret_of = self._secret_of, None
        if name is None or not request.secret.strip():
            raise NameMissing()
        self._prove_typed(name, request.secret, request.id)

    def _prove_typed(self, name: Nickname, secret: str, id: str | None) -> None:
        self._check_typed()

        def again() -> None:
            if self._phase is Phase.CHOOSING and self._wrong_secrets < WRONG_SECRETS_LIMIT:
                self._ask_secret(name)

        def enter(proof: Proof) -> None:
            self._enter_as(proof, {}, None, None, again=again)

        self._prove(name, secret, ANY_KIND, id, enter, again)

    def _say(self, request: Say) -> None:
        was_silent, self._has_said_nothing = self._has_said_nothing, False
        name, colon, secret = request.text.partition(":")
        is_login = colon and secret[:1].strip() and fold(name.strip()) == self.nickname.folded
        if was_silent and is_login:
            raise LooksLikeSecret()  # typed or pasted once more
        super()._say(request)

    # -- programs ------------------------------------------------------------------------------

    def _prove_hello(
        self, request: Hello, name: Nickname, proceed: Callable[[Proof | None], None]
    ) -> None:
        """Call ``proceed`` with the proof that ``request`` contains, or with None for a guest.

        :raises Refusal: it contains several secrets, or none may be given now.
        """
        secrets: dict[Kind, str | None] = {
            "password": request.password,
            "token": request.token,
            "code": request.code,
        }
        given = [(kind, secret) for kind, secret in secrets.items() if secret is not None]
        if not given:
            proceed(None)
        elif len(given) > 1:
            raise BadRequest(reason="hello has one of password, token and code")
        else:
            kind, secret = given[0]
            self._prove(name, secret, frozenset({kind}), request.id, proceed)

    # -- both ----------------------------------------------------------------------------------

    def _prove(
        self,
        name: Nickname,
        secret: str,
        kinds: frozenset[Kind],
        id: str | None,
        proceed: Callable[[Proof], None],
        again: Callable[[], None] = nothing,
    ) -> None:
        """Have ``secret`` checked, then call ``proceed``; the next request waits until then.

        :param again: called after a refusal.
        :raises Refusal: no secret may be given over this connection.
        """
        self._chat.proofs.check_secure(self._connection.secure)
        end = self._begin()

        def answered(result: Proof | Refusal) -> None:
            try:
                if self._phase is not Phase.CHOOSING:
                    return
                if isinstance(result, Refusal):
                    self._not_proved(result, name, id)
                    again()
                else:
                    proceed(result)
            except Refusal as refusal:
                self.refuse(refusal, id)
                again()
            finally:
                end()

        claim = Claim(name, secret, kinds, self.source, self.secrets_queue, self._waits)
        self._chat.proofs.prove(claim, answered)

    def _waits(self) -> bool:
        return self._phase is Phase.CHOOSING and self._connection.is_there

    def _not_proved(self, refusal: Refusal, name: Nickname, id: str | None) -> None:
        # A name without an account is perhaps a secret that was typed at the wrong place.
        owned = self._chat.accounts.owner(name) is not None
        shown = name.text if owned else None
        self.refuse(refusal, id)
        if isinstance(refusal, TooManyGuesses):
            self._chat.audit("refused-secret", self.address, shown)
        elif isinstance(refusal, WrongSecret):
            self._chat.audit("wrong-secret", self.address, shown)
            self._connection.wrong_secret(shown or "?")
            self._count_wrong_secret()

    def _count_wrong_secret(self) -> None:
        self._wrong_secrets += 1
        if self._wrong_secrets >= WRONG_SECRETS_LIMIT:
            self._connection.close()

    def _enter_as(
        self,
        proof: Proof,
        positions: Mapping[str, int],
        client_id: bytes | None,
        id: str | None,
        resumed: bool = False,
        again: Callable[[], None] = nothing,
    ) -> None:
        """Join the chat as the account of ``proof``.

        :param positions: the last entry that the client has seen in its rooms, besides the first.
        :param again: called if the account does not let the client in any more.
        :raises Refusal: there are too many rooms.
        """
        account = self._chat.accounts.get(proof.account)
        if account is not None and proof.credential == PASSWORD:
            self._proved = account.password
        self.author, self.credential, self.token_rooms = (
            proof.account,
            proof.credential,
            proof.rooms,
        )

        def entered() -> None:
            self._has_said_nothing = not self.profile.introduces_itself
            self._chat.audit("logged-in", self.address, self.nickname.text, by=proof.kind)
            if proof.kind == "code":
                self._ask_for_password()

        def refused() -> None:
            self._be_nobody()
            again()

        rooms = self._with_first_rooms(positions)
        self._enter(proof.nickname, rooms, client_id, id, entered, refused, resumed)

    def _is_same(self, other: RoomHolder, proof: Proof | None) -> bool:
        """Whether ``other``, who has the client's id, is the guest, or has come in with the same
        credential as ``proof``: another one may be limited to other rooms. A code is used up by the
        change that lets somebody enter, so nobody goes on with one.
        """
        if proof is None:
            return other.author < 0
        if proof.kind == "code":
            return False
        return (other.author, other.credential) == (proof.account, proof.credential)

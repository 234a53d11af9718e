"""The person's secrets: asked for without being shown, and a token kept in their place.

* A nickname that belongs to an account: the client tries the token that it keeps for it. Without
  one, or if the server says that it is wrong, the person is asked for their password.
* After a password or code was right, the client asks the server for a token and keeps that. The
  password itself is forgotten.
* ``/register`` and ``/password`` without a password: the person is asked for it twice.
* The server needs the present password: the person is asked for it.

This module must not know the terminal, or where tokens are stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_chat.client.client import ChatClient
from twisted_chat.client.secret import Secret, as_password, typed_secret
from twisted_chat.client.unanswered import new_id
from twisted_chat.core.account_errors import (
    AccountDisabled,
    GuestsNotAllowed,
    NameOwned,
    PasswordNeeded,
    PasswordTooLong,
    PasswordTooShort,
    SecretNeedsTLS,
    WrongSecret,
)
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import Refusal, TooManyGuesses
from twisted_chat.core.events import DevicesListed, Refused, TokenMade, Welcomed
from twisted_chat.core.requests import (
    ListDevices,
    NewToken,
    Register,
    Request,
    SetPassword,
    Unregister,
)
from twisted_chat.dialects.account_words import HIDDEN_SECRET
from twisted_chat.i18n.language import N_
from twisted_chat.terminal.display import Display
from twisted_chat.terminal.tokens import MemoryTokens, Tokens

WRONG = N_("That password or code is not right.")
NOT_VALID_NOW = N_("The token that this client kept for {name} is no longer valid.")
NOT_KEPT = N_("You will be asked for your password the next time: {reason}")
NEW = N_("The new password, or an empty line to leave it:")
AGAIN = N_("The same password again:")
DIFFERENT = N_("The two passwords are different. Nothing was changed.")
PRESENT = N_("Your present password, or an empty line to leave everything as it is:")
OVER = N_("That line was not sent: it answers a question that is over.")

#: The question that the next typed line answers: the secret of the nickname; a new password, for
#: the first and for the second time; the present password.
Question = Literal["secret", "new", "again", "present"]

#: Refusals after which the present password, or a new one, is asked for.
_PRESENT = frozenset({PasswordNeeded.code, WrongSecret.code, TooManyGuesses.code})
_NEW = frozenset({PasswordTooShort.code, PasswordTooLong.code})

_SENTENCES: dict[Question, str] = {
    "secret": HIDDEN_SECRET,
    "new": NEW,
    "again": AGAIN,
    "present": PRESENT,
}


#: Refusals of a nickname or secret that no waiting changes, besides those of the nickname itself.
_NOT_ALLOWED = frozenset({AccountDisabled.code, GuestsNotAllowed.code, SecretNeedsTLS.code})


def is_final(refusal: Refusal, *, has_been_in: bool) -> bool:
    """Whether the client cannot come in with the same nickname and secret."""
    if refusal.code == WrongSecret.code:
        return True
    return not has_been_in and (refusal.code.startswith("name-") or refusal.code in _NOT_ALLOWED)


class Login:
    """The secrets of one person at one client."""

    def __init__(
        self,
        client: ChatClient,
        display: Display,
        tokens: Tokens | None,
        label: str,
        ask_name: Callable[[], None],
        ask: Callable[[Request], None],
    ) -> None:
        """
        :param client: introduces the person; it may have a token from the beginning.
        :param display: shows what went wrong.
        :param tokens: stores the tokens; by default, in memory only.
        :param label: what the person calls this machine, in the list of their devices.
        :param ask_name: called when the person wants another nickname.
        :param ask: passes a request to the server, whose answer is shown.
        """
        self._client = client
        self._display = display
        self._tokens: Tokens = MemoryTokens() if tokens is None else tokens
        self._label = label
        self._ask_name = ask_name
        self._ask = ask
        self.question: Question | None = None
        #: Whether a question is over that nobody answered. The next line is probably a secret that
        #: the person has begun to type, so it must not be said.
        self._is_over = False
        #: The request for which a new password is asked, and its first form.
        self._request: type[Register | SetPassword] = Register
        self._new = ""
        #: The request that is made again with the present password.
        self._held: SetPassword | Unregister | None = None
        #: The ids of requests that the person did not make.
        self._ids: set[str] = set()
        #: The token that was found for the nickname.
        self._found = None if client.secret is None else client.secret.text

    @property
    def prompt(self) -> str | None:
        """The question to the person; None if there is none."""
        if self.question is None:
            return None
        name = visible(self._client.nickname or "")
        return self._display.translate(_SENTENCES[self.question], name=name)

    # -- coming in ----------------------------------------------------------------------------

    def introduce(self, name: str) -> None:
        """Introduce the person as ``name``, with the token for it if there is one."""

        def found(token: str | None) -> None:
            self._found = token
            self._client.introduce(name, None if token is None else Secret("token", token))

        def failed(failure: Failure) -> None:
            failure.trap(Refusal)
            self._display.refuse(cast("Refusal", failure.value))
            found(None)

        self._tokens.find(name).addCallbacks(found, failed)

    def asks_about(self, refusal: Refusal) -> bool:
        """Whether the person is asked for a secret, because the server refused the nickname."""
        is_owned = refusal.code == NameOwned.code and bool(refusal.details.get("account"))
        secret = self._client.secret
        is_typed = secret is not None and not self._is_kept(secret)
        if refusal.code == WrongSecret.code:
            password = None if secret is None else as_password(secret)
            if password is not None:
                self._client.introduce(self._client.nickname or "", password)
                return True
            self._complain()
        elif refusal.code == TooManyGuesses.code and is_typed:
            self._display.server("error", refusal.sentence(self._display.language))
        elif not is_owned:
            return False
        self._client.secret = None
        self._new = ""
        self.question = "secret"
        return True

    def _complain(self) -> None:
        secret, name = self._client.secret, self._client.nickname or ""
        if secret is not None and self._is_kept(secret):
            self._found = None
            self._tokens.forget(name)
            self._display.notice(NOT_VALID_NOW, name=name)
        else:
            self._display.server("error", self._display.translate(WRONG))

    def _is_kept(self, secret: Secret) -> bool:
        return secret.kind == "token" and secret.text == self._found

    def welcomed(self, event: Welcomed) -> None:
        """Get a token if the person gave a password or code; the secret itself is forgotten.

        A question for a new password stays: the person comes back after a lost connection.
        """
        if self.question == "secret":
            self._withdraw()
        secret = self._client.secret
        if event.account and (secret is None or secret.text != self._found):
            self.get_token()

    # -- the typed answers --------------------------------------------------------------------

    def ask_for_password(self, request: type[Register | SetPassword]) -> None:
        """Ask for the password of ``request``, twice."""
        self._request = request
        self.question = "new"

    def asks_because_of(self, refused: Refused) -> bool:
        """Whether the person is asked for a password because a request was refused.

        They are asked again for one that is wrong or no good: otherwise they might type the next
        one where others read it.
        """
        asked, code = self._client.asked(refused.id), refused.refusal.code
        if self.question is not None:
            return False
        if isinstance(asked, SetPassword | Unregister) and code in _PRESENT:
            self._held, self.question = asked, "present"
        elif isinstance(asked, Register | SetPassword) and code in _NEW:
            self.ask_for_password(type(asked))
        else:
            return False
        if code != PasswordNeeded.code:
            self._display.server("error", refused.refusal.sentence(self._display.language))
        return True

    def takes_line(self, *, asks_for_name: bool) -> bool:
        """Whether the next line is for :meth:`typed`. A question for a nickname ends any other."""
        if asks_for_name:
            self._withdraw()
        return self.question is not None or self._is_over

    def typed(self, line: str) -> None:
        """Take the answer to the question; an empty one takes back what the person wanted."""
        question, self.question = self.question, None
        self._is_over = False
        if question is None:
            self._display.server("error", self._display.translate(OVER))
        elif question == "secret":
            if line.strip():
                self._client.introduce(self._client.nickname or "", typed_secret(line))
            else:
                self._ask_name()
        elif question == "present" and line.strip():
            held, self._held = self._held, None
            if isinstance(held, SetPassword):
                self._ask(SetPassword(held.password, old=line))
            elif held is not None:
                self._ask(Unregister(held.nickname, password=line))
        elif question == "new" and line.strip():
            self._new = line.strip()
            self.question = "again"
        elif question == "again":
            new, self._new = self._new, ""
            if line.strip() == new:
                self._ask(self._request(new))
            else:
                self._display.server("error", self._display.translate(DIFFERENT))
                self.question = "new"

    def _withdraw(self) -> None:
        """The question is over, although it was not answered."""
        self._is_over = self._is_over or self.question is not None
        self.question, self._held, self._new = None, None, ""

    # -- the token ----------------------------------------------------------------------------

    def get_token(self) -> None:
        """Ask the server for a token for this machine, and keep it."""
        asking: Deferred[DevicesListed] = self._client.ask(ListDevices(id=self._new_id()))
        asking.addCallback(self._ask_for_token).addErrback(self._no_token)

    def _ask_for_token(self, listed: DevicesListed) -> Deferred[None]:
        label = self._label
        if any(device.label == label for device in listed.devices):
            # It can be another machine, whose token the server would replace.
            assert self._client.kept is not None
            label += f"-{hashlib.sha256(self._client.kept.client_id.encode()).hexdigest()[:4]}"
        request = NewToken(label, device=True, id=self._new_id())
        making: Deferred[TokenMade] = self._client.ask(request)
        return making.addCallback(self._made)

    def _no_token(self, failure: Failure) -> None:
        failure.trap(Refusal)
        self._not_kept(cast("Refusal", failure.value))

    def _new_id(self) -> str:
        id = new_id()
        self._ids.add(id)
        return id

    def is_own(self, id: str | None) -> bool:
        """Whether the request ``id`` is of this object, so that its answer is not for the person.

        True only once for each id.
        """
        is_own = id in self._ids
        self._ids.discard(id or "")
        return is_own

    def _made(self, made: TokenMade) -> None:
        self._found = made.token
        self._client.secret = Secret("token", made.token)
        self.keep()

    def keep(self) -> None:
        """Store the token under the present nickname."""
        if self._found is None:
            return

        def failed(failure: Failure) -> None:
            failure.trap(Refusal)
            self._not_kept(cast("Refusal", failure.value))

        self._tokens.keep(self._client.nickname or "", self._found).addErrback(failed)

    def forget(self) -> None:
        """Delete the token: it is revoked, or the account is closed."""
        self._withdraw()
        self._found = self._client.secret = None
        self._tokens.forget(self._client.nickname or "")

    def _not_kept(self, refusal: Refusal) -> None:
        self._display.notice(NOT_KEPT, reason=refusal.sentence(self._display.language))

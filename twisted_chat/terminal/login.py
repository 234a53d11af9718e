"""The person's secrets: asked for without being shown, and a token kept in their place.

* A nickname that belongs to an account: the client tries the token that it keeps for it. Without
  one, or if the server says that it is wrong, the person is asked for their password.
* After a password or code was right, the client asks the server for a token and keeps that. The
  password itself is forgotten.
* ``/register`` and ``/password`` without a password: the person is asked for it twice.

This module must not know the terminal, or where tokens are stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

from twisted.python.failure import Failure

from twisted_chat.client.client import ChatClient
from twisted_chat.client.secret import Secret, typed_secret
from twisted_chat.core.account_errors import (
    AccountDisabled,
    GuestsNotAllowed,
    NameOwned,
    SecretNeedsTLS,
    TokenExists,
    WrongSecret,
)
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import TokenMade, Welcomed
from twisted_chat.core.requests import NewToken, Register, Request, SetPassword
from twisted_chat.dialects.account_words import HIDDEN_SECRET
from twisted_chat.i18n.language import N_
from twisted_chat.terminal.display import Display
from twisted_chat.terminal.tokens import Tokens

WRONG = N_("That password or code is not right.")
NOT_VALID_NOW = N_("The token that this client kept for {name} is no longer valid.")
NOT_KEPT = N_("You will be asked for your password the next time: {reason}")
NEW = N_("The new password, or an empty line to leave it:")
AGAIN = N_("The same password again:")
DIFFERENT = N_("The two passwords are different. Nothing was changed.")

#: Names that are tried for the token of this machine: NAME, NAME-2 and so on.
LABELS = 9

#: The question that the next typed line answers: the secret of the nickname; a new password, for
#: the first and for the second time.
Question = Literal["secret", "new", "again"]


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
        tokens: Tokens,
        label: str,
        ask_name: Callable[[], None],
        ask: Callable[[Request], None],
    ) -> None:
        """
        :param client: introduces the person.
        :param display: shows what went wrong.
        :param tokens: stores the tokens.
        :param label: what the person calls this machine, in the list of their devices.
        :param ask_name: called when the person wants another nickname.
        :param ask: passes a request to the server, whose answer is shown.
        """
        self._client = client
        self._display = display
        self._tokens = tokens
        self._label = label
        self._ask_name = ask_name
        self._ask = ask
        self.question: Question | None = None
        #: The request for which a new password is asked, and its first form.
        self._request: type[Register | SetPassword] = Register
        self._new = ""
        #: The token that was found for the nickname.
        self._found: str | None = None

    @property
    def prompt(self) -> str | None:
        """The question to the person; None if there is none."""
        if self.question is None:
            return None
        if self.question == "secret":
            return self._display.translate(HIDDEN_SECRET, name=visible(self._client.nickname or ""))
        return self._display.translate(NEW if self.question == "new" else AGAIN)

    # -- coming in ----------------------------------------------------------------------------

    def found(self, token: str | None) -> None:
        """Note the token that the client was made with."""
        self._found = token

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
        if refusal.code == WrongSecret.code:
            self._complain()
        elif not is_owned:
            return False
        self._client.secret = None
        self.question = "secret"
        return True

    def _complain(self) -> None:
        secret, name = self._client.secret, self._client.nickname or ""
        if secret is not None and secret.kind == "token" and secret.text == self._found:
            self._found = None
            self._tokens.forget(name)
            self._display.notice(NOT_VALID_NOW, name=name)
        else:
            self._display.server("error", self._display.translate(WRONG))

    def welcomed(self, event: Welcomed) -> None:
        """Get a token if the person gave a password or code; the secret itself is forgotten."""
        self.question = None
        secret = self._client.secret
        if event.account and (secret is None or secret.text != self._found):
            self.get_token()

    # -- the typed answers --------------------------------------------------------------------

    def ask_for_password(self, request: type[Register | SetPassword]) -> None:
        """Ask for the password of ``request``, twice."""
        self._request = request
        self.question = "new"

    def typed(self, line: str) -> None:
        """Take the answer to the question; an empty one takes back what the person wanted."""
        question, self.question = self.question, None
        if question == "secret":
            if line.strip():
                self._client.introduce(self._client.nickname or "", typed_secret(line))
            else:
                self._ask_name()
        elif question == "new" and line.strip():
            self._new = line
            self.question = "again"
        elif question == "again":
            new, self._new = self._new, ""
            if line == new:
                self._ask(self._request(new))
            else:
                self._display.server("error", self._display.translate(DIFFERENT))

    # -- the token ----------------------------------------------------------------------------

    def get_token(self, number: int = 1) -> None:
        """Ask the server for a token for this machine, and keep it.

        :param number: the number of the attempt: the first names can be in use.
        """
        label = self._label if number == 1 else f"{self._label}-{number}"

        def failed(failure: Failure) -> None:
            failure.trap(Refusal)
            refusal = cast("Refusal", failure.value)
            if refusal.code == TokenExists.code and number < LABELS:
                self.get_token(number + 1)
            else:
                self._not_kept(refusal)

        self._client.new_token(label, device=True).addCallbacks(self._made, failed)

    def is_own(self, request: Request | None) -> bool:
        """Whether this object made ``request``, so that its answer is not for the person."""
        return isinstance(request, NewToken) and request.device

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
        self._found = self._client.secret = None
        self._tokens.forget(self._client.nickname or "")

    def _not_kept(self, refusal: Refusal) -> None:
        self._display.notice(NOT_KEPT, reason=refusal.sentence(self._display.language))

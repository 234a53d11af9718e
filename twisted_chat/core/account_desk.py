"""Asks for changes of accounts: each method submits one, and answers when it is applied and saved.

The caller has checked secrets, settings and limits that depend on the clock; what depends on the
state is checked where the change has its place (:mod:`twisted_chat.core.account_state`). This
module must not know sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

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
from twisted_chat.core.accounts import Credential
from twisted_chat.core.errors import Refusal
from twisted_chat.core.names import Nickname
from twisted_chat.core.secrets import secret_hash

#: Called with None when the change is applied and saved, or with the reason why it is not.
Answer = Callable[[Refusal | None], None]


class AccountDesk:
    """Submits changes of accounts.

    :param submit: submits a change.
    :param expect: gives the request number whose answer goes to the callback.
    :param clock: gives microseconds since 1970 UTC.
    :param key: gives the secret of the log, once it is open.
    """

    def __init__(
        self,
        submit: Callable[[AccountChange], None],
        expect: Callable[[Answer], int],
        clock: Callable[[], int],
        key: Callable[[], bytes],
    ) -> None:
        self._key = key
        self._submit = submit
        self._expect = expect
        self.clock = clock

    def hash(self, secret: str) -> str:
        """The hash of a token or code, as it is stored: see :func:`.secret_hash`."""
        return secret_hash(secret, self._key())

    def make(
        self,
        person: int,
        nickname: Nickname,
        credentials: Sequence[Credential],
        answer: Answer,
        *,
        directory: str = "",
    ) -> None:
        """Make an account called ``nickname``; ``person`` is the guest who registers, or 0.

        ``directory`` is as in :class:`.Account`.
        """
        made, request = self.clock(), self._expect(answer)
        self._submit(MakeAccount(person, nickname, tuple(credentials), made, request, directory))

    def set_credential(
        self, account: int, credential: Credential, answer: Answer, *, device: int = 0
    ) -> None:
        """Give ``account`` the credential, in place of the one with the same id.

        ``device`` is the number of the session that counts as having come in with it, or 0.
        """
        self._submit(SetCredential(account, credential, self._expect(answer), device))

    def drop_credentials(
        self, account: int, ids: Sequence[str], answer: Answer, *, everywhere: bool = False
    ) -> None:
        """Take credentials from ``account``, and close the connections that used them.

        With ``everywhere``, take those of all devices, and close all connections.
        """
        self._submit(DropCredentials(account, tuple(ids), self._expect(answer), everywhere))

    def set_status(
        self, account: int, status: Literal["active", "disabled", "closed"], answer: Answer
    ) -> None:
        """Make ``account`` active, disabled or, for ever, closed."""
        self._submit(SetStatus(account, status, self._expect(answer)))

    def rename(self, account: int, nickname: Nickname, answer: Answer) -> None:
        """Give ``account`` another nickname, as an operator does."""
        self._submit(RenameAccount(account, nickname, self._expect(answer)))

    def set_ignored(self, account: int, ignored: Sequence[tuple[int, str]]) -> None:
        """Let the person of ``account`` ignore these people: author numbers and nicknames."""
        self._submit(SetIgnored(account, tuple(ignored)))

    def mark_read(self, account: int, room: str, number: int, device: int) -> None:
        """Note that the person of ``account`` has read ``room`` up to the entry ``number``.

        ``device`` is the number of the session on which they did.
        """
        self._submit(MarkRead(account, room, number, device))

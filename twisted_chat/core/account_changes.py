"""The changes of accounts, as values; the rules of :mod:`twisted_chat.core.changes` hold for them.

Secrets are hashed, and their expiry is computed, before the submission. ``person`` and ``account``
are author numbers; that of an account is positive. This module must not know how a change is
carried out.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from twisted_chat.core.accounts import Credential
from twisted_chat.core.names import Nickname


class MakeAccount(msgspec.Struct, frozen=True, tag=True):
    """Make an account with the next number; ``directory`` is as in :class:`.Account`.

    ``person`` is the guest who registers: from now on, they are this account. With 0, an operator
    or a directory makes it, and a guest who has the nickname must leave. It is refused if the
    nickname is reserved for an account.
    """

    person: int
    nickname: Nickname
    credentials: tuple[Credential, ...]
    time: int
    request: int
    directory: str = ""


class SetCredential(msgspec.Struct, frozen=True, tag=True):
    """``account`` gets ``credential``, in place of the one with the same id.

    It is refused if the account has as many credentials of this kind as it can have. ``device`` is
    the number of the submitting session, if its client keeps the credential and counts as having
    come in with it from now on; otherwise 0.
    """

    account: int
    credential: Credential
    request: int
    device: int = 0


class DropCredentials(msgspec.Struct, frozen=True, tag=True):
    """``account`` loses the credentials with these ids; connections that used them are closed.

    With ``everywhere``, it loses those of all devices, and all connections are closed.
    """

    account: int
    ids: tuple[str, ...]
    request: int
    everywhere: bool = False


class SetStatus(msgspec.Struct, frozen=True, tag=True):
    """``account`` becomes active, disabled or closed; the latter two close its connections.

    A closed account has no credentials, and stays closed.
    """

    account: int
    status: Literal["active", "disabled", "closed"]
    request: int


class RenameAccount(msgspec.Struct, frozen=True, tag=True):
    """An operator gives ``account`` another nickname, whether the person is connected or not."""

    account: int
    nickname: Nickname
    request: int


class SetIgnored(msgspec.Struct, frozen=True, tag=True):
    """``account`` ignores these people, on all its connections: author numbers and nicknames."""

    account: int
    ignored: tuple[tuple[int, str], ...]


class MarkRead(msgspec.Struct, frozen=True, tag=True):
    """The person of ``account`` has read ``room`` up to ``number``. ``device`` told so."""

    account: int
    room: str
    number: int
    device: int


#: The changes in this module.
AccountChange = (
    MakeAccount
    | SetCredential
    | DropCredentials
    | SetStatus
    | RenameAccount
    | SetIgnored
    | MarkRead
)

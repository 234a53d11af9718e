"""What an operator asks for with ``twisted-chat account`` and ``announce``, as values.

They are sent over the operator's socket, or carried out by the command itself while no server runs:
:mod:`twisted_chat.core.operator`. None of them contains a secret; an answer contains one at most,
the code of an :class:`Invitation`. This module must not know how they are sent.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: Accounts in the answer to one :class:`ListAccounts`.
PAGE = 100


class _Request(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True): ...


class ListAccounts(_Request, frozen=True, tag="list"):
    """List :data:`PAGE` accounts with numbers above ``after``, by number."""

    after: int = 0


class DescribeAccount(_Request, frozen=True, tag="describe"):
    """Describe one account: all that is stored of it, without hashes."""

    name: str


class CreateAccount(_Request, frozen=True, tag="create"):
    """Make an account for a new name, and a code with which its person gets in."""

    name: str


class InvitePerson(_Request, frozen=True, tag="invite"):
    """Make a code for an account; for a new name, make the account first."""

    name: str


class ResetAccount(_Request, frozen=True, tag="reset"):
    """Drop the password, the codes and the devices of an account, close its connections, and make
    a code; with ``tokens``, drop its tokens, too.
    """

    name: str
    tokens: bool = False


class DisableAccount(_Request, frozen=True, tag="disable"):
    """Close the connections of an account, and let nobody in until it is enabled."""

    name: str


class EnableAccount(_Request, frozen=True, tag="enable"):
    """Let the person of a disabled account in again."""

    name: str


class GiveName(_Request, frozen=True, tag="rename"):
    """Give an account the nickname ``new``."""

    name: str
    new: str


class EraseAccount(_Request, frozen=True, tag="erase"):
    """Close an account for ever, and delete the personal part of its record."""

    name: str


class AppointOwner(_Request, frozen=True, tag="owner"):
    """Make the account ``name`` the owner of ``room``; the owner so far becomes a moderator."""

    room: str
    name: str


class MakeAnnouncement(_Request, frozen=True, tag="announce"):
    """Announce ``text`` to everybody, or to the people in ``room``."""

    text: str
    room: str | None = None


#: What an operator can ask for.
OperatorRequest = (
    ListAccounts
    | DescribeAccount
    | CreateAccount
    | InvitePerson
    | ResetAccount
    | DisableAccount
    | EnableAccount
    | GiveName
    | EraseAccount
    | AppointOwner
    | MakeAnnouncement
)


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request, and the language of the operator, for refusals."""

    request: OperatorRequest
    language: str = "en"


class ShownCredential(msgspec.Struct, frozen=True, omit_defaults=True):
    """A credential without its hash; times are in microseconds since 1970 UTC."""

    id: str
    kind: str
    label: str = ""
    rooms: tuple[str, ...] = ()
    made: int = 0
    expires: int = 0


class _Answer(msgspec.Struct, frozen=True, tag_field="type"): ...


class ShownAccount(_Answer, frozen=True, tag="account"):
    """One account; times are in microseconds since 1970 UTC.

    In a list, ``ignored`` (nicknames) and ``read`` (by room, the number of an entry) are empty.
    ``directory`` is as in :class:`.Account`.
    """

    number: int
    name: str
    status: Literal["active", "disabled", "closed"]
    made: int
    former: tuple[str, ...] = ()
    credentials: tuple[ShownCredential, ...] = ()
    ignored: tuple[str, ...] = ()
    read: dict[str, int] = {}
    directory: str = ""


class Invitation(_Answer, frozen=True, tag="code"):
    """A new code for the account ``name``.

    :param expires: until then it is valid, once; in microseconds since 1970 UTC.
    :param is_new: whether the account was made for it.
    :param tokens: tokens, certificates and keys of the account that are valid, too.
    """

    name: str
    code: str
    expires: int
    is_new: bool = False
    tokens: int = 0


class Done(_Answer, frozen=True, omit_defaults=True, tag="done"):
    """The last line of an answer: the request was carried out.

    :param name: the account's nickname now, if the request was about one.
    :param more: whether a list has further accounts.
    """

    name: str = ""
    more: bool = False


class Declined(_Answer, frozen=True, tag="refused"):
    """The last line of an answer: a refusal's code, and its sentence in the operator's language."""

    code: str
    text: str


#: One line of an answer: :class:`Done` and :class:`Declined` are the last ones.
OperatorAnswer = ShownAccount | Invitation | Done | Declined

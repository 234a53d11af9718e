"""Carries out what an operator asks for.

An operator has no session: :class:`Operator` asks the chat in their place. This module must not
know how a request comes, nor how a command shows its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice

from twisted_chat.core.account_errors import NoAccount, NoSuchAccount
from twisted_chat.core.accounts import PASSWORD, Account, Credential
from twisted_chat.core.changes import announcement
from twisted_chat.core.characters import visible
from twisted_chat.core.chat import Chat
from twisted_chat.core.errors import (
    LineTooLong,
    NameTooLong,
    NoSuchRoom,
    Refusal,
    WrongUsage,
)
from twisted_chat.core.names import Nickname, nickname
from twisted_chat.core.operator_requests import (
    PAGE,
    AppointOwner,
    CreateAccount,
    DescribeAccount,
    DisableAccount,
    Done,
    EnableAccount,
    EraseAccount,
    GiveName,
    Invitation,
    InvitePerson,
    ListAccounts,
    MakeAnnouncement,
    OperatorAnswer,
    OperatorRequest,
    ResetAccount,
    ShownAccount,
    ShownCredential,
)
from twisted_chat.core.secrets import new_code, new_id
from twisted_chat.i18n.language import N_

#: Microseconds in which a code from an operator is valid: seven days.
CODE_LIFETIME = 7 * 86_400_000_000

#: Called with the answer to a request, or with the reason why it is refused.
Reply = Callable[[Sequence[OperatorAnswer] | Refusal], None]

#: Called with each action, such as ``reset``, once it is done, and with the name of the account or
#: room. It gets no text of a message and no secret.
Note = Callable[[str, str], None]

_Answer = Callable[[Refusal | None], None]


class NoRoomOfThisName(NoSuchRoom):
    template = N_("There is no room #{room}.")


class AccountIsClosed(NoSuchAccount):
    template = N_("The account {name} is closed for ever; nobody else can have its name.")


class AccountIsDisabled(Refusal):
    code = "account-is-disabled"
    template = N_("The account {name} is disabled; enable it first.")


class Operator:
    """Carries out requests in ``chat``, whose log is open; ``note`` is told of each one."""

    def __init__(self, chat: Chat, note: Note) -> None:
        self._chat = chat
        self._note = note

    def handle(self, request: OperatorRequest, reply: Reply) -> None:
        """Carry out ``request``, then call ``reply``, during this call or later.

        :raises Refusal: it is refused; ``reply`` is not called.
        """
        desk = self._chat.desk
        match request:
            case ListAccounts():
                self._list(request.after, reply)
            case DescribeAccount():
                account = self._account(request.name, even_closed=True)
                self._note("export", account.nickname.text)
                reply((_shown(account, fully=True), Done(account.nickname.text)))
            case CreateAccount():
                self._create(self._new(request.name), reply)
            case InvitePerson():
                self._invite(request, reply)
            case ResetAccount():
                self._reset(request, reply)
            case DisableAccount():
                account = self._account(request.name)
                answer = self._done("disable", account.nickname.text, reply)
                desk.set_status(account.number, "disabled", answer)
            case EnableAccount():
                account = self._account(request.name)
                answer = self._done("enable", account.nickname.text, reply)
                desk.set_status(account.number, "active", answer)
            case GiveName():
                account, new = self._account(request.name), self._new(request.new)
                answer = self._done("rename", account.nickname.text, reply, new.text)
                desk.rename(account.number, new, answer)
            case EraseAccount():
                account = self._account(request.name)
                answer = self._done("erase", account.nickname.text, reply)
                desk.set_status(account.number, "closed", answer)
            case AppointOwner():
                room, account = self._room(request.room), self._account(request.name)
                owner = account.number, account.nickname.text
                answer = self._done("owner", account.nickname.text, reply, note=f"#{room}")
                self._chat.room_desk.appoint(room, owner, answer)
            case MakeAnnouncement():
                self._announce(request, reply)

    # -- accounts -----------------------------------------------------------------------------

    def _list(self, after: int, reply: Reply) -> None:
        further = self._chat.accounts.after(max(0, after))
        page = tuple(_shown(account) for account in islice(further, PAGE))
        reply((*page, Done(more=next(further, None) is not None)))

    def _create(self, name: Nickname, reply: Reply) -> None:
        code, credential = self._new_code()
        given = Invitation(name.text, code, credential.expires, is_new=True)
        answer = self._done("create", name.text, reply, given=(given,))
        self._chat.desk.make(0, name, (credential,), answer)

    def _invite(self, request: InvitePerson, reply: Reply) -> None:
        name = nickname(request.name)
        if self._chat.accounts.named(name) is None:
            self._create(self._new(request.name), reply)
        else:
            self._give_code("invite", self._active(request.name), reply)

    def _reset(self, request: ResetAccount, reply: Reply) -> None:
        account = self._active(request.name)
        dropped = [PASSWORD]
        if request.tokens:
            dropped += [credential.id for credential in _lasting(account)]

        def done(refusal: Refusal | None) -> None:
            if refusal is None:
                self._give_code("reset", account, reply, kept=not request.tokens)
            else:
                reply(_named(refusal, account.nickname.text))

        self._chat.desk.drop_credentials(account.number, dropped, done, everywhere=True)

    def _give_code(self, action: str, account: Account, reply: Reply, kept: bool = True) -> None:
        code, credential = self._new_code()
        tokens = sum(1 for _ in _lasting(account)) if kept else 0
        given = Invitation(account.nickname.text, code, credential.expires, tokens=tokens)
        answer = self._done(action, account.nickname.text, reply, given=(given,))
        self._chat.desk.set_credential(account.number, credential, answer)

    def _new_code(self) -> tuple[str, Credential]:
        """A new code, and the credential that it is."""
        code, now = new_code(), self._chat.desk.clock()
        expires = now + CODE_LIFETIME
        return code, Credential(
            new_id(), "code", self._chat.desk.hash(code), made=now, expires=expires
        )

    def _account(self, name: str, *, even_closed: bool = False) -> Account:
        """The account whose nickname is ``name``.

        :raises Refusal: there is none, or it is closed.
        """
        account = self._chat.accounts.named(nickname(name))
        if account is None:
            raise NoSuchAccount(name=visible(name))
        if account.status == "closed" and not even_closed:
            raise AccountIsClosed(name=account.nickname.text)
        return account

    def _active(self, name: str) -> Account:
        """As :meth:`_account`, but refused if it is disabled, too."""
        account = self._account(name)
        if account.status != "active":
            raise AccountIsDisabled(name=account.nickname.text)
        return account

    def _new(self, name: str) -> Nickname:
        """The nickname for an account. Reserved ones are allowed: that is the operator's choice.

        :raises Refusal: it is not valid, or too long.
        """
        new = nickname(name)
        if len(new.text) > self._chat.limits.nickname:
            raise NameTooLong(limit=self._chat.limits.nickname)
        return new

    def _done(
        self,
        action: str,
        name: str,
        reply: Reply,
        new: str = "",
        *,
        note: str = "",
        given: Sequence[OperatorAnswer] = (),
    ) -> _Answer:
        """The callback for the change by which ``action`` is done on the account ``name``.

        :param new: its nickname from then on, if it is another one.
        :param note: what else is noted.
        :param given: the answer, but for its last line.
        """

        def done(refusal: Refusal | None) -> None:
            if refusal is None:
                self._note(action, " ".join(filter(None, (name, new, note))))
                reply((*given, Done(new or name)))
            else:
                reply(_named(refusal, name))

        return done

    # -- everybody ----------------------------------------------------------------------------

    def _announce(self, request: MakeAnnouncement, reply: Reply) -> None:
        if not request.text.strip():
            raise WrongUsage(usage="twisted-chat announce TEXT")
        if not self._chat.limits.fits(request.text):
            raise LineTooLong(limit=self._chat.limits.text)
        room = None if request.room is None else self._room(request.room)
        self._chat.announce(announcement(request.text, room))
        note = "" if room is None else f"#{room}"
        self._chat.barrier(partial(self._done("announce", "", reply, note=note), None))

    def _room(self, name: str) -> str:
        """The name of the room that ``name`` means; hidden rooms are found, too.

        :raises Refusal: there is none, or ``name`` is not a valid name.
        """
        room = self._chat.reading.existing(name)
        if room is None and self._chat.reading.room_called(name) == self._chat.default_room:
            room = self._chat.default_room  # it exists for everybody, also without any entry
        if room is None:
            raise NoRoomOfThisName(room=visible(name.removeprefix("#")))
        return room


def _named(refusal: Refusal, name: str) -> Refusal:
    """``refusal``, which says of an account that has ended meanwhile that there is none."""
    return NoSuchAccount(name=name) if isinstance(refusal, (NoAccount, NoSuchAccount)) else refusal


def _lasting(account: Account) -> Iterable[Credential]:
    """The credentials that stay after a reset, unless the operator wants them dropped."""
    return (one for one in account.credentials if one.kind in ("token", "certificate", "key"))


def _shown(account: Account, *, fully: bool = False) -> ShownAccount:
    """``account`` without hashes."""
    return ShownAccount(
        account.number,
        account.nickname.text,
        account.status,
        account.made,
        former=tuple(name.text for name in account.former),
        credentials=tuple(
            ShownCredential(one.id, one.kind, one.label, one.rooms, one.made, one.expires)
            for one in account.credentials
        ),
        ignored=tuple(name for _, name in account.ignored) if fully else (),
        read=dict(account.read) if fully else {},
        directory=account.directory,
    )

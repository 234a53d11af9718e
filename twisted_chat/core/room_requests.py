"""Requests about the rules of rooms: to show and set them, to give roles, to invite, and to join
with a password.

A password is hashed off the chat's thread. A wrong one counts as a wrong secret of the source, and
is refused as a room is that does not exist. This module must not know who may do what: the chat
decides.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import structs

from twisted_chat.core.account_errors import AccountNotSaved, TooBusyForSecrets
from twisted_chat.core.account_requests import AccountHolder
from twisted_chat.core.chat import Answer
from twisted_chat.core.commands import Phase, Tokens
from twisted_chat.core.errors import BadRequest, Refusal
from twisted_chat.core.names import room_name
from twisted_chat.core.requests import ChangeRoom, GiveRole, InvitePerson, Join
from twisted_chat.core.room_errors import TooManyRoomPasswords, WrongRoomPassword
from twisted_chat.core.secrets import checked_password, normalized


class RoomHolder(AccountHolder):
    """The part of a session that sets the rules of rooms."""

    # -- setting rules -------------------------------------------------------------------------

    def _change_room(self, request: ChangeRoom) -> None:
        room = self._any_room(request.room).name
        settings = _settings(request)
        if settings:  # anybody who is in the room may see its rules
            self._check_token(Tokens.NONE)
        desk = self._chat.room_desk
        if not settings:
            self.show(structs.replace(desk.settings(self, room), id=request.id))
        elif request.password is None:
            self._ask_rules(partial(desk.set_room, self, room, settings), request.id)
        else:
            self._lock(room, settings, request.password, request.id)

    def _lock(self, room: str, settings: dict[str, Any], password: str, id: str | None) -> None:
        """Hash ``password``, and set it together with ``settings``."""
        self._chat.proofs.check_secure(self._connection.secure)
        self._chat.room_desk.check_settings(self, room, settings)
        password = checked_password(password)

        def hashed(encoded: str) -> None:
            new = {**settings, "password": encoded}
            self._ask_rules(partial(self._chat.room_desk.set_room, self, room, new), id)

        hash = partial(self._chat.proofs.passwords.hash, password)
        self._with_secret(hash, hashed, self._still_there, id)

    def _give_role(self, request: GiveRole) -> None:
        room = self._any_room(request.room).name
        other = self._chat.room_desk.author_called(request.name)
        role: Any = "" if request.role == "none" else request.role
        self._ask_rules(partial(self._chat.room_desk.set_role, self, room, other, role), request.id)

    def _invite(self, request: InvitePerson) -> None:
        room = self._any_room(request.room).name
        other = self._chat.room_desk.author_called(request.name)
        self._ask_rules(partial(self._chat.room_desk.invite, self, room, other), request.id)

    def _ask_rules(self, ask: Callable[[Answer, str | None], None], id: str | None) -> None:
        """As :meth:`_ask_chat`. If the rules hold now, but could not be saved, the person is told
        so in addition.
        """

        def ask_chat(answer: Answer, id: str | None) -> None:
            def answered(refusal: Refusal | None) -> None:
                if isinstance(refusal, AccountNotSaved):
                    self.refuse(refusal)
                    refusal = None
                answer(refusal)

            ask(answered, id)

        self._ask_chat(ask_chat, id)

    # -- joining with a password ---------------------------------------------------------------

    def _join(self, request: Join) -> None:
        lock = None
        if request.password is not None:
            lock = self._chat.room_desk.lock(self, request.room)
        if request.password is None or lock is None:
            super()._join(request)
        else:
            self._unlock(request, lock, request.password)

    def _unlock(self, request: Join, lock: str, password: str) -> None:
        """Join with the password whose encoded hash is ``lock``; "" is that of none."""
        proofs = self._chat.proofs
        proofs.check_secure(self._connection.secure)
        refusal = self._check_guess()
        if refusal is not None:
            raise refusal

        def verified(right: bool) -> None:
            if not right:
                proofs.count_wrong(self.source)
                self._chat.audit("wrong-room-password", self.address, self.name)
                raise WrongRoomPassword(room=room_name(request.room))
            join = partial(self._chat.join, self, request.room, key=lock)
            self._ask_chat(join, request.id, partial(self._chat.keeper.changed, self))

        verify = partial(proofs.passwords.verify, lock, normalized(password) or "")
        self._with_secret(verify, verified, self._check_guess, request.id)

    def _check_guess(self) -> Refusal | None:
        """Why no password is tried now; several may have waited together."""
        seconds = self._chat.proofs.wait(self.source)
        return TooManyRoomPasswords(seconds=seconds) if seconds else self._still_there()

    def _still_there(self) -> Refusal | None:
        return None if self._connection.is_there else TooBusyForSecrets()

    def _with_secret(
        self,
        compute: Callable[..., None],
        done: Callable[[Any], None],
        check: Callable[[], Refusal | None],
        id: str | None,
    ) -> None:
        """Hash or verify a password, and call ``done`` with the result; what it raises is shown.

        ``check`` returns why it is not computed, when its turn has come.
        """
        end = self._begin()

        def reply(result: Any) -> None:
            try:
                if self._phase is Phase.CLOSED:
                    return  # the server is stopping
                if isinstance(result, Refusal):
                    raise result
                done(result)
            except Refusal as refusal:
                self.refuse(refusal, id)
            finally:
                end()

        compute(reply, source=self.secrets_queue, check=check)


def _settings(request: ChangeRoom) -> dict[str, Any]:
    """The rules that ``request`` sets, as the fields of a :class:`.SetRoom`, but the password.

    :raises BadRequest: they contradict each other.
    """
    if request.password is not None and request.join != "password":
        raise BadRequest(reason="password belongs to join: password")
    settings: dict[str, Any] = {
        name: getattr(request, name)
        for name in ("speak", "join", "hidden", "slow")
        if getattr(request, name) is not None
    }
    if request.keep_days is not None:
        settings["keep"] = None if request.keep_days == "default" else request.keep_days
    return settings

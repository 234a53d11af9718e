"""Requests about the rules of rooms: to show and set them, to give roles, and to invite.

This module must not know who may do what: the chat decides.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec import structs

from twisted_chat.core.requests import ChangeRoom, GiveRole, InvitePerson
from twisted_chat.core.talking import Speaker


class RoomHolder(Speaker):
    """The part of a session that sets the rules of rooms."""

    def _change_room(self, request: ChangeRoom) -> None:
        room = self._any_room(request.room).name
        settings = _settings(request)
        desk = self._chat.room_desk
        if not settings:
            self.show(structs.replace(desk.settings(self, room), id=request.id))
            return
        self._ask_chat(partial(desk.set_room, self, room, settings), request.id)

    def _give_role(self, request: GiveRole) -> None:
        room = self._any_room(request.room).name
        other = self._chat.room_desk.author_called(request.name)
        role: Any = "" if request.role == "none" else request.role
        self._ask_chat(partial(self._chat.room_desk.set_role, self, room, other, role), request.id)

    def _invite(self, request: InvitePerson) -> None:
        room = self._any_room(request.room).name
        other = self._chat.room_desk.author_called(request.name)
        self._ask_chat(partial(self._chat.room_desk.invite, self, room, other), request.id)


def _settings(request: ChangeRoom) -> dict[str, Any]:
    """The rules that ``request`` sets, as the fields of a :class:`.SetRoom`."""
    settings: dict[str, Any] = {
        name: getattr(request, name)
        for name in ("speak", "join", "hidden", "slow")
        if getattr(request, name) is not None
    }
    if request.keep_days is not None:
        settings["keep"] = None if request.keep_days == "default" else request.keep_days
    return settings

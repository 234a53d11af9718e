"""The changes of rooms' rules, as values; the rules of :mod:`twisted_chat.core.changes` hold.

``person`` is the author number of the person who asks, or 0 for the operator. That they may do so
is checked where the change is applied. This module must not know how a change is carried out.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from twisted_chat.core.room_rules import Join, Role, Speak


class SetRoom(msgspec.Struct, frozen=True, tag=True):
    """``person`` sets those rules of ``room`` that are not ``UNSET``; see :class:`.RoomRules`.

    ``password`` is its encoded hash. ``name`` is the nickname of ``person``.
    """

    person: int
    name: str
    room: str
    request: int
    speak: Speak | UnsetType = UNSET
    join: Join | UnsetType = UNSET
    hidden: bool | UnsetType = UNSET
    password: str | UnsetType = UNSET
    slow: int | UnsetType = UNSET
    keep: int | UnsetType | None = UNSET


class SetRole(msgspec.Struct, frozen=True, tag=True):
    """``person`` gives ``account``, whose nickname is ``nickname``, a role in ``room``.

    "" takes away the role, or the invitation. If the role is owner, the owner so far becomes a
    moderator. For "", ``account`` can be a guest.
    """

    person: int
    name: str
    room: str
    account: int
    nickname: str
    role: Role
    request: int


class Invite(msgspec.Struct, frozen=True, tag=True):
    """``person`` lets ``guest`` (or an account), whose nickname is ``nickname``, join ``room``."""

    person: int
    name: str
    room: str
    guest: int
    nickname: str
    request: int


#: The changes in this module.
RoomChange = SetRoom | SetRole | Invite

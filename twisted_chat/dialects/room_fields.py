"""The form in JSON Lines of events about the rules of rooms. Pure.

This module must not know bytes, nor who may change a rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_chat.core.events import Event, Style
from twisted_chat.core.room_events import Invited, RoleSet, RoomSettings


def _room_settings(event: RoomSettings, style: Style) -> dict[str, Any]:
    return {
        "type": "room-settings",
        "id": event.id,
        "room": event.room,
        "speak": event.speak,
        "join": event.join,
        "hidden": event.hidden,
        "slow": event.slow,
        "keep_days": event.keep_days,
        "owner": event.owner or None,
        "moderators": event.moderators,
        "speakers": event.speakers,
        **({"invited": event.invited} if event.invited else {}),
        **({"changed": event.changed} if event.changed else {}),
        **({"by": event.by} if event.by else {}),
    }


def _role_set(event: RoleSet, style: Style) -> dict[str, Any]:
    return {
        "type": "role-set",
        "id": event.id,
        "room": event.room,
        "nickname": event.nickname,
        "role": event.role or None,
        "by": event.by,
    }


def _invited(event: Invited, style: Style) -> dict[str, Any]:
    return {
        "type": "invited",
        "id": event.id,
        "room": event.room,
        "nickname": event.nickname,
        "by": event.by,
        **({"own": True} if event.own else {}),
    }


#: The function that gives the fields of each kind of event.
RENDERERS: dict[type[Event], Callable[[Any, Style], dict[str, Any]]] = {
    Invited: _invited,
    RoleSet: _role_set,
    RoomSettings: _room_settings,
}

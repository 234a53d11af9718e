"""The wording of events about the rules of rooms, as lines of the text dialect. Pure.

This module must not know bytes or line ends, nor who may change a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted_chat.core.characters import visible
from twisted_chat.core.events import Event, Style
from twisted_chat.core.room_events import Invited, RoleSet, RoomSettings
from twisted_chat.dialects.sentences import notice, some, translate
from twisted_chat.i18n.language import N_

#: The most nicknames in a list of a room's people.
NAMES = 50

_JOIN = {
    "all": N_("Everybody may join."),
    "registered": N_("People with an account may join."),
    "invited": N_("People with a role or an invitation may join."),
    "password": N_("People who know the password may join: /join {room} PASSWORD"),
}
_SPEAK = {
    "all": N_("Everybody may write."),
    "registered": N_("People with an account may write."),
    "speakers": N_("People with a role may write."),
}
_ROLES = {
    "owner": N_("{name} owns #{room} now."),
    "moderator": N_("{name} is a moderator of #{room} now."),
    "speaker": N_("{name} is a speaker in #{room} now."),
    "": N_("{name} has no role in #{room} any more."),
}


def _room_settings(event: RoomSettings, style: Style) -> list[str]:
    heading = N_("The rules of #{room}:")
    if event.changed and event.by:
        heading = N_("{name} has set a rule of #{room}:")
    elif event.changed:
        heading = N_("The operator has set a rule of #{room}:")
    lines = [notice(style, heading, room=event.room, name=event.by)]
    if event.changed:
        about = [line for name in event.changed for line in _rule(name, event, style)]
    else:
        about = [line for rule in _RULES.values() for line in rule(event, style)]
        about += _people(event, style)
    return lines + [f"  {line}" for line in about]


def _rule(name: str, event: RoomSettings, style: Style) -> list[str]:
    """The lines about the rule of this name; none if a newer server has more rules."""
    return _RULES[name](event, style) if name in _RULES else []


def _join(event: RoomSettings, style: Style) -> list[str]:
    sentence = _JOIN.get(event.join, "{join}")
    return [translate(style, sentence, room=event.room, join=event.join)]


def _speak(event: RoomSettings, style: Style) -> list[str]:
    return [translate(style, _SPEAK.get(event.speak, "{speak}"), speak=event.speak)]


def _hidden(event: RoomSettings, style: Style) -> list[str]:
    if event.hidden:
        return [translate(style, N_("It is hidden: only its people find it in lists."))]
    return [translate(style, N_("It is listed."))] if event.changed else []


def _slow(event: RoomSettings, style: Style) -> list[str]:
    if event.slow:
        sentence = N_("Everybody may write once in {seconds} seconds.")
        return [translate(style, sentence, seconds=event.slow)]
    return [translate(style, N_("There is no slow mode."))] if event.changed else []


def _keep(event: RoomSettings, style: Style) -> list[str]:
    if event.keep_days:
        return [translate(style, N_("Messages are kept for {days} days."), days=event.keep_days)]
    if event.keep_days == 0:
        return [translate(style, N_("Messages are kept for ever."))]
    sentence = N_("Messages are kept as long as in other rooms.")
    return [translate(style, sentence)] if event.changed else []


def _password(event: RoomSettings, style: Style) -> list[str]:
    return []  # it is set together with ``join``


def _people(event: RoomSettings, style: Style) -> list[str]:
    if not event.owner:
        lines = [translate(style, N_("It has no owner."))]
    else:
        lines = [translate(style, N_("Owner: {people}"), people=visible(event.owner))]
    people: tuple[tuple[str, Sequence[str]], ...] = (
        (N_("Moderators: {people}"), event.moderators),
        (N_("Speakers: {people}"), event.speakers),
        (N_("Invited: {people}"), event.invited),
    )
    for sentence, names in people:
        if names:
            listed = some(names[:NAMES], len(names), style)
            lines.append(translate(style, sentence, people=listed))
    return lines


#: The lines about each rule of a :class:`.RoomSettings`, in the order in which they are shown.
_RULES: dict[str, Callable[[RoomSettings, Style], list[str]]] = {
    "join": _join,
    "password": _password,
    "speak": _speak,
    "hidden": _hidden,
    "slow": _slow,
    "keep_days": _keep,
}


def _role_set(event: RoleSet, style: Style) -> list[str]:
    sentence = _ROLES.get(event.role, _ROLES[""])
    return [notice(style, sentence, name=event.nickname, room=event.room)]


def _invited(event: Invited, style: Style) -> list[str]:
    if event.own:
        sentence = N_("{name} may join #{room} now.")
        return [notice(style, sentence, name=event.nickname, room=event.room)]
    sentence = N_("{name} invites you to #{room}: /join {room}")
    return [notice(style, sentence, name=event.by, room=event.room)]


#: The function that words each kind of event.
RENDERERS: dict[type[Event], Callable[[Any, Style], list[str]]] = {
    Invited: _invited,
    RoleSet: _role_set,
    RoomSettings: _room_settings,
}

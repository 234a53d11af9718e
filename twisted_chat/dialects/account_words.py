"""The wording of events about accounts, as lines of the text dialect. Pure.

This module must not know bytes or line ends, nor how a secret is made or checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted_chat.core.characters import visible
from twisted_chat.core.events import (
    AccountOffered,
    CodeMade,
    Device,
    DevicesListed,
    Event,
    Marked,
    PasswordSet,
    Registered,
    SecretAsked,
    Style,
    TokenMade,
    TokenRevoked,
    Unregistered,
)
from twisted_chat.dialects.sentences import notice, translate, when
from twisted_chat.i18n.language import N_

#: The name of a row of :class:`.DevicesListed` without a label, and what is said of each kind.
_NAMES = {"password": N_("(password)"), "code": N_("(code)")}
_KINDS = {
    "device": N_("device"),
    "token": N_("token"),
    "code": N_("not used yet"),
    "certificate": N_("certificate"),
    "key": N_("SSH key"),
}


#: The question for a secret that the client does not show while it is typed.
HIDDEN_SECRET = N_("{name} has an account. Password, or an empty line for another name:")


def _secret_asked(event: SecretAsked, style: Style) -> list[str]:
    sentence = N_(
        "{name} has an account. Password (visible while you type), or an empty line for another"
        " name:"
    )
    if event.hidden:
        sentence = HIDDEN_SECRET
    return [translate(style, sentence, name=event.name)]


def _account_offered(event: AccountOffered, style: Style) -> list[str]:
    sentence = N_("/register PASSWORD makes the name {name} yours for good, if you like.")
    if event.has_account:
        sentence = N_("You have no password yet. /password PASSWORD sets it for the next time.")
    return [notice(style, sentence, name=event.nickname)]


def _registered(event: Registered, style: Style) -> list[str]:
    sentence = N_(
        "The name {name} is yours now. Next time, choose it and type your password. /device add"
        " lets you in on another device."
    )
    return [notice(style, sentence, name=event.nickname)]


def _password_set(event: PasswordSet, style: Style) -> list[str]:
    return [notice(style, N_("Your new password is valid from now on."))]


def _token_made(event: TokenMade, style: Style) -> list[str]:
    label, rooms = event.label, ", ".join(f"#{room}" for room in event.rooms)
    sentence = N_(
        "With it, a program comes in without your password. It is shown only now."
        " /token revoke {label} ends it."
    )
    if rooms:
        sentence = N_(
            "With it, a program comes in without your password, but only to {rooms}. It is shown"
            " only now. /token revoke {label} ends it."
        )
    return [
        notice(style, N_("The token {label}: {token}"), label=label, token=event.token),
        notice(style, sentence, label=label, rooms=rooms),
    ]


def _token_revoked(event: TokenRevoked, style: Style) -> list[str]:
    sentence = N_("{label} is revoked. Its connections are closed.")
    return [notice(style, sentence, label=event.label)]


def _code_made(event: CodeMade, style: Style) -> list[str]:
    ask = N_(
        "On the other device, choose the name {name} and type this code instead of the password:"
        " {code}"
    )
    limit = N_("It is valid once, within the next {minutes} minutes.")
    return [
        notice(style, ask, name=event.nickname, code=event.code),
        notice(style, limit, minutes=event.minutes),
    ]


def _devices_listed(event: DevicesListed, style: Style) -> list[str]:
    if not event.devices:
        return [notice(style, N_("You have no devices or tokens."))]
    lines = [notice(style, N_("Your devices and tokens:"))]
    names = [
        visible(device.label) or translate(style, _NAMES.get(device.kind, "-"))
        for device in event.devices
    ]
    width = max(map(len, names))
    for name, device in zip(names, event.devices, strict=True):
        lines.append(f"  {name:<{width}}  {', '.join(_about(device, style))}".rstrip())
    return lines


def _about(device: Device, style: Style) -> list[str]:
    """The properties of one device, as words."""
    about = []
    if device.kind in _KINDS:
        about.append(translate(style, _KINDS[device.kind]))
    if device.rooms:
        rooms = ", ".join(f"#{room}" for room in device.rooms)
        about.append(translate(style, N_("only for {rooms}"), rooms=rooms))
    if device.made:
        day = f"{when(device.made, style):%Y-%m-%d}"
        about.append(translate(style, N_("since {day}"), day=day))
    if device.connections > 1:
        about.append(translate(style, N_("connections: {n}"), n=device.connections))
    elif device.connections and not device.this:
        about.append(translate(style, N_("connected now")))
    if device.this:
        about.append(translate(style, N_("this connection")))
    return about


def _unregistered(event: Unregistered, style: Style) -> list[str]:
    sentence = N_(
        "Your account {name} is closed. Nobody else can take the name, and it cannot be opened"
        " again. Goodbye!"
    )
    return [notice(style, sentence, name=event.nickname)]


def _marked(event: Marked, style: Style) -> list[str]:
    sentence = N_("On another device, you have read #{room} up to number {number}.")
    return [notice(style, sentence, room=event.room, number=event.number)]


#: The function that words each kind of event.
RENDERERS: dict[type[Event], Callable[[Any, Style], list[str]]] = {
    AccountOffered: _account_offered,
    CodeMade: _code_made,
    DevicesListed: _devices_listed,
    Marked: _marked,
    PasswordSet: _password_set,
    Registered: _registered,
    SecretAsked: _secret_asked,
    TokenMade: _token_made,
    TokenRevoked: _token_revoked,
    Unregistered: _unregistered,
}

"""The lines about accounts, as a client receives them; ``docs/protocol.rst`` describes them."""

from __future__ import annotations

import msgspec
from msgspec import structs

from twisted_chat.client.line import Line, Name, Number, Time
from twisted_chat.core.events import (
    CodeMade,
    Device,
    DevicesListed,
    Event,
    Marked,
    PasswordSet,
    Registered,
    TokenMade,
    TokenRevoked,
    Unregistered,
)


class RegisteredLine(Line, tag="registered"):
    nickname: Name
    account: Number
    id: str | None = None

    def event(self) -> Event:
        return Registered(self.nickname, self.account, self.id)


class PasswordSetLine(Line, tag="password-set"):
    id: str | None = None

    def event(self) -> Event:
        return PasswordSet(self.id)


class TokenLine(Line, tag="token"):
    label: str
    token: str
    rooms: tuple[Name, ...] = ()
    id: str | None = None

    def event(self) -> Event:
        return TokenMade(self.label, self.token, self.rooms, self.id)


class TokenRevokedLine(Line, tag="token-revoked"):
    label: str
    id: str | None = None

    def event(self) -> Event:
        return TokenRevoked(self.label, self.id)


class CodeLine(Line, tag="code"):
    nickname: Name
    code: str
    minutes: int
    id: str | None = None

    def event(self) -> Event:
        return CodeMade(self.nickname, self.code, self.minutes, self.id)


class _Device(msgspec.Struct):
    label: str
    kind: str
    connections: int = 0
    this: bool = False
    made: Time = 0
    rooms: tuple[Name, ...] = ()


class DevicesLine(Line, tag="devices"):
    devices: tuple[_Device, ...]
    id: str | None = None

    def event(self) -> Event:
        devices = (Device(*structs.astuple(device)) for device in self.devices)
        return DevicesListed(tuple(devices), self.id)


class MarkedLine(Line, tag="marked"):
    room: Name
    seq: Number

    def event(self) -> Event:
        return Marked(self.room, self.seq)


class UnregisteredLine(Line, tag="unregistered"):
    nickname: Name
    id: str | None = None

    def event(self) -> Event:
        return Unregistered(self.nickname, self.id)

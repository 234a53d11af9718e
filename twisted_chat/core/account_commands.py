"""The rows of requests about accounts, for the table of :mod:`twisted_chat.core.commands`.

This module must not know the other rows.
"""

from __future__ import annotations

from twisted_chat.core.command_row import CHOOSING, Command, Form, Tokens
from twisted_chat.core.requests import (
    AddDevice,
    GiveSecret,
    ListDevices,
    LogOut,
    Mark,
    NewToken,
    Register,
    RevokeToken,
    SetPassword,
    Unregister,
)
from twisted_chat.i18n.language import N_

#: The cost of a request for which a password is hashed.
_HASHED = 5

ROWS = (
    Command(
        request=Register,
        handler="_register",
        cost=_HASHED,
        json="register",
        names=("register", "registrar"),
        form=Form.TEXT,
        arguments=N_("PASSWORD"),
        help=N_("Make your name yours for good: nobody else can take it."),
    ),
    Command(
        request=SetPassword,
        handler="_set_password",
        tokens=Tokens.NONE,
        cost=_HASHED,
        json="password",
        names=("password", "senha"),
        form=Form.TEXT,
        arguments=N_("PASSWORD"),
        help=N_("Change the password of your account."),
    ),
    Command(
        request=ListDevices,
        handler="_list_devices",
        tokens=Tokens.UNLIMITED,
        json="devices",
        names=("devices", "dispositivos"),
        help=N_("List the devices, tokens and connections of your account."),
    ),
    Command(
        request=AddDevice,
        handler="_add_device",
        tokens=Tokens.NONE,
        cost=2,
        json="device-add",
        names=("device add", "dispositivo adicionar"),
        help=N_("Show a code with which another device of yours comes in."),
    ),
    Command(
        request=NewToken,
        handler="_new_token",
        tokens=Tokens.NONE,
        cost=2,
        json="token-new",
        names=("token new", "token novo"),
        form=Form.LABEL_AND_ROOMS,
        arguments=N_("LABEL [ROOM…]"),
        help=N_("Make a token for a program, for all rooms or only for some."),
    ),
    Command(
        request=RevokeToken,
        handler="_revoke_token",
        tokens=Tokens.NONE,
        cost=2,
        json="token-revoke",
        names=("token revoke", "token revogar"),
        form=Form.TEXT,
        arguments=N_("LABEL"),
        help=N_("Revoke a token or device: nobody comes in with it any more."),
    ),
    Command(
        request=LogOut,
        handler="_log_out",
        json="logout",
        names=("logout", "desconectar"),
        form=Form.EVERYWHERE,
        arguments=N_("[everywhere]"),
        help=N_("Leave, and revoke this device, or all devices."),
    ),
    Command(
        request=Unregister,
        handler="_unregister",
        tokens=Tokens.NONE,
        json="unregister",
        names=("unregister", "encerrar"),
        form=Form.TEXT,
        arguments=N_("NAME"),
        help=N_("Close your account for ever. Nobody else can take its name."),
    ),
    Command(request=Mark, handler="_mark", json="mark"),
    Command(request=GiveSecret, handler="_give_secret", phases=CHOOSING),
)

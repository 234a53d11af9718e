"""The lines about accounts, as people read them."""

from __future__ import annotations

import pytest

from twisted_chat.core.events import (
    CodeMade,
    Device,
    DevicesListed,
    Event,
    Registered,
    SecretAsked,
    Style,
    TokenMade,
)
from twisted_chat.dialects import text

NOON = 1_795_464_000_000_000


def lines(event: Event, language: str = "en") -> list[str]:
    return text.render([event], Style(language)).data.decode().splitlines()


@pytest.mark.parametrize(
    ("hidden", "language", "line"),
    [
        (
            False,
            "en",
            "Ana has an account. Password (visible while you type), or an empty line for another"
            " name:",
        ),
        (True, "en", "Ana has an account. Password, or an empty line for another name:"),
        (
            False,
            "pt_BR",
            "Ana tem uma conta. Senha (visível ao digitar), ou uma linha vazia para outro nome:",
        ),
        (True, "pt_BR", "Ana tem uma conta. Senha, ou uma linha vazia para outro nome:"),
    ],
)
def test_the_question_says_whether_the_password_is_seen(
    hidden: bool, language: str, line: str
) -> None:
    assert lines(SecretAsked("Ana", hidden), language) == [line]


def test_what_to_do_next_is_told() -> None:
    assert lines(Registered("Ana", 1)) == [
        "[SERVER]: The name Ana is yours now. Next time, choose it and type your password."
        " /device add lets you in on another device."
    ]
    assert lines(CodeMade("Ana", "bcdf-ghjk", 10)) == [
        "[SERVER]: On the other device, choose the name Ana and type this code instead of the"
        " password: bcdf-ghjk",
        "[SERVER]: It is valid once, within the next 10 minutes.",
    ]
    assert lines(TokenMade("bot", "tchat_x", ("ci", "lobby"))) == [
        "[SERVER]: The token bot: tchat_x",
        "[SERVER]: With it, a program comes in without your password, but only to #ci, #lobby. It"
        " is shown only now. /token revoke bot ends it.",
    ]


def test_devices_are_a_table() -> None:
    devices = (
        Device("laptop", "device", 1, True, NOON),
        Device("my bot", "token", 2, False, NOON, ("ci",)),
        Device("old", "device", 0, made=NOON),
        Device("", "code", 0, made=NOON),
        Device("", "password", 1),
    )
    assert lines(DevicesListed(devices)) == [
        "[SERVER]: Your devices and tokens:",
        "  laptop      device, since 2026-11-23, this connection",
        "  my bot      token, only for #ci, since 2026-11-23, connections: 2",
        "  old         device, since 2026-11-23",
        "  (code)      not used yet, since 2026-11-23",
        "  (password)  connected now",
    ]
    assert lines(DevicesListed(())) == ["[SERVER]: You have no devices or tokens."]

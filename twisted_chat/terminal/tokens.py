"""The tokens that the client keeps in place of passwords, one for each nickname on a server.

A token is in a file of its own, which only its owner can read. This module must not know how a
token is made or used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread

from twisted_chat.client.address import Address
from twisted_chat.core.errors import Refusal
from twisted_chat.core.names import nickname
from twisted_chat.terminal import config


class Tokens(Protocol):
    """Stores the tokens for one server. Nicknames are compared as the server does it."""

    def find(self, name: str) -> Deferred[str | None]:
        """Fires with the token of the nickname ``name``; None if there is none."""

    def keep(self, name: str, token: str) -> Deferred[None]:
        """Store the token of ``name``. Errback: :class:`~twisted_chat.core.errors.Refusal`."""

    def forget(self, name: str) -> Deferred[None]:
        """Delete the token of ``name``, if there is one."""


class MemoryTokens:
    """:class:`Tokens` in memory, which end with the process."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}

    def find(self, name: str) -> Deferred[str | None]:
        return succeed(self.tokens.get(key_of(name)))

    def keep(self, name: str, token: str) -> Deferred[None]:
        self.tokens[key_of(name)] = token
        return succeed(None)

    def forget(self, name: str) -> Deferred[None]:
        self.tokens.pop(key_of(name), None)
        return succeed(None)


class TokenFiles:
    """:class:`Tokens` in files beside the client's state.

    :param environ: the environment variables, which name the folder.
    :param server: the address of the server.
    """

    def __init__(self, environ: Mapping[str, str], server: Address) -> None:
        self._environ = environ
        self._server = server

    def path(self, name: str) -> Path:
        """The file of the nickname ``name``.

        :raises NoHome: there is no home directory.
        """
        return config.token_path(self._environ, self._server, key_of(name))

    def find(self, name: str) -> Deferred[str | None]:
        return deferToThread(config.read_token, self.path(name))

    def keep(self, name: str, token: str) -> Deferred[None]:
        return deferToThread(config.keep_token, self.path(name), token)

    def forget(self, name: str) -> Deferred[None]:
        return deferToThread(config.forget_token, self.path(name))


def key_of(name: str) -> str:
    """The nickname ``name`` in a form that is the same in upper and lower case."""
    try:
        return nickname(name).folded
    except Refusal:  # the server will refuse it, too
        return name.casefold()

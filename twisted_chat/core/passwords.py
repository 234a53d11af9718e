"""The interface to the hashing of passwords, which is slow and happens on other threads.

This module must not know how a password is hashed, nor whose it is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

from twisted_chat.core.account_errors import TooBusyForSecrets
from twisted_chat.core.errors import Refusal


def always() -> Refusal | None:
    """The ``check`` of a password that is hashed in any case."""
    return None


class Passwords(Protocol):
    """Hashes passwords, and verifies them.

    Passwords are in the form of :func:`.secrets.normalized`. ``reply`` is called on the chat's
    thread, at once or later. The passwords of one ``source`` are hashed one after the other, and
    sources take turns. ``check`` is called on the chat's thread when the turn has come; if it
    returns a refusal, that is the reply, and nothing is hashed.

    If too many passwords wait, of this source or of all, the reply is :class:`TooBusyForSecrets`.
    """

    def hash(
        self,
        password: str,
        reply: Callable[[str | Refusal], None],
        *,
        source: Hashable = None,
        check: Callable[[], Refusal | None] = always,
    ) -> None:
        """Hash ``password`` with a new salt: the reply is the hash with its parameters."""

    def verify(
        self,
        encoded: str,
        password: str,
        reply: Callable[[bool | Refusal], None],
        *,
        source: Hashable = None,
        check: Callable[[], Refusal | None] = always,
    ) -> None:
        """Reply whether ``password`` has the hash ``encoded``.

        If that is empty, the reply is False, and takes the same time.
        """


class NoPasswords:
    """The :class:`Passwords` of a chat without any: every reply is a refusal."""

    def hash(
        self,
        password: str,
        reply: Callable[[str | Refusal], None],
        *,
        source: Hashable = None,
        check: Callable[[], Refusal | None] = always,
    ) -> None:
        reply(TooBusyForSecrets())

    def verify(
        self,
        encoded: str,
        password: str,
        reply: Callable[[bool | Refusal], None],
        *,
        source: Hashable = None,
        check: Callable[[], Refusal | None] = always,
    ) -> None:
        reply(TooBusyForSecrets())

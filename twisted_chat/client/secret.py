"""The secret with which a client shows that a nickname is its own. It is never shown or logged."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from twisted_chat.core.codes import ALPHABET, GROUP, GROUPS
from twisted_chat.core.requests import Hello
from twisted_chat.core.secrets import TOKEN_PREFIX

#: A code as it is shown, and as people type it: spaces and hyphens do not matter.
_GROUP = f"[{ALPHABET}]{{{GROUP}}}"
_SHOWN = re.compile(rf"{_GROUP}(?:-{_GROUP}){{{GROUPS - 1}}}", re.IGNORECASE)
_CODE = re.compile(rf"[{ALPHABET}]{{{GROUP * GROUPS}}}", re.IGNORECASE)


class Secret(msgspec.Struct, frozen=True):
    """A secret, and what it is."""

    kind: Literal["password", "token", "code"]
    text: str

    def __repr__(self) -> str:
        return f"Secret({self.kind!r})"

    def add_to(self, hello: Hello) -> Hello:
        """``hello`` with this secret."""
        return msgspec.structs.replace(hello, **{self.kind: self.text})


def given_secret(token: str | None, password: str | None) -> Secret | None:
    """The secret of a program: its token, or else its password, or None."""
    if token is not None:
        return Secret("token", token)
    return None if password is None else Secret("password", password)


def typed_secret(text: str) -> Secret:
    """The secret that a person has typed: by its form, a token, a code, or else a password."""
    stripped = text.strip()
    if stripped.startswith(TOKEN_PREFIX):
        return Secret("token", stripped)
    is_code = _CODE.fullmatch(stripped.replace("-", "").replace(" ", ""))
    return Secret("code", stripped) if is_code else Secret("password", text)


def as_password(secret: Secret) -> Secret | None:
    """The password that ``secret`` can be, if it was taken for a code; None if it is none.

    A random password can consist of characters of codes; hardly anyone's has their hyphens, too.
    """
    is_open = secret.kind == "code" and not _SHOWN.fullmatch(secret.text)
    return Secret("password", secret.text) if is_open else None

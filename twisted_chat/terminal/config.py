"""The configuration of the person at the client, and the paths of their files.

The configuration is one TOML file, which the person writes; the client only adds nicknames to
it. The paths follow the XDG Base Directory Specification. Every function blocks, so it is
called before the reactor runs, or in a thread.

This module must not know what the settings do, or the contents of a state.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from twisted_chat.client.address import Address, WrongAddress, parse_address
from twisted_chat.client.state_database import private_folder
from twisted_chat.client.trust import parse_fingerprint
from twisted_chat.core.characters import find_unsafe, visible
from twisted_chat.core.errors import CannotStart, Refusal, WrongSetting
from twisted_chat.i18n.language import N_

#: The client's folder in the base folders of the specification.
FOLDER = "twisted-chat"

#: Characters of a host or a nickname in a file's name, at most: most file systems allow 255 bytes,
#: and SQLite and the lock add a few.
NAME_LIMIT = 120

#: The ends of the names of files with a token, for a connection without TLS and for one with TLS.
TOKEN_ENDING = ".token"
TLS_TOKEN_ENDING = ".tls-token"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, with their defaults."""

    #: The person's nickname.
    nickname: str | None = None
    #: The nicknames on single servers, by ``HOST:PORT``.
    nicknames: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: ``[tls:]HOST[:PORT]``, for :func:`~twisted_chat.client.address.parse_address`.
    server: str | None = None
    #: A PEM file with the authorities that may sign the server's certificate, instead of the
    #: system's.
    ca: str | None = None
    #: Whether the terminal's bell rings when a message mentions the person.
    bell: bool = True
    #: Whether lines are shown with their time.
    timestamps: bool = True
    #: The background of the terminal; None to find out.
    background: Literal["dark", "light"] | None = None


#: The values that a refusal says are expected, by setting.
_EXPECTED = {
    "nickname": N_("a nickname in quotes"),
    "nicknames": N_('[nicknames] with "HOST:PORT" = "NAME"'),
    "server": N_('"HOST", "HOST:PORT" or "tls:HOST:PORT"'),
    "ca": N_("the path of a file in quotes"),
    "bell": "true | false",
    "timestamps": "true | false",
    "background": '"dark" | "light"',
}


class NoHome(CannotStart):
    code = "no-home"
    template = N_("there is no home directory: the variable HOME must name one")


class ConfigUnreadable(CannotStart):
    code = "config-unreadable"
    template = N_("cannot read {path}: {reason}")


class NoToken(CannotStart):
    code = "no-token"
    template = N_("{path} contains no token")


class UnknownKey(CannotStart):
    code = "unknown-key"
    template = N_("{path}: there is no setting {key}; expected: {expected}")


class WrongValue(WrongSetting):
    code = "wrong-value"
    template = N_("{path}: the value of {key} is not valid; expected: {expected}")


class CannotRemember(Refusal):
    code = "cannot-remember"
    template = N_("{path} could not be written, so you will be asked again: {reason}")


def config_path(environ: Mapping[str, str]) -> Path:
    """The path of the configuration, which may not exist.

    :raises NoHome: ``environ`` has no usable home directory.
    """
    return _base(environ, "XDG_CONFIG_HOME", ".config") / FOLDER / "client.toml"


def state_path(environ: Mapping[str, str], host: str, port: int, nickname: str) -> Path:
    """The path of the :class:`~twisted_chat.client.FileState` of a nickname on a server.

    :raises NoHome: ``environ`` has no usable home directory.
    """
    base = _base(environ, "XDG_STATE_HOME", ".local", "state")
    # Case makes no difference in the DNS (RFC 4343).
    return base / FOLDER / f"{_file_name(host.lower())}_{port}" / f"{_file_name(nickname)}.db"


def pin_path(environ: Mapping[str, str], host: str, port: int) -> Path:
    """The path of the pinned fingerprint of a server's certificate, which may not exist.

    :raises NoHome: ``environ`` has no usable home directory.
    """
    return state_path(environ, host, port, "").with_name("certificate")


def read_pin(path: Path) -> str | None:
    """Read the fingerprint at ``path``; None if the file does not exist.

    :raises CannotStart: the file cannot be read, or contains no fingerprint.
    """
    try:
        return parse_fingerprint(path.read_text("ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigUnreadable(path=visible(str(path)), reason=_reason(error)) from error


def keep_pin(path: Path, fingerprint: str) -> None:
    """Write ``fingerprint`` into the file at ``path``, which only its owner can read.

    :raises CannotRemember: the file cannot be written, and is unchanged.
    """
    try:
        _replace(path, f"{fingerprint}\n".encode())
    except OSError as error:
        raise CannotRemember(path=visible(str(path)), reason=_reason(error)) from error


def token_path(environ: Mapping[str, str], server: Address, nickname: str) -> Path:
    """The path of the token that the client keeps for a nickname on a server; it may not exist.

    One that was got over TLS is not used without TLS.

    :raises NoHome: ``environ`` has no usable home directory.
    """
    path = state_path(environ, server.host, server.port, nickname)
    return path.with_name(f"{path.stem}{TLS_TOKEN_ENDING if server.tls else TOKEN_ENDING}")


def read_token(path: Path) -> str | None:
    """Read the token at ``path``; None if the file does not exist.

    :raises CannotStart: the file cannot be read, or contains no token.
    """
    try:
        token = path.read_text("ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ConfigUnreadable(path=visible(str(path)), reason=_reason(error)) from error
    if not re.fullmatch(r"[\w-]+", token, re.ASCII):
        raise NoToken(path=visible(str(path)))
    return token


def keep_token(path: Path, token: str) -> None:
    """Write ``token`` into the file at ``path``, which only its owner can read.

    :raises CannotRemember: the file cannot be written, and is unchanged.
    """
    try:
        _replace(path, f"{token}\n".encode(), keeps_mode=False)
    except OSError as error:
        raise CannotRemember(path=visible(str(path)), reason=_reason(error)) from error


def forget_token(path: Path) -> None:
    """Remove the file at ``path``, if it exists and can be removed."""
    with suppress(OSError):
        path.unlink()


def read(path: Path) -> Config:
    """Read the configuration at ``path``; without that file, the defaults.

    :raises CannotStart: the file cannot be read, or has an unknown setting or an invalid value.
    """
    try:
        table = tomllib.loads(_text(path))
    except (FileNotFoundError, NotADirectoryError):  # a service's home can be /dev/null
        return Config()
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or not TOML
        raise ConfigUnreadable(path=visible(str(path)), reason=_reason(error)) from error
    for key, value in table.items():
        _check(path, key, value)
    return Config(**table)


def remember_name(path: Path, server: str, nickname: str) -> None:
    """Write the nickname on one server into the file at ``path``, which is made if it does not
    exist.

    The rest of the file stays as the person wrote it. If this is interrupted, the file has either
    its old or its new contents.

    :raises CannotRemember: the file cannot be written, and is unchanged.
    """
    import tomlkit  # of the extra "terminal", and needed only here
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(_text(path) if path.exists() else "")
        document.setdefault("nicknames", {}).update({server: nickname})
        # The file that a link points to is replaced, not the link.
        _replace(Path(os.path.realpath(path)), tomlkit.dumps(document).encode())
    except (OSError, ValueError, TOMLKitError) as error:
        raise CannotRemember(path=visible(str(path)), reason=_reason(error)) from error


def _base(environ: Mapping[str, str], variable: str, *default: str) -> Path:
    given = environ.get(variable, "")
    if os.path.isabs(given):  # the specification says to ignore relative paths
        return Path(given)
    home = environ.get("HOME") or os.path.expanduser("~")
    if not os.path.isabs(home):
        raise NoHome
    return Path(home, *default)


def _file_name(text: str) -> str:
    """A part of a file's name for ``text``, which no other text has."""
    name = quote(text, safe="", errors="surrogatepass")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if 0 < len(name) <= NAME_LIMIT:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    # "+" is in no name above.
    return f"{name[: NAME_LIMIT - len(digest) - 1]}+{digest}"


def _text(path: Path) -> str:
    # Keeps the line breaks, and drops the byte order mark that some editors write first.
    return path.read_bytes().decode("utf-8-sig")


def _reason(error: Exception) -> str:
    """The reason of ``error`` in one line, without the path."""
    return visible((isinstance(error, OSError) and error.strerror) or str(error))


def _check(path: Path, key: str, value: Any) -> None:
    if key not in _EXPECTED:
        raise UnknownKey(path=visible(str(path)), key=visible(key), expected=", ".join(_EXPECTED))
    try:
        msgspec.convert({key: value}, Config)
        if key == "server":
            parse_address(value)
        if key == "nicknames" and any(not name or find_unsafe(name) for name in value.values()):
            raise ValueError(value)
        if key == "ca" and not value:
            raise ValueError(value)
        if key == "nickname" and (not value or find_unsafe(value)):
            raise ValueError(value)
    except (ValueError, msgspec.ValidationError, WrongAddress) as error:
        raise WrongValue(path=visible(str(path)), key=key, expected=_EXPECTED[key]) from error


def _replace(path: Path, data: bytes, *, keeps_mode: bool = True) -> None:
    """Replace the contents of the file at ``path`` with ``data``, atomically.

    A new file can be read by its owner only, and so can any file without ``keeps_mode``.
    """
    private_folder(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            if keeps_mode and path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise

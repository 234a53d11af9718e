"""The configuration of the person at the client, and where their files are.

One TOML file, which the person writes and the client adds a name or a server to; both places as
the XDG Base Directory Specification has them. Everything here blocks: it is for before the
reactor runs, or for a thread.

It must not know what the settings do, nor what a state holds.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import msgspec

from twisted_chat.client.address import WrongAddress, parse_address
from twisted_chat.client.state_database import private_folder
from twisted_chat.client.trust import parse_fingerprint
from twisted_chat.core.characters import find_unsafe, visible
from twisted_chat.core.errors import CannotStart, Refusal, WrongSetting
from twisted_chat.i18n.language import N_

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

#: Our folder below those of the specification.
FOLDER = "twisted-chat"

#: The most characters that a host or a nickname takes of a file's name: most file systems take
#: 255 bytes, and SQLite and the lock add a few.
NAME_LIMIT = 120


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What can be configured, with its defaults."""

    #: The name to take.
    nickname: str | None = None
    #: The name to take on one server, by ``HOST:PORT``.
    nicknames: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: ``[tls:]HOST[:PORT]``, as :func:`~twisted_chat.client.address.parse_address` reads it.
    server: str | None = None
    #: A file of the authorities that may sign the server's certificate, instead of the system's.
    ca: str | None = None
    #: Whether the terminal's bell rings when one's name is said.
    bell: bool = True
    #: Whether lines are shown with their time.
    timestamps: bool = True
    #: What colours are on; None is to find out.
    background: Literal["dark", "light"] | None = None


#: What is said of a value that is not one.
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
    """Where the configuration is, if there is one.

    :raises NoHome: nothing in ``environ`` tells.
    """
    return _base(environ, "XDG_CONFIG_HOME", ".config") / FOLDER / "client.toml"


def state_path(environ: Mapping[str, str], host: str, port: int, nickname: str) -> Path:
    """Where :class:`~twisted_chat.client.FileState` keeps what is of this server and name.

    :raises NoHome: nothing in ``environ`` tells.
    """
    base = _base(environ, "XDG_STATE_HOME", ".local", "state")
    # In the DNS, case makes no difference (RFC 4343).
    return base / FOLDER / f"{_file_name(host.lower())}_{port}" / f"{_file_name(nickname)}.db"


def pin_path(environ: Mapping[str, str], host: str, port: int) -> Path:
    """Where the fingerprint of the certificate of a server is kept, if it was pinned.

    :raises NoHome: nothing in ``environ`` tells.
    """
    return state_path(environ, host, port, "").with_name("certificate")


def read_pin(path: Path) -> str | None:
    """The fingerprint that is kept at ``path``, if one is.

    :raises CannotStart: it cannot be read.
    """
    try:
        return parse_fingerprint(path.read_text("ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigUnreadable(path=visible(str(path)), reason=_reason(error)) from error


def keep_pin(path: Path, fingerprint: str) -> None:
    """Keep ``fingerprint`` at ``path``, for its owner alone.

    :raises CannotRemember: the file is as it was.
    """
    try:
        _replace(path, f"{fingerprint}\n".encode())
    except OSError as error:
        raise CannotRemember(path=visible(str(path)), reason=_reason(error)) from error


def read(path: Path) -> Config:
    """What is configured at ``path``; without that file, the defaults.

    :raises CannotStart: it cannot be read, or something in it is not known or not valid.
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


def remember(path: Path, **values: str) -> None:
    """Put ``nickname`` or ``server`` into the file, which is made if there is none.

    All else in it stays as the person wrote it. Whenever this is interrupted, the file is the
    old one or the new one.

    :raises CannotRemember: the file is as it was.
    """
    _change(path, lambda document: document.update(values))


def _change(path: Path, change: Callable[[TOMLDocument], object]) -> None:
    import tomlkit  # of the extra "terminal": only who remembers something needs it
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(_text(path) if path.exists() else "")
        change(document)
        # What a link points to is replaced, not the link.
        _replace(Path(os.path.realpath(path)), tomlkit.dumps(document).encode())
    except (OSError, ValueError, TOMLKitError) as error:
        raise CannotRemember(path=visible(str(path)), reason=_reason(error)) from error


def remember_name(path: Path, server: str, nickname: str) -> None:
    """Put the ``nickname`` of one ``server`` into the file, as :func:`remember` does.

    :raises CannotRemember: the file is as it was.
    """
    _change(path, lambda document: document.setdefault("nicknames", {}).update({server: nickname}))


def _base(environ: Mapping[str, str], variable: str, *default: str) -> Path:
    given = environ.get(variable, "")
    if os.path.isabs(given):  # the specification has others ignored
        return Path(given)
    home = environ.get("HOME") or os.path.expanduser("~")
    if not os.path.isabs(home):
        raise NoHome
    return Path(home, *default)


def _file_name(text: str) -> str:
    """``text`` as a part of a file's name that no other text has."""
    name = quote(text, safe="", errors="surrogatepass")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if 0 < len(name) <= NAME_LIMIT:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    # "+" is in no name above.
    return f"{name[: NAME_LIMIT - len(digest) - 1]}+{digest}"


def _text(path: Path) -> str:
    # With the line breaks that it has, and without the mark that some editors put first.
    return path.read_bytes().decode("utf-8-sig")


def _reason(error: Exception) -> str:
    """In one line, and without the path that is told anyway."""
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


def _replace(path: Path, data: bytes) -> None:
    """Make ``data`` all of the file at ``path``, at once."""
    private_folder(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise

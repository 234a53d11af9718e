"""What an operator can set: on the command line or in a TOML file, by the same names.

A value is read from text in one way, wherever it comes from. The command line takes
precedence over the file, and the file over the defaults.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from twisted_chat.core.errors import (
    FileNotUTF8,
    FileUnreadable,
    UnknownSetting,
    WrongSetting,
)
from twisted_chat.core.flood import Rate
from twisted_chat.core.limits import PAGE_LIMIT, TEXT_LIMIT, Limits
from twisted_chat.core.names import NICKNAME_LIMIT, ROOM_LIMIT
from twisted_chat.core.proofs import Registration
from twisted_chat.core.sources import Network
from twisted_chat.i18n.language import N_
from twisted_chat.journal.sqlite.opening import Durability
from twisted_chat.server import setting_values as values
from twisted_chat.server.logs import FORMATS
from twisted_chat.server.setting_values import line_of, read_text

DEFAULT_ENDPOINT = "tcp:50000:interface=127.0.0.1:backlog=1024"

#: Lines that can be replayed on joining, at most.
HISTORY_LINES_LIMIT = 1000

#: The largest number of bytes or connections.
COUNT_LIMIT = 1_000_000_000


#: The fields of :class:`Settings` that are limits, by their names there.
LIMITS = {
    "text": "line_length",
    "nickname": "nickname_length",
    "room": "room_length",
    "topic": "topic_length",
    "rooms": "rooms_per_person",
    "page": "page_length",
    "rate": "rate",
    "login_deadline": "login_deadline",
    "connections_per_address": "connections_per_address",
    "rooms_per_hour": "rooms_per_hour",
    "max_clients": "max_clients",
    "max_waiting": "max_waiting",
    "write_timeout": "write_timeout",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, valid. The documentation of each is its line in :data:`SETTINGS`."""

    listen: tuple[str, ...]
    greeting_delay: float
    database: str
    durability: Durability
    room: str
    language: str
    motd: tuple[str, ...]
    history_lines: int
    rate: Rate | None
    line_length: int
    nickname_length: int
    room_length: int
    topic_length: int
    rooms_per_person: int
    page_length: int
    login_deadline: float
    connections_per_address: int
    rooms_per_hour: int
    trusted_networks: tuple[Network, ...]
    reserved_names: tuple[str, ...]
    registration: Registration
    guests: bool
    auth_command: tuple[str, ...]
    insecure_secrets: bool
    max_clients: int
    max_waiting: int
    write_timeout: float
    keep: float
    max_database: int
    clock_confirmed: int
    reconnect_grace: float
    resume_window: float
    metrics: str
    audit_log: str
    audit_keep: float
    log_format: str
    log_messages: bool

    @property
    def limits(self) -> Limits:
        """Those of them that are limits."""
        return Limits(**{limit: getattr(self, field) for limit, field in LIMITS.items()})


class Setting(msgspec.Struct, frozen=True):
    """One setting. ``read`` raises :class:`ValueError` for text that is not a valid value.

    ``expected`` describes valid values in a few words.
    """

    name: str
    default: str
    help: str
    expected: str
    read: Callable[[str], Any]
    #: Whether it can be given several times, or as a list in the file: ``read`` gives a tuple.
    repeatable: bool = False

    @property
    def field(self) -> str:
        """Its name in :class:`Settings`."""
        return self.name.replace("-", "_")


LISTEN = Setting(
    "listen",
    DEFAULT_ENDPOINT,
    "Where to listen: a Twisted endpoint description. Can be repeated.",
    N_("an endpoint description, such as tcp:50000"),
    values.endpoint,
    repeatable=True,
)

#: A setting that can be repeated.
TRUSTED_NETWORKS = Setting(
    "trusted-networks",
    "",
    "Networks whose connections are limited one by one, not by address. Can be repeated.",
    N_("networks, such as 192.0.2.0/24 or 2001:db8::/48"),
    values.networks,
    repeatable=True,
)

#: A setting that can be repeated.
RESERVED_NAMES = Setting(
    "reserved-names",
    "",
    "Nicknames that nobody can take, besides admin, root and the like. Can be repeated.",
    N_("nicknames, such as boss,teacher"),
    values.nicknames,
    repeatable=True,
)

INSECURE_SECRETS = Setting(
    "insecure-secrets",
    "off",
    "Accept passwords and tokens over connections that are not encrypted.",
    "on | off",
    values.on_off,
)

LOG_MESSAGES = Setting(
    "log-messages", "off", "Write what people say into the server's log.", "on | off", values.on_off
)

#: The settings that are switches.
SWITCHES = (INSECURE_SECRETS, LOG_MESSAGES)

#: The only setting that is a number or a word.
MAX_CLIENTS = Setting(
    "max-clients",
    "auto",
    "How many clients can be connected; auto: the limit of file descriptors, less 32.",
    N_("auto, or a number that leaves 32 file descriptors"),
    values.clients,
)

SETTINGS = (
    LISTEN,
    Setting(
        "greeting-delay",
        "0.25",
        "Seconds to wait for the client to speak first.",
        N_("a number of seconds from 0 to 60"),
        values.seconds,
    ),
    Setting(
        "database",
        "chat.db",
        "The file that stores the messages; :memory: keeps them until the server stops.",
        N_("a file's path, or :memory:"),
        values.path,
    ),
    Setting(
        "durability",
        "full",
        "full: acknowledged messages survive a power cut. normal: they survive a crash.",
        "full | normal",
        values.one_of("full", "normal"),
    ),
    Setting(
        "room",
        "lobby",
        "The room that everybody is in at first.",
        N_("a room's name"),
        values.room,
    ),
    Setting(
        "language",
        "auto",
        "auto (from the environment), en or pt_BR.",
        "auto | en | pt_BR",
        values.language,
    ),
    Setting(
        "motd",
        "",
        "A text file whose lines are shown to everybody who logs in.",
        N_("a text file in UTF-8"),
        values.lines,
    ),
    Setting(
        "history-lines",
        "20",
        "How many lines are replayed on joining a room.",
        N_("a number from 0 to 1000"),
        values.number(0, HISTORY_LINES_LIMIT),
    ),
    Setting(
        "rate",
        "20:5",
        "Flood control: BURST lines at once, then PER_SECOND lines per second; or off.",
        N_("BURST:PER_SECOND, such as 20:5, or off"),
        values.rate,
    ),
    Setting(
        "line-length",
        str(TEXT_LIMIT),
        "Bytes of a line that a person types, and of a text that a program sends.",
        N_("a number from 256 to 4096"),
        values.number(256, TEXT_LIMIT),
    ),
    Setting(
        "nickname-length",
        str(NICKNAME_LIMIT),
        "How many characters a nickname can have.",
        N_("a number from 1 to 32"),
        values.number(1, NICKNAME_LIMIT),
    ),
    Setting(
        "room-length",
        str(ROOM_LIMIT),
        "How many characters the name of a room can have.",
        N_("a number from 1 to 64"),
        values.number(1, ROOM_LIMIT),
    ),
    Setting(
        "topic-length",
        "390",
        "How many characters a topic can have.",
        N_("a number from 1 to 1000"),
        values.number(1, 1000),
    ),
    Setting(
        "rooms-per-person",
        "20",
        "How many rooms a person can be in.",
        N_("a number from 1 to 1000"),
        values.number(1, 1000),
    ),
    Setting(
        "page-length",
        str(PAGE_LIMIT),
        "The most lines, names or rooms in one answer.",
        N_("a number from 1 to 100"),
        values.number(1, PAGE_LIMIT),
    ),
    Setting(
        "login-deadline",
        "60",
        "Seconds for choosing a nickname; 0 is no limit.",
        N_("a number of seconds"),
        values.period,
    ),
    Setting(
        "connections-per-address",
        "16",
        "How many connections one address can have; 0 is no limit. This machine is exempt.",
        N_("a number, or 0"),
        values.number(0, COUNT_LIMIT),
    ),
    Setting(
        "rooms-per-hour",
        "30",
        "How many rooms one address can create within an hour; 0 is no limit.",
        N_("a number from 1 to 10000, or 0"),
        values.number(0, 10_000),
    ),
    TRUSTED_NETWORKS,
    RESERVED_NAMES,
    Setting(
        "registration",
        "open",
        "Who can register a name: everybody (open), those whom you invite (invite), nobody (off).",
        "open | invite | off",
        values.one_of("open", "invite", "off"),
    ),
    Setting(
        "guests",
        "on",
        "Whether people without an account can talk.",
        "on | off",
        values.on_off,
    ),
    Setting(
        "auth-command",
        "",
        "A program that is asked whether a name's secret is right, as one line of JSON.",
        N_("a program that can be started, with its arguments"),
        values.command,
    ),
    INSECURE_SECRETS,
    MAX_CLIENTS,
    Setting(
        "max-waiting",
        "1048576",
        "Bytes waiting for a client above which it is disconnected; 0 is no limit.",
        N_("a number of bytes, or 0"),
        values.number(0, COUNT_LIMIT),
    ),
    Setting(
        "write-timeout",
        "60",
        "Seconds after which a client that reads nothing is disconnected; 0 is never.",
        N_("a number of seconds"),
        values.period,
    ),
    Setting(
        "keep",
        "365",
        "Days that messages are kept; 0 is for ever.",
        N_("a number of days, or 0"),
        values.period,
    ),
    Setting(
        "max-database",
        "0",
        "The size, such as 10G, at which nothing more is saved; 0 is no limit.",
        N_("a number of bytes from 16M, such as 500M or 10G, or 0"),
        values.size,
    ),
    Setting(
        "clock-confirmed",
        "",
        "A date that confirms a clock set far ahead, so that old entries are removed again.",
        N_("a date, such as 2027-01-31"),
        values.date,
    ),
    Setting(
        "reconnect-grace",
        "10",
        "Seconds for a program to reconnect before others are told that it left.",
        N_("a number of seconds"),
        values.period,
    ),
    Setting(
        "resume-window",
        "300",
        "Seconds for a person who lost the connection to come back with /resume.",
        N_("a number of seconds"),
        values.period,
    ),
    Setting(
        "metrics",
        "",
        "Where to serve metrics for Prometheus: a Twisted endpoint description.",
        N_("an endpoint description, such as tcp:9150:interface=127.0.0.1"),
        str,
    ),
    Setting(
        "audit-log",
        "",
        "A file that records which nickname came from which address; its owner can read it.",
        N_("a file's path"),
        values.path_or_none,
    ),
    Setting(
        "audit-keep",
        "30",
        "Days that the audit log is kept; 0 is for ever.",
        N_("a number of days, or 0"),
        values.period,
    ),
    Setting(
        "log-format",
        "text",
        "The format of the server's log: text, or json with one object per line.",
        "text | json",
        values.one_of(*FORMATS),
    ),
    LOG_MESSAGES,
)


def load(given: Mapping[str, str | list[str]], config: str | None) -> Settings:
    """The settings from the command line, the TOML file ``config``, and the defaults.

    :raises CannotStart: one of them is wrong; the error names it.
    """
    texts: dict[str, str | list[str]] = {setting.name: setting.default for setting in SETTINGS}
    if config is not None:
        texts.update(_read_file(config))
    texts.update(given)
    return Settings(**{setting.field: _value(setting, texts[setting.name]) for setting in SETTINGS})


def load_database(given: str | None, config: str | None) -> str:
    """The path of the database: ``given``, or that of the TOML file ``config``, or the default.

    The other settings of the file are not checked: they may be valid for the server only.

    :raises CannotStart: the file cannot be read, or the path is not valid.
    """
    (setting,) = (setting for setting in SETTINGS if setting.name == "database")
    text: str | list[str] | None = given
    if text is None and config is not None:
        text = _read_file(config).get(setting.name)
    database: str = _value(setting, setting.default if text is None else text)
    return database


def _read_file(path: str) -> dict[str, str | list[str]]:
    try:
        table = tomllib.loads(read_text(Path(path)))
    except OSError as error:
        raise FileUnreadable(setting="--config", path=path, reason=error.strerror) from error
    except UnicodeDecodeError as error:
        raise FileNotUTF8(setting="--config", path=path, line=line_of(error)) from error
    except ValueError as error:  # not TOML
        raise FileUnreadable(setting="--config", path=path, reason=error) from error
    texts: dict[str, str | list[str]] = {}
    names = {setting.name: setting for setting in SETTINGS}
    for name, value in table.items():
        if name not in names:
            raise UnknownSetting(path=path, setting=name)
        texts[name] = _text(names[name], value)
    return texts


def _text(setting: Setting, value: object) -> str | list[str]:
    """A value of the file, as text of the command line."""
    if setting.repeatable and isinstance(value, list):
        return [item if isinstance(item, str) else _wrong(setting, item) for item in value]
    if setting in SWITCHES:
        return "on" if value is True else "off" if value is False else _wrong(setting, value)
    numeric = setting is MAX_CLIENTS or setting.default.replace(".", "").isdigit()
    if isinstance(value, str) or (
        numeric and isinstance(value, (int, float)) and not isinstance(value, bool)
    ):
        return str(value)
    return _wrong(setting, value)


def _wrong(setting: Setting, value: object) -> NoReturn:
    raise WrongSetting(setting=f"--{setting.name}", value=value, expected=setting.expected)


def _value(setting: Setting, text: str | list[str]) -> Any:
    try:
        if isinstance(text, list):
            # An empty list of endpoints is invalid; an empty list of networks is valid.
            several = [_value(setting, item) for item in text or [""]]
            return tuple(item for items in several for item in items)
        return setting.read(text)
    except UnicodeDecodeError as error:
        line = line_of(error)
        raise FileNotUTF8(setting=f"--{setting.name}", path=text, line=line) from error
    except (ValueError, KeyError) as error:
        wrong = WrongSetting(setting=f"--{setting.name}", value=text, expected=setting.expected)
        raise wrong from error
    except OSError as error:
        raise FileUnreadable(
            setting=f"--{setting.name}", path=text, reason=error.strerror
        ) from error

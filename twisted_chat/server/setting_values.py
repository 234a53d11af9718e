"""Values of settings, read from text. Each function raises :class:`ValueError` for a wrong text.

This module must not know which settings there are.
"""

from __future__ import annotations

import math
import shlex
import shutil
from collections.abc import Callable
from datetime import date as Date
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

from twisted_chat.core.errors import NameReserved, Refusal
from twisted_chat.core.flood import Rate
from twisted_chat.core.names import nickname, room_name
from twisted_chat.core.sources import Network
from twisted_chat.i18n import language as languages
from twisted_chat.net.sockets import SPARE_DESCRIPTORS, descriptor_limit

#: The longest period, in its own unit (seconds or days).
PERIOD_LIMIT = 1_000_000

#: The lowest rate, in lines per second: about one line in 17 minutes.
MIN_RATE = 0.001

#: The units of a number of bytes.
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

#: The smallest limit of the database, in bytes: its write-ahead log alone grows to 16 MB.
LEAST_SIZE = 16 * UNITS["M"]


def read_text(path: Path) -> str:
    """A text file that people edit: UTF-8, with a byte order mark or without.

    :raises OSError: it cannot be read.
    :raises UnicodeDecodeError: it is not UTF-8; see :func:`line_of`.
    """
    return path.read_bytes().decode("utf-8-sig")


def line_of(error: UnicodeDecodeError) -> int:
    """The number of the line that is not UTF-8."""
    return error.object.count(b"\n", 0, error.start) + 1


def seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 60:
        raise ValueError(text)
    return seconds


def period(text: str) -> float:
    period = float(text)
    if not 0 <= period <= PERIOD_LIMIT:
        raise ValueError(text)
    return period


def number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise ValueError(text)
        return number

    return read


def size(text: str) -> int:
    unit = UNITS.get(text[-1:].upper(), 1)
    size = float(text[:-1] if unit > 1 else text) * unit
    if size and not LEAST_SIZE <= size < math.inf:
        raise ValueError(text)
    return int(size)


def date(text: str) -> int:
    if not text:
        return 0
    day = datetime.fromisoformat(f"{Date.fromisoformat(text)}T23:59:59+00:00")
    return int(day.timestamp()) * 1_000_000


def clients(text: str) -> int:
    most = max(1, descriptor_limit() - SPARE_DESCRIPTORS)
    return most if text == "auto" else number(1, most)(text)


def one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return read


def room(text: str) -> str:
    try:
        return room_name(text)
    except Refusal as refusal:
        raise ValueError(text) from refusal


def language(text: str) -> str:
    return languages.from_environment() if text == "auto" else one_of(*languages.LANGUAGES)(text)


def lines(path: str) -> tuple[str, ...]:
    return tuple(read_text(Path(path)).splitlines()) if path else ()


def rate(text: str) -> Rate | None:
    if text == "off":
        return None
    burst, per_second = (float(part) for part in text.split(":"))
    if not (1 <= burst < math.inf and MIN_RATE <= per_second < math.inf):
        raise ValueError(text)
    return Rate(burst, per_second)


def networks(text: str) -> tuple[Network, ...]:
    """One network, several with commas between them, or none."""
    names = [name.strip() for name in text.split(",")] if text.strip() else []
    return tuple(ip_network(name) for name in names)


def nicknames(text: str) -> tuple[str, ...]:
    """One nickname, several with commas between them, or none."""
    names = tuple(name.strip() for name in text.split(",")) if text.strip() else ()
    for name in names:
        try:
            nickname(name)
        except NameReserved:
            pass
        except Refusal as refusal:
            raise ValueError(text) from refusal
    return names


def endpoint(text: str) -> tuple[str, ...]:
    return (path(text),)


def path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError(text)
    return text


def path_or_none(text: str) -> str:
    return text and path(text)


def on_off(text: str) -> bool:
    return {"on": True, "true": True, "off": False, "false": False}[text.lower()]


def command(text: str) -> tuple[str, ...]:
    """A program that can be started, with its arguments; or nothing."""
    words = shlex.split(text)
    if not words:
        return ()
    program = shutil.which(words[0])
    if program is None or "\0" in text:
        raise ValueError(text)
    return str(Path(program).absolute()), *words[1:]

"""Bytes to try the server with, and a house in memory in which nothing of them may do harm.

The generators are fast rather than clever: a million lines a minute or two. ``test_fuzz.py`` and
``fuzz_atheris.py`` use them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from twisted.logger import ILogObserver, globalLogPublisher
from zope.interface import implementer

from tests.support.protocol import Client, House
from twisted_chat.core.characters import find_unsafe

COMMANDS = (
    *("join", "leave", "rooms", "who", "topic", "msg", "reply", "nick", "me", "ignore", "unignore"),
    *("history", "search", "lang", "timestamps", "receipts", "help", "resume", "limits", "sair"),
    *("quit", "entrar", "buscar", "ajuda", "x", "", "/", "joín", "JOIN"),
)

#: Pieces of lines that have been a problem to somebody.
PIECES = (
    *(b"", b" ", b"  ", b"\t", b"a", b"oi", b"Ana", b"lobby", b"#cinema", b"x" * 33, b"x" * 65),
    *(b"y" * 400, b"0", b"-1", b"1", b"100", b"9" * 30, b"1e9", b"before", b"after", b"on", b"off"),
    *("ação".encode(), "文字".encode(), "🙂".encode(), "e\u0301".encode(), "\u200b".encode()),
    *("\u202e".encode(), "\u2066".encode(), "\u2028".encode(), "\x85".encode(), "\xad".encode()),
    *(b"\x00", b"\x01", b"\x04", b"\x07", b"\x08", b"\x0b", b"\x1b[2J", b"\x1b]52;c;eA==\x07"),
    *(b"\x7f", b"\xc2\x9b", b"\r", b"\r\r", b"\xff", b"\xfe", b"\xc0\xaf", b"\xed\xa0\x80"),
    *(b"\xf4\x90\x80\x80", b"\xe2\x82", b"{", b"}", b"%s", b"{0}", b"'", b'"', b"\\", b"../../x"),
    *(b"; DROP TABLE entry", b"NEAR(", b"*", b"[SERVER]: ", b"sair", b"//", b"/"),
)

#: Telnet: whole commands and halves of them.
TELNET = (
    *(
        b"\xff",
        b"\xff\xff",
        b"\xff\xf4",
        b"\xff\xf6",
        b"\xff\xf1",
        b"\xff\xfd\x06",
        b"\xff\xfb\x01",
    ),
    *(b"\xff\xfe\x03", b"\xff\xfc\x18", b"\xff\xfd", b"\xff\xfa", b"\xff\xfa\x18\x00ab\xff\xf0"),
    *(b"\xff\xfa" + b"x" * 300, b"\xff\xf0", b"\xff\xfa\x1f\xff\xff\xff\xf0", b"\xff\x00", b"\x04"),
)

TYPES = (
    *("hello", "history", "ignore", "join", "language", "leave", "nick", "ping", "rooms", "say"),
    *("search", "tell", "topic", "unignore", "who", "quit", "limits", "said", "x", "", None, 1),
)
FIELDS = (
    *("id", "text", "room", "name", "nickname", "client", "kind", "words", "limit", "before"),
    *("after", "resume", "language", "x"),
)
VALUES: tuple[Any, ...] = (
    *(
        "oi",
        "Ana",
        "lobby",
        "#cinema",
        "",
        " ",
        "a\x1b[2Jb",
        "a\u202eb",
        "a\x00b",
        "a\nb",
        "\ud800",
    ),
    *("x" * 70, "y" * 5000, "ab" * 16, "act", "topic", "say", "en", "pt_BR", "🙂", "\u2028", "a b"),
    *(0, 1, -1, 100, 10**30, 2**63, -(2**63), 1.5, 1e308, True, False, None, [], [1], {}),
    *(
        {"lobby": 1},
        {"lobby": -1},
        {"lobby": 2**70},
        {"a b": 1},
        {"lobby": "1"},
        {"x": {}},
        [[]] * 3,
    ),
)


class Generator:
    """Makes lines of one kind, the same ones for the same ``seed``."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def text(self) -> bytes:
        """A line for people: a command, something said, or noise."""
        chance = self.chance
        kind = chance.random()
        if kind < 0.45:
            command = chance.choice(COMMANDS).encode()
            arguments = chance.choices(PIECES, k=chance.randrange(4))
            line = b"/" + command + b" " + b" ".join(arguments)
        elif kind < 0.8:
            line = b"".join(chance.choices(PIECES, k=chance.randrange(1, 5)))
        elif kind < 0.98:
            line = chance.randbytes(chance.randrange(60))
        else:
            line = chance.choice(PIECES) * chance.randrange(1, 6000)
        return self.altered(line) + chance.choice((b"\n", b"\n", b"\r\n", b"\r\0"))

    def telnet(self) -> bytes:
        """A line for people, or now and then for programs, among the commands of a telnet."""
        line = self.json() if self.chance.random() < 0.1 else self.text()
        for _ in range(self.chance.randrange(1, 4)):
            at = self.chance.randrange(len(line) + 1)
            line = line[:at] + self.chance.choice(TELNET) + line[at:]
        return line

    def json(self) -> bytes:
        """A line for programs."""
        chance = self.chance
        kind = chance.random()
        if kind < 0.85:
            fields = {
                chance.choice(FIELDS): chance.choice(VALUES) for _ in range(chance.randrange(5))
            }
            fields["type"] = chance.choice(TYPES)
            if kind < 0.5:  # more often what is nearly right
                fields.update(type="say", text=chance.choice(VALUES), id=chance.choice(VALUES))
            line = json.dumps(fields, ensure_ascii=kind < 0.4).encode("utf-8", "surrogatepass")
        elif kind < 0.95:
            line = b"{" + b"".join(chance.choices(PIECES, k=chance.randrange(5)))
        else:
            line = b"[" * chance.randrange(2000) + chance.randbytes(chance.randrange(60))
        return self.altered(line) + b"\n"

    def altered(self, line: bytes) -> bytes:
        """Now and then not quite what it was."""
        chance = self.chance
        if not line or chance.random() < 0.7:
            return line
        at = chance.randrange(len(line))
        how = chance.randrange(4)
        if how == 0:
            return line[:at] + bytes((line[at] ^ 1 << chance.randrange(8),)) + line[at + 1 :]
        if how == 1:
            return line[:at] + line[at + chance.randrange(1, 9) :]
        if how == 2:
            return line[:at] + chance.choice(PIECES) + line[at:]
        return line[:at] + line[at:] * 2


@implementer(ILogObserver)
class Defects:
    """Notes what was logged as a defect, while it is open."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, event: Any) -> None:
        if "log_failure" in event or event["log_level"].name in ("error", "critical"):
            failure = event.get("log_failure")
            self.found.append(str(event.get("log_format")) if failure is None else str(failure))

    def __enter__(self) -> Defects:
        globalLogPublisher.addObserver(self)
        return self

    def __exit__(self, *exception: object) -> None:
        globalLogPublisher.removeObserver(self)


def find_danger(data: bytes) -> str | None:
    """What of ``data``, which was shown to somebody, could do harm; None if nothing.

    It is JSON, whose texts are looked at as well, if it begins as such.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return str(error)
    found = find_unsafe(text.replace("\r\n", "\n").replace("\n", ""))
    if text.startswith("{"):
        for line in text.splitlines():
            try:
                found = found or find_unsafe_text(json.loads(line))
            except ValueError:
                return f"not JSON: {line!r}"
    return None if found is None else f"{found!r} in {text!r}"


def find_unsafe_text(value: Any) -> str | None:
    """The first unsafe character in decoded JSON; the text of a message can have several lines."""
    if isinstance(value, str):
        return find_unsafe(value)
    if isinstance(value, dict):
        text = value.get("text")
        if isinstance(text, str):
            value = {**value, "text": text.replace("\n", "")}
        return find_unsafe_text([*value.keys(), *value.values()])
    if isinstance(value, list):
        return next(filter(None, map(find_unsafe_text, value)), None)
    return None


class Target:
    """A house with somebody who throws lines into it, and with those who are shown them."""

    #: Lines after which everything begins anew, so that the log stays small.
    FRESH = 5000

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.lines = 0
        self.connections = 0
        self.relayed = 0
        self.dangers: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self._house = House()
        self._watchers = self._house.enter("Watcher"), self._house.connect()
        self._watchers[1].send(b'{"type":"hello","nickname":"Robot"}\n')
        self._come()

    def _come(self) -> None:
        self.connections += 1
        self._sender: Client = self._house.connect()
        # Now and then, what is thrown is the first that is said.
        if self.connections % 8:
            hello = (
                b'{"type":"hello","nickname":"Thrower"}\n' if self.kind == "json" else b"Thrower\n"
            )
            self._sender.send(hello)

    def throw(self, data: bytes, lines: int = 1) -> None:
        """Send ``data``, and look at what everybody is shown."""
        sender = self._sender
        sender.send(data)
        self.lines += lines
        self._look(without_telnet(sender.read()))
        for watcher in self._watchers:
            self.relayed += self._look(watcher.read())
        transport = sender.transport
        if transport.disconnecting or transport.disconnected or self.lines % 500 < lines:
            sender.lose()
            self._house.clock.advance(60)  # the grace periods are over
            if self.lines // self.FRESH != (self.lines - 500) // self.FRESH:
                self._begin()
            else:
                self._come()

    def _look(self, data: bytes) -> int:
        danger = find_danger(data)
        if danger is not None:
            self.dangers.append(danger)
        return len(data)


def without_telnet(data: bytes) -> bytes:
    """What a telnet client shows of ``data``: the answers to its own commands are not text."""
    while (at := data.find(b"\xff")) >= 0:
        data = data[:at] + data[at + 3 :]
    return data


def fuzz(kind: str, count: int, seed: int) -> Target:
    """Throw ``count`` lines of a ``kind`` (text, telnet or json)."""
    generator = Generator(seed)
    make: Callable[[], bytes] = getattr(generator, kind)
    chance = generator.chance
    target = Target(kind)
    while target.lines < count:
        lines = chance.choice((1, 1, 2, 10, 50))
        data = b"".join([make() for _ in range(lines)])
        if chance.random() < 0.1:  # in pieces, wherever they are cut
            at = chance.randrange(len(data) + 1)
            target.throw(data[:at], lines)
            target.throw(data[at:], 0)
        else:
            target.throw(data, lines)
    return target

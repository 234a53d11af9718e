"""The dialects in which clients speak to each kind of server: lines to send, patterns of answers.

Pure: bytes only, no sockets. A client has a number, a nickname made of the number, and one room.
Each of its messages contains the number and a counter, so that a reader finds missing messages:
``00012 000000345 abcdef…``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

#: The room of clients that have joined no other room.
LOBBY = b"lobby"

#: Bytes of the sender's number, the counter and the spaces after them.
HEAD = 16

#: Fills a text up to its size; with different letters, so that an altered text is noticed.
_FILLING = b"abcdefghijklmnopqrstuvwxyz"

#: A line's key is the sender's number, times COUNTERS, plus the counter.
COUNTERS = 10**9

#: Lines of a block: the counter without its last three digits is the same in all.
BLOCK = 1000


def nickname(number: int) -> bytes:
    return b"u%05d" % number


def padding(size: int) -> bytes:
    """The bytes that follow the sender's number and the counter in a text of ``size`` bytes."""
    length = size - HEAD
    return (_FILLING * (length // len(_FILLING) + 1))[:length]


class Step(NamedTuple):
    """Bytes that a client sends to enter the chat, and the answer when the server is done."""

    sent: bytes
    answer: re.Pattern[bytes]


class Speech(Protocol):
    """One dialect of a server."""

    @property
    def name(self) -> str:
        """The name of the *rendering*: clients that share it receive the same bytes."""

    @property
    def hears_itself(self) -> bool:
        """Whether a sender receives its own lines."""

    @property
    def noise(self) -> re.Pattern[bytes] | None:
        """Matches a line of noise: one that may stand between messages but is no message."""

    @property
    def sign(self) -> bytes:
        """Bytes that are in each line of noise, and in no message."""

    @property
    def newlines(self) -> int:
        """The number of line breaks in a delivered message."""

    @property
    def numbers(self) -> re.Pattern[bytes] | None:
        """Finds the sequence numbers in the room's log; None if messages have none."""

    @property
    def skipped(self) -> re.Pattern[bytes] | None:
        """Matches the notice of skipped lines; its groups are the first and the last number."""

    def coming_in(self, number: int, room: bytes) -> Sequence[Step]: ...

    def said(self, room: bytes, text: bytes) -> bytes:
        """The line that sends ``text`` to ``room``."""

    def heard(self, room: bytes, size: int) -> re.Pattern[bytes]:
        """Matches a delivered message with a text of ``size`` bytes.

        Its groups are the whole message; the sender's number outside the text, or empty; and the
        number and the counter in the text.
        """

    def reply(self, noise: bytes) -> bytes:
        """The answer to a line of noise; often empty."""


def _heard(before: bytes, size: int, after: bytes) -> re.Pattern[bytes]:
    """Matches a delivered line; ``before`` contains group 2, which is the sender's number."""
    text = rb"(\2 \d{9}) " + padding(size)
    return re.compile(rb"(" + before + text + after + rb")")


class _Quiet:
    """The defaults of a dialect."""

    hears_itself = False
    newlines = 1
    noise: re.Pattern[bytes] | None = None
    sign = b"PING"
    skipped: re.Pattern[bytes] | None = None
    numbers: re.Pattern[bytes] | None = None

    def reply(self, noise: bytes) -> bytes:
        return b""


@dataclass(frozen=True)
class Text(_Quiet):
    """The text dialect of our server, in one language; messages are the same in all languages."""

    language: str
    name = "text"

    skipped = re.compile(rb"\[SERV(?:ER|IDOR)\]: [^\n]*? (\d+) \w+ (\d+) [^\n]*\n")

    def coming_in(self, number: int, room: bytes) -> Sequence[Step]:
        sent = nickname(number) + b"\n"
        answer = rb"#lobby[^\n]*\n"
        if self.language != "en":
            sent += b"/lang %s\n" % self.language.encode()
            answer = b"portugu[^\n]*\n"
        if room != LOBBY:
            # Sent together, so that few clients are in the lobby at the same time.
            sent += b"/join %s\n/leave lobby\n" % room
            answer = rb"#lobby[^\n]*#%s[^\n]*\n" % room
        return (Step(sent, re.compile(answer)),)

    def said(self, room: bytes, text: bytes) -> bytes:
        return text + b"\n"

    def heard(self, room: bytes, size: int) -> re.Pattern[bytes]:
        return _heard(rb"\[u(\d{5})\]: ", size, rb"\n")


@dataclass(frozen=True)
class JsonLines(_Quiet):
    """The dialect of our server for programs, JSON Lines."""

    name = "json"
    hears_itself = True
    sign = b'"ack"'
    numbers = re.compile(rb'"seq":(\d+)')
    noise = re.compile(rb'\{"type":"ack"[^\n]*\n')

    def coming_in(self, number: int, room: bytes) -> Sequence[Step]:
        sent = b'{"type":"hello","nickname":"%s"}\n' % nickname(number)
        if room == LOBBY:
            return (Step(sent, re.compile(rb'"type":"entered"[^\n]*\n')),)
        sent += b'{"type":"join","room":"%s"}\n{"type":"leave","room":"lobby"}\n' % room
        return (Step(sent, re.compile(rb'"type":"exited"[^\n]*\n')),)

    def said(self, room: bytes, text: bytes) -> bytes:
        return b'{"type":"say","room":"%s","text":"%s"}\n' % (room, text)

    def heard(self, room: bytes, size: int) -> re.Pattern[bytes]:
        # It spells out every byte: with wildcards, matching would take three times as long.
        said = rb'\{"type":"said","room":"%s","seq":\d+,"time":\d+,' % room
        return _heard(said + rb'"nickname":"u(\d{5})","text":"', size, rb'"\}\n')


@dataclass(frozen=True)
class Plain(_Quiet):
    """The dialect of the baselines."""

    name = "plain"

    def coming_in(self, number: int, room: bytes) -> Sequence[Step]:
        come = Step(nickname(number) + b"\n", re.compile(rb"\* in lobby\n"))
        if room == LOBBY:
            return (come,)
        return come, Step(b"/join %s\n" % room, re.compile(rb"\* in %s\n" % room))

    def said(self, room: bytes, text: bytes) -> bytes:
        return text + b"\n"

    def heard(self, room: bytes, size: int) -> re.Pattern[bytes]:
        return _heard(rb"\[u(\d{5})\]: ", size, rb"\n")


@dataclass(frozen=True)
class Irc(_Quiet):
    """IRC (RFC 2812), as far as the clients need it."""

    name = "irc"
    noise = re.compile(rb"(?::\S+ )?PING [^\n]*\n")

    def coming_in(self, number: int, room: bytes) -> Sequence[Step]:
        name = nickname(number)
        return (
            Step(b"NICK %s\r\nUSER %s 0 * :%s\r\n" % (name, name, name), re.compile(rb" 001 ")),
            Step(b"JOIN #%s\r\n" % room, re.compile(rb" 366 [^\n]*\n")),
        )

    def said(self, room: bytes, text: bytes) -> bytes:
        return b"PRIVMSG #%s :%s\r\n" % (room, text)

    def heard(self, room: bytes, size: int) -> re.Pattern[bytes]:
        return _heard(rb":u(\d{5})![^ \n]+ PRIVMSG #%s :" % room, size, rb"\r\n")

    def reply(self, noise: bytes) -> bytes:
        return b"PONG " + noise.partition(b"PING ")[2]


@dataclass(frozen=True)
class Nats(_Quiet):
    """The client protocol of NATS; a room is a subject."""

    name = "nats"
    newlines = 2
    noise = re.compile(rb"PING\r\n")

    def coming_in(self, number: int, room: bytes) -> Sequence[Step]:
        hello = b'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\n'
        return (Step(hello + b"SUB %s 1\r\nPING\r\n" % room, re.compile(rb"PONG\r\n")),)

    def said(self, room: bytes, text: bytes) -> bytes:
        return b"PUB %s %d\r\n%s\r\n" % (room, len(text), text)

    def heard(self, room: bytes, size: int) -> re.Pattern[bytes]:
        return re.compile(rb"(MSG %s 1 %d\r\n()(\d{5} \d{9}) %s\r\n)" % (room, size, padding(size)))

    def reply(self, noise: bytes) -> bytes:
        return b"PONG\r\n"


class Lines:
    """The lines that one client sends, numbered from 0, all of the same length."""

    _BLOCK_NUMBER = b"@@@@@@"

    def __init__(self, speech: Speech, number: int, room: bytes, size: int) -> None:
        filling = padding(size)
        lines = [
            speech.said(room, b"%05d %s%03d %s" % (number, self._BLOCK_NUMBER, line, filling))
            for line in range(BLOCK)
        ]
        self.length = len(lines[0])
        self._template = b"".join(lines)
        self._block = (-1, memoryview(b""))

    def take(self, first: int, count: int) -> memoryview:
        """Up to ``count`` lines from number ``first``, but not beyond the end of its block."""
        block, line = divmod(first, BLOCK)
        if self._block[0] != block:
            text = self._template.replace(self._BLOCK_NUMBER, b"%06d" % block)
            self._block = block, memoryview(text)
        end = min(line + count, BLOCK)
        return self._block[1][line * self.length : end * self.length]

"""How clients speak to each kind of server: what they send, and what the answers look like.

Pure: bytes only, no sockets. A client has a number, a nickname made of it, and one room. What it
says carries its number and a counter, so that whoever hears it can tell what is missing:
``00012 000000345 abcdef…``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

#: Where everybody is who asked for no other room.
LOBBY = b"lobby"

#: Bytes of the sender's number, the counter and the spaces after them.
HEAD = 16

#: What fills a text up to its size: letters, so that an altered one is noticed.
_FILLING = b"abcdefghijklmnopqrstuvwxyz"

#: A line's number in all: the sender's, times this, plus the counter.
COUNTERS = 10**9

#: Lines for which the first part of the counter is the same: a block.
BLOCK = 1000


def nickname(number: int) -> bytes:
    return b"u%05d" % number


def padding(size: int) -> bytes:
    """What follows sender and counter in a text of ``size`` bytes."""
    length = size - HEAD
    return (_FILLING * (length // len(_FILLING) + 1))[:length]


class Step(NamedTuple):
    """What a client sends on coming in, and what it is answered when that is done."""

    sent: bytes
    answer: re.Pattern[bytes]


class Speech(Protocol):
    """One way to speak to a server."""

    @property
    def name(self) -> str:
        """Names the *rendering*: all who share it are shown what is said in the same bytes."""

    @property
    def hears_itself(self) -> bool:
        """Whether a sender is shown its own lines."""

    @property
    def noise(self) -> re.Pattern[bytes] | None:
        """Lines that may stand between the messages and are none."""

    @property
    def sign(self) -> bytes:
        """What is in each line of noise, and in no message."""

    @property
    def newlines(self) -> int:
        """How many line breaks a delivered message has."""

    @property
    def numbers(self) -> re.Pattern[bytes] | None:
        """The number in the room's log, of each line that has it: 1, 2, 3 and so on."""

    @property
    def skipped(self) -> re.Pattern[bytes] | None:
        """How one is told that lines of the room's log are left out: the first, the last."""

    def coming_in(self, number: int, room: bytes) -> Sequence[Step]: ...

    def said(self, room: bytes, text: bytes) -> bytes:
        """The line with which ``text`` is said."""

    def heard(self, room: bytes, size: int) -> re.Pattern[bytes]:
        """A line with which a text is delivered. Its groups are all of it, the sender's number
        where else it may stand, and the number and counter in the text.
        """

    def reply(self, noise: bytes) -> bytes:
        """What has to be answered to a line of noise: often nothing."""


def _heard(before: bytes, size: int, after: bytes) -> re.Pattern[bytes]:
    """A delivered line; ``before`` ends with the group 2, which is the sender's number."""
    text = rb"(\2 \d{9}) " + padding(size)
    return re.compile(rb"(" + before + text + after + rb")")


class _Quiet:
    """What many kinds of speech have in common."""

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
    """The text dialect of our server, in one of its languages: what is said is the same in all."""

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
            # All at once, so that few are in the lobby at the same time.
            sent += b"/join %s\n/leave lobby\n" % room
            answer = rb"#lobby[^\n]*#%s[^\n]*\n" % room
        return (Step(sent, re.compile(answer)),)

    def said(self, room: bytes, text: bytes) -> bytes:
        return text + b"\n"

    def heard(self, room: bytes, size: int) -> re.Pattern[bytes]:
        return _heard(rb"\[u(\d{5})\]: ", size, rb"\n")


@dataclass(frozen=True)
class JsonLines(_Quiet):
    """The dialect of our server for programs."""

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
        # Every byte of it: what could be anything would take three times as long to look through.
        said = rb'\{"type":"said","room":"%s","seq":\d+,"time":\d+,' % room
        return _heard(said + rb'"nickname":"u(\d{5})","text":"', size, rb'"\}\n')


@dataclass(frozen=True)
class Plain(_Quiet):
    """What the baselines speak."""

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
    """RFC 2812, as far as it is needed."""

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
    """The client protocol of NATS; a room is a subject, and a message its sender's number too."""

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
    """The lines that one client says, numbered from 0, of one length each."""

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
        """Lines from number ``first``: ``count`` of them, or up to the end of their block."""
        block, line = divmod(first, BLOCK)
        if self._block[0] != block:
            text = self._template.replace(self._BLOCK_NUMBER, b"%06d" % block)
            self._block = block, memoryview(text)
        end = min(line + count, BLOCK)
        return self._block[1][line * self.length : end * self.length]

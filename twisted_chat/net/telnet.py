"""Takes telnet commands out of the received bytes, and answers those that need an answer.

Pure: bytes in, bytes and signals out. The rules are from RFC 854 (commands), RFC 1143 (never
answer an option that needs no answer) and RFC 860 (TIMING-MARK). The filter never agrees to an
option of the client; it offers one itself, ECHO, while a secret is typed (:mod:`.echo`). Its time
is linear in the bytes, and low for repeated commands.
"""

from __future__ import annotations

import enum
import re

from twisted_chat.net.echo import ECHO, Echo, Move, move

IAC = 0xFF
_DONT, _DO, _WONT, _WILL, _SB = 0xFE, 0xFD, 0xFC, 0xFB, 0xFA
_EL, _EC, _AYT, _IP = 0xF8, 0xF7, 0xF6, 0xF4
TIMING_MARK = 0x06

#: Bytes of a subnegotiation, at most; the usual ones are shorter.
SUBNEGOTIATION_LIMIT = 512

#: The number of commands that together cost as much as one line.
COMMANDS_A_LINE = 64


class Signal(enum.Enum):
    """A key or a menu entry of the person's telnet."""

    ARE_YOU_THERE = enum.auto()
    INTERRUPT = enum.auto()
    ERASE_CHARACTER = enum.auto()
    ERASE_LINE = enum.auto()


_SIGNALS = {
    _AYT: Signal.ARE_YOU_THERE,
    _IP: Signal.INTERRUPT,
    _EC: Signal.ERASE_CHARACTER,
    _EL: Signal.ERASE_LINE,
}

#: Commands of two bytes without an effect here, such as NOP and the data mark (DM).
_NO_EFFECT = re.compile(rb"(?:\xff[^\xf4\xf6-\xf8\xfa-\xff])+")
#: WONT and DONT, which need no answer, except those that answer an offer of the filter.
_UNANSWERED = re.compile(rb"(?:\xff[\xfc\xfe].)+", re.DOTALL)
#: WILL and DO, which ask for an answer.
_OFFERS = re.compile(rb"(?:\xff[\xfb\xfd].)+", re.DOTALL)
#: A doubled IAC within a subnegotiation is the byte 0xFF, and does not end it.
_SUBNEGOTIATION = re.compile(rb"\xff\xfa(?:[^\xff]|\xff[^\xf0])*\xff\xf0")


class SubnegotiationTooLong(Exception):
    """A subnegotiation has more than :data:`SUBNEGOTIATION_LIMIT` bytes."""


class TelnetFilter:
    """Takes the telnet commands out of one connection's bytes.

    The byte 0xFF never occurs in UTF-8. So while :attr:`inside` is false, bytes without 0xFF need
    no filter.
    """

    __slots__ = ("_command", "_refused", "_taken", "echo", "is_telnet")

    def __init__(self) -> None:
        #: The state of the option ECHO.
        self.echo = Echo.SHOWN
        #: Whether the client has sent a telnet command, so that it is a telnet client.
        self.is_telnet = False
        self._command = b""  # the beginning of an incomplete command
        self._refused: set[tuple[int, int]] | None = None  # most clients offer nothing
        self._taken = 0

    @property
    def inside(self) -> bool:
        """Whether the last bytes ended within a command."""
        return bool(self._command)

    def feed(self, data: bytes) -> tuple[list[bytes | Signal], bytes]:
        """Filter ``data``, the next bytes of the connection.

        :returns: the text and the signals in their order, and the bytes to answer.
        :raises SubnegotiationTooLong: the connection should be closed.
        """
        found: list[bytes | Signal] = []
        text, answer = bytearray(), bytearray()
        data = self._command + data
        self._command = b""
        at, end = 0, len(data)
        while at < end:
            start = data.find(IAC, at)
            if start < 0:
                text += data[at:]
                break
            text += data[at:start]
            at = self._run(data, start, answer)
            if at > start:
                continue
            length = self._length(data, at)
            if not length:
                self._command = data[at:]
                break
            command = data[at + 1]
            at += length
            self._taken += 1
            if command == IAC:
                text.append(IAC)
                continue
            self.is_telnet = True
            if command in _SIGNALS:
                if text:
                    found.append(bytes(text))
                    text.clear()
                found.append(_SIGNALS[command])
        if text:
            found.append(bytes(text))
        return found, bytes(answer)

    def hide_typing(self, hide: bool) -> bytes:
        """Want the client to hide what is typed, or to show it; returns the bytes to send.

        :attr:`echo` tells whether it does, once it has answered.
        """
        self.echo, offer = move(self.echo, Move.HIDE if hide else Move.SHOW)
        return offer

    def take_cost(self) -> int:
        """The cost of the commands since the last call, in lines, for flood control."""
        lines, self._taken = divmod(self._taken, COMMANDS_A_LINE)
        return lines

    def _run(self, data: bytes, at: int, answer: bytearray) -> int:
        """Take a run of commands of one kind from ``data``; returns the index of its end.

        :param at: the index of the first command.
        :param answer: gets the answers.
        """
        run = _NO_EFFECT.match(data, at)
        if run is not None:
            self._taken += (run.end() - at) // 2
            self.is_telnet = True
            return run.end()
        run = _UNANSWERED.match(data, at) or _OFFERS.match(data, at)
        if run is None:
            return at
        self._taken += (run.end() - at) // 3
        self.is_telnet = True
        if self.echo is not Echo.SHOWN:
            self._take_answers(run[0], answer)
        if data[at + 1] in (_DO, _WILL):
            self._refuse(run[0], answer)
        return run.end()

    def _take_answers(self, run: bytes, answer: bytearray) -> None:
        """Take the client's answers to the offer to echo among the commands of ``run``."""
        for verb, option in zip(run[1::3], run[2::3], strict=True):
            if option == ECHO and verb in (_DO, _DONT):
                self.echo, offer = move(self.echo, Move.DO if verb == _DO else Move.DONT)
                answer += offer

    def _refuse(self, offers: bytes, answer: bytearray) -> None:
        # A client waits for each timing mark; any other option is refused once, to avoid loops.
        if self._refused is None:
            self._refused = set()
        refused = self._refused
        for offer in zip(offers[1::3], offers[2::3], strict=True):
            verb, option = offer
            if offer == (_DO, ECHO) and self.echo is not Echo.SHOWN:
                continue  # it answers an offer, and needs no answer
            if option == TIMING_MARK or offer not in refused:
                refused.add(offer)
                answer += bytes((IAC, _WONT if verb == _DO else _DONT, option))

    def _length(self, data: bytes, at: int) -> int:
        """The length of the command at index ``at``, in bytes; 0 if it is incomplete."""
        left = len(data) - at
        if left < 2:
            return 0
        if data[at + 1] != _SB:
            return 0 if data[at + 1] in (_DO, _DONT, _WILL, _WONT) else 2
        whole = _SUBNEGOTIATION.match(data, at, at + SUBNEGOTIATION_LIMIT)
        if whole is not None:
            return whole.end() - at
        if left > SUBNEGOTIATION_LIMIT:
            raise SubnegotiationTooLong()
        return 0

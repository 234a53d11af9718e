"""Telnet commands among the bytes: taken out, answered where an answer is waited for.

Pure: bytes in, bytes and signals out. Rules from RFC 854 (commands), RFC 1143 (never answer
what needs no answer) and RFC 860 (TIMING-MARK). No option is ever agreed to.
"""

from __future__ import annotations

import enum

IAC = 0xFF
_DONT, _DO, _WONT, _WILL, _SB = 0xFE, 0xFD, 0xFC, 0xFB, 0xFA
_AYT, _IP, _SE = 0xF6, 0xF4, 0xF0
TIMING_MARK = 0x06

#: Bytes of a subnegotiation; none that we would need has more.
SUBNEGOTIATION_LIMIT = 512

#: So many commands cost as much as a line.
COMMANDS_A_LINE = 64


class Signal(enum.Enum):
    """What the person did with a key or a menu of their telnet."""

    ARE_YOU_THERE = enum.auto()
    INTERRUPT = enum.auto()


_SIGNALS = {_AYT: Signal.ARE_YOU_THERE, _IP: Signal.INTERRUPT}


class SubnegotiationTooLong(Exception):
    """The other side began a subnegotiation and does not end it."""


class TelnetFilter:
    """Takes the telnet commands out of one connection's bytes.

    The byte 0xFF never occurs in UTF-8: without one, and with :attr:`inside` false, bytes
    need not go through here.
    """

    def __init__(self) -> None:
        self._command = bytearray()
        self._refused: set[tuple[int, int]] = set()
        self._escaping = False  # the last byte of a subnegotiation is an IAC that counts
        self._taken = 0

    @property
    def inside(self) -> bool:
        """Whether the bytes so far end within a command."""
        return bool(self._command)

    def feed(self, data: bytes) -> tuple[list[bytes | Signal], bytes]:
        """The text and the signals among ``data``, in their order, and what to answer.

        :raises SubnegotiationTooLong: the connection should be closed.
        """
        found: list[bytes | Signal] = []
        text, answer = bytearray(), bytearray()
        at = 0
        while at < len(data):
            if not self._command:
                start = data.find(IAC, at)
                end = len(data) if start < 0 else start
                text += data[at:end]
                at = end
                if start < 0:
                    break
            self._command.append(data[at])
            at += 1
            if len(self._command) > SUBNEGOTIATION_LIMIT:
                raise SubnegotiationTooLong()
            if self._complete():
                command, self._command = self._command, bytearray()
                self._escaping = False
                self._taken += 1
                if command[1] == IAC:
                    text.append(IAC)
                elif command[1] in _SIGNALS:
                    found += (bytes(text), _SIGNALS[command[1]])
                    text.clear()
                elif command[1] in (_DO, _WILL):
                    answer += self._refuse(*command[1:])
        found.append(bytes(text))
        return found, bytes(answer)

    def take_cost(self) -> int:
        """How many lines the commands since the last call are worth to flood control."""
        lines, self._taken = divmod(self._taken, COMMANDS_A_LINE)
        return lines

    def _complete(self) -> bool:
        command = self._command
        if len(command) < 2:
            return False
        if command[1] != _SB:
            return len(command) == (3 if command[1] in (_DO, _DONT, _WILL, _WONT) else 2)
        if len(command) == 2:
            return False
        # A doubled IAC within the subnegotiation stands for the byte itself.
        ends = self._escaping and command[-1] == _SE
        self._escaping = command[-1] == IAC and not self._escaping
        return ends

    def _refuse(self, verb: int, option: int) -> bytes:
        # Each timing mark is waited for; any other option is refused once, so that no loop
        # can arise.
        if option != TIMING_MARK and (verb, option) in self._refused:
            return b""
        self._refused.add((verb, option))
        return bytes((IAC, _WONT if verb == _DO else _DONT, option))

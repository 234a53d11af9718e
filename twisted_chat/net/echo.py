"""Whether a telnet client shows what is typed: the option ECHO, from the server's side. Pure.

A server that echoes (IAC WILL ECHO) makes the client stop doing so; if the server then echoes
nothing, what is typed stays invisible. IAC WONT ECHO makes the client echo again. The option
SUPPRESS-GO-AHEAD is not offered with it: both together would make a client send each key at once,
instead of lines that the person can edit.

The states and their transitions are those of RFC 1143, section 7, for the side that offers.
"""

from __future__ import annotations

import enum

ECHO = 0x01

_WILL, _WONT = b"\xff\xfb\x01", b"\xff\xfc\x01"


class Echo(enum.Enum):
    """The state of the option on one connection."""

    #: The client shows what is typed.
    SHOWN = enum.auto()
    #: WILL was sent, and is not answered yet.
    ASKED = enum.auto()
    #: WILL was sent and is not answered, and the server no longer wants it.
    WITHDRAWN = enum.auto()
    #: The client has agreed: what is typed is hidden.
    HIDDEN = enum.auto()
    #: WONT was sent, and is not answered yet.
    ENDED = enum.auto()
    #: WONT was sent and is not answered, and WILL is to follow.
    AGAIN = enum.auto()


class Move(enum.Enum):
    """What can change the state: two wishes of the server, and two answers of the client."""

    HIDE = enum.auto()
    SHOW = enum.auto()
    DO = enum.auto()
    DONT = enum.auto()


#: The next state, and the bytes to send. A pair that is missing changes nothing.
_TRANSITIONS: dict[tuple[Echo, Move], tuple[Echo, bytes]] = {
    (Echo.SHOWN, Move.HIDE): (Echo.ASKED, _WILL),
    (Echo.ENDED, Move.HIDE): (Echo.AGAIN, b""),
    (Echo.ASKED, Move.SHOW): (Echo.WITHDRAWN, b""),
    (Echo.HIDDEN, Move.SHOW): (Echo.ENDED, _WONT),
    (Echo.AGAIN, Move.SHOW): (Echo.ENDED, b""),
    (Echo.ASKED, Move.DO): (Echo.HIDDEN, b""),
    (Echo.WITHDRAWN, Move.DO): (Echo.ENDED, _WONT),
    (Echo.ENDED, Move.DO): (Echo.SHOWN, b""),
    (Echo.AGAIN, Move.DO): (Echo.HIDDEN, b""),
    (Echo.ASKED, Move.DONT): (Echo.SHOWN, b""),
    (Echo.WITHDRAWN, Move.DONT): (Echo.SHOWN, b""),
    (Echo.HIDDEN, Move.DONT): (Echo.SHOWN, _WONT),
    (Echo.ENDED, Move.DONT): (Echo.SHOWN, b""),
    (Echo.AGAIN, Move.DONT): (Echo.ASKED, _WILL),
}


def move(state: Echo, what: Move) -> tuple[Echo, bytes]:
    """The state after ``what``, and the bytes to send to the client."""
    return _TRANSITIONS.get((state, what), (state, b""))

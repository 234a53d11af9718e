"""The limits: every bound that an operator can set and a client should know.

The largest line of JSON and the longest id are part of the protocol: see the dialects. This module
must not know which code enforces a limit.
"""

from __future__ import annotations

import msgspec

from twisted_chat.core.flood import Rate
from twisted_chat.core.names import NICKNAME_LIMIT, ROOM_LIMIT

#: The high-water mark in bytes: a client's cursors wait while more than this waits for it. It is
#: the buffer size of a Twisted transport; over a socket, cursors wait sooner.
SOFT_LIMIT = 2**16

#: The longest message, and the longest line that a person types, in bytes of UTF-8.
TEXT_LIMIT = 4096

#: Lines in one message, at most, which programs separate by LF.
TEXT_LINES = 50

#: Names or rooms in one answer, or entries in one page of history, at most.
PAGE_LIMIT = 100

#: Entries that ``/history`` and ``/search`` show at once when no number is given.
HISTORY_DEFAULT = 20
SEARCH_DEFAULT = 10

#: Characters of text in one page of history, at most: about 25 of the longest lines. The limit is
#: there because one turn of the reactor's loop renders a whole page.
PAGE_TEXT = 100_000

#: Words (separated by blanks) and bytes in one search, at most. Longer searches take longer and
#: hardly find anything.
SEARCH_WORDS = 16
SEARCH_BYTES = 256


class Limits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The limits of one server. 0 or None means no limit."""

    #: The longest message, and the longest line that a person types, in bytes of UTF-8.
    text: int = TEXT_LIMIT
    #: The longest nickname, room name and topic, in characters.
    nickname: int = NICKNAME_LIMIT
    room: int = ROOM_LIMIT
    topic: int = 390
    #: Rooms that one person can be in.
    rooms: int = 20
    #: Names, rooms or entries in one answer.
    page: int = PAGE_LIMIT
    #: The rate of lines from one address (IPv6: one /64 network); lines beyond it wait.
    rate: Rate | None = Rate(20, 5)
    #: Seconds in which a client must choose a nickname.
    login_deadline: float = 60
    #: Connections of one address (IPv6: one /64 network), and of all addresses together.
    connections_per_address: int = 16
    max_clients: int = 0
    #: Rooms that one address (IPv6: one /64 network) can create within an hour.
    rooms_per_hour: int = 30
    #: Bytes that may wait for a client behind a write in progress; beyond it, the connection is
    #: closed.
    max_waiting: int = 2**20
    #: Seconds after which a connection is closed if the client takes none of the waiting bytes.
    write_timeout: float = 60

    def fits(self, text: str) -> bool:
        """Whether ``text`` is no longer than :attr:`text` bytes in UTF-8."""
        return 4 * len(text) <= self.text or len(text.encode()) <= self.text


DEFAULTS = Limits()

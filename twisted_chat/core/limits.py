"""What is limited: every bound that an operator can set and a client should know.

How long a line of JSON and an id can be is the protocol's own: see the dialects. It must not know
who enforces what.
"""

from __future__ import annotations

import msgspec

from twisted_chat.core.flood import Rate
from twisted_chat.core.names import NICKNAME_LIMIT, ROOM_LIMIT

#: With more bytes than this waiting for a client, its cursors wait. It is what a transport of
#: Twisted holds before it asks for that; where there is a socket, they wait sooner.
SOFT_LIMIT = 2**16

#: Bytes of what is said at once, and of a line that a person types.
TEXT_LIMIT = 4096

#: Names or rooms in one answer, entries in one page of history: at most.
PAGE_LIMIT = 100

#: Entries that ``/history`` and ``/search`` show at once when no number is given.
HISTORY_DEFAULT = 20
SEARCH_DEFAULT = 10

#: Characters of what was said in one page of history: 25 of the longest lines. To show a page
#: is the work of one turn of the reactor's loop.
PAGE_TEXT = 100_000

#: Words (apart by blanks) and bytes of what is searched for at once. More of them take longer,
#: and hardly find anything.
SEARCH_WORDS = 16
SEARCH_BYTES = 256


class Limits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The limits of one server. 0, or None, is no limit."""

    #: Bytes of what is said at once, and of a line that a person types.
    text: int = TEXT_LIMIT
    #: Characters of a nickname, of a room's name and of a topic.
    nickname: int = NICKNAME_LIMIT
    room: int = ROOM_LIMIT
    topic: int = 390
    #: Rooms that one person can be in.
    rooms: int = 20
    #: Names, rooms or entries in one answer.
    page: int = PAGE_LIMIT
    #: Lines that one address (one /64 network of IPv6) can send; more of them wait.
    rate: Rate | None = Rate(20, 5)
    #: Seconds in which a name has to be chosen.
    login_deadline: float = 60
    #: Connections of one address (of one /64 network of IPv6), and of all together.
    connections_per_address: int = 16
    max_clients: int = 0
    #: Rooms that one address (one /64 network of IPv6) can make within an hour.
    rooms_per_hour: int = 30
    #: Bytes that may wait for a client behind what is being sent; with more it is closed.
    max_waiting: int = 2**20
    #: Seconds after which a client is closed that takes nothing of what waits for it.
    write_timeout: float = 60

    def fits(self, text: str) -> bool:
        """Whether ``text`` is not longer than one may say at once."""
        return 4 * len(text) <= self.text or len(text.encode()) <= self.text


DEFAULTS = Limits()

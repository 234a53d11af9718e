"""The bytes and lines that a connection has received and not yet handled. Pure.

Bytes go through these steps, in this order:

1. the first bytes may begin another protocol (:mod:`twisted_chat.net.sniff`), which ends the
   connection;
2. telnet commands are taken out, if the dialect filters telnet;
3. the first bytes of text show the dialect;
4. the dialect's splitter makes lines, which wait for their turn.

Step 2 is slow for bytes with many commands, so bytes may wait before it. This module must not
know transports or sessions: it calls its :class:`Owner`, which does.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol, cast

from twisted_chat.core.requests import AreYouThere, Cancel, Interrupt, Request
from twisted_chat.dialects.base import Dialect, choose
from twisted_chat.net.echo import Echo
from twisted_chat.net.sniff import UNDECIDED, Foreign, recognise
from twisted_chat.net.telnet import Signal, SubnegotiationTooLong, TelnetFilter

#: Bytes with telnet commands that are filtered before other connections have their turn.
TELNET_SLICE = 2048

#: Bytes of waiting lines that move to another connection, at most: a person may resume many times.
#: Each line counts for more bytes than its own, because ten thousand lines take 10 ms.
MOVED_BYTES = 2**18
LINE_OVERHEAD = 24

_REQUESTS: dict[Signal, Request] = {
    Signal.ARE_YOU_THERE: AreYouThere(),
    Signal.INTERRUPT: Interrupt(),
}

_CANCEL = Cancel()

#: Keys that edit a line while it is hidden, as control characters: a client that sends each key at
#: once does not edit the line itself. Backspace, Delete, Ctrl-U and Ctrl-C.
_KEYS = {
    b"\x08": Signal.ERASE_CHARACTER,
    b"\x7f": Signal.ERASE_CHARACTER,
    b"\x15": Signal.ERASE_LINE,
    b"\x03": Signal.INTERRUPT,
}
_AT_KEYS = re.compile(rb"([\x03\x08\x15\x7f])")

#: A waiting item: a line; a request made with a telnet key; or None, which stands for work that is
#: done already but costs as much as a line.
Item = bytes | Request | None


class Owner(Protocol):
    """The connection that acts on the received bytes."""

    def speak(self, dialect: Dialect) -> None:
        """Speak ``dialect`` from now on. It may change once, when the first bytes come."""

    def line_ends_changed(self) -> None:
        """Render with the other line end: the peer has changed from LF to CR LF or back."""

    def answer_telnet(self, data: bytes) -> None:
        """Send ``data``, the answer to telnet commands."""

    def echo_changed(self) -> None:
        """Note that the client has answered whether it hides what is typed."""

    def end_foreign(self, foreign: Foreign) -> None:
        """End the connection: the client speaks another protocol."""

    def end_telnet(self) -> None:
        """End the connection: a telnet subnegotiation is too long."""


class _Nobody:
    """The owner after :meth:`Incoming.stop`: does nothing."""

    def speak(self, dialect: Dialect) -> None: ...
    def line_ends_changed(self) -> None: ...
    def answer_telnet(self, data: bytes) -> None: ...
    def echo_changed(self) -> None: ...
    def end_foreign(self, foreign: Foreign) -> None: ...
    def end_telnet(self) -> None: ...


_NOBODY = _Nobody()


class Incoming:
    """The waiting bytes and lines of one connection.

    :param dialects: the dialects to choose from; the last is for bytes that no other recognises.
    :param text_limit: bytes of a text, and of a line in a dialect without its own line limit.
    :param owner: the connection.
    """

    __slots__ = (
        "_beginning",
        "_dialects",
        "_ended",
        "_first",
        "_lines",
        "_owner",
        "_splitter",
        "_telnet",
        "_text_limit",
        "cancels",
        "dialect",
        "raw",
        "spoken",
    )

    def __init__(self, dialects: Sequence[Dialect], text_limit: int, owner: Owner) -> None:
        self._dialects = dialects
        self._text_limit = text_limit
        self._owner = owner
        #: The dialect of the connection; None before the first bytes and the greeting.
        self.dialect: Dialect | None = None
        #: The dialect to answer in: ``dialect``, or the last one while that is None.
        self.spoken = dialects[-1]
        self._splitter = self.spoken.new_splitter(self.line_limit)
        self._telnet = TelnetFilter()
        #: :attr:`lines`, or None if none wait: even an empty deque takes 760 bytes.
        self._lines: deque[Item] | None = None
        #: Received bytes that wait to be filtered and split.
        self.raw = b""
        #: The first bytes, while they may still begin another protocol; None once they cannot.
        self._beginning: bytes | None = b""
        #: The first bytes of text, while the dialect is undecided; None once it is decided.
        self._first: bytes | None = b""
        self._ended = False
        #: The number of :class:`.Cancel` and :class:`.Interrupt` requests in ``lines``.
        self.cancels = 0

    # -- the state of the connection ----------------------------------------------------------

    @property
    def line_limit(self) -> int:
        """Bytes of a line, at most."""
        return self.spoken.line_limit or self._text_limit

    @property
    def crlf(self) -> bool:
        """Whether the peer ends its lines with CR LF."""
        return self._splitter.crlf

    @property
    def lines(self) -> deque[Item]:
        """The items that wait to be handled, in order."""
        if self._lines is None:
            self._lines = deque()
        return self._lines

    @property
    def has_lines(self) -> bool:
        """Whether an item waits."""
        return bool(self._lines)

    @property
    def has_work(self) -> bool:
        """Whether an item waits, or bytes that may contain one."""
        return bool(self._lines or self.raw)

    @property
    def has_begun(self) -> bool:
        """Whether the beginning of a line was received."""
        return bool(self._splitter.partial or self._beginning or self._first)

    @property
    def waiting(self) -> int:
        """The number of waiting items; all bytes that are not split yet count as one."""
        return len(self._lines or ()) + bool(self.raw)

    @property
    def echo(self) -> Echo:
        """Whether the client shows what is typed, as far as it is known."""
        return self._telnet.echo

    @property
    def may_be_telnet(self) -> bool:
        """Whether the client is a telnet client, or ends its lines as one does.

        To others, such as netcat, telnet commands would be characters to show.
        """
        is_crlf = self._splitter.crlf
        return self.spoken.filters_telnet and (self._telnet.is_telnet or is_crlf)

    def count(self, data: bytes) -> int:
        """The number of lines that end in ``data``, which is dropped."""
        return self._splitter.count(data)

    def hide_typing(self, hide: bool) -> None:
        """Want the client to hide what is typed, or to show it."""
        offer = self._telnet.hide_typing(hide)
        if offer:
            self._owner.answer_telnet(offer)

    # -- bytes in -----------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take ``data``, the next bytes from the peer."""
        if self._beginning is not None:
            data = self._without_foreign(self._beginning + data)
        if self.raw:
            self.raw += data
        elif data:
            self._frame(data)

    def frame_rest(self) -> None:
        """Filter and split more of the waiting bytes."""
        data, self.raw = self.raw, b""
        self._frame(data)
        if self._ended and not self.raw:
            self._end_lines()

    def end(self) -> None:
        """Treat the bytes so far as all of them: the peer has ended its stream."""
        self._ended = True
        if self._beginning:
            self.raw, self._beginning = self._beginning, None
        if not self.raw:
            self._end_lines()

    def speak(self, dialect: Dialect) -> None:
        """Speak ``dialect``, until the first bytes show another one."""
        self.dialect = self.spoken = dialect
        self._splitter = dialect.new_splitter(self.line_limit)
        self._owner.speak(dialect)

    def set_text_limit(self, limit: int) -> None:
        """Allow texts of up to ``limit`` bytes from now on."""
        self._text_limit = limit
        self._splitter.limit = self.line_limit

    def erase_line(self) -> None:
        """Drop the incomplete line."""
        self._splitter.erase_line()

    def _without_foreign(self, data: bytes) -> bytes:
        """``data``, the connection's first bytes, if they belong to the chat.

        Empty if they begin another protocol, or are too few to tell.
        """
        data = data.removeprefix(BOM_UTF8)  # some editors write it at the beginning of a file
        foreign = recognise(data)
        if foreign is UNDECIDED:
            self._beginning = data
            return b""
        self._beginning = None
        if isinstance(foreign, Foreign):
            self._owner.end_foreign(foreign)
            return b""
        return data

    def _frame(self, data: bytes) -> None:
        """Filter and split ``data``; only :data:`TELNET_SLICE` bytes if it may have many keys."""
        if self._first is not None and not self._telnet.inside:
            self._recognise(data.partition(b"\xff")[0])
        if not self.spoken.filters_telnet or not (
            b"\xff" in data or self._telnet.inside or self._telnet.echo is Echo.HIDDEN
        ):
            self._split(data)
            return
        data, self.raw = data[:TELNET_SLICE], data[TELNET_SLICE:]
        before = self._telnet.echo
        try:
            found, answer = self._telnet.feed(data)
        except SubnegotiationTooLong:
            self._owner.end_telnet()
            return
        if answer:
            self._owner.answer_telnet(answer)
        if self._telnet.echo is not before:
            self._owner.echo_changed()
        cost = self._telnet.take_cost()
        if cost:
            self.lines.extend([None] * cost)
        for item in found:
            if not isinstance(item, bytes):
                self._decide()
                self._press(item)
            elif self._telnet.echo is Echo.HIDDEN:
                self._edit(item)
            else:
                self._split(item)

    def _press(self, key: Signal) -> None:
        if key is Signal.ERASE_CHARACTER:
            self._splitter.erase_character()
        elif key is Signal.ERASE_LINE:
            self._splitter.erase_line()
        else:
            if key is Signal.INTERRUPT:
                self._splitter.erase_line()
                self.cancels += 1
            self.lines.append(_REQUESTS[key])

    def _edit(self, data: bytes) -> None:
        """Split ``data``, in which control characters edit the line."""
        for piece in filter(None, _AT_KEYS.split(data)):
            if piece in _KEYS:
                self._press(_KEYS[piece])
            else:
                self._split(piece)

    def _split(self, data: bytes) -> None:
        if self._first is not None:
            self._recognise(data)
        if self._first is not None:
            self._first += data
            return
        splitter = self._splitter
        crlf = splitter.crlf
        lines = splitter.split(data)
        if splitter.crlf is not crlf:
            self._owner.line_ends_changed()
        if lines:
            waiting = self.lines
            before = len(waiting)
            waiting.extend(lines)
            for at in self.spoken.find_cancels(lines):
                waiting[before + at] = _CANCEL
                self.cancels += 1

    def _recognise(self, data: bytes) -> None:
        """Choose the dialect, if the first bytes with ``data`` are enough for that."""
        if data:
            assert self._first is not None
            dialect = choose(self._dialects, self._first + data)
            if dialect is not None:
                self._begin(dialect)

    def _decide(self) -> None:
        """Choose the last dialect, if the first bytes have shown no other."""
        if self._first:
            self._begin(self._dialects[-1])

    def _begin(self, dialect: Dialect) -> None:
        """Speak ``dialect``, even if the greeting was in another one, and split the first bytes."""
        first, self._first = self._first, None
        if dialect is not self.dialect:
            self.speak(dialect)
        if first:
            self._split(first)

    def _end_lines(self) -> None:
        self._decide()
        self.lines.extend(self._splitter.end())

    def stop(self) -> None:
        """Call the owner no more: the connection is gone."""
        # Breaks the reference cycle with the owner, so that no garbage collection is needed.
        self._owner = _NOBODY

    # -- lines out ----------------------------------------------------------------------------

    def pop(self) -> Item:
        """Remove and return the next item."""
        lines = self.lines
        item = lines.popleft()
        if not lines:
            self._lines = None
        if isinstance(item, (Cancel, Interrupt)):
            self.cancels -= 1
        return item

    def next_lines(self, limit: int) -> list[bytes]:
        """The next lines, up to ``limit``; an empty list if another kind of item is among them."""
        items = list(islice(self.lines, limit))
        return cast("list[bytes]", items) if {type(item) for item in items} <= {bytes} else []

    def drop(self, count: int) -> None:
        """Remove the next ``count`` lines, which are handled."""
        lines = self.lines
        for _ in range(count):
            lines.popleft()
        if not lines:
            self._lines = None

    def cancel(self) -> int:
        """Drop the lines in front of the last request to cancel; returns their number.

        If there were none, or the request is a telnet key, it stays in the queue to be answered.
        """
        dropped, costs = 0, 0
        while True:
            item = self.pop()
            if isinstance(item, (Cancel, Interrupt)) and not self.cancels:
                break
            if item is None:
                costs += 1
            elif isinstance(item, bytes):
                dropped += bool(item.strip())
        if isinstance(item, Interrupt) or not dropped:
            self.lines.appendleft(item)
            self.cancels = 1
        self.lines.extendleft([None] * costs)
        return dropped

    def forget(self) -> int:
        """Drop everything that waits; returns the number of lines."""
        lines = [line for line in self._lines or () if isinstance(line, bytes) and line.strip()]
        count = len(lines) + self._splitter.count(self.raw)
        self._lines = None
        self.raw = b""
        self.cancels = 0
        return count

    def take(self) -> list[bytes]:
        """Remove and return the first lines, about :data:`MOVED_BYTES`, for another connection."""
        lines: list[bytes] = []
        left = MOVED_BYTES
        while self._lines and left > 0:
            line = self._lines.popleft()
            if isinstance(line, bytes):
                left -= len(line) + LINE_OVERHEAD
                lines.append(line)
        return lines

    def put_back(self, lines: Iterable[bytes]) -> None:
        """Put ``lines`` in front of all waiting items."""
        self.lines.extendleft(reversed(list(lines)))

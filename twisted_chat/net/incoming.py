"""What a connection has received and not yet handled: its bytes, then its lines. Pure.

Bytes go through these states, in this order:

1. the first ones may begin another protocol (:mod:`twisted_chat.net.sniff`), which ends the
   connection;
2. telnet commands are taken out of them, if the dialect has that done;
3. the first that are left tell the dialect;
4. the dialect's splitter makes lines of them, which wait for their turn.

Step 2 is slow where there are many commands, so bytes may wait for it. What lives here must not
know a transport or a session: the owner is told what they have to do.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol, cast

from twisted_chat.core.requests import AreYouThere, Cancel, Interrupt, Request
from twisted_chat.dialects.base import Dialect, choose
from twisted_chat.net.sniff import UNDECIDED, Foreign, recognise
from twisted_chat.net.telnet import Signal, SubnegotiationTooLong, TelnetFilter

#: Bytes with telnet commands among them that are looked through before others have their turn.
TELNET_SLICE = 2048

#: Bytes of lines that go on over another connection, as there may be one after the other; and the
#: bytes that a line counts for besides its own, as ten thousand lines take 10 ms.
MOVED_BYTES = 2**18
LINE_OVERHEAD = 24

_REQUESTS: dict[Signal, Request] = {
    Signal.ARE_YOU_THERE: AreYouThere(),
    Signal.INTERRUPT: Interrupt(),
}

_CANCEL = Cancel()

#: What waits: a line, a request that was made with a key, or None for what costs as much as a line
#: but is done already.
Item = bytes | Request | None


class Owner(Protocol):
    """A connection, as it is told what its bytes lead to."""

    def speak(self, dialect: Dialect) -> None:
        """The other side speaks ``dialect``; so far, or after all."""

    def line_ends_changed(self) -> None:
        """The other side wants to have its lines ended in another way."""

    def answer_telnet(self, data: bytes) -> None:
        """Send ``data`` for the other side's telnet."""

    def end_foreign(self, foreign: Foreign) -> None:
        """The other side speaks another protocol."""

    def end_telnet(self) -> None:
        """The other side's telnet sends what nobody could wait for the end of."""


class _Nobody:
    """The owner of what is no longer in use."""

    def speak(self, dialect: Dialect) -> None: ...
    def line_ends_changed(self) -> None: ...
    def answer_telnet(self, data: bytes) -> None: ...
    def end_foreign(self, foreign: Foreign) -> None: ...
    def end_telnet(self) -> None: ...


_NOBODY = _Nobody()


class Incoming:
    """The bytes and lines of one connection that wait.

    :param dialects: those that are spoken; the last one by all that no other one recognises.
    :param text_limit: bytes of a text, and of a line in a dialect without a limit of its own.
    """

    def __init__(self, dialects: Sequence[Dialect], text_limit: int, owner: Owner) -> None:
        self._dialects = dialects
        self._text_limit = text_limit
        self._owner = owner
        #: The dialect that is spoken; None before anybody has spoken.
        self.dialect: Dialect | None = None
        #: The dialect to answer in.
        self.spoken = dialects[-1]
        self._splitter = self.spoken.new_splitter(self.line_limit)
        self._telnet = TelnetFilter()
        #: What waits to be handled, in its order.
        self.lines: deque[Item] = deque()
        #: What was received and is not yet looked through.
        self.raw = b""
        #: What the connection began with, while that can be another protocol's beginning; None
        #: once it cannot be.
        self._beginning: bytes | None = b""
        #: The first bytes of a dialect, while they do not tell which; None once they did.
        self._first: bytes | None = b""
        self._ended = False
        #: Requests to drop what waits that wait themselves.
        self.cancels = 0

    # -- what there is ------------------------------------------------------------------------

    @property
    def line_limit(self) -> int:
        """Bytes of a line."""
        return self.spoken.line_limit or self._text_limit

    @property
    def crlf(self) -> bool:
        """Whether the other side ends its lines with CR LF."""
        return self._splitter.crlf

    @property
    def has_work(self) -> bool:
        """Whether a line waits, or bytes that may hold one."""
        return bool(self.lines or self.raw)

    @property
    def has_begun(self) -> bool:
        """Whether there is the beginning of a line."""
        return bool(self._splitter.partial or self._beginning or self._first)

    @property
    def waiting(self) -> int:
        """How many lines wait; bytes that are not looked through count as one."""
        return len(self.lines) + bool(self.raw)

    def count(self, data: bytes) -> int:
        """How many lines end in ``data``, which is dropped."""
        return self._splitter.count(data)

    # -- bytes in -----------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """``data`` came from the other side."""
        if self._beginning is not None:
            data = self._without_foreign(self._beginning + data)
        if self.raw:
            self.raw += data
        elif data:
            self._frame(data)

    def frame_rest(self) -> None:
        """Look through more of the bytes that wait."""
        data, self.raw = self.raw, b""
        self._frame(data)
        if self._ended and not self.raw:
            self._end_lines()

    def end(self) -> None:
        """The other side has sent all that it will send."""
        self._ended = True
        if self._beginning:
            self.raw, self._beginning = self._beginning, None
        if not self.raw:
            self._end_lines()

    def speak(self, dialect: Dialect) -> None:
        """Let ``dialect`` be spoken until the first bytes tell another one."""
        self.dialect = self.spoken = dialect
        self._splitter = dialect.new_splitter(self.line_limit)
        self._owner.speak(dialect)

    def set_text_limit(self, limit: int) -> None:
        """A text has up to ``limit`` bytes from now on."""
        self._text_limit = limit
        self._splitter.limit = self.line_limit

    def erase_line(self) -> None:
        """Drop what there is of the line that is not complete."""
        self._splitter.erase_line()

    def _without_foreign(self, data: bytes) -> bytes:
        """What of ``data``, which the connection began with, is to be looked at now."""
        data = data.removeprefix(BOM_UTF8)  # some editors put it at the beginning of a file
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
        """Look for lines and telnet commands, as far as others need not wait for that."""
        if self._first is not None and not self._telnet.inside:
            self._recognise(data.partition(b"\xff")[0])
        if not self.spoken.filters_telnet or (b"\xff" not in data and not self._telnet.inside):
            self._split(data)
            return
        data, self.raw = data[:TELNET_SLICE], data[TELNET_SLICE:]
        try:
            found, answer = self._telnet.feed(data)
        except SubnegotiationTooLong:
            self._owner.end_telnet()
            return
        if answer:
            self._owner.answer_telnet(answer)
        self.lines.extend([None] * self._telnet.take_cost())
        for item in found:
            if isinstance(item, bytes):
                self._split(item)
            else:
                self._decide()
                self._press(item)

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
            before = len(self.lines)
            self.lines.extend(lines)
            for at in self.spoken.find_cancels(lines):
                self.lines[before + at] = _CANCEL
                self.cancels += 1

    def _recognise(self, data: bytes) -> None:
        """Find out which dialect is spoken, if ``data``, which comes next, tells."""
        if data:
            assert self._first is not None
            dialect = choose(self._dialects, self._first + data)
            if dialect is not None:
                self._begin(dialect)

    def _decide(self) -> None:
        """Bytes that told no dialect until now are of the last one."""
        if self._first:
            self._begin(self._dialects[-1])

    def _begin(self, dialect: Dialect) -> None:
        """The first bytes decide, also of somebody who was greeted in another dialect."""
        first, self._first = self._first, None
        if dialect is not self.dialect:
            self.speak(dialect)
        if first:
            self._split(first)

    def _end_lines(self) -> None:
        self._decide()
        self.lines.extend(self._splitter.end())

    def stop(self) -> None:
        """The connection is gone: its owner is not told anything more."""
        # Who holds this is not held by it: a connection that is gone is no garbage in a circle.
        self._owner = _NOBODY

    # -- lines out ----------------------------------------------------------------------------

    def pop(self) -> Item:
        """The next of what waits, which waits no more."""
        item = self.lines.popleft()
        if isinstance(item, (Cancel, Interrupt)):
            self.cancels -= 1
        return item

    def next_lines(self, limit: int) -> list[bytes]:
        """The next lines, up to ``limit`` of them; none if there is something else among them."""
        items = list(islice(self.lines, limit))
        return cast("list[bytes]", items) if {type(item) for item in items} <= {bytes} else []

    def drop(self, count: int) -> None:
        """The next ``count`` lines are handled."""
        for _ in range(count):
            self.lines.popleft()

    def cancel(self) -> int:
        """Drop the lines in front of the last request to do so; returns how many that were.

        If there were none, or a key of telnet asked for it, the request is left, to be answered.
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
        """Drop all that waits; returns how many lines that were."""
        lines = [line for line in self.lines if isinstance(line, bytes) and line.strip()]
        count = len(lines) + self._splitter.count(self.raw)
        self.lines.clear()
        self.raw = b""
        self.cancels = 0
        return count

    def take(self) -> list[bytes]:
        """The lines that wait, which are to be handled elsewhere: about :data:`MOVED_BYTES`."""
        lines: list[bytes] = []
        left = MOVED_BYTES
        while self.lines and left > 0:
            line = self.lines.popleft()
            if isinstance(line, bytes):
                left -= len(line) + LINE_OVERHEAD
                lines.append(line)
        return lines

    def put_back(self, lines: Iterable[bytes]) -> None:
        """Let ``lines`` wait before anything else."""
        self.lines.extendleft(reversed(list(lines)))

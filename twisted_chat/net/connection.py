"""The door: TCP lines, with telnet's habits, and the shared factory of their connections.

A :class:`ChatProtocol` frames what comes into lines, has the dialect make requests of them
for its session, and is the :class:`twisted_chat.core.session.Connection` that the session's
events go out through.
"""

from __future__ import annotations

import enum
import functools
import ipaddress
import math
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from errno import EPIPE
from itertools import islice
from typing import Any, Protocol

import msgspec
from msgspec import structs
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat.core import commands
from twisted_chat.core.chat import Chat, Person, announcement
from twisted_chat.core.errors import InternalError, LineTooLong, LoginDeadlineMissed, Refusal
from twisted_chat.core.limits import TEXT_LIMIT, Limits
from twisted_chat.core.messages import (
    AreYouThere,
    Cancel,
    Entry,
    Event,
    Greeted,
    Interrupt,
    NotSent,
    Refused,
    Request,
    Say,
    Slowed,
    Style,
)
from twisted_chat.core.profile import PERSON, PROGRAM
from twisted_chat.core.rendered import Rendered
from twisted_chat.core.session import Session
from twisted_chat.core.sources import Source, Sources, parse_address, source_of
from twisted_chat.dialects import jsonl, text
from twisted_chat.dialects.text import is_cancel
from twisted_chat.i18n.language import N_, catalogue
from twisted_chat.net import sniff as first_bytes
from twisted_chat.net.addresses import Address
from twisted_chat.net.lines import LineSplitter
from twisted_chat.net.outbox import Outbox
from twisted_chat.net.scheduler import LINES_A_SECOND, Turns
from twisted_chat.net.sniff import Foreign
from twisted_chat.net.sockets import DEAD_AFTER, close_with, has_unread, set_options
from twisted_chat.net.telnet import Signal, SubnegotiationTooLong, TelnetFilter
from twisted_chat.net.timeouts import Deadlines
from twisted_chat.net.watch import Watch

#: Seconds for what was written to be read by the other side, once the connection is closing.
CLOSE_TIMEOUT = 5.0

#: Seconds from the end of what is sent until the connection is reset. OpenBSD's netcat on a
#: terminal shows the end at once, but waits for Enter until then.
LINGER = 0.5

#: Seconds from one look whether all lines are handled, when the server stops, to the next.
HASTE_INTERVAL = 0.02

#: Seconds from telling somebody that they are being slowed to the next time, at least.
TELL_SLOWED_INTERVAL = 60.0

#: Seconds from one line in the log about those who were turned away to the next.
TURNED_AWAY_INTERVAL = 1.0

#: Sources that have a line of their own there; the others share one.
TURNED_AWAY_SOURCES = 50

_INTERNET = (IPv4Address, IPv6Address)

_REQUESTS: dict[Signal, Request] = {
    Signal.ARE_YOU_THERE: AreYouThere(),
    Signal.INTERRUPT: Interrupt(),
}

#: Bytes that are read of somebody whose lines have to wait, to find a request to drop them.
LOOK_AHEAD = 2**17

#: Bytes of lines that go on over another connection, as there may be one after the other; and the
#: bytes that a line counts for besides its own, as ten thousand lines take 10 ms.
MOVED_BYTES = 2**18
LINE_OVERHEAD = 24

#: Times that a connection is read, once it takes no more lines, to count those that it has.
READS_TO_COUNT = 128

#: Rejected connections that are open until the client has the reason; where that takes time.
REJECTED_AT_ONCE = 100

#: Bytes with telnet commands among them that are looked through before others have their turn.
TELNET_SLICE = 2048


class Dialect(Hashable, Protocol):
    """What a dialect is: a module with these functions."""

    def parse(self, line: bytes) -> Request: ...

    def parse_says(self, lines: Sequence[bytes]) -> list[Say]: ...

    def render(self, events: Sequence[Event], style: Style) -> Rendered: ...

    def batch_style(self, style: Style) -> Style: ...


_CANCEL = Cancel()

_END_OF_TRANSMISSION = text.END_OF_TRANSMISSION.encode()

_TEXT: Dialect = text
_JSONL: Dialect = jsonl


class DialectRendering(msgspec.Struct, frozen=True, eq=False):
    """A :class:`twisted_chat.core.room.Rendering`: a dialect, in one style."""

    dialect: Dialect
    style: Style

    def render(self, events: Sequence[Event]) -> Rendered:
        return self.dialect.render(events, self.style)


@functools.cache
def _rendering(dialect: Dialect, style: Style, crlf: bool) -> DialectRendering:
    """One object for each, so that many share it: see :class:`twisted_chat.core.room.Batch`."""
    return DialectRendering(dialect, structs.replace(style, crlf=crlf))


@implementer(IHalfCloseableProtocol)
class ChatProtocol(LineReceiver):
    """One connection.

    It keeps the contract of ``LineReceiver`` (``lineReceived``, ``MAX_LENGTH``, pausing),
    with LF or CRLF at the end of a line, but splits what comes in linear time.
    """

    delimiter = b"\n"
    MAX_LENGTH = TEXT_LIMIT

    factory: ChatFactory
    transport: Any  # Twisted types it without what every stream transport has

    #: The source or the server is at its connection limit; the client was told, and has no session.
    _turned_away = False
    #: Flood control has made lines wait, and not yet caught up; and when that was told last.
    _slowed = False
    _slowed_told = -math.inf
    #: The line at hand had to wait for it.
    _waited = False

    def __init__(self) -> None:
        #: What is to be handled: lines, requests that were made with a key, and what costs as
        #: much as a line but is done already (None).
        self._lines: deque[bytes | Request | None] = deque()
        self._splitter = LineSplitter(TEXT_LIMIT)
        #: What was received and is not yet looked through.
        self._raw = b""
        #: What it began with, while that can be another protocol's beginning.
        self._beginning: bytes | None = b""
        self._heard = False
        self._ended = False
        self._closing = False
        #: When it is cut off, once it is closing.
        self._close_by = 0.0
        self._gone = False
        self._was_reset = False
        #: Lines that were dropped after a reset.
        self._not_sent = 0
        #: While lines are counted that nobody has read, and are dropped: how many there are.
        self._unread: int | None = None
        self._holds = 0
        #: Bytes that were read while others wait.
        self._read_ahead = 0
        #: Requests to drop what waits that wait themselves.
        self._cancels = 0
        self._end_told = False
        self.busy = False
        self._crlf = False
        self._dialect: Dialect | None = None
        self._telnet = TelnetFilter()
        self._release_outbox: Callable[[], None] = _nothing
        self._greeting: IDelayedCall | None = None
        self._abort: IDelayedCall | None = None

    # -- the connection comes and goes --------------------------------------------------------

    def connectionMade(self) -> None:
        factory = self.factory
        peer = self.transport.getPeer()
        self._address = describe(peer)
        host = peer.host if isinstance(peer, _INTERNET) else None
        refusal = factory.sources.refusal(host)
        if refusal is not None:
            self._turn_away(refusal)
            return
        #: What it may take of its source's rate.
        self.allowance = factory.sources.open(host)
        set_options(self.transport, factory.limits.write_timeout)
        self._outbox = Outbox(self.transport, self)
        self.session = factory.connected(self, self._address)
        factory.watch.open(self)
        self._limit_lines()
        # Programs speak first and people do not: the first bytes will tell them apart.
        self._greeting = factory.reactor.callLater(factory.greeting_delay, self._listen_once_more)

    def _turn_away(self, refusal: Refusal) -> None:
        """Nothing was said yet, so it is told as people are."""
        factory = self.factory
        self._turned_away = self._closing = True
        factory.turned_away(refusal, self._address)
        told = text.render([Refused(refusal)], Style(factory.language))
        if close_with(self.transport, told.data):
            return
        if len(factory.rejected) >= REJECTED_AT_ONCE:
            self.transport.abortConnection()
            return
        factory.rejected.add(self)
        self._abort = factory.reactor.callLater(CLOSE_TIMEOUT, self.transport.abortConnection)

    def limits_changed(self) -> None:
        """Those of the factory are to be respected from now on."""
        self._limit_lines()

    def _limit_lines(self) -> None:
        """A program's line is long enough for any text; the text in it is the chat's matter."""
        program = self._dialect is _JSONL
        self.MAX_LENGTH = jsonl.LINE_LIMIT if program else self.factory.limits.text
        self._splitter.limit = self.MAX_LENGTH
        self._splitter.program = program

    def _listen_once_more(self) -> None:
        """Where the reactor was late, their words may have come, and are read in this turn."""
        self._greeting = self.factory.reactor.callLater(0, self._greet)

    def _greet(self) -> None:
        """Nobody has spoken: this is a person who waits to be spoken to."""
        self._greeting = None
        self._speak(_TEXT)

    def _speak(self, dialect: Dialect) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
            self._greeting = None
        self._dialect = dialect
        self._limit_lines()
        self.session.profile = PROGRAM if dialect is _JSONL else PERSON
        if dialect is _TEXT:
            self.session.show(Greeted())

    def readConnectionLost(self) -> None:
        """The other side has said all it will say, and still reads."""
        if self._closing:
            self._ended = True
            if self._close_by:
                self.transport.loseConnection()
            return
        if self._dialect is None:
            self._speak(_TEXT)
        if self._outbox.error not in (0, EPIPE):  # EPIPE: it had sent its end before
            # It was reset, and what was sent to it took the error: what it began is no line.
            self._reset()
            if not self._holds:
                self._go_on()
            return
        self._ended = True
        if self._beginning:
            self._raw, self._beginning = self._beginning, None
        if not self._raw:
            self._lines.extend(self._splitter.end())
        if not self._holds:
            self._go_on()

    def writeConnectionLost(self) -> None:
        """All is sent, and that it is all. What comes meanwhile is dropped."""
        if self._ended:
            self.transport.loseConnection()
        elif self._abort is not None and self._abort.active():
            self._abort.cancel()
            self._abort = self.factory.reactor.callLater(LINGER, self._let_go)
            self.transport.resumeProducing()

    def _let_go(self) -> None:
        """Reset the connection, once the end has arrived: netcat waits for Enter otherwise."""
        now = self.factory.reactor.seconds()
        if self._outbox.unacknowledged and now < self._close_by:
            self._abort = self.factory.reactor.callLater(LINGER, self._let_go)
        else:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
            self._greeting = None
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        if self._turned_away:
            self.factory.rejected.discard(self)
            return
        # Over TLS, a reset is no sign: a client that closes has seldom read all that was sent.
        lost = ConnectionAborted if self._outbox.is_encrypted else ConnectionLost
        if not self._ended and reason.check(lost, ConnectionAborted):
            # A client that closes without having read all resets the connection too: what need
            # not wait is said.
            self._reset()
        elif not self._ended and (self._has_work or self._splitter.partial or self._beginning):
            self.readConnectionLost()  # over TLS, it is not told before
        self._gone = True
        self._release_outbox()
        self._release_outbox = _nothing
        self._outbox.lost()
        if self._ended and self._has_work and not self._closing:
            # All that they had to say was received: it is said.
            self.factory.watch.close(self)
            self.factory.slow_readers.stop(self)
            if not self._holds:
                self._go_on()
        else:
            self._finish()

    def _reset(self) -> None:
        self._ended = self._was_reset = True
        self._splitter.erase_line()
        if self._waited:
            self._drop_after_reset()

    def _finish(self) -> None:
        """The connection is gone, and nothing of it waits any more."""
        self._closing = True
        self.allowance.close()
        self._outbox.lost()
        over = self.session.connection_lost(self)
        self.session.lines_dropped(self._not_sent + self._forget_lines())
        if over is not None:
            self.factory.reactor.callLater(self.factory.reconnect_grace, over)
        self.factory.disconnected(self, self._address)

    # -- bytes in -----------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        if self._unread is not None:
            self._unread += data.count(b"\n")
            return
        if self._closing:
            return  # also if the person goes on over another connection
        self._read_ahead += len(data)
        if self._beginning is not None:
            data = self._recognise(self._beginning + data)
        if self._raw:
            self._raw += data
        elif data:
            self._frame(data)
        if not self._holds:
            self._go_on()
        elif self._cancels:
            self._cancel()
        if self._has_work and not self._ended and not self._closing:
            if not self.paused:
                self.pauseProducing()
            self.factory.watch.hold(self)
            if self.factory.pace is Pace.HASTE:
                self.look_ahead()

    def _recognise(self, data: bytes) -> bytes:
        """What of ``data``, which the connection began with, is to be looked at now."""
        data = data.removeprefix(BOM_UTF8)  # some editors put it at the beginning of a file
        foreign = first_bytes.recognise(data)
        if foreign is first_bytes.UNDECIDED:
            self._beginning = data
            return b""
        self._beginning = None
        if isinstance(foreign, Foreign):
            self._end_foreign(foreign)
            return b""
        return data

    def _end_foreign(self, foreign: Foreign) -> None:
        """Another protocol is spoken: nothing of it becomes text."""
        if self._greeting is not None:
            self._greeting.cancel()
            self._greeting = None
        self.factory.refused[foreign.value] += 1
        self._outbox.deliver(Rendered(first_bytes.answer(foreign, self.factory.language)))
        self._forget_lines()
        self.close()

    def _frame(self, data: bytes) -> None:
        """Look for lines and telnet commands, as far as others need not wait for that."""
        if self._dialect is _JSONL or (b"\xff" not in data and not self._telnet.inside):
            self._split(data)
            return
        data, self._raw = data[:TELNET_SLICE], data[TELNET_SLICE:]
        try:
            found, answer = self._telnet.feed(data)
        except SubnegotiationTooLong:
            self._closing = True
            if self._gone:
                self._finish()
            else:
                self._not_sent += self._drop_unread()
                self.transport.abortConnection()
            return
        if answer:
            self._outbox.deliver(Rendered(answer))
        self._lines.extend([None] * self._telnet.take_cost())
        for item in found:
            if isinstance(item, bytes):
                self._split(item)
            elif item is Signal.ERASE_CHARACTER:
                self._splitter.erase_character()
            elif item is Signal.ERASE_LINE:
                self._splitter.erase_line()
            else:
                if item is Signal.INTERRUPT:
                    self._splitter.erase_line()
                    self._cancels += 1
                self._lines.append(_REQUESTS[item])

    def _split(self, data: bytes) -> None:
        if data and not self._heard:
            # The one place where the first bytes decide, also of one that was greeted meanwhile.
            self._heard = True
            if data.startswith(jsonl.FIRST_BYTE):
                self._speak(_JSONL)
        if self._dialect is None:
            self._speak(_TEXT)
        # One byte is found much faster than two.
        may_cancel = b"/" in data and (b"/c" in data or b"/C" in data)
        may_cancel = may_cancel or self._splitter.partial[:1] == b"/"
        lines = self._splitter.split(data)
        self._lines.extend(lines)
        if may_cancel:
            self._look_for_cancel(len(lines))
        if self._splitter.partial == _END_OF_TRANSMISSION and self._dialect is _TEXT:
            self._lines.extend(self._splitter.end())

    @property
    def _has_work(self) -> bool:
        return bool(self._lines or self._raw)

    def _look_for_cancel(self, count: int) -> None:
        """Have the commands to drop what waits among the last ``count`` lines known at once."""
        if self._dialect is _TEXT:
            for at in range(len(self._lines) - count, len(self._lines)):
                line = self._lines[at]
                if isinstance(line, bytes) and is_cancel(line):
                    self._lines[at] = _CANCEL
                    self._cancels += 1

    def _cancel(self) -> None:
        """Drop the lines in front of the last request to do so: those that have to wait."""
        dropped, costs = 0, 0
        while True:
            item = self._lines.popleft()
            if isinstance(item, (Cancel, Interrupt)):
                self._cancels -= 1
                if not self._cancels:
                    break
            elif item is None:
                costs += 1
            elif isinstance(item, bytes):
                dropped += bool(item.strip())
        if isinstance(item, Interrupt) or not dropped:  # it is to be answered
            self._lines.appendleft(item)
            self._cancels = 1
        self._lines.extendleft([None] * costs)
        self.session.lines_dropped(dropped)

    def _drop_after_reset(self) -> None:
        """Nobody is there any more: they are told when they come back."""
        self._not_sent += self._forget_lines()

    def _forget_lines(self) -> int:
        """Drop all that waits, here and in the system; returns how many lines that were."""
        lines = [line for line in self._lines if isinstance(line, bytes) and line.strip()]
        count = len(lines) + self._raw.count(b"\n")
        self._lines.clear()
        self._raw = b""
        self._cancels = 0
        return count + self._drop_unread()

    def _drop_unread(self) -> int:
        """Drop what the system has received and nobody has read; returns how many lines that is."""
        self._unread = 0
        for _ in range(READS_TO_COUNT):
            if not self._read_more():
                break
        count, self._unread = self._unread, None
        return count

    def _read_more(self) -> bool:
        """Read now what the system has received; returns whether there was anything."""
        if not has_unread(self.handle):
            return False
        # Under TLS, it is that of the connection below. An end is told again, in its turn.
        return self.transport.doRead() is None

    def _go_on(self) -> None:
        """Handle what has been received, in turn with others, or else receive more."""
        if self._has_work or (self._ended and not self._end_told):
            if not self.busy:
                self.busy = True
                self.factory.turns.ask(self)
        elif not self._ended:
            self._read_ahead = 0
            self.factory.watch.release(self)
            if self.paused:
                self.resumeProducing()

    @property
    def waiting(self) -> int:
        return len(self._lines) + bool(self._raw)

    def work(self, limit: int) -> int:
        lines = self._lines
        seconds = self.factory.reactor.seconds
        began = seconds()
        done = 0
        try:
            if len(lines) > 1 and not self._holds:
                done = self._work_at_once(limit)
            while not (self._holds or self._closing) and done < limit:
                if lines:
                    if not self._may_go_on():
                        break
                    self._handle_next()
                elif self._raw:
                    self._frame_rest()
                else:
                    break
                # Some commands take as long as many lines.
                done = max(done + 1, int((seconds() - began) * LINES_A_SECOND))
        finally:
            self.busy = self._has_work and not (self._holds or self._closing)
        if not (self._has_work or self._holds or self._closing):
            if self._ended and not self._end_told:
                self._end_told = True
                self.session.ended()
            self._go_on()
        return done

    def _frame_rest(self) -> None:
        data, self._raw = self._raw, b""
        self._frame(data)
        if self._ended and not self._raw:
            self._lines.extend(self._splitter.end())

    def _handle_next(self) -> None:
        item = self._lines.popleft()
        if item is None:
            return
        if isinstance(item, Request):
            self._cancels -= isinstance(item, (Cancel, Interrupt))
            if self._dialect is not _JSONL:  # or else it came before the first request
                self._handle(item)
            return
        if self._dialect is _TEXT and not self.session.has_name:
            foreign = first_bytes.recognise_line(item)
            if foreign is not None:
                self._end_foreign(foreign)
                return
        if len(item) > self.MAX_LENGTH + item.endswith(b"\r"):
            self.lineLengthExceeded(item)
        else:
            self.lineReceived(item)

    def _work_at_once(self, limit: int) -> int:
        """Handle the next lines together, if all that they do is to say something."""
        if self._dialect is None or self.factory.pace is Pace.STOPPED:
            return 0
        cost = commands.TABLE.by_request[Say].cost
        if self.factory.pace is not Pace.HASTE:
            limit = self.allowance.available(limit) // cost
        if limit < 2:
            return 0
        lines = list(islice(self._lines, limit))
        if not {type(line) for line in lines} <= {bytes}:
            return 0
        says = self._dialect.parse_says(lines)  # type: ignore[arg-type]  # no signals
        if not says or not self.session.say_at_once(says):
            return 0
        if self.factory.pace is not Pace.HASTE:
            self.allowance.spend_many(len(says) * cost)
            self._slowed = self._waited = False
        for _ in says:
            self._lines.popleft()
        return len(says)

    def lineReceived(self, line: bytes) -> None:
        assert self._dialect is not None  # there was a first byte
        if line.endswith(b"\r"):
            line = line[:-1]
            if not self._crlf and self._dialect is _TEXT:
                self._crlf = True
                self.session.restyle()
        try:
            request = self._dialect.parse(line)
        except Refusal as refusal:
            self.session.refuse(refusal, refusal.request_id)
            return
        self._handle(request)

    def lineLengthExceeded(self, line: bytes) -> None:
        self.session.refuse(LineTooLong(limit=self.MAX_LENGTH))

    def _handle(self, request: Request) -> None:
        try:
            self.session.handle(request)
        except Exception:
            # A defect of ours: the developer gets all of it, the person one line.
            self.factory.log.failure("a request of {peer} failed", peer=self.session.address)
            self.session.refuse(InternalError(), request.id)
        cost = commands.TABLE.by_request[type(request)].cost
        if cost > 1:  # its line is paid for
            self.allowance.charge(cost - 1)

    def hasten(self) -> None:
        """The server stops: what waits is handled now, whatever the rate."""
        if self._waited:
            self._waited = False
            self.allowance.stop_waiting()
            self._release()
        self._read_ahead = 0
        self.look_ahead()

    @property
    def is_through(self) -> bool:
        """Whether all that was received is handled."""
        return self._closing or not (
            self._has_work or (not self._ended and has_unread(self.handle))
        )

    def _may_go_on(self) -> bool:
        """Whether the next line may be handled; if not, it waits for flood control."""
        if self.factory.pace is Pace.HASTE:
            return True
        if self.factory.pace is Pace.STOPPED:
            self._holds += 1  # until the connection is closed
            return False
        if self.allowance.spend(self._token_came):
            if not self._waited:
                self._slowed = False
            self._waited = False
            return True
        if self._was_reset:
            self._drop_after_reset()
            return False
        self._waited = True
        self._holds += 1
        if self._cancels:
            self._cancel()
        return False

    def _token_came(self) -> None:
        """A line had to wait, and may be handled now: that is told."""
        if self._lines and not self._slowed and not self._closing:
            self._slowed = True
            now = self.factory.reactor.seconds()
            self.factory.refused["rate"] += 1
            rate = self.factory.limits.rate
            if rate is not None and now - self._slowed_told >= TELL_SLOWED_INTERVAL:
                self._slowed_told = now
                self.session.show(Slowed(rate.burst, rate.per_second))
        self._release()

    # -- being the connection of a session ----------------------------------------------------

    @property
    def searcher(self) -> Hashable:
        source = self.allowance.source
        return self if source.local or source.trusted else source

    @property
    def source(self) -> Source:
        """What it is counted for: its address or network."""
        return self.allowance.source

    @property
    def outlet(self) -> Outbox:
        return self._outbox

    def rendering(self, style: Style) -> DialectRendering:
        dialect = self._dialect or _TEXT
        return _rendering(dialect, dialect.batch_style(style), self._crlf)

    def show(self, events: Sequence[Event], style: Style) -> None:
        rendering = _rendering(self._dialect or _TEXT, style, self._crlf)
        # Without the events: they are not in the log, and nobody asks which of them arrived.
        self._outbox.deliver(Rendered(rendering.render(events).data))

    def missing(self) -> Mapping[str, int]:
        numbers: dict[str, int] = {}
        for rendered, arrived in self._outbox.missing():
            room = rendered.room
            if room is not None and room not in numbers:
                number = rendered.first_missing(arrived)
                if number is not None:
                    numbers[room] = number
        return numbers

    def arrival(self) -> Callable[[], bool]:
        return self._outbox.arrival()

    def wrong_code(self) -> None:
        sentence = N_("[WRONG CODE] {peer} gave a code to come back with that is nobody's.")
        self.factory.say(sentence, event="wrong-code", peer=self._address)

    def adopt(self, session: Session) -> None:
        session.address = self._address
        self.session = session

    def drop_lines(self) -> int:
        return self._forget_lines()

    def take_lines(self) -> list[bytes]:
        self._holds += 1  # for good: it is closed next
        while self._read_ahead < LOOK_AHEAD and not self._closing and self._read_more():
            pass
        while self._raw and not self._closing:
            self._frame_rest()
        lines: list[bytes] = []
        left = MOVED_BYTES
        while self._lines and left > 0:
            line = self._lines.popleft()
            if isinstance(line, bytes):
                left -= len(line) + LINE_OVERHEAD
                lines.append(line.removesuffix(b"\r"))
        self.session.lines_dropped(self._forget_lines())
        return lines

    def put_lines(self, lines: Sequence[bytes]) -> None:
        self._lines.extendleft(reversed(lines))
        if not self._holds:
            self._go_on()

    def hold(self) -> Callable[[], None]:
        self._holds += 1
        return self._release

    def _release(self) -> None:
        self._holds -= 1
        if self._holds == 0 and not self._closing:
            self._go_on()

    def close(self) -> None:
        if self._closing:
            return
        dropped = self._forget_lines()
        if self._gone:
            self._not_sent += dropped
            self._finish()
            return
        if dropped:
            self.show((NotSent(dropped),), self.session.style)
        self._closing = True
        self.factory.watch.release(self)
        self.factory.slow_readers.stop(self)
        self._close_by = self.factory.reactor.seconds() + CLOSE_TIMEOUT
        self._outbox.close()
        self._abort = self.factory.reactor.callLater(CLOSE_TIMEOUT, self.transport.abortConnection)

    # -- limits ---------------------------------------------------------------------------------

    def login_deadline_missed(self) -> None:
        """It had to be somebody by now."""
        if not (self.session.has_name or self._closing):
            self.session.refuse(LoginDeadlineMissed(seconds=self.factory.limits.login_deadline))
            self.close()

    def write_timeout_passed(self) -> None:
        """What is sent has to be taken by now."""
        if self._outbox.has_moved():
            self.factory.slow_readers.start(self)
        elif not self._closing:
            seconds = f"{self.factory.limits.write_timeout:g}"
            sentence = N_("[CUT OFF] {peer} read nothing for {seconds} seconds.")
            self._cut_off("write-timeout", sentence, seconds=seconds)

    def _cut_off(self, reason: str, sentence: str, **details: object) -> None:
        """Close now: the person can come back, and is shown then what they did not read."""
        self.factory.refused[reason] += 1
        self.factory.say(sentence, event=reason, peer=self._address, **details)
        self._closing = True
        self._not_sent += self._forget_lines()
        self._outbox.abort()

    # -- being watched --------------------------------------------------------------------------

    @property
    def handle(self) -> object:
        # Under TLS, the transport has that of the connection below it.
        return getattr(self.transport, "socket", None)

    def look_ahead(self) -> None:
        if self.paused and not self._raw and self._read_ahead < LOOK_AHEAD and not self._closing:
            self.paused = False
            self.transport.resumeProducing()

    def hung_up(self, error: int) -> None:
        # After the end of what they sent, EPIPE: all of that is received, or still to be read.
        if (error or self._outbox.error) in (0, EPIPE):
            return
        if self._outbox.is_encrypted:
            self.look_ahead()
        else:
            self._not_sent += self._drop_unread()
            self.transport.abortConnection()

    def vanished(self) -> None:
        if not self._closing:
            seconds = DEAD_AFTER
            sentence = N_("[CUT OFF] {peer} gave no sign of life for {seconds} seconds.")
            self._cut_off("vanished", sentence, seconds=seconds)

    # -- the owner of an outbox ---------------------------------------------------------------

    def outbox_changed(self) -> None:
        if self._outbox.ready:
            self.factory.slow_readers.stop(self)
            self._release_outbox()
            self.session.resume()
        else:
            # Who does not read is not read: answers would pile up.
            self._release_outbox = self.hold()
            if not self._closing:
                self.factory.slow_readers.start(self)

    def outbox_moved(self) -> None:
        if not self._closing:
            self.factory.slow_readers.start(self)

    def outbox_grew(self, size: int) -> None:
        limit = self.factory.limits.max_waiting
        if limit and size > limit and not self._closing:
            sentence = N_("[CUT OFF] {peer} did not read, and more than {limit} bytes waited.")
            self._cut_off("hard-limit", sentence, limit=limit)


def _nothing() -> None:
    """Nothing is to be released."""


class Pace(enum.Enum):
    """How fast lines are handled."""

    BY_RATE = enum.auto()
    HASTE = enum.auto()
    STOPPED = enum.auto()


class ConnectedClient(msgspec.Struct, frozen=True):
    """One connected client at the moment of a snapshot; ``nickname`` is None until chosen."""

    nickname: str | None
    address: str


class ChatFactory(ServerFactory):
    """Makes a :class:`ChatProtocol` for each connection, and holds the connected clients.

    They are held under one threading lock, in ``chat.registry``: :meth:`announce` and
    :meth:`snapshot` are for any thread.
    """

    protocol: Any = ChatProtocol
    noisy = False
    log = Logger()

    def __init__(
        self,
        reactor: Any,
        chat: Chat,
        *,
        greeting_delay: float = 0.25,
        language: str = "en",
        reconnect_grace: float = 10,
    ) -> None:
        """``reactor`` provides IReactorTime and IReactorFromThreads; the limits are those of
        ``chat``.
        """
        self.reactor = reactor
        self.chat = chat
        self.greeting_delay = greeting_delay
        self.reconnect_grace = reconnect_grace
        self.language = language
        self.turns = Turns(functools.partial(reactor.callLater, 0))
        #: How often somebody was refused something, or shut out, by the reason.
        self.refused = chat.refused
        #: Those who do not take all that they are sent.
        self.slow_readers: Deadlines[ChatProtocol] = Deadlines(
            reactor, lambda: self.limits.write_timeout, ChatProtocol.write_timeout_passed
        )
        self._newcomers: Deadlines[ChatProtocol] = Deadlines(
            reactor, lambda: self.limits.login_deadline, ChatProtocol.login_deadline_missed
        )
        self.sources = Sources(lambda: self.limits, reactor)
        self.pace = Pace.BY_RATE
        self.watch = Watch(reactor)
        self._connections: set[ChatProtocol] = set()
        #: Connections that were rejected, and are open until the client has the reason.
        self.rejected: set[ChatProtocol] = set()
        #: Since the last lines in the log about that, by source: how many, and the last of them.
        self._turned_away: dict[str, tuple[int, Address, Refusal]] = {}
        self._telling_turned_away = False
        self._counting = False
        self._emptied: Deferred[None] | None = None

    @property
    def active(self) -> int:
        """How many connections are open, but for those that are being turned away."""
        return len(self._connections)

    @property
    def limits(self) -> Limits:
        """The limits of this server; new ones hold for everybody at once."""
        return self.chat.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        old = self.chat.limits
        self.chat.limits = limits
        self._newcomers.renew()
        self.slow_readers.renew()
        if limits.rate != old.rate:
            self.sources.limits_changed()
        if limits.text != old.text:
            for protocol in self._connections:
                protocol.limits_changed()

    def announce(self, announcement_text: str, room: str | None = None) -> None:
        """Say something as the server, to everybody or to one room. Safe from any thread.

        :raises Refusal: the text holds a control character, or the room's name is not one.
        """
        announced = announcement(announcement_text, room)
        self.reactor.callFromThread(self.chat.announce, announced)

    def snapshot(self) -> tuple[ConnectedClient, ...]:
        """Who is connected at this moment. Safe from any thread."""
        return tuple(
            ConnectedClient(name.text if name else None, client.address)
            for client, name in self.chat.registry.snapshot()
        )

    def handle_all(self, seconds: float) -> Deferred[None]:
        """Handle what was received, whatever the rate; fires when that is done, or time is over.

        What is left then, and what comes later, is not handled any more.
        """
        self.pace = Pace.HASTE
        done: Deferred[None] = Deferred()
        latest = self.reactor.seconds() + seconds

        def look() -> None:
            for protocol in tuple(self._connections):
                protocol.hasten()
            through = all(protocol.is_through for protocol in self._connections)
            if through or self.reactor.seconds() >= latest:
                self.pace = Pace.STOPPED
                done.callback(None)
            else:
                self.reactor.callLater(HASTE_INTERVAL, look)

        look()
        return done

    def emptied(self) -> Deferred[None]:
        """Fires when nobody is connected any more."""
        if not self._connections:
            return succeed(None)
        self._emptied = Deferred()
        return self._emptied

    # -- for its protocols --------------------------------------------------------------------

    def turned_away(self, refusal: Refusal, address: Address) -> None:
        """Somebody was, who came from ``address``."""
        self.refused[refusal.code] += 1
        self.chat.audit("turned-away", address, reason=refusal.code)
        source = source_of(address.host)
        if source not in self._turned_away and len(self._turned_away) >= TURNED_AWAY_SOURCES:
            source = ""
        count = self._turned_away.get(source, (0,))[0]
        self._turned_away[source] = count + 1, address, refusal
        if not self._telling_turned_away:
            self._tell_turned_away()

    def connected(self, protocol: ChatProtocol, address: str) -> Session:
        """A session for a new connection."""
        session = Session(self.chat, protocol, address, self.language)
        self._connections.add(protocol)
        self._newcomers.start(protocol)
        sentence = N_("[NEW CONNECTION] {peer} connected.")
        self.say(sentence, event="connected", peer=session.address)
        self.chat.audit("connected", address)
        self._count_soon()
        return session

    def disconnected(self, protocol: ChatProtocol, address: str) -> None:
        """A connection is gone."""
        self._connections.remove(protocol)
        self.watch.close(protocol)
        self._newcomers.stop(protocol)
        self.slow_readers.stop(protocol)
        sentence = N_("[CONNECTION CLOSED] {peer} disconnected.")
        self.say(sentence, event="disconnected", peer=address)
        self.chat.audit("disconnected", address)
        self._count_soon()
        if self._connections:
            return
        self._newcomers.renew()
        self.slow_readers.renew()
        if self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    # -- the operator's log -------------------------------------------------------------------

    def _count_soon(self) -> None:
        """Log how many are connected: once, where many come or go at the same time."""
        if not self._counting:
            self._counting = True
            self.reactor.callLater(0, self._count)

    def _tell_turned_away(self) -> None:
        """One line for each source, however often it came, and the next not before a while."""
        turned_away, self._turned_away = self._turned_away, {}
        self._telling_turned_away = bool(turned_away)
        for count, peer, refusal in turned_away.values():
            sentence = N_("[TURNED AWAY] {count}, the last one {peer}: {reason}")
            reason = refusal.sentence(self.language)
            self.say(sentence, event="turned-away", count=count, peer=peer, reason=reason)
        if turned_away:
            self.reactor.callLater(TURNED_AWAY_INTERVAL, self._tell_turned_away)

    def _count(self) -> None:
        self._counting = False
        sentence = N_("[ACTIVE CONNECTIONS] {active}")
        self.say(sentence, event="active-connections", active=self.active)

    def say(self, sentence: str, *, event: str, **details: object) -> None:
        """Write one line into the server's log, in the server's language.

        ``event`` is what programs that read the log know it by.
        """
        self.log.info(catalogue(self.language).gettext(sentence), event=event, **details)

    def said(self, person: Person, entry: Entry) -> None:
        """Write what somebody said into the server's log: only where the operator asked for it."""
        style = Style(self.language, prefixed=entry.room != self.chat.default_room)
        (line,) = text.lines([entry], style)
        sentence = N_("Message received from {peer}: {line}")
        self.say(sentence, event="message", peer=person.address, line=line)


def describe(address: IAddress) -> Address:
    """Where a connection comes from, for the operator's log.

    One of IPv4 that came to a port of IPv6 has the address that it would have elsewhere.
    """
    if isinstance(address, _INTERNET):
        parsed = parse_address(address.host)
        host = str(parsed) if isinstance(parsed, ipaddress.IPv4Address) else address.host
        return Address.of(host, address.port, f"({host!r}, {address.port})")
    return Address.of("unix", None, "(unix)")

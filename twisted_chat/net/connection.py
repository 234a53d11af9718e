"""``ChatProtocol``: one connection and its session; ``ChatFactory``, which makes them.

A :class:`ChatProtocol` passes its bytes to :mod:`twisted_chat.net.incoming`, which splits them
into lines. It handles the lines in turn with other connections, as far as flood control allows,
and is the :class:`twisted_chat.core.session.Connection` through which its session sends events.
It must not know any particular dialect.

A connection is in one of these states:

* *open*: lines are received and handled;
* *ended*: the peer will send nothing more, but still reads; the lines it sent are handled;
* *closing*: received bytes are dropped; sent bytes are still to arrive (:mod:`.closing`);
* *gone*: the transport is closed; lines received before the end are still handled.

While anything *holds* the connection (a request that is not answered yet, flood control, a full
journal, a client that does not read), no line is handled.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from errno import EPIPE
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat.core import commands
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.errors import InternalError, LineTooLong, LoginDeadlineMissed, Refusal
from twisted_chat.core.events import Event, NotSent, Refused, Style
from twisted_chat.core.limits import TEXT_LIMIT
from twisted_chat.core.rendered import Rendered, first_missing
from twisted_chat.core.requests import AreYouThere, Request, Say
from twisted_chat.core.session import Session
from twisted_chat.core.sources import Source
from twisted_chat.dialects.base import Dialect, DialectRendering, rendering
from twisted_chat.net import sniff
from twisted_chat.net.closing import Closing
from twisted_chat.net.hidden_line import HiddenLine
from twisted_chat.net.incoming import Incoming
from twisted_chat.net.outbox import Outbox
from twisted_chat.net.pacing import Pacing
from twisted_chat.net.peer import describe, host_of
from twisted_chat.net.reading import Reading
from twisted_chat.net.scheduler import LINES_A_SECOND
from twisted_chat.net.shared import Pace, SharedFactory
from twisted_chat.net.sniff import Foreign
from twisted_chat.net.sockets import DEAD_AFTER, set_options


@implementer(IHalfCloseableProtocol)
class ChatProtocol(LineReceiver):
    """One connection.

    It keeps the contract of ``LineReceiver`` (``lineReceived``, ``MAX_LENGTH``, pausing), with LF
    or CRLF at the end of a line, but splits the received bytes in linear time.
    """

    delimiter = b"\n"
    MAX_LENGTH = TEXT_LIMIT

    factory: ChatFactory
    transport: Any  # Twisted's type lacks methods that every stream transport has

    #: The source or the server is at its connection limit; the client was told, and has no session.
    _rejected = False

    #: The line that is being typed, if the session wants it hidden.
    _hidden_line: HiddenLine | None = None

    def __init__(self) -> None:
        self._ended = False
        self._closing = False
        self._gone = False
        self._was_reset = False
        #: Lines dropped with the connection; the session is told when the connection is gone.
        self._not_sent = 0
        self._holds = 0
        self._end_told = False
        self.busy = False
        self._release_outbox: Callable[[], None] = nothing
        self._greeting: IDelayedCall | None = None

    # -- the connection comes and goes --------------------------------------------------------

    def connectionMade(self) -> None:
        factory = self.factory
        peer = self.transport.getPeer()
        self._address = describe(peer)
        host = host_of(peer)
        refusal = factory.sources.refusal(host)
        if refusal is not None:
            self._reject(refusal)
            return
        #: The tokens that this connection may spend of its source's rate.
        self.allowance = factory.sources.open(host)
        self._pacing = Pacing(factory, self.allowance)
        self._reading = Reading(self.transport)
        set_options(self.transport, factory.limits.write_timeout)
        self._outbox = Outbox(self.transport, self)
        self._close = Closing(factory.reactor, self.transport, self._outbox)
        self._incoming = Incoming(factory.dialects, factory.limits.text, self)
        self.session = factory.connected(self, self._address)
        factory.watch.open(self)
        self.MAX_LENGTH = self._incoming.line_limit
        # Programs send first and people wait for a greeting: a delay tells them apart.
        self._greeting = factory.reactor.callLater(factory.greeting_delay, self._listen_once_more)

    def _reject(self, refusal: Refusal) -> None:
        """Reject the connection, and give the reason in the last dialect: none is known yet."""
        factory = self.factory
        self._rejected = self._closing = True
        factory.rejected(refusal, self._address)
        told = factory.dialects[-1].render([Refused(refusal)], Style(factory.language))
        factory.rejections.reject(self.transport, told.data)

    def limits_changed(self) -> None:
        """Apply the factory's limits, which have changed."""
        self._incoming.set_text_limit(self.factory.limits.text)
        self.MAX_LENGTH = self._incoming.line_limit

    def _listen_once_more(self) -> None:
        """Wait one more turn of the loop: a late reactor may not have read the first bytes yet."""
        self._greeting = self.factory.reactor.callLater(0, self._greet)

    def _greet(self) -> None:
        """Greet in the last dialect: the client has sent nothing, so it is probably a person's."""
        self._greeting = None
        self._incoming.speak(self.factory.dialects[-1])

    def speak(self, dialect: Dialect) -> None:
        self._stop_greeting()
        self.MAX_LENGTH = self._incoming.line_limit
        self.session.profile = dialect.profile
        if dialect.greeting:
            self.session.show(*dialect.greeting)

    def _stop_greeting(self) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
            self._greeting = None

    def readConnectionLost(self) -> None:
        """The peer has ended its stream, and still reads."""
        if self._closing:
            self._ended = True
            if not self._rejected:
                self._close.peer_ended()
            return
        if self._incoming.dialect is None:
            self._incoming.speak(self.factory.dialects[-1])
        if self._outbox.error not in (0, EPIPE):  # EPIPE: the peer had ended its stream before
            # A send took the error of a reset, so this is no regular end: drop the unended line.
            self._reset()
        else:
            self._ended = True
            self._incoming.end()
        if not self._holds:
            self._go_on()

    def writeConnectionLost(self) -> None:
        if self._ended:
            self.transport.loseConnection()
        elif not self._rejected:
            self._close.all_sent()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_greeting()
        if self._rejected:
            self.factory.rejections.lost(self.transport)
            return
        self._close.stop()
        # Over TLS, a regular close often looks like a reset: clients seldom read all before it.
        lost = ConnectionAborted if self._outbox.is_encrypted else ConnectionLost
        if not self._ended and reason.check(lost, ConnectionAborted):
            # A client that closes with unread bytes resets too: handle lines that need not wait.
            self._reset()
        elif not self._ended and (self._incoming.has_work or self._incoming.has_begun):
            self.readConnectionLost()  # over TLS, the transport has not called it before
        self._gone = True
        self._release_outbox()
        self._release_outbox = nothing
        self._outbox.lost()
        if self._ended and self._incoming.has_work and not self._closing:
            # The peer had sent everything before the connection was lost: handle all of it.
            self.factory.watch.close(self)
            self.factory.slow_readers.stop(self)
            if not self._holds:
                self._go_on()
        else:
            self._finish()

    def _reset(self) -> None:
        self._ended = self._was_reset = True
        self._incoming.erase_line()
        if self._pacing.is_waiting:
            self._drop_after_reset()

    def _finish(self) -> None:
        """Give up the connection, which is gone, and any lines that still wait."""
        self._closing = True
        self.hide_typing(False)
        self.allowance.close()
        self._outbox.lost()
        end_absence = self.session.connection_lost(self)
        self.session.lines_dropped(self._not_sent + self._forget_lines())
        self._incoming.stop()
        if end_absence is not None:
            self.factory.reactor.callLater(self.factory.reconnect_grace, end_absence)
        self.factory.disconnected(self, self._address)

    # -- bytes in -----------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        if not self._rejected and self._reading.is_dropped(data, self._incoming.count):
            return
        if self._closing:
            return  # also after the person has resumed over another connection
        self._reading.ahead += len(data)
        self._incoming.receive(data)
        if not self._holds:
            self._go_on()
        elif self._incoming.cancels:
            self._cancel()
        if self._incoming.has_work and not self._ended and not self._closing:
            if not self.paused:
                self.pauseProducing()
            self.factory.watch.hold(self)
            if self.factory.pace is Pace.HASTE:
                self.look_ahead()

    def _cancel(self) -> None:
        """Drop the waiting lines in front of the last request to cancel."""
        self.session.lines_dropped(self._incoming.cancel())

    def _drop_after_reset(self) -> None:
        """Drop the waiting lines; the person is told how many on coming back."""
        self._not_sent += self._forget_lines()

    def _forget_lines(self) -> int:
        """Drop all waiting lines, here and in the system; returns their number."""
        return self._incoming.forget() + self._reading.drop()

    def _go_on(self) -> None:
        """Submit waiting lines to the scheduler; if there are none, receive more."""
        if self._incoming.has_work or (self._ended and not self._end_told):
            if not self.busy:
                self.busy = True
                self.factory.scheduler.submit(self)
        elif not self._ended:
            self._reading.ahead = 0
            self.factory.watch.release(self)
            if self.paused:
                self.resumeProducing()

    @property
    def waiting(self) -> int:
        return self._incoming.waiting

    def work(self, limit: int) -> int:
        incoming = self._incoming
        seconds = self.factory.reactor.seconds
        began = seconds()
        done = 0
        try:
            if incoming.waiting > 1 and not self._holds:
                done = self._say_many(limit)
            while not (self._holds or self._closing) and done < limit:
                if incoming.has_lines:
                    if not self._may_go_on():
                        break
                    self._handle_next()
                elif incoming.raw:
                    incoming.frame_rest()
                else:
                    break
                # A slow command counts as several lines.
                done = max(done + 1, int((seconds() - began) * LINES_A_SECOND))
        finally:
            self.busy = incoming.has_work and not (self._holds or self._closing)
        if not (incoming.has_work or self._holds or self._closing):
            if self._ended and not self._end_told:
                self._end_told = True
                self.session.ended()
            self._go_on()
        return done

    def _handle_next(self) -> None:
        item = self._incoming.pop()
        if item is None:
            return
        if self._hidden_line is not None and not isinstance(item, AreYouThere):
            self.hide_typing(False)
        dialect = self._incoming.spoken
        if isinstance(item, Request):
            if dialect.filters_telnet:  # or else a telnet key came before the dialect was known
                self._handle(item)
            return
        is_text = self.session.has_name or self.session.asks_secret
        is_text = is_text or dialect.profile.introduces_itself
        foreign = None if is_text else sniff.recognise_line(item)
        if foreign is not None:
            self.end_foreign(foreign)
        elif len(item) > self.MAX_LENGTH:
            self.lineLengthExceeded(item)
        else:
            self.lineReceived(item)

    def _say_many(self, limit: int) -> int:
        """Handle the next lines together if each is a plain message; returns their number."""
        dialect = self._incoming.dialect
        cost = commands.TABLE.by_request[Say].cost
        limit = self._pacing.many(limit, cost)
        if dialect is None or limit < 2:
            return 0
        says = dialect.parse_says(self._incoming.next_lines(limit))
        if not says or not self.session.say_many(says):
            return 0
        self._pacing.handled_many(len(says), cost)
        self._incoming.drop(len(says))
        return len(says)

    def lineReceived(self, line: bytes) -> None:
        dialect = self._incoming.spoken
        if self.session.asks_secret and dialect.parse_secret is not None:
            self._handle(dialect.parse_secret(line))
            return
        try:
            request = dialect.parse(line)
        except Refusal as refusal:
            self.session.refuse(refusal, refusal.request_id)
            return
        self._handle(request)

    def lineLengthExceeded(self, line: bytes) -> None:
        self.session.refuse(LineTooLong(limit=self.MAX_LENGTH))
        self.session.ask_again()

    def _handle(self, request: Request) -> None:
        try:
            self.session.handle(request)
        except Exception:
            # An internal error: the log gets the traceback, the client one line.
            self.factory.log.failure("a request of {peer} failed", peer=self.session.address)
            self.session.refuse(InternalError(), request.id)
        self._pacing.charge(commands.TABLE.by_request[type(request)].cost)

    def hasten(self) -> None:
        """Handle the waiting lines now, whatever the rate: the server stops."""
        if self._pacing.hasten():
            self._release()
        self._reading.ahead = 0
        self.look_ahead()

    @property
    def is_through(self) -> bool:
        """Whether everything received is handled, or dropped because the connection closes."""
        return self._closing or not (
            self._incoming.has_work or (not self._ended and self._reading.is_unread)
        )

    def _may_go_on(self) -> bool:
        """Whether the next line may be handled; if not, it waits for a token or is dropped."""
        if self._pacing.may_handle(self._token_came):
            return True
        if self._pacing.is_waiting and self._was_reset:
            self._pacing.hasten()  # the line is dropped, and needs no token
            self._drop_after_reset()
            return False
        self._holds += 1
        if self._pacing.is_waiting and self._incoming.cancels:
            self._cancel()
        return False

    def _token_came(self) -> None:
        """Go on with the line that waited for a token, and show that lines are slowed."""
        if self._incoming.has_lines and not self._closing:
            slowed = self._pacing.tell_slowed()
            if slowed is not None:
                self.session.show(slowed)
        self._release()

    # -- what the bytes lead to ---------------------------------------------------------------

    def line_ends_changed(self) -> None:
        self.session.restyle()

    def answer_telnet(self, data: bytes) -> None:
        self._outbox.deliver(Rendered(data))

    def echo_changed(self) -> None:
        if self._hidden_line is not None:
            self._hidden_line.answered()

    def end_foreign(self, foreign: Foreign) -> None:
        """Answer a client of another protocol and close: none of its bytes become text."""
        self._stop_greeting()
        self.factory.refused[foreign.value] += 1
        self._outbox.deliver(Rendered(sniff.answer(foreign, self.factory.language)))
        self._forget_lines()
        self.close()

    def end_telnet(self) -> None:
        self._closing = True
        if self._gone:
            self._finish()
        else:
            self._not_sent += self._reading.drop()
            self.transport.abortConnection()

    # -- being the connection of a session ----------------------------------------------------

    @property
    def searcher(self) -> Hashable:
        source = self.allowance.source
        return self if source.local or source.trusted else source

    @property
    def source(self) -> Source:
        """The address or network to which this connection counts."""
        return self.allowance.source

    @property
    def secure(self) -> bool:
        return self._outbox.is_encrypted or self.allowance.source.local

    @property
    def outlet(self) -> Outbox:
        return self._outbox

    def rendering(self, style: Style) -> DialectRendering:
        dialect = self._incoming.spoken
        return rendering(dialect, dialect.batch_style(style), self._incoming.crlf)

    def show(self, events: Sequence[Event], style: Style) -> None:
        shown = rendering(self._incoming.spoken, style, self._incoming.crlf).render(events)
        # Without the events: they are not in the log, so it does not matter which have arrived.
        self._outbox.deliver(Rendered(shown.data))

    def missing(self) -> Mapping[str, int]:
        return first_missing(self._outbox.missing())

    @property
    def is_there(self) -> bool:
        return not self._gone

    def arrival(self) -> Callable[[], bool]:
        return self._outbox.arrival()

    def wrong_code(self) -> None:
        self.factory.report("wrong-code", self._address)

    def wrong_secret(self, name: str) -> None:
        self.factory.report("wrong-secret", self._address, name=name)

    def hide_typing(self, hide: bool, told: Callable[[bool], None] = nothing) -> None:
        if self._hidden_line is not None:
            self._hidden_line.end()
            self._hidden_line = None
        if hide:
            clock, release = self.factory.reactor, self.hold()
            self._hidden_line = HiddenLine(clock, self._incoming, told, release)
        else:
            told(False)

    def adopt(self, session: Session) -> None:
        session.address = self._address
        self.session = session

    def drop_lines(self) -> int:
        return self._forget_lines()

    def take_lines(self) -> list[bytes]:
        self._holds += 1  # never released: the connection closes next
        while self._reading.may_look_ahead and not self._closing and self._reading.read_more():
            pass
        while self._incoming.raw and not self._closing:
            self._incoming.frame_rest()
        lines = self._incoming.take()
        self.session.lines_dropped(self._forget_lines())
        return lines

    def put_lines(self, lines: Sequence[bytes]) -> None:
        self._incoming.put_back(lines)
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
        self.hide_typing(False)
        self.factory.watch.release(self)
        self.factory.slow_readers.stop(self)
        self._close.begin()

    # -- limits ---------------------------------------------------------------------------------

    def login_deadline_missed(self) -> None:
        """Disconnect a client that has not chosen a nickname in time."""
        if not (self.session.has_name or self._closing):
            self.session.refuse(LoginDeadlineMissed(seconds=self.factory.limits.login_deadline))
            self.close()

    def write_timeout_passed(self) -> None:
        """Cut off a client that has taken nothing within the write timeout."""
        if self._outbox.has_moved():
            self.factory.slow_readers.start(self)
        elif not self._closing:
            seconds = f"{self.factory.limits.write_timeout:g}"
            self._cut_off("write-timeout", seconds=seconds)

    def _cut_off(self, reason: str, **details: object) -> None:
        """Close now. A person who comes back is shown the entries that did not arrive."""
        self.factory.refused[reason] += 1
        self.factory.report(reason, self._address, **details)
        self._closing = True
        self._not_sent += self._forget_lines()
        self._outbox.abort()

    # -- being watched --------------------------------------------------------------------------

    @property
    def handle(self) -> object:
        return self._reading.handle

    def look_ahead(self) -> None:
        if not self.paused or self._incoming.raw or self._closing:
            return
        if self._reading.may_look_ahead:
            self.paused = False
            self.transport.resumeProducing()

    def hung_up(self, error: int) -> None:
        # EPIPE: the peer had ended its stream, so all of it is received, or still to be read.
        if (error or self._outbox.error) in (0, EPIPE):
            return
        if self._outbox.is_encrypted:
            self.look_ahead()
        else:
            self._not_sent += self._reading.drop()
            self.transport.abortConnection()

    def vanished(self) -> None:
        if not self._closing:
            self._cut_off("vanished", seconds=DEAD_AFTER)

    # -- the owner of an outbox ---------------------------------------------------------------

    def outbox_changed(self) -> None:
        if self._outbox.ready:
            self.factory.slow_readers.stop(self)
            self._release_outbox()
            self.session.on_ready()
        else:
            # The lines of a client that does not read must wait, or answers would pile up.
            self._release_outbox = self.hold()
            if not self._closing:
                self.factory.slow_readers.start(self)

    def outbox_moved(self) -> None:
        if not self._closing:
            self.factory.slow_readers.start(self)

    def outbox_grew(self, size: int) -> None:
        limit = self.factory.limits.max_waiting
        if limit and size > limit and not self._closing:
            self._cut_off("hard-limit", limit=limit)


class ChatFactory(SharedFactory):
    """Makes a :class:`ChatProtocol` for each connection, and knows the connected clients.

    ``chat.registry`` has the clients under a threading lock. Any thread may call
    :meth:`announce` and :meth:`snapshot` (:mod:`twisted_chat.net.shared`).
    """

    protocol: Any = ChatProtocol

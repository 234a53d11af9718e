"""A client that stays: it connects again, misses nothing and says nothing twice.

What is asked is in :mod:`.unanswered`, from when it is kept until the server has it; how far each
room was told is in :mod:`.positions`, so that the next connection goes on there. Here is when there
is a connection, who is told, and how it ends. It must not know terminals, nor how events are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import msgspec
from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_chat.client.endpoint import NotingEndpoint, described_endpoint, reason_of
from twisted_chat.client.event_stream import Events
from twisted_chat.client.events import ClientStopped, Connected, Disconnected, TakenOver
from twisted_chat.client.ignored import IgnoredPeople
from twisted_chat.client.positions import Positions
from twisted_chat.client.protocol import ChatClientProtocol
from twisted_chat.client.requests import Requests
from twisted_chat.client.state import Kept, MemoryState, State
from twisted_chat.client.trust import Trust
from twisted_chat.client.unanswered import ANSWERS, Outgoing, Unanswered, new_id
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import (
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    Ignoring,
    Refused,
    Renamed,
    Replaced,
    RoomLeft,
    Welcomed,
)
from twisted_chat.core.requests import Hello, Quit, Request
from twisted_chat.i18n.language import N_

#: Seconds between two attempts to connect: at first, and at most.
FIRST_RETRY = 0.5
LAST_RETRY = 30.0

TOO_MANY_ROOMS = N_("the server put this client into too many rooms")
TOO_MUCH = N_("the server sent too much before it answered")
REPLACED = N_("you connected from somewhere else with the same name")

# What is logged, where no person would be told.
CANNOT_START = "the client cannot start: {reason}"
NOT_LET_IN = "{nickname} is not let in: {reason} Trying again."
NO_CONNECTION = "no connection for {nickname}: {reason}"

#: Seconds for which a connection has to last, or else the next attempt is made later and later.
STEADY = 10.0

#: Seconds that the server has to close the connection once we leave.
LEAVE_TIMEOUT = 2.0

#: The seconds to wait after so many attempts that failed in a row.
_backoff = backoffPolicy(FIRST_RETRY, LAST_RETRY, factor=1.6)


class ChatClient(Requests, Service):
    """One nickname on one server, for as long as the service runs.

    What happens is told to the one who listens (:meth:`listen`), or read with :meth:`events`.
    Requests can be made at any time: they wait for a connection. Each gives a Deferred that
    fires with the answer, an event; it fails with :class:`.RequestRefused`, or with another
    :class:`.Refusal` where a request cannot be made at all. To cancel it takes nothing back that
    was asked. The reactor's thread only.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint | str,
        nickname: str | None,
        *,
        rooms: Mapping[str, int | None] | Iterable[str] = (),
        state: State | None = None,
        catch_up: bool = True,
        insist: bool = True,
        language: str | None = None,
        tls: Trust | None = None,
    ) -> None:
        """``endpoint`` may be a description: ``tcp:example.org:50000``, ``unix:chat.socket``.

        With ``tls:example.org:50001``, ``tls`` says which certificate is trusted; by default one
        that the system's authorities have signed for that name. Where it is not trusted before
        one has been in, the client ends with :class:`.NotTrusted` as its :attr:`failure`.
        Without a ``nickname``, :class:`.Connected` asks for :meth:`introduce`.
        ``rooms`` are those to be in besides the server's own; with numbers, what comes after
        the entry of that number is told first, and with None or without numbers only what is
        new. ``state`` keeps what has to outlive the process, also the rooms and how far each
        was dealt with, to go on from there where no number is given; without ``catch_up``, with
        what is new when it comes in. Without a state, nothing outlives it. ``insist``: where
        the nickname is refused, try again as if there were no connection; otherwise,
        :meth:`introduce` does. ``language`` (``en``, ``pt_BR``) is that of the server's
        refusals.

        :raises ValueError: the description is not one of an endpoint, or ``tls`` goes with
            something else than ``tls:HOST:PORT``.
        :raises Refusal: the name of a room is not one, or packages for TLS are missing.
        """
        if isinstance(endpoint, str):
            where = described_endpoint(reactor, endpoint, tls, language)
        elif tls is not None:
            raise ValueError("tls goes with the description of an endpoint")
        else:
            where = endpoint
        self.nickname = nickname
        self.state: State = MemoryState() if state is None else state
        self.kept: Kept | None = None
        self._positions = Positions(
            rooms, self.state, catch_up=catch_up, tell=self._tell, noting=self._note
        )
        self._unanswered = Unanswered(reactor, self.state, self._tell)
        self._ignored = IgnoredPeople()
        self._reactor = reactor
        self._insist = insist
        self.language = language
        self._listener: Callable[[Event], None] | None = None
        self._returns_dealt_with = True
        self._connection: ChatClientProtocol | None = None
        self._is_in = False
        self._is_paused = False
        #: It is being kept which log the numbers are of.
        self._is_noting = False
        self._waits_for_answers = False
        self._is_stopping = False
        self._is_over = False
        self._has_been_in = False
        self._in_since = 0.0
        self._failures = 0
        self._reason = ""
        self._opening: Deferred[None] | None = None
        self._not_opened: Failure | None = None
        self._when_opened: list[Deferred[Kept]] = []
        #: What is told first, and the messages that it is about.
        self._at_start: list[Refused] = []
        self._leaving: Deferred[None] | None = None
        self._when_stopped: list[Deferred[None]] = []
        self._abort: IDelayedCall | None = None
        factory = Factory.forProtocol(lambda: ChatClientProtocol(reactor, self))
        noting = NotingEndpoint(where, self._failed)
        self._service = ClientService(noting, factory, self._retry, reactor)
        #: Why it ended, if nobody stopped it; :meth:`events` raises it.
        self.failure: BaseException | None = None
        #: What was logged last of what keeps us out.
        self._logged = ""
        #: Why we would not have the last connection.
        self._refusal: Refusal | None = None

    # -- what happens -------------------------------------------------------------------------

    def listen(self, listener: Callable[[Event], None], *, dealt_with: bool = True) -> None:
        """Call ``listener`` with each event from now on, instead of any other.

        An entry of a room is dealt with when it returns, or else when :meth:`dealt_with` is
        called. What it raises is logged as the defect it is, and nothing else comes of it.
        """
        self._listener = listener
        self._returns_dealt_with = dealt_with

    def events(self) -> Events:
        """What happens, from now on, for ``async for``; it ends with the service.

        An entry is dealt with when the next event is asked for. Who is slow makes the server
        wait, not the memory grow; but for what comes before an answer that is waited for. Where
        the service ended and nobody stopped it, the end is :attr:`failure`, raised: the state
        cannot be opened (:class:`.CannotStart`), or :class:`TakenOver`.
        """
        return Events(self, self._size, self._too_much)

    @property
    def rooms(self) -> dict[str, int | None]:
        """The number of the last entry that was told, in each room that one is in, in the order
        in which one came; None until it is known.
        """
        return self._positions.rooms

    @property
    def is_in(self) -> bool:
        """Whether there is a connection and the server knows who we are."""
        return self._is_in

    @property
    def delay(self) -> float | None:
        """Seconds that the last question and its answer took."""
        return None if self._connection is None else self._connection.delay

    @property
    def waiting(self) -> list[Request]:
        """What was asked and has no answer yet, oldest first; messages among it.

        When it is over, the messages are those that the next client with this state will send.
        """
        return list(self._unanswered)

    def asked(self, id: str | None) -> Request | None:
        """What was asked under ``id``: as long as there is no answer, or it is being told."""
        return self._unanswered.asked(id)

    def pause(self, *, but_for_answers: bool = False) -> None:
        """Tell nothing more, but for what is at hand, until :meth:`resume`.

        There are no answers either; with ``but_for_answers``, it goes on as long as any are due.
        """
        self._is_paused = True
        self._waits_for_answers = but_for_answers
        self._flow()

    def resume(self) -> None:
        """Go on telling."""
        self._is_paused = False
        self._flow()

    def _flow(self) -> None:
        if self._connection is None:
            return
        is_paused = self._is_paused and not (self._waits_for_answers and self._unanswered)
        if is_paused or self._is_noting:
            self._connection.pause()
        else:
            self._connection.resume()

    # -- asking -------------------------------------------------------------------------------

    def ask(self, request: Request) -> Deferred[Any]:
        """Make any request but ``Hello`` and ``Quit``, which are the client's own.

        What has no answer when a connection breaks is asked again.
        """
        if self._is_stopping or self._is_over:
            return defer.fail(ClientStopped())
        if type(request) not in ANSWERS:
            return defer.fail(ValueError(f"{type(request).__name__} cannot be asked"))
        request = msgspec.structs.replace(request, id=request.id or new_id())
        try:
            outgoing = Outgoing(self._positions.placed(request))
        except Refusal as refusal:
            return defer.fail(refusal)
        same = self._unanswered.find(request.id)
        if same is not None:
            if same.line != outgoing.line:
                return defer.fail(ValueError(f"the id {request.id} is in use"))
            return same.wait()
        answer = self._unanswered.add(outgoing)
        if outgoing.is_message:
            # Where nothing can be kept at all, whoever opened or started is told.
            self.open().addCallbacks(lambda _: self._unanswered.keep_new(outgoing), lambda _: None)
        self._unanswered.send()
        self._flow()
        return answer

    def take_back(self) -> int:
        """Drop the messages that were never sent; each fails with :class:`TakenBack`. Returns how
        many: others are on their way, or may have arrived over an earlier connection.
        """
        count = self._unanswered.take_back()
        self._flow()
        self._unanswered.let_more()
        return count

    def introduce(self, nickname: str) -> None:
        """Try another nickname, after one was refused."""
        self.nickname = nickname
        if self._connection is not None and not self._is_in:
            self._hello(self._connection, nickname)

    def try_again(self, refusal: Refusal) -> None:
        """As if there were no connection: the server does not let us in now."""
        if self._connection is not None and not self._is_in:
            self._connection.close(refusal.sentence(self.language or "en"))

    def ready(self) -> Deferred[None]:
        """Fires when the server keeps up with what is asked: at once, most of the time.

        Also when it is over.
        """
        return self._unanswered.ready()

    # -- starting and stopping ----------------------------------------------------------------

    def startService(self) -> None:
        """Open the state, connect, and stay connected.

        :raises ClientStopped: it was stopped before.
        """
        if self._is_stopping:
            raise ClientStopped()
        super().startService()
        self.open().addCallbacks(self._start, self._cannot_start)

    def stopService(self) -> Deferred[None]:
        """Leave, for good. The Deferred fires when the state is written and closed, but not yet
        when this returns.
        """
        super().stopService()
        return self._stop("")

    def open(self) -> Deferred[Kept]:
        """Open the state before the service is started. Fires with what was kept.

        Errback: :class:`.CannotStart`.
        """
        if self.kept is not None:
            return succeed(self.kept)
        if self._not_opened is not None:
            return defer.fail(self._not_opened)
        waiting: Deferred[Kept] = Deferred()
        self._when_opened.append(waiting)
        if self._opening is None:
            opening: Deferred[Kept] = defer.maybeDeferred(self.state.open)
            self._opening = opening.addCallback(self._restore).addBoth(self._opened)
        return waiting

    def _restore(self, kept: Kept) -> Kept:
        self._ignored.restore(kept.ignored)
        self._positions.restore(kept)
        requests, self._at_start = self._unanswered.restore(kept.waiting)
        self._positions.add_rooms_of(requests)
        return kept

    def _opened(self, result: Kept | Failure) -> None:
        if isinstance(result, Failure):
            self._not_opened = result
            self.failure = result.value
            self._end(result)
        else:
            self.kept = result
        waiting, self._when_opened = self._when_opened, []
        for one in waiting:
            one.callback(result)

    def _start(self, _: Kept) -> None:
        if not self.running or self._service.running:
            return
        at_start, self._at_start = self._at_start, []
        for refused in at_start:
            self._tell(refused)
            self.state.forget(refused.id or "")
        self._service.startService()

    def _cannot_start(self, failure: Failure) -> None:
        if failure.check(Refusal):
            refusal = cast("Refusal", failure.value)
            self._warn(CANNOT_START, refusal)
            self._tell(Refused(refusal))
        else:
            self._log.failure("internal error: the state cannot be opened", failure)
        self._tell(Disconnected(visible(str(failure.value)), None))

    def _stop(self, reason: str) -> Deferred[None]:
        if self._is_over:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._when_stopped.append(stopped)
        if not self._is_stopping:
            self._is_stopping = True
            # Not now: whoever stops us may have been told something just now, while the
            # service is in the middle of connecting or disconnecting.
            self._reactor.callLater(0, self._leave, reason)
        return stopped

    def _leave(self, reason: str) -> None:
        leaving: Deferred[None] = succeed(None)
        connection = self._connection
        if connection is not None:
            self._abort = self._reactor.callLater(LEAVE_TIMEOUT, connection.close)
            if self._is_in:
                leaving = self._leaving = Deferred()
                connection.send(Quit())
                connection.resume()
        leaving.addCallback(lambda _: self._service.stopService())
        leaving.addCallback(lambda _: self.state.close())
        leaving.addBoth(self._stopped, reason)

    def _stopped(self, result: Failure | None, reason: str) -> None:
        if result is not None:
            self._log.failure("internal error: the client was not stopped in good order", result)
        self._end(self._refusal or ClientStopped())
        self._tell(Disconnected(reason, None, self._refusal))
        waiting, self._when_stopped = self._when_stopped, []
        for stopped in waiting:
            stopped.callback(None)

    def _end(self, reason: Refusal | Failure) -> None:
        """Nothing more is asked, and nobody waits for an answer."""
        self._is_over = True
        self._unanswered.end(reason)

    # -- one connection after the other -------------------------------------------------------

    def connected(self, connection: ChatClientProtocol) -> None:
        """For :class:`.ChatClientProtocol`."""
        self._refusal = None
        self._connection = connection
        self._flow()
        if self.nickname is not None:
            self._hello(connection, self.nickname)
        self._tell(Connected())

    def _hello(self, connection: ChatClientProtocol, nickname: str) -> None:
        assert self.kept is not None
        hello = Hello(
            nickname=visible(nickname),  # so that the server can say what is wrong with it
            client=self.kept.client_id,
            language=self.language,
            resume=self._positions.resume(),
            log=self._positions.log,
            ignored=self._ignored.told(),
        )
        connection.hello(hello)

    def lost(self, connection: ChatClientProtocol, reason: str) -> None:
        """For :class:`.ChatClientProtocol`."""
        if self._is_in and self._reactor.seconds() - self._in_since >= STEADY:
            self._failures = 0
        self._connection = None
        self._is_in = False
        self._reason = reason
        self._positions.lost()
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        self._unanswered.lost()
        if self._leaving is not None:
            leaving, self._leaving = self._leaving, None
            leaving.callback(None)

    def _failed(self, failure: Failure) -> None:
        self._reason = reason_of(failure, self.language or "en")
        self._refusal = cast("Refusal", failure.value) if failure.check(Refusal) else None

    def _retry(self, _: int) -> float:
        # The service counts from the last connection; we do from the last that was of use.
        self._failures += 1
        delay = _backoff(self._failures)
        if self._refusal is not None:
            self._warn(NO_CONNECTION, self._refusal)
        if self.running and self._refusal is not None and not self._has_been_in:
            self.failure = self._refusal
            self.running = False
            self._stop(self._reason)
        elif self.running:
            self._tell(Disconnected(self._reason, delay, self._refusal))
        return delay

    # -- what comes ---------------------------------------------------------------------------

    def received(self, connection: ChatClientProtocol, event: Event) -> None:
        """For :class:`.ChatClientProtocol`."""
        if isinstance(event, (Welcomed, Entered)):
            too_many = self._positions.too_many(event)
            if too_many and too_many - self._unanswered.joining:
                connection.close(TOO_MANY_ROOMS)
                return
        if isinstance(event, Entry):
            if self._positions.comes_next(event):
                self._tell(event)
            return
        if self._positions.is_unwanted(event):
            return
        follow = _FOLLOW.get(type(event))
        if follow is not None:
            follow(self, event)
        outgoing = self._unanswered.answered(event)
        self._unanswered.tell_answer(outgoing, event)
        if isinstance(event, Refused) and not self._is_in and self._insist:
            self._warn(NOT_LET_IN, event.refusal)
            self.try_again(event.refusal)
        if outgoing is not None:
            self._answer(outgoing, event)

    def _size(self) -> int:
        """Bytes of the line that is being told."""
        return 0 if self._connection is None else self._connection.size

    def _too_much(self) -> None:
        """More waits to be read by the program than there is room for."""
        if self._connection is not None:
            self._connection.close(TOO_MUCH)

    def dealt_with(self, event: Event) -> None:
        """It need not come again, should the process end now."""
        self._positions.dealt_with(event)

    def _welcomed(self, event: Welcomed) -> None:
        assert self._connection is not None
        self._is_in = True
        self._logged = ""
        self._in_since = self._reactor.seconds()
        self.nickname = event.nickname
        self._unanswered.online(self._connection)
        joining = self._unanswered.joining
        for request in self._positions.welcomed(event, joining, is_back=self._has_been_in):
            self._connection.send(request)
        self._has_been_in = True
        self._positions.follow_log()
        # What was said before any room was known is for the first one, also if sent again.
        self._unanswered.place(self._positions.placed)
        self._unanswered.send()

    def _note(self, noting: Deferred[None]) -> None:
        """It is being kept of which log the numbers are: nothing is told before."""
        self._is_noting = not noting.called
        self._flow()
        noting.addCallback(self._noted)

    def _noted(self, _: None) -> None:
        self._is_noting = False
        self._flow()

    def _entered(self, event: Entered) -> None:
        self._positions.entered(event)

    def _ignoring(self, event: Ignoring) -> None:
        if self._ignored.change(event):
            self.state.ignore(self._ignored.kept())

    def _room_left(self, event: RoomLeft) -> None:
        self._positions.left(event.room)

    def _renamed(self, event: Renamed) -> None:
        if event.own:
            self.nickname = event.new

    def _removed(self, event: EntriesRemoved) -> None:
        self._positions.removed(event)

    def _replaced(self, event: Replaced) -> None:
        """Two that take each other's place would do so for ever: the newer one stays."""
        self._is_in = False  # nor is it to be sent away
        self._unanswered.offline()
        self.running = False
        self.failure = TakenOver()
        self._stop(REPLACED)

    def _warn(self, sentence: str, refusal: Refusal) -> None:
        """Log what keeps us out, once, where no person would be told.

        Critical: that alone is seen where a program has set up no log.
        """
        reason = refusal.sentence(self.language or "en")
        if self._insist and reason != self._logged:
            self._logged = reason
            self._log.critical(sentence, nickname=visible(self.nickname or ""), reason=reason)

    def _answer(self, outgoing: Outgoing, event: Event) -> None:
        if isinstance(event, Refused):
            outgoing.fail(event.refusal)
        else:
            outgoing.succeed(event)
        self._unanswered.send()
        self._flow()
        self._unanswered.let_more()

    def _tell(self, event: Event) -> None:
        if self._listener is None:
            return
        deals_with = self._returns_dealt_with
        try:
            self._listener(event)
        except Exception:
            self._log.failure(
                "internal error: {event} could not be told", event=type(event).__name__
            )
        if deals_with:
            self.dealt_with(event)


_FOLLOW: dict[type[Event], Callable[[ChatClient, Any], None]] = {
    Entered: ChatClient._entered,
    EntriesRemoved: ChatClient._removed,
    Ignoring: ChatClient._ignoring,
    Renamed: ChatClient._renamed,
    Replaced: ChatClient._replaced,
    RoomLeft: ChatClient._room_left,
    Welcomed: ChatClient._welcomed,
}

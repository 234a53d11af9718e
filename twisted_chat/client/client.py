"""A client that stays: it connects again, misses nothing and says nothing twice.

A message is kept (:mod:`.state`) before it is sent and until the server has it; what was not
acknowledged is sent again, under the same id, over the next connection. A private message, which
no server would know again, is never sent twice: that it may have been sent is kept before it is.
For each room it knows the number of the last entry that came, and asks for what comes after it.
It must not know terminals, nor how anything is shown.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, cast

import msgspec
from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import Service
from twisted.internet import defer, error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_chat.client import wire
from twisted_chat.client.address import TLS, Address, WrongAddress, parse_address
from twisted_chat.client.events import Connected, Disconnected, LogReplaced, Receipt
from twisted_chat.client.protocol import ChatClientProtocol
from twisted_chat.client.state import Kept, MemoryState, State
from twisted_chat.client.trust import Trust
from twisted_chat.console.programs import program
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import LineTooLong, NotSaved, Refusal, TLSMissing
from twisted_chat.core.messages import (
    ChooseName,
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    Hello,
    HistoryShown,
    Ignore,
    IgnoredListed,
    Ignoring,
    Join,
    LanguageShown,
    Leave,
    LimitsShown,
    ListLimits,
    ListPeople,
    ListRooms,
    PeopleListed,
    Ping,
    Pong,
    Quit,
    ReadHistory,
    Refused,
    Renamed,
    Replaced,
    Request,
    RoomLeft,
    RoomsListed,
    Say,
    Search,
    SearchShown,
    SetLanguage,
    Tell,
    Told,
    Topic,
    TopicShown,
    Unignore,
    Welcomed,
)
from twisted_chat.core.names import room_among, room_name
from twisted_chat.dialects import jsonl
from twisted_chat.i18n.language import N_

#: Seconds until a connection must be there.
CONNECT_TIMEOUT = 10.0

#: Seconds between two attempts to connect: at first, and at most.
FIRST_RETRY = 0.5
LAST_RETRY = 30.0

#: Messages on their way to the server at one time. Flood control makes it take them slowly.
WINDOW = 50

#: Messages that wait to be sent before :meth:`ChatClient.ready` asks for patience.
MANY = 200

#: Rooms that a server can take us to without being asked; with the rooms we are in already.
ROOMS = 1000

#: Events that wait for whoever iterates over them: nothing more is read meanwhile.
EVENTS = 500

#: Bytes of events that wait for an answer to come behind them; a server that sends more before it
#: answers loses the connection.
EVENTS_SIZE = 2**26

# Why there is no connection.
REASONS: tuple[tuple[type[Exception], str], ...] = (
    (error.ConnectionRefusedError, N_("connection refused")),
    (error.DNSLookupError, N_("unknown host")),
    (error.UnknownHostError, N_("unknown host")),
    (error.NoRouteError, N_("no route to host")),
    (error.TimeoutError, N_("no answer")),
    (defer.TimeoutError, N_("no answer")),
)
TOO_MANY_ROOMS = N_("the server takes us to too many rooms")
TOO_MUCH = N_("the server sends too much before it answers")
REPLACED = N_("you have come in from somewhere else, with the same name")

# What is logged, where no person would be told.
CANNOT_START = "the client cannot start: {reason}"
NOT_LET_IN = "{nickname} is not let in: {reason} Trying again."
NO_CONNECTION = "no connection for {nickname}: {reason}"

#: Seconds for which a connection has to last, or else the next attempt is made later and later.
STEADY = 10.0

#: People whom one can ignore, and characters of the name of each that the server is told again:
#: with the rooms, this has place in a line.
IGNORED_LIMIT = 100
SHORT_NAME = 12

_AUTHOR_KEY = re.compile("[0-9a-f]{32}")

#: Seconds until messages are sent again that the server could not save.
SAVE_RETRY = 5.0

#: Seconds that the server has to close the connection once we leave.
LEAVE_TIMEOUT = 2.0

#: The seconds to wait after so many attempts that failed in a row.
_backoff = backoffPolicy(FIRST_RETRY, LAST_RETRY, factor=1.6)


class NotDelivered(Refusal):
    code = "not-delivered"
    template = N_("Your private message to {name} may not have been delivered: {text}")


class TakenOver(Refusal):
    code = "taken-over"
    template = N_("Another client has come in with this one's client id, and takes its place.")


class ClientStopped(Refusal):
    code = "client-stopped"
    template = N_("The client was stopped before there was an answer.")


class TakenBack(Refusal):
    code = "taken-back"
    template = N_("It was taken back before it was sent.")


def new_id() -> str:
    """An id for a request: no other one of this client is the same."""
    return secrets.token_hex(8)


def server_endpoint(
    reactor: Any, address: Address, trust: Trust | None = None, language: str = "en"
) -> IStreamClientEndpoint:
    """Where a server is; over TLS, only if ``trust`` lets it, by default the system's authorities.

    ``language`` is that of why it does not.

    :raises TLSMissing: that needs packages that are not installed.
    """
    host, port, is_secure = address
    endpoint = HostnameEndpoint(reactor, host, port, timeout=CONNECT_TIMEOUT)
    if not is_secure:
        return endpoint
    try:
        from twisted_chat.client.tls import tls_endpoint
    except ImportError as error:
        if (error.name or "").startswith("twisted"):
            raise
        raise TLSMissing(pip=program("pip")) from error
    return tls_endpoint(reactor, address, trust or Trust(), endpoint, language)


def _described(
    reactor: Any, description: str, trust: Trust | None, language: str | None
) -> IStreamClientEndpoint:
    """:raises ValueError: it is none, or is not over TLS although ``trust`` is given."""
    if description.startswith(TLS):
        # With more than a host and a port, it is one of Twisted's own.
        with contextlib.suppress(WrongAddress):
            address = parse_address(description)
            return server_endpoint(reactor, address, trust, language or "en")
    if trust is not None:
        raise ValueError(f"{description} is not tls:HOST:PORT")
    endpoint: IStreamClientEndpoint = clientFromString(reactor, description)
    return endpoint


#: The events that answer a request.
_ANSWERS: dict[type[Request], tuple[type[Event], ...]] = {
    ChooseName: (Renamed,),
    Ignore: (Ignoring, IgnoredListed),
    Join: (Entered,),
    Leave: (RoomLeft,),
    ListLimits: (LimitsShown,),
    ListPeople: (PeopleListed,),
    ListRooms: (RoomsListed,),
    Ping: (Pong,),
    ReadHistory: (HistoryShown,),
    Say: (Receipt,),
    Search: (SearchShown,),
    SetLanguage: (LanguageShown,),
    Tell: (Told,),
    Topic: (Receipt, TopicShown),
    Unignore: (Ignoring,),
}

#: Before a line that is kept: it may have been sent already.
_MAY_BE_SENT = b"sent "


class _Outgoing:
    """A request that has no answer yet."""

    __slots__ = ("answers", "is_kept", "is_marked", "is_sent", "line", "may_arrive", "request")

    def __init__(self, request: Request, line: bytes) -> None:
        self.request = request
        self.line = line
        #: Who waits for it.
        self.answers: list[Deferred[Any]] = []
        #: Whether it is on disk, where it has to be.
        self.is_kept = True
        #: Whether it is kept as something that may have been sent.
        self.is_marked = False
        #: Whether it was sent over the connection that there is.
        self.is_sent = False
        #: Whether the server may have it, over whatever connection.
        self.may_arrive = False

    @property
    def is_message(self) -> bool:
        """Whether it must outlive the process."""
        return isinstance(self.request, (Say, Tell, Topic)) and self.request.text is not None

    def wait(self) -> Deferred[Any]:
        """Fires with the answer."""
        answer: Deferred[Any] = Deferred()
        self.answers.append(answer)
        return answer

    def succeed(self, event: Event) -> None:
        """The server has done it."""
        answers, self.answers = self.answers, []
        for answer in answers:
            answer.callback(event)

    def fail(self, reason: Refusal | Failure) -> None:
        """It is not done."""
        answers, self.answers = self.answers, []
        for answer in answers:
            answer.errback(reason)


class ChatClient(Service):
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
            where = _described(reactor, endpoint, tls, language)
        elif tls is not None:
            raise ValueError("tls goes with the description of an endpoint")
        else:
            where = endpoint
        self.nickname = nickname
        #: The number of the last entry that was told, in each room that one is in, in the order
        #: in which one came; None until it is known.
        self.rooms: dict[str, int | None] = {}
        #: The people whom the server is told to ignore, by author key, with their names.
        self._ignored: dict[str, str] = {}
        numbers = rooms if isinstance(rooms, Mapping) else dict.fromkeys(rooms)
        for room, number in numbers.items():
            self.rooms[room_name(room)] = number
        self.state: State = MemoryState() if state is None else state
        self.kept: Kept | None = None
        # What the server told of the log that the numbers of rooms are of; what it told since;
        # and the rooms for which it was not told yet whether their numbers are of that one.
        self._log_told = ""
        self._new_log = ""
        self._unplaced: set[str] = set()
        self._reactor = reactor
        self._catch_up = catch_up
        self._insist = insist
        self.language = language
        self._outgoing: dict[str, _Outgoing] = {}
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
        #: Rooms that the server takes us to and that are being left again.
        self._unwanted: set[str] = set()
        self._in_since = 0.0
        self._failures = 0
        self._reason = ""
        self._ready: list[Deferred[None]] = []
        self._opening: Deferred[None] | None = None
        self._not_opened: Failure | None = None
        self._when_opened: list[Deferred[Kept]] = []
        #: What is told first, and the messages that it is about.
        self._at_start: list[Refused] = []
        self._leaving: Deferred[None] | None = None
        self._when_stopped: list[Deferred[None]] = []
        self._abort: IDelayedCall | None = None
        #: When messages are sent again that could not be saved.
        self._saving: IDelayedCall | None = None
        self._answered_now: _Outgoing | None = None
        factory = Factory.forProtocol(lambda: ChatClientProtocol(reactor, self))
        self._service = ClientService(_Noting(where, self._failed), factory, self._retry, reactor)
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
        return Events(self)

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
        return [outgoing.request for outgoing in self._outgoing.values()]

    def asked(self, id: str | None) -> Request | None:
        """What was asked under ``id``: as long as there is no answer, or it is being told."""
        outgoing = self._outgoing.get(id or "") or self._answered_now
        return None if outgoing is None or outgoing.request.id != id else outgoing.request

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
        is_paused = self._is_paused and not (self._waits_for_answers and self._outgoing)
        if is_paused or self._is_noting:
            self._connection.pause()
        else:
            self._connection.resume()

    # -- talking ------------------------------------------------------------------------------

    def say(
        self, text: str, room: str | None = None, *, act: bool = False, id: str | None = None
    ) -> Deferred[Receipt]:
        """Say ``text`` in ``room``, or in the first that one is in; fires once it is saved.

        Whoever gives an ``id`` can say it again later without its being said twice.
        """
        return self.ask(Say(text, room, "act" if act else "say", id=id))

    def tell(self, name: str, text: str) -> Deferred[Told]:
        """Tell one person something in private; fires when it was delivered.

        It is never sent twice, so it fails with :class:`NotDelivered` where a connection broke
        before the answer came.
        """
        return self.ask(Tell(name, text))

    def set_topic(self, room: str, topic: str) -> Deferred[Receipt]:
        """Give ``room`` a topic; fires once it is saved."""
        return self.ask(Topic(topic, room))

    # -- moving and asking --------------------------------------------------------------------

    def join(self, room: str) -> Deferred[Entered]:
        """Go to a room."""
        return self.ask(Join(room))

    def leave(self, room: str) -> Deferred[RoomLeft]:
        """Leave a room."""
        return self.ask(Leave(room))

    def rename(self, nickname: str) -> Deferred[Renamed]:
        """Take another nickname."""
        return self.ask(ChooseName(nickname))

    def history(
        self,
        room: str,
        limit: int | None = None,
        *,
        before: int | None = None,
        after: int | None = None,
    ) -> Deferred[HistoryShown]:
        """A page of a room's log, at most 100 entries: see ``history`` in ``docs/protocol.rst``."""
        return self.ask(ReadHistory(room, limit, before, after))

    def search(
        self, words: str, room: str | None = None, limit: int | None = None
    ) -> Deferred[SearchShown]:
        """The latest entries that hold all of ``words``, in one room or in all."""
        return self.ask(Search(words, room, limit))

    def list_rooms(self) -> Deferred[RoomsListed]:
        """The rooms there are, the fullest first."""
        return self.ask(ListRooms())

    def list_people(self, room: str) -> Deferred[PeopleListed]:
        """Who is in ``room``."""
        return self.ask(ListPeople(room))

    def topic(self, room: str) -> Deferred[TopicShown]:
        """The topic of ``room``."""
        return self.ask(Topic(None, room))

    def ask(self, request: Request) -> Deferred[Any]:
        """Make any request but ``Hello`` and ``Quit``, which are the client's own.

        What has no answer when a connection breaks is asked again.
        """
        if self._is_stopping or self._is_over:
            return defer.fail(ClientStopped())
        if type(request) not in _ANSWERS:
            return defer.fail(ValueError(f"{type(request).__name__} cannot be asked"))
        request = msgspec.structs.replace(request, id=request.id or new_id())
        try:
            outgoing = self._checked(self._placed(request))
        except Refusal as refusal:
            return defer.fail(refusal)
        id = request.id or ""
        same = self._outgoing.get(id)
        if same is not None:
            if same.line != outgoing.line:
                return defer.fail(ValueError(f"the id {id} is in use"))
            return same.wait()
        self._outgoing[id] = outgoing
        answer = outgoing.wait()
        if outgoing.is_message:
            outgoing.is_kept = False
            # Where nothing can be kept at all, whoever opened or started is told.
            self.open().addCallbacks(lambda _: self._keep_new(outgoing), lambda _: None)
        self._send()
        self._flow()
        return answer

    def _placed(self, request: Request) -> Request:
        """``request`` for the room that is meant, under the name by which it is known.

        :raises Refusal: the name of the room is not one.
        """
        if isinstance(request, (Join, Leave)) and request.room is not None:
            return msgspec.structs.replace(request, room=room_among(request.room, self.rooms))
        if isinstance(request, (Say, Topic)) and request.room is None:
            return msgspec.structs.replace(request, room=next(iter(self.rooms), None))
        return request

    def _checked(self, request: Request) -> _Outgoing:
        """:raises Refusal: the server would say so too, but perhaps much later."""
        line = wire.encode(request)
        jsonl.parse(line)
        if len(line) > jsonl.LINE_LIMIT:
            raise LineTooLong(limit=jsonl.LINE_LIMIT)
        return _Outgoing(request, line)

    def take_back(self) -> int:
        """Drop the messages that were never sent; each fails with :class:`TakenBack`. Returns how
        many: others are on their way, or may have arrived over an earlier connection.
        """
        unsent = {
            id: outgoing
            for id, outgoing in self._outgoing.items()
            if outgoing.is_message and not outgoing.may_arrive
        }
        for id, outgoing in unsent.items():
            self._done(id)
            outgoing.fail(TakenBack())
        self._flow()
        self._let_more()
        return len(unsent)

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
        if len(self._outgoing) < MANY or self._is_over:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._ready.append(waiting)
        return waiting

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
        for person, _, name in (item.partition(" ") for item in kept.ignored):
            if _AUTHOR_KEY.fullmatch(person):
                self._ignored.setdefault(person, name)
        self._log_told = kept.log
        for room, number in kept.rooms.items():
            if self.rooms.get(room) is None:
                self.rooms[room] = number if self._catch_up else None
        restored: dict[str, _Outgoing] = {}
        for id, line in kept.waiting:
            try:
                outgoing = self._checked(jsonl.parse(line.removeprefix(_MAY_BE_SENT)))
            except Refusal as refusal:
                self._at_start.append(Refused(refusal, id))
                continue
            request = outgoing.request
            if isinstance(request, Tell) and line.startswith(_MAY_BE_SENT):
                told = NotDelivered(name=request.name, text=request.text)
                self._at_start.append(Refused(told, id))
                continue
            if isinstance(request, (Say, Topic)) and request.room is not None:
                # It was about to be joined; if it cannot be, the server says so.
                with contextlib.suppress(Refusal):
                    self.rooms.setdefault(room_among(request.room, self.rooms), None)
            outgoing.may_arrive = True
            restored[id] = outgoing
        for id, asked in self._outgoing.items():
            same = restored.setdefault(id, asked)
            if same is not asked and same.line == asked.line:
                same.answers += asked.answers
            elif same is not asked:
                asked.fail(Failure(ValueError(f"the id {id} is in use")))
        self._outgoing = restored
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
            self._log.failure("a defect: the state cannot be opened", failure)
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
            self._log.failure("a defect: the client was not stopped in good order", result)
        self._end(self._refusal or ClientStopped())
        self._tell(Disconnected(reason, None, self._refusal))
        waiting, self._when_stopped = self._when_stopped, []
        for stopped in waiting:
            stopped.callback(None)

    def _end(self, reason: Refusal | Failure) -> None:
        """Nothing more is asked, and nobody waits for an answer."""
        self._is_over = True
        for outgoing in self._outgoing.values():
            outgoing.fail(reason)
        self._let_more()

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
        resume = {room: number for room, number in self.rooms.items() if number is not None}
        hello = Hello(
            nickname=visible(nickname),  # so that the server can say what is wrong with it
            client=self.kept.client_id,
            language=self.language,
            resume=resume,
            log=self._log_told,
            ignored={key: name[:SHORT_NAME] for key, name in self._ignored.items()} or None,
        )
        self._unplaced = set(resume)
        connection.hello(hello)

    def lost(self, connection: ChatClientProtocol, reason: str) -> None:
        """For :class:`.ChatClientProtocol`."""
        if self._is_in and self._reactor.seconds() - self._in_since >= STEADY:
            self._failures = 0
        self._connection = None
        self._is_in = False
        self._reason = reason
        self._unwanted.clear()
        for call in (self._abort, self._saving):
            if call is not None and call.active():
                call.cancel()
        self._saving = None
        for id, outgoing in tuple(self._outgoing.items()):
            told = outgoing.request
            if outgoing.is_sent and isinstance(told, Tell):
                self._done(id)
                refusal = NotDelivered(name=told.name, text=told.text)
                self._tell_answer(outgoing, Refused(refusal, id))
                outgoing.fail(refusal)
            outgoing.is_sent = False
        self._let_more()
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

    def _send(self) -> None:
        """Send what was not sent over this connection, in its order."""
        if not self._is_in or self._connection is None:
            return
        for outgoing in tuple(islice(self._outgoing.values(), WINDOW)):
            if not outgoing.is_kept:
                return
            if outgoing.is_sent or (self._saving is not None and outgoing.is_message):
                continue
            if isinstance(outgoing.request, Tell) and not outgoing.is_marked:
                outgoing.is_marked = True
                self._keep(outgoing)  # and then here again
                return
            outgoing.is_sent = outgoing.may_arrive = True
            self._connection.send_line(outgoing.line)

    def _keep_new(self, outgoing: _Outgoing) -> None:
        if outgoing.request.id in self._outgoing:  # it was not taken back meanwhile
            self._keep(outgoing)

    def _keep(self, outgoing: _Outgoing) -> None:
        mark = _MAY_BE_SENT if outgoing.is_marked else b""
        outgoing.is_kept = False
        keeping = self.state.keep(outgoing.request.id or "", mark + outgoing.line)
        keeping.addBoth(self._is_kept, outgoing)

    def _is_kept(self, result: Failure | None, outgoing: _Outgoing) -> None:
        if result is not None and not result.check(Refusal):
            self._log.failure("a defect: a message was not kept", result)
        elif result is not None and not outgoing.is_marked:
            self._tell(Refused(cast("Refusal", result.value)))
        outgoing.is_kept = True
        self._send()

    # -- what comes ---------------------------------------------------------------------------

    def received(self, connection: ChatClientProtocol, event: Event) -> None:
        """For :class:`.ChatClientProtocol`."""
        if isinstance(event, (Welcomed, Entered)) and self._are_too_many(event):
            connection.close(TOO_MANY_ROOMS)
            return
        if isinstance(event, Entry):
            last = self.rooms.get(event.room)
            if last is not None and event.number > last:
                self.rooms[event.room] = event.number
                self._tell(event)
            return
        if self._is_unwanted(event):
            return
        follow = _FOLLOW.get(type(event))
        if follow is not None:
            follow(self, event)
        outgoing = self._answered(event)
        self._tell_answer(outgoing, event)
        if isinstance(event, Refused) and not self._is_in and self._insist:
            self._warn(NOT_LET_IN, event.refusal)
            self.try_again(event.refusal)
        if outgoing is not None:
            self._answer(outgoing, event)

    def _are_too_many(self, event: Welcomed | Entered) -> bool:
        """Whether the rooms that ``event`` takes us to, and nobody asked for, are too many."""
        new = event.rooms.keys() if isinstance(event, Welcomed) else {event.room}
        new = new - self.rooms.keys()
        if len(self.rooms) + len(self._unwanted) + len(new) <= ROOMS:
            return False
        joining = {o.request.room for o in self._outgoing.values() if type(o.request) is Join}
        return bool(new - joining)

    @property
    def _size(self) -> int:
        """Bytes of the line that is being told."""
        return 0 if self._connection is None else self._connection.size

    def _too_much(self) -> None:
        """More waits to be read by the program than there is room for."""
        if self._connection is not None:
            self._connection.close(TOO_MUCH)

    def dealt_with(self, event: Event) -> None:
        """It need not come again, should the process end now."""
        if isinstance(event, Entry):
            number = event.number
        elif isinstance(event, EntriesRemoved):
            number = event.first - 1
        else:
            return
        last = self.rooms.get(event.room)
        if last is not None and number <= last:  # else it was of a log that is no more
            self.state.seen(event.room, number)

    def _welcomed(self, event: Welcomed) -> None:
        assert self._connection is not None
        self._is_in = True
        self._logged = ""
        self._in_since = self._reactor.seconds()
        self.nickname = event.nickname
        for room in self.rooms:
            if room not in event.rooms:
                self._connection.send(Join(room))
        if self._has_been_in:  # its own room is given to whoever comes, also if they left it
            joining = {o.request.room for o in self._outgoing.values() if type(o.request) is Join}
            for room in event.rooms.keys() - self.rooms.keys() - joining:
                self._unwanted.add(room)
                self._connection.send(Leave(room))
        else:
            for room in event.rooms:
                self.rooms.setdefault(room, None)
        self._has_been_in = True
        self._new_log = event.log
        self._unplaced &= event.rooms.keys()
        self._follow_log()
        self._place()
        self._send()

    def _follow_log(self) -> None:
        """Once all numbers are of the log that there is now, keep what was told of it.

        Nothing is told before that is kept. A client that was killed, and knew entries of this run
        of the server but not the run, would be taken for one that saw another log.
        """
        if self._unplaced or self._log_told == self._new_log:
            return
        self._log_told = self._new_log
        noting = self.state.of_log(self._log_told)
        self._is_noting = not noting.called
        self._flow()
        noting.addCallback(self._noted)

    def _noted(self, _: None) -> None:
        self._is_noting = False
        self._flow()

    def _place(self) -> None:
        """What was said before any room was known is for the first one, also if sent again."""
        for outgoing in self._outgoing.values():
            placed = self._placed(outgoing.request)
            if placed != outgoing.request:
                outgoing.request = placed
                outgoing.line = wire.encode(placed)
                if outgoing.is_message:
                    self._keep(outgoing)

    def _entered(self, event: Entered) -> None:
        with contextlib.suppress(Refusal):  # the server may have names that are none here
            asked = room_among(event.room, self.rooms)
            if asked != event.room and asked in self.rooms and self.rooms[asked] is None:
                del self.rooms[asked]  # the same room, which the server calls otherwise
        last = self.rooms.get(event.room)
        if last is None or last > event.last:
            if last is not None:
                self.state.left(event.room)  # or else its number would not go back
                self._tell(LogReplaced(event.room))
            self.rooms[event.room] = event.last
            is_known = self.kept is not None and event.room in self.kept.rooms
            if last is not None or self._catch_up or not is_known:
                self.state.seen(event.room, event.last)
            # Else whoever listens begins with what is new, and says what is dealt with.
        if event.room in self._unplaced:
            self._unplaced.discard(event.room)
            self._follow_log()

    def _ignoring(self, event: Ignoring) -> None:
        if not _AUTHOR_KEY.fullmatch(event.person):
            return
        self._ignored.pop(event.person, None)
        if event.on:
            self._ignored[event.person] = event.nickname
            if len(self._ignored) > IGNORED_LIMIT:
                del self._ignored[next(iter(self._ignored))]
        self.state.ignore([f"{person} {name}" for person, name in self._ignored.items()])

    def _room_left(self, event: RoomLeft) -> None:
        self.rooms.pop(event.room, None)
        self.state.left(event.room)

    def _is_unwanted(self, event: Event) -> bool:
        """Whether it is about a room that we left and the server took us to again."""
        if not isinstance(event, (Entered, RoomLeft)) or event.room not in self._unwanted:
            return False
        if isinstance(event, RoomLeft):
            self._unwanted.discard(event.room)
        return True

    def _renamed(self, event: Renamed) -> None:
        if event.own:
            self.nickname = event.new

    def _removed(self, event: EntriesRemoved) -> None:
        last = self.rooms.get(event.room)
        if last is not None:
            self.rooms[event.room] = max(last, event.first - 1)

    def _replaced(self, event: Replaced) -> None:
        """Two that take each other's place would do so for ever: the newer one stays."""
        self._is_in = False  # nor is it to be sent away
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

    def _answered(self, event: Event) -> _Outgoing | None:
        """Which request it answers; that one is done with, unless it is to be sent again."""
        id: str | None = getattr(event, "id", None)
        if id is None and not isinstance(event, Refused):
            # The server answers in order.
            sent = ((id, one) for id, one in self._outgoing.items() if one.is_sent)
            id = next((id for id, one in sent if _is_answer(event, one.request)), None)
        outgoing = self._outgoing.get(id or "")
        if id is None or outgoing is None or not _is_answer(event, outgoing.request):
            return None
        if isinstance(event, Refused) and event.refusal.code == NotSaved.code:
            outgoing.is_sent = outgoing.may_arrive = False
            if self._saving is None:
                self._saving = self._reactor.callLater(SAVE_RETRY, self._save_again)
            return None
        self._done(id)
        return outgoing

    def _save_again(self) -> None:
        self._saving = None
        self._send()

    def _done(self, id: str) -> None:
        if self._outgoing.pop(id).is_message:
            self.state.forget(id)

    def _answer(self, outgoing: _Outgoing, event: Event) -> None:
        if isinstance(event, Refused):
            outgoing.fail(event.refusal)
        else:
            outgoing.succeed(event)
        self._send()
        self._flow()
        self._let_more()

    def _let_more(self) -> None:
        if len(self._outgoing) < MANY or self._is_over:
            ready, self._ready = self._ready, []
            for one in ready:
                one.callback(None)

    def _tell_answer(self, outgoing: _Outgoing | None, event: Event) -> None:
        """Tell ``event``, while :meth:`asked` still knows what it answers."""
        self._answered_now = outgoing
        self._tell(event)
        self._answered_now = None

    def _tell(self, event: Event) -> None:
        if self._listener is None:
            return
        deals_with = self._returns_dealt_with
        try:
            self._listener(event)
        except Exception:
            self._log.failure("a defect: {event} could not be told", event=type(event).__name__)
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


def _is_answer(event: Event, request: Request) -> bool:
    """Whether ``event`` can be the answer to ``request``."""
    if isinstance(event, Refused):
        return True
    if not isinstance(event, _ANSWERS[type(request)]):
        return False
    if isinstance(event, (Entered, RoomLeft)):
        return cast("Join | Leave", request).room in (None, event.room)
    if isinstance(event, (Renamed, Told)):
        return event.own
    return True


class Events:
    """What happens to one client, for ``async for``."""

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        self._events: deque[tuple[Event, int]] = deque()
        self._size = 0
        self._waiting: Deferred[None] | None = None
        self._last: Event | None = None
        self._is_full = False
        self._is_over = False
        client.listen(self._add, dealt_with=False)

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        if self._last is not None:
            self._client.dealt_with(self._last)
            self._last = None
        while not self._events:
            if self._is_over and self._client.failure is not None:
                raise self._client.failure
            if self._is_over:
                raise StopAsyncIteration
            self._waiting = Deferred()
            await self._waiting
        self._last, size = self._events.popleft()
        self._size -= size
        if self._is_full and len(self._events) < EVENTS // 2:
            self._is_full = False
            self._client.resume()
        return self._last

    def _add(self, event: Event) -> None:
        size = self._client._size
        self._events.append((event, size))
        self._size += size
        if self._size > EVENTS_SIZE:
            self._client._too_much()
        self._is_over |= isinstance(event, Disconnected) and event.retry is None
        if len(self._events) >= EVENTS and not self._is_full:
            self._is_full = True
            # Whoever reads slowly may do so because they wait for an answer.
            self._client.pause(but_for_answers=True)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


@implementer(IStreamClientEndpoint)
class _Noting:
    """An endpoint that tells why a connection could not be made."""

    def __init__(self, endpoint: IStreamClientEndpoint, failed: Callable[[Failure], None]) -> None:
        self._endpoint = endpoint
        self._failed = failed

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[IProtocol]
        connecting = defer.maybeDeferred(self._endpoint.connect, protocolFactory)
        return connecting.addErrback(self._note)

    def _note(self, failure: Failure) -> Failure:
        self._failed(failure)
        return failure


def reason_of(failure: Failure, language: str = "en") -> str:
    """Why a connection could not be made, in a few words.

    In English, but for what is refused here.
    """
    if isinstance(failure.value, Refusal):
        return failure.value.sentence(language)
    for kind, reason in REASONS:
        if failure.check(kind):
            return reason
    short = getattr(failure.value, "reason", None)  # what the handshake of TLS says
    if isinstance(short, str):
        return short
    number = getattr(failure.value, "osError", None)
    return os.strerror(number) if isinstance(number, int) else visible(str(failure.value))

"""A client's requests without an answer: stored, sent, sent again, answered.

A message is stored (:mod:`.state`) before it is sent, until the server has saved it. If it was not
acknowledged, it is sent again with the same id over the next connection. A private message is never
sent twice, because the server would not recognise the second one. So before it is sent, the state
stores that it may have been sent. This module must not know the client's rooms, or when it
connects.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_chat.client import wire
from twisted_chat.client.events import NotDelivered, Receipt, TakenBack
from twisted_chat.client.protocol import ChatClientProtocol
from twisted_chat.client.state import State
from twisted_chat.core.errors import LineTooLong, NotSaved, Refusal
from twisted_chat.core.events import (
    CodeMade,
    DevicesListed,
    Entered,
    Event,
    HistoryShown,
    IgnoredListed,
    Ignoring,
    LanguageShown,
    LimitsShown,
    MessageKept,
    PasswordSet,
    PeopleListed,
    Pong,
    Refused,
    Registered,
    Renamed,
    RoomLeft,
    RoomsListed,
    SearchShown,
    TokenMade,
    TokenRevoked,
    Told,
    TopicShown,
    Unregistered,
)
from twisted_chat.core.requests import (
    AddDevice,
    ChangeRoom,
    ChooseName,
    GiveRole,
    Ignore,
    InvitePerson,
    Join,
    Leave,
    ListDevices,
    ListLimits,
    ListPeople,
    ListRooms,
    NewToken,
    Ping,
    ReadHistory,
    Register,
    Request,
    RevokeToken,
    Say,
    Search,
    SetLanguage,
    SetPassword,
    Tell,
    Topic,
    Unignore,
    Unregister,
)
from twisted_chat.core.room_events import Invited, RoleSet, RoomSettings
from twisted_chat.dialects import jsonl

#: Requests on their way to the server at one time, because flood control handles them slowly.
WINDOW = 50

#: The number of requests without an answer at which :meth:`Unanswered.ready` begins to wait.
MANY = 200

#: Seconds until messages that the server could not save are sent again.
SAVE_RETRY = 5.0

#: The events that answer a request.
ANSWERS: dict[type[Request], tuple[type[Event], ...]] = {
    AddDevice: (CodeMade,),
    ChangeRoom: (RoomSettings,),
    ChooseName: (Renamed,),
    GiveRole: (RoleSet,),
    Ignore: (Ignoring, IgnoredListed),
    InvitePerson: (Invited,),
    Join: (Entered,),
    Leave: (RoomLeft,),
    ListDevices: (DevicesListed,),
    ListLimits: (LimitsShown,),
    ListPeople: (PeopleListed,),
    ListRooms: (RoomsListed,),
    NewToken: (TokenMade,),
    Ping: (Pong,),
    ReadHistory: (HistoryShown,),
    Register: (Registered,),
    RevokeToken: (TokenRevoked,),
    Say: (Receipt,),
    Search: (SearchShown,),
    SetLanguage: (LanguageShown,),
    SetPassword: (PasswordSet,),
    Tell: (Told, MessageKept),
    Topic: (Receipt, TopicShown),
    Unignore: (Ignoring,),
    Unregister: (Unregistered,),
}

#: Prefix of a stored line that may have been sent already.
_MAY_BE_SENT = b"sent "


def new_id() -> str:
    """A random id for a request."""
    return secrets.token_hex(8)


class Outgoing:
    """A request without an answer."""

    __slots__ = ("answers", "is_kept", "is_marked", "is_sent", "line", "may_arrive", "request")

    def __init__(self, request: Request) -> None:
        """:raises Refusal: the server would refuse the request."""
        self.line = wire.encode(request)
        jsonl.parse(self.line)
        if len(self.line) > jsonl.LINE_LIMIT:
            raise LineTooLong(limit=jsonl.LINE_LIMIT)
        self.request = request
        #: The Deferreds that fire with the answer.
        self.answers: list[Deferred[Any]] = []
        #: Whether it may be sent: it is no message, or the state has stored it or failed to.
        self.is_kept = True
        #: Whether it is stored with the prefix :data:`_MAY_BE_SENT`.
        self.is_marked = False
        #: Whether it was sent over the present connection.
        self.is_sent = False
        #: Whether it was sent over any connection, so that the server may have it.
        self.may_arrive = False

    @property
    def is_message(self) -> bool:
        """Whether the request is a message or a new topic, which must survive the process."""
        return isinstance(self.request, (Say, Tell, Topic)) and self.request.text is not None

    def wait(self) -> Deferred[Any]:
        """Returns a new Deferred that fires with the answer."""
        answer: Deferred[Any] = Deferred()
        self.answers.append(answer)
        return answer

    def succeed(self, event: Event) -> None:
        """Fire all Deferreds with ``event``, the answer."""
        answers, self.answers = self.answers, []
        for answer in answers:
            answer.callback(event)

    def fail(self, reason: Refusal | Failure) -> None:
        """Fail all Deferreds with ``reason``."""
        answers, self.answers = self.answers, []
        for answer in answers:
            answer.errback(reason)


class Unanswered:
    """The requests of one client that have no answer yet, oldest first."""

    _log = Logger()

    def __init__(self, reactor: Any, state: State, tell: Callable[[Event], None]) -> None:
        """
        :param reactor: provides IReactorTime.
        :param state: stores the messages.
        :param tell: called with answers, and with refusals that do not come from the server.
        """
        self._reactor = reactor
        self._state = state
        self._tell = tell
        self._outgoing: dict[str, Outgoing] = {}
        #: The connection, while requests can be sent over it.
        self._connection: ChatClientProtocol | None = None
        #: The timer after which messages that were not saved are sent again.
        self._saving: IDelayedCall | None = None
        self._ready: list[Deferred[None]] = []
        self._answered_now: Outgoing | None = None
        self._is_over = False

    def __len__(self) -> int:
        return len(self._outgoing)

    def __iter__(self) -> Iterator[Request]:
        return (outgoing.request for outgoing in self._outgoing.values())

    @property
    def joining(self) -> set[str]:
        """The rooms of the requests to join."""
        return {request.room for request in self if type(request) is Join}

    def find(self, id: str | None) -> Outgoing | None:
        """The request with this id, if it has no answer yet."""
        return self._outgoing.get(id or "")

    def asked(self, id: str | None) -> Request | None:
        """The request with this ``id``, until its answer has been passed on."""
        outgoing = self.find(id) or self._answered_now
        return None if outgoing is None or outgoing.request.id != id else outgoing.request

    def ready(self) -> Deferred[None]:
        """Fires when there are fewer than :data:`MANY` requests, or after :meth:`end`."""
        if len(self._outgoing) < MANY or self._is_over:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._ready.append(waiting)
        return waiting

    # -- adding and dropping ------------------------------------------------------------------

    def add(self, outgoing: Outgoing) -> Deferred[Any]:
        """Add a request behind all others; returns a Deferred that fires with the answer.

        A message is not sent before :meth:`keep_new` is called with it.
        """
        self._outgoing[outgoing.request.id or ""] = outgoing
        outgoing.is_kept = not outgoing.is_message
        return outgoing.wait()

    def restore(self, waiting: Iterable[tuple[str, bytes]]) -> tuple[list[Request], list[Refused]]:
        """Add, before all others, the messages that an earlier run stored.

        :param waiting: pairs of an id and a stored line.
        :returns: the requests, and a refusal for each message that is not sent again.
        """
        restored: dict[str, Outgoing] = {}
        refused: list[Refused] = []
        for id, line in waiting:
            try:
                outgoing = Outgoing(jsonl.parse(line.removeprefix(_MAY_BE_SENT)))
            except Refusal as refusal:
                refused.append(Refused(refusal, id))
                continue
            request = outgoing.request
            if isinstance(request, Tell) and line.startswith(_MAY_BE_SENT):
                refused.append(Refused(_not_delivered(request), id))
                continue
            outgoing.may_arrive = True
            restored[id] = outgoing
        requests = [outgoing.request for outgoing in restored.values()]
        for id, asked in self._outgoing.items():
            same = restored.setdefault(id, asked)
            if same is not asked and same.line == asked.line:
                same.answers += asked.answers
            elif same is not asked:
                asked.fail(Failure(ValueError(f"the id {id} is in use")))
        self._outgoing = restored
        return requests, refused

    def place(self, placed: Callable[[Request], Request]) -> None:
        """Replace each request with what ``placed`` returns for it."""
        for outgoing in self._outgoing.values():
            request = placed(outgoing.request)
            if request != outgoing.request:
                outgoing.request = request
                outgoing.line = wire.encode(request)
                if outgoing.is_message:
                    self._keep(outgoing)

    def take_back(self) -> int:
        """Drop the messages that were never sent, and return their number.

        Each fails with :class:`.TakenBack`.
        """
        unsent = {
            id: outgoing
            for id, outgoing in self._outgoing.items()
            if outgoing.is_message and not outgoing.may_arrive
        }
        for id, outgoing in unsent.items():
            self._done(id)
            outgoing.fail(TakenBack())
        return len(unsent)

    # -- storing and sending ------------------------------------------------------------------

    def keep_new(self, outgoing: Outgoing) -> None:
        """Store a message in the state, which is open now, unless it was dropped meanwhile."""
        if outgoing.request.id in self._outgoing:
            self._keep(outgoing)

    def _keep(self, outgoing: Outgoing) -> None:
        mark = _MAY_BE_SENT if outgoing.is_marked else b""
        outgoing.is_kept = False
        keeping = self._state.keep(outgoing.request.id or "", mark + outgoing.line)
        keeping.addBoth(self._is_kept, outgoing)

    def _is_kept(self, result: Failure | None, outgoing: Outgoing) -> None:
        if result is not None and not result.check(Refusal):
            self._log.failure("internal error: a message was not kept", result)
        elif result is not None and not outgoing.is_marked:
            self._tell(Refused(cast("Refusal", result.value)))
        outgoing.is_kept = True
        self.send()

    def online(self, connection: ChatClientProtocol) -> None:
        """Send over ``connection`` from now on: the server has accepted the nickname."""
        self._connection = connection

    def offline(self) -> None:
        """Send nothing until :meth:`online`."""
        self._connection = None

    def send(self) -> None:
        """Send the requests that were not sent over this connection, oldest first."""
        if self._connection is None:
            return
        for outgoing in tuple(islice(self._outgoing.values(), WINDOW)):
            if not outgoing.is_kept:
                return
            if outgoing.is_sent or (self._saving is not None and outgoing.is_message):
                continue
            if isinstance(outgoing.request, Tell) and not outgoing.is_marked:
                outgoing.is_marked = True
                self._keep(outgoing)  # calls send() again when it is stored
                return
            outgoing.is_sent = outgoing.may_arrive = True
            self._connection.send_line(outgoing.line)

    def lost(self) -> None:
        """Fail private messages that were sent: the connection is lost. Others are sent again."""
        self.offline()
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        for id, outgoing in tuple(self._outgoing.items()):
            told = outgoing.request
            if outgoing.is_sent and isinstance(told, Tell):
                self._done(id)
                refusal = _not_delivered(told)
                self.tell_answer(outgoing, Refused(refusal, id))
                outgoing.fail(refusal)
            outgoing.is_sent = False
        self.let_more()

    # -- answers ------------------------------------------------------------------------------

    def answered(self, event: Event) -> Outgoing | None:
        """Remove and return the request that ``event`` answers.

        None if the event answers no request, or says that a message was not saved: that message is
        sent again later.
        """
        id: str | None = getattr(event, "id", None)
        if id is None and not isinstance(event, Refused):
            # Without an id, it answers the oldest fitting request: the server answers in order.
            sent = ((id, one) for id, one in self._outgoing.items() if one.is_sent)
            id = next((id for id, one in sent if _is_answer(event, one.request)), None)
        outgoing = self.find(id)
        if id is None or outgoing is None or not _is_answer(event, outgoing.request):
            return None
        if isinstance(event, Refused) and event.refusal.code == NotSaved.code:
            outgoing.is_sent = outgoing.may_arrive = False
            if self._saving is None:
                self._saving = self._reactor.callLater(SAVE_RETRY, self._save_again)
            return None
        self._done(id)
        return outgoing

    def tell_answer(self, outgoing: Outgoing | None, event: Event) -> None:
        """Pass on ``event``; meanwhile, :meth:`asked` returns the request that it answers."""
        self._answered_now = outgoing
        self._tell(event)
        self._answered_now = None

    def end(self, reason: Refusal | Failure) -> None:
        """Fail all requests: no answer will come."""
        self._is_over = True
        for outgoing in self._outgoing.values():
            outgoing.fail(reason)
        self.let_more()

    def let_more(self) -> None:
        """Fire the Deferreds of :meth:`ready`, if there are fewer than :data:`MANY` now."""
        if len(self._outgoing) < MANY or self._is_over:
            ready, self._ready = self._ready, []
            for one in ready:
                one.callback(None)

    def _save_again(self) -> None:
        self._saving = None
        self.send()

    def _done(self, id: str) -> None:
        if self._outgoing.pop(id).is_message:
            self._state.forget(id)


def _not_delivered(told: Tell) -> NotDelivered:
    return NotDelivered(name=told.name, text=told.text)


def _is_answer(event: Event, request: Request) -> bool:
    """Whether ``event`` can be the answer to ``request``."""
    if isinstance(event, Refused):
        return True
    if not isinstance(event, ANSWERS[type(request)]):
        return False
    if isinstance(event, (Entered, RoomLeft)):
        return cast("Join | Leave", request).room in (None, event.room)
    if isinstance(event, (Renamed, Told)):
        return event.own
    if isinstance(event, (RoomSettings, RoleSet, Invited)):
        return event.id is not None  # all members are told of what another person has set
    return True

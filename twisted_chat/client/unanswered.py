"""The requests of a client that have no answer yet: kept, sent, sent again, answered.

A message is kept (:mod:`.state`) before it is sent and until the server has it; what was not
acknowledged is sent again, under the same id, over the next connection. A private message, which
no server would know again, is never sent twice: that it may have been sent is kept before it is.
It must not know in which rooms the client is, nor when there is a connection and why.
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
    Entered,
    Event,
    HistoryShown,
    IgnoredListed,
    Ignoring,
    LanguageShown,
    LimitsShown,
    PeopleListed,
    Pong,
    Refused,
    Renamed,
    RoomLeft,
    RoomsListed,
    SearchShown,
    Told,
    TopicShown,
)
from twisted_chat.core.requests import (
    ChooseName,
    Ignore,
    Join,
    Leave,
    ListLimits,
    ListPeople,
    ListRooms,
    Ping,
    ReadHistory,
    Request,
    Say,
    Search,
    SetLanguage,
    Tell,
    Topic,
    Unignore,
)
from twisted_chat.dialects import jsonl

#: Messages on their way to the server at one time. Flood control makes it take them slowly.
WINDOW = 50

#: Requests without an answer from which on :meth:`Unanswered.ready` asks for patience.
MANY = 200

#: Seconds until messages are sent again that the server could not save.
SAVE_RETRY = 5.0

#: The events that answer a request.
ANSWERS: dict[type[Request], tuple[type[Event], ...]] = {
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


def new_id() -> str:
    """An id for a request: no other one of this client is the same."""
    return secrets.token_hex(8)


class Outgoing:
    """A request that has no answer yet."""

    __slots__ = ("answers", "is_kept", "is_marked", "is_sent", "line", "may_arrive", "request")

    def __init__(self, request: Request) -> None:
        """:raises Refusal: the server would refuse it too, but perhaps much later."""
        self.line = wire.encode(request)
        jsonl.parse(self.line)
        if len(self.line) > jsonl.LINE_LIMIT:
            raise LineTooLong(limit=jsonl.LINE_LIMIT)
        self.request = request
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


class Unanswered:
    """The requests of one client that have no answer yet, in their order."""

    _log = Logger()

    def __init__(self, reactor: Any, state: State, tell: Callable[[Event], None]) -> None:
        """``tell`` is called with what becomes of a request without the server's doing."""
        self._reactor = reactor
        self._state = state
        self._tell = tell
        self._outgoing: dict[str, Outgoing] = {}
        #: Over which they are sent, as long as the server knows who we are.
        self._connection: ChatClientProtocol | None = None
        #: When messages are sent again that could not be saved.
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
        """The rooms that the server was asked to take us to."""
        return {request.room for request in self if type(request) is Join}

    def find(self, id: str | None) -> Outgoing | None:
        """The request with this id, if it has no answer."""
        return self._outgoing.get(id or "")

    def asked(self, id: str | None) -> Request | None:
        """What was asked under ``id``: as long as there is no answer, or it is being told."""
        outgoing = self.find(id) or self._answered_now
        return None if outgoing is None or outgoing.request.id != id else outgoing.request

    def ready(self) -> Deferred[None]:
        """Fires when there are few enough; also when it is over."""
        if len(self._outgoing) < MANY or self._is_over:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._ready.append(waiting)
        return waiting

    # -- what is asked ------------------------------------------------------------------------

    def add(self, outgoing: Outgoing) -> Deferred[Any]:
        """Ask it, after all others; a message only once :meth:`keep_new` is called with it.

        Fires with the answer.
        """
        self._outgoing[outgoing.request.id or ""] = outgoing
        outgoing.is_kept = not outgoing.is_message
        return outgoing.wait()

    def restore(self, waiting: Iterable[tuple[str, bytes]]) -> tuple[list[Request], list[Refused]]:
        """Ask, before all others, what an earlier client kept: pairs of an id and a line.

        Returns those requests, and what has to be told of lines that are not asked again.
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
        """Make each request what ``placed`` returns for it."""
        for outgoing in self._outgoing.values():
            request = placed(outgoing.request)
            if request != outgoing.request:
                outgoing.request = request
                outgoing.line = wire.encode(request)
                if outgoing.is_message:
                    self._keep(outgoing)

    def take_back(self) -> int:
        """Drop the messages that were never sent; each fails with :class:`.TakenBack`. Returns how
        many.
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

    # -- what is kept and sent ----------------------------------------------------------------

    def keep_new(self, outgoing: Outgoing) -> None:
        """The state is open: keep it, unless it was taken back meanwhile."""
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
        """The server knows who we are: what is sent goes over ``connection`` from now on."""
        self._connection = connection

    def offline(self) -> None:
        """Nothing more is sent for now."""
        self._connection = None

    def send(self) -> None:
        """Send what was not sent over this connection, in its order."""
        if self._connection is None:
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

    def lost(self) -> None:
        """The connection is lost: what has no answer is sent again, but for private messages."""
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

    # -- what is answered ---------------------------------------------------------------------

    def answered(self, event: Event) -> Outgoing | None:
        """Which request it answers; that one is done with, unless it is to be sent again."""
        id: str | None = getattr(event, "id", None)
        if id is None and not isinstance(event, Refused):
            # The server answers in order.
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
        """Tell ``event``, while :meth:`asked` still knows what it answers."""
        self._answered_now = outgoing
        self._tell(event)
        self._answered_now = None

    def end(self, reason: Refusal | Failure) -> None:
        """Nothing more is asked, and nobody waits for an answer."""
        self._is_over = True
        for outgoing in self._outgoing.values():
            outgoing.fail(reason)
        self.let_more()

    def let_more(self) -> None:
        """Who waits to ask more may do so, if there are few enough now."""
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
    return True

"""A client that reconnects by itself, misses no entry and sends no message twice.

:mod:`.unanswered` has the requests without an answer and sends them again; :mod:`.positions` has
the rooms and the last entry of each, from which the next connection goes on. This module opens and
closes the connection and the state, and passes events to the listener. It must not know terminals
or how events are shown.
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

from twisted_chat.client import complaints
from twisted_chat.client.endpoint import NotingEndpoint, described_endpoint, reason_of
from twisted_chat.client.event_stream import Events
from twisted_chat.client.events import ClientStopped, Connected, Disconnected, TakenOver
from twisted_chat.client.flow import Flow
from twisted_chat.client.ignored import IgnoredPeople
from twisted_chat.client.opening import Opening
from twisted_chat.client.positions import Positions
from twisted_chat.client.protocol import ChatClientProtocol
from twisted_chat.client.requests import Requests
from twisted_chat.client.secret import Secret, given_secret
from twisted_chat.client.state import Kept, MemoryState, State
from twisted_chat.client.trust import Trust
from twisted_chat.client.unanswered import ANSWERS, Outgoing, Unanswered, new_id
from twisted_chat.core.account_errors import AccountEnded, WrongSecret
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import (
    Entered,
    EntriesRemoved,
    Entry,
    Event,
    Ignoring,
    Refused,
    Registered,
    Renamed,
    Replaced,
    RoomLeft,
    Unregistered,
    Welcomed,
)
from twisted_chat.core.requests import Hello, LogOut, Mark, Quit, Request
from twisted_chat.i18n.language import N_

#: Seconds between two attempts to connect: the first time, and at most.
FIRST_RETRY = 0.5
LAST_RETRY = 30.0

TOO_MANY_ROOMS = N_("the server put this client into too many rooms")
TOO_MUCH = N_("the server sent too much before it answered")
REPLACED = N_("you connected from somewhere else with the same name")

#: Seconds that a connection lasts before the delay between attempts starts again from the first.
STEADY = 10.0

#: Seconds that the server has to close the connection after the client has sent ``quit``.
LEAVE_TIMEOUT = 2.0

#: Seconds to wait, from the number of attempts that failed in a row.
_backoff = backoffPolicy(FIRST_RETRY, LAST_RETRY, factor=1.6)


class ChatClient(Requests, Service):
    """One nickname on one server, for as long as the service runs.

    A program gets the events through :meth:`listen` or :meth:`events`. It can make requests at any
    time: they wait for a connection. A request returns a Deferred that fires with the answer, an
    event; it fails with :class:`.RequestRefused` if the server refuses the request, or with another
    :class:`.Refusal` if it cannot be made. Cancelling the Deferred does not take the request back.
    Use it on the reactor's thread only.
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
        token: str | None = None,
        password: str | None = None,
    ) -> None:
        """
        :param endpoint: an endpoint, or its description: ``tcp:example.org:50000``,
            ``unix:chat.socket``, ``tls:example.org:50001``.
        :param nickname: None if :meth:`introduce` will give it, after :class:`.Connected`.
        :param rooms: rooms to join besides the server's default room. With a number, the listener
            gets the entries after that one first; with None or without numbers, only new entries.
        :param state: stores unsent messages, the rooms, and the last entry of each that was dealt
            with, so that they survive the process. By default, it is in memory.
        :param catch_up: pass on the entries since the last run; if not, only new entries.
        :param insist: if the nickname is refused, try it again after a delay; if not, the program
            calls :meth:`introduce` or :meth:`try_again`.
        :param language: the language of the server's refusals: ``en`` or ``pt_BR``.
        :param tls: which certificate of a ``tls:`` endpoint is trusted; by default, one that the
            system's authorities have signed for its host. If the first certificate is not trusted,
            the client ends with :class:`.NotTrusted` as its :attr:`failure`.
        :param token: a token of the account to which the nickname belongs. If the server says that
            it is wrong, the client ends with that refusal as its :attr:`failure`.
        :param password: the password of that account, if there is no token.
        :raises ValueError: ``endpoint`` is not a description of an endpoint, or ``tls`` is given
            for another endpoint than ``tls:HOST:PORT``.
        :raises Refusal: the name of a room is not valid, or packages for TLS are missing.
        """
        if isinstance(endpoint, str):
            where = described_endpoint(reactor, endpoint, tls, language)
        elif tls is not None:
            raise ValueError("tls goes with the description of an endpoint")
        else:
            where = endpoint
        self.nickname = nickname
        self.state: State = MemoryState() if state is None else state
        self._flow = Flow(lambda: bool(self._unanswered))
        self._positions = Positions(
            rooms, self.state, catch_up=catch_up, tell=self._tell, noting=self._flow.wait_for
        )
        self._unanswered = Unanswered(reactor, self.state, self._tell)
        self._ignored = IgnoredPeople()
        self._reactor = reactor
        self._insist = insist
        self.language = language
        #: The secret for the nickname; None if there is none.
        self.secret = given_secret(token, password)
        #: The number of the account to which the client belongs; 0 for a guest, or while not in.
        self.account = 0
        self._listener: Callable[[Event], None] | None = None
        self._returns_dealt_with = True
        self._connection: ChatClientProtocol | None = None
        self._is_in = False
        self._is_stopping = False
        self._is_over = False
        self._has_been_in = False
        self._in_since = 0.0
        self._failures = 0
        self._reason = ""
        self._opening = Opening(self.state, self._restore, self._not_opened)
        #: Refusals of an earlier run's messages that are not sent again; passed on at the start.
        self._at_start: list[Refused] = []
        self._leaving: Deferred[None] | None = None
        self._when_stopped: list[Deferred[None]] = []
        self._abort: IDelayedCall | None = None
        factory = Factory.forProtocol(lambda: ChatClientProtocol(reactor, self))
        noting = NotingEndpoint(where, self._failed)
        self._service = ClientService(noting, factory, self._retry, reactor)
        #: Why the client ended, if the program did not stop it; :meth:`events` raises it.
        self.failure: BaseException | None = None
        self._complaints = complaints.Complaints(is_program=insist)
        #: Why the client rejected the last connection, such as for its certificate; or None.
        self._refusal: Refusal | None = None

    # -- events -------------------------------------------------------------------------------

    def listen(self, listener: Callable[[Event], None], *, dealt_with: bool = True) -> None:
        """Call ``listener`` with each event from now on, instead of any other.

        An entry is dealt with when ``listener`` returns or, with ``dealt_with=False``, when the
        program calls :meth:`dealt_with`. An exception in ``listener`` is logged.
        """
        self._listener = listener
        self._returns_dealt_with = dealt_with

    def events(self) -> Events:
        """The events from now on, for ``async for``, until the service ends.

        An entry is dealt with when the program asks for the next event. If the program reads
        slowly, the server waits, except while an answer is due. If the service ended and the
        program did not stop it, :attr:`failure` is raised: :class:`.CannotStart` if the state
        cannot be opened, or :class:`.TakenOver`.
        """
        return Events(self, self._size, self._too_much)

    @property
    def rooms(self) -> dict[str, int | None]:
        """The client's rooms, in the order of joining, with the number of the last entry that the
        listener got in each; None until it is known.
        """
        return self._positions.rooms

    @property
    def kept(self) -> Kept | None:
        """What the state contained when it was opened; None before that."""
        return self._opening.kept

    @property
    def is_in(self) -> bool:
        """Whether there is a connection, and the server has accepted the nickname."""
        return self._is_in

    @property
    def delay(self) -> float | None:
        """Seconds between the last ``ping`` and its answer; None if it is not known."""
        return None if self._connection is None else self._connection.delay

    @property
    def waiting(self) -> list[Request]:
        """The requests without an answer, oldest first.

        After the end, the messages among them are those that the next client with this state sends.
        """
        return list(self._unanswered)

    def asked(self, id: str | None) -> Request | None:
        """The request with this ``id``, until the listener has got its answer."""
        return self._unanswered.asked(id)

    def pause(self, *, but_for_answers: bool = False) -> None:
        """Read no more events from the connection until :meth:`resume`.

        Answers wait, too; with ``but_for_answers``, reading goes on as long as an answer is due.
        """
        self._flow.pause(but_for_answers=but_for_answers)

    def resume(self) -> None:
        """Read again, after :meth:`pause`."""
        self._flow.resume()

    # -- asking -------------------------------------------------------------------------------

    def ask(self, request: Request) -> Deferred[Any]:
        """Make any request, except ``Hello`` and ``Quit``, which the client makes itself.

        If the connection breaks before the answer comes, the request is made again.
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
            # If the state cannot be opened, open and startService report it.
            self.open().addCallbacks(lambda _: self._unanswered.keep_new(outgoing), lambda _: None)
        self._unanswered.send()
        self._flow.update()
        return answer

    def log_out(self, *, everywhere: bool = False) -> Deferred[None]:
        """Leave the chat, for good, and revoke the token with which this client came in.

        :param everywhere: revoke those of all devices, and close all connections of the account.
        """
        if self._connection is not None and self._is_in and self.account:
            self._connection.send(LogOut(everywhere))
        return self.stopService()

    def mark(self, room: str, number: int) -> None:
        """Tell the person's other clients that ``room`` was read up to entry ``number``.

        It has no answer. Without an account or a connection, it does nothing.
        """
        if self._connection is not None and self._is_in and self.account:
            self._connection.send(Mark(room, number))

    def take_back(self) -> int:
        """Drop the messages that were never sent, and return their number.

        Their Deferreds fail with :class:`.TakenBack`. Messages that were sent stay: they may have
        arrived.
        """
        count = self._unanswered.take_back()
        self._flow.update()
        self._unanswered.let_more()
        return count

    def introduce(self, nickname: str, secret: Secret | None = None) -> None:
        """Try another nickname, or another secret for it, after one was refused."""
        self.nickname = nickname
        self.secret = secret
        if self._connection is not None and not self._is_in:
            self._hello(self._connection, nickname)

    def try_again(self, refusal: Refusal) -> None:
        """Close this connection, because the server refuses us, and reconnect after a delay."""
        if self._connection is not None and not self._is_in:
            self._connection.close(refusal.sentence(self.language or "en"))

    def ready(self) -> Deferred[None]:
        """Fires when fewer than 200 requests are without an answer, or the client has ended."""
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
        """Leave the chat, for good. The Deferred fires when the state is written and closed, never
        before this method returns.
        """
        super().stopService()
        return self._stop("")

    def open(self) -> Deferred[Kept]:
        """Open the state before the service is started. Fires with what was kept.

        Errback: :class:`.CannotStart`.
        """
        return self._opening.open()

    def _restore(self, kept: Kept) -> Kept:
        self._ignored.restore(kept.ignored)
        self._positions.restore(kept)
        requests, self._at_start = self._unanswered.restore(kept.waiting)
        self._positions.add_rooms_of(requests)
        return kept

    def _not_opened(self, failure: Failure) -> None:
        self.failure = failure.value
        self._end(failure)

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
            self._warn(complaints.CANNOT_START, refusal)
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
            # Not now: a listener may stop us while the service connects or disconnects.
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
        """Fail all requests without an answer."""
        self._is_over = True
        self._unanswered.end(reason)

    # -- one connection after the other -------------------------------------------------------

    def connected(self, connection: ChatClientProtocol) -> None:
        """For :class:`.ChatClientProtocol`."""
        self._refusal = None
        self._connection = connection
        self._flow.over(connection)
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
        connection.hello(hello if self.secret is None else self.secret.add_to(hello))

    def lost(self, connection: ChatClientProtocol, reason: str) -> None:
        """For :class:`.ChatClientProtocol`."""
        if self._is_in and self._reactor.seconds() - self._in_since >= STEADY:
            self._failures = 0
        self._connection = None
        self._flow.over(None)
        self._is_in = False
        self.account = 0
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
        # The service counts failures since the last connection; we count since the last steady one.
        self._failures += 1
        delay = _backoff(self._failures)
        if self._refusal is not None:
            self._warn(complaints.NO_CONNECTION, self._refusal)
        if self.running and self._refusal is not None and not self._has_been_in:
            self._give_up(self._refusal, self._reason)
        elif self.running:
            self._tell(Disconnected(self._reason, delay, self._refusal))
        return delay

    # -- events from the server ---------------------------------------------------------------

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
            if event.refusal.code == WrongSecret.code:  # it stays wrong, and attempts are counted
                self._warn(complaints.CANNOT_START, event.refusal)
                self._give_up(event.refusal, event.refusal.sentence(self.language or "en"))
            else:
                self._warn(complaints.NOT_LET_IN, event.refusal)
                self.try_again(event.refusal)
        if isinstance(event, Refused) and self._is_in and event.refusal.code == AccountEnded.code:
            self._give_up(event.refusal, event.refusal.sentence(self.language or "en"))
        if outgoing is not None:
            self._answer(outgoing, event)

    def _size(self) -> int:
        """Bytes of the line whose event the listener is getting."""
        return 0 if self._connection is None else self._connection.size

    def _too_much(self) -> None:
        """Give up this connection: too many events wait for the program."""
        if self._connection is not None:
            self._connection.close(TOO_MUCH)

    def dealt_with(self, event: Event) -> None:
        """Note that the program has finished with ``event``: the next run goes on after it."""
        self._positions.dealt_with(event)

    def _welcomed(self, event: Welcomed) -> None:
        assert self._connection is not None
        self._is_in = True
        self._complaints.end()
        self._in_since = self._reactor.seconds()
        self.nickname = event.nickname
        self.account = event.account
        self._unanswered.online(self._connection)
        joining = self._unanswered.joining
        for request in self._positions.welcomed(event, joining, is_back=self._has_been_in):
            self._connection.send(request)
        self._has_been_in = True
        self._positions.follow_log()
        # Messages from before any room was known are for the first room.
        self._unanswered.place(self._positions.placed)
        self._unanswered.send()

    def _entered(self, event: Entered) -> None:
        self._positions.entered(event)

    def _ignoring(self, event: Ignoring) -> None:
        if self._ignored.change(event):
            self.state.ignore(self._ignored.kept())

    def _room_left(self, event: RoomLeft) -> None:
        self._positions.left(event.room)

    def _registered(self, event: Registered) -> None:
        self.account = event.account

    def _unregistered(self, event: Unregistered) -> None:
        self._give_up(AccountEnded(), "")

    def _renamed(self, event: Renamed) -> None:
        if event.own:
            self.nickname = event.new

    def _removed(self, event: EntriesRemoved) -> None:
        self._positions.removed(event)

    def _replaced(self, event: Replaced) -> None:
        """End the client, which a newer one has replaced: to reconnect would replace that one."""
        self._is_in = False  # so that no quit is sent, which would end the newer one
        self._unanswered.offline()
        self._give_up(TakenOver(), REPLACED)

    def _give_up(self, failure: Refusal, reason: str) -> None:
        """End the client, for ``failure``: to reconnect would not help."""
        self.running = False
        self.failure = failure
        self._stop(reason)

    def _warn(self, sentence: str, refusal: Refusal) -> None:
        reason = refusal.sentence(self.language or "en")
        self._complaints.log(sentence, self.nickname, reason)

    def _answer(self, outgoing: Outgoing, event: Event) -> None:
        if isinstance(event, Refused):
            outgoing.fail(event.refusal)
        else:
            outgoing.succeed(event)
        self._unanswered.send()
        self._flow.update()
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
    Registered: ChatClient._registered,
    Renamed: ChatClient._renamed,
    Replaced: ChatClient._replaced,
    RoomLeft: ChatClient._room_left,
    Unregistered: ChatClient._unregistered,
    Welcomed: ChatClient._welcomed,
}

"""One person's session: its phases, and how it answers each request.

The phases are choosing (a nickname), entering, chatting, closed. The table of
:mod:`twisted_chat.core.commands` says in which phases a request is legal, and which method answers
it. A session must not know bytes, dialects or the reactor: it gets requests, shows events, and uses
only the few methods of :class:`Connection`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from typing import Protocol

from msgspec import structs

from twisted_chat.core import commands
from twisted_chat.core.author import NOBODY, author_key
from twisted_chat.core.callbacks import nothing
from twisted_chat.core.changes import KeptPerson
from twisted_chat.core.chat import Chat
from twisted_chat.core.commands import Phase, Tokens
from twisted_chat.core.errors import AlreadyHere, NameFirst, Refusal, TooManyRooms, UnknownCode
from twisted_chat.core.events import Replaced
from twisted_chat.core.ignoring import IgnoreList
from twisted_chat.core.leaving import arrived
from twisted_chat.core.limits import TEXT_LIMIT
from twisted_chat.core.login import Login, LoginLink
from twisted_chat.core.names import Nickname, nickname
from twisted_chat.core.people import Person, Positions
from twisted_chat.core.profile import PERSON
from twisted_chat.core.proofs import Proof
from twisted_chat.core.requests import (
    AreYouThere,
    ChooseName,
    GiveSecret,
    Hello,
    Request,
    Resume,
    Say,
)
from twisted_chat.core.room import Cursor, Room
from twisted_chat.i18n.language import match

# The same for all sessions: even an empty frozenset takes 200 bytes.
_NO_ROOMS: Set[str] = frozenset()
_NO_NICKNAME = Nickname("", "", frozenset())


class Connection(LoginLink, Protocol):
    """The part of a connection that its session uses."""

    def wrong_code(self) -> None:
        """Tell the operator that the client gave a wrong code."""

    def adopt(self, session: Session) -> None:
        """Serve ``session`` from now on, instead of the session with which it began."""

    def take_lines(self) -> Sequence[bytes]:
        """Remove and return the waiting lines: the caller hands them to another connection."""

    def put_lines(self, lines: Sequence[bytes]) -> None:
        """Handle ``lines`` before the lines that wait here."""


class Session(Login):
    """A :class:`twisted_chat.core.people.Person` at the other end of a :class:`Connection`.

    If the person comes back over another connection, the session goes on there.

    :param address: the client's address, for the operator's log.
    :param language: the language to begin with, one of :data:`.LANGUAGES`.
    """

    _connection: Connection

    def __init__(self, chat: Chat, connection: Connection, address: str, language: str) -> None:
        self.address = address
        self.nickname = _NO_NICKNAME
        self.client_id = os.urandom(16)
        self.author = NOBODY  # until they enter
        self.code = ""
        self.replaced_logs = _NO_ROOMS
        self.profile = PERSON
        self.cursors: dict[str, Cursor] = {}
        self.current: Room | None = None
        super().__init__(chat, connection, language)
        self.number = chat.connected(self)

    @property
    def has_name(self) -> bool:
        """Whether the client has a nickname, waits for an answer, or is done with this session."""
        return self._phase is not Phase.CHOOSING or self._under_way > 0

    def handle(self, request: Request) -> None:
        """Do what ``request`` asks, or show why it is refused."""
        if self._phase is Phase.CLOSED:
            return
        choosing = self._phase is Phase.CHOOSING and not self.profile.introduces_itself
        if choosing and isinstance(request, Say):
            request = ChooseName(request.text)
        was_asked = self.asks_secret and not isinstance(request, GiveSecret | AreYouThere)
        command = commands.TABLE.by_request[type(request)]
        try:
            if self._phase not in command.phases:
                raise AlreadyHere() if self._phase is Phase.CHATTING else NameFirst()
            if command.tokens is not Tokens.ALL:
                self._check_token(command.tokens)
            getattr(self, command.handler)(request)
        except Refusal as refusal:
            self.refuse(refusal, request.id)
        if was_asked:
            self.ask_again()

    def say_many(self, requests: Sequence[Say]) -> bool:
        """Do what :meth:`handle` does with each of ``requests``, but faster.

        Returns False, and does nothing, if they are no plain messages to the current room. The
        texts must not be blank.
        """
        room = self.current
        if self._phase is not Phase.CHATTING or room is None or self._has_said_nothing:
            return False
        if not {request.room for request in requests} <= {None, room.name}:
            return False
        if not self._chat.speaking.is_free(room.name):
            return False
        limits = self._chat.limits  # dialects refuse texts above the default limit
        if limits.text != TEXT_LIMIT and not all(limits.fits(say.text) for say in requests):
            return False
        self._chat.say_many(self, room, requests)
        self._put_drafts(room, len(requests))
        return True

    def on_ready(self) -> None:
        """Go on showing entries, as the connection is ready for more."""
        self._chat.on_ready(self)

    def restyle(self) -> None:
        """Use the connection's new way of rendering from now on."""
        self._chat.restyle(self)

    # -- coming, going and coming back --------------------------------------------------------

    def _choose_name(self, request: ChooseName) -> None:
        if self._phase is Phase.CHOOSING and not self.profile.introduces_itself:
            self._choose_first_name(request)
            return
        name = nickname(request.name)
        if name.folded != self.nickname.folded:  # a nickname that became reserved may be kept
            self._chat.reserved.check(name)
        if self._phase is not Phase.CHATTING:
            raise NameFirst()  # programs choose their first nickname with hello
        before = self.nickname.text

        def renamed() -> None:
            self._chat.keeper.changed(self)
            self._chat.audit("renamed", self.address, name.text, before=before)

        self._ask_chat(partial(self._chat.rename, self, name), request.id, renamed)

    def _hello(self, request: Hello) -> None:
        name = nickname(request.nickname)
        other = None if request.client is None else self._known(request.client)
        limit = self._chat.limits.rooms
        if len(request.resume) > max(limit, 0 if other is None else len(other.cursors)):
            raise TooManyRooms(limit=limit)  # before thousands of names are normalized
        room_called = self._chat.reading.room_called
        seen = {room_called(room): number for room, number in request.resume.items()}
        self._prove_hello(request, name, partial(self._find_common, request, name, seen))

    def _find_common(
        self, request: Hello, name: Nickname, seen: Mapping[str, int], proof: Proof | None
    ) -> None:
        """Go on with ``hello``: find out which of the entries ``seen`` are in this log."""
        release = self._connection.hold()

        def come_in(common: Mapping[str, int]) -> None:
            try:
                if self._phase is Phase.CHOOSING:
                    replaced_logs = {room for room, at in seen.items() if common[room] < at}
                    self._come_in(request, name, common, replaced_logs, proof)
            except Refusal as refusal:
                self.refuse(refusal, request.id)
            finally:
                release()

        self._chat.reading.common(seen, request.log, come_in)

    def _known(self, client: str) -> Person | None:
        """The person with this client id (hexadecimal), if there is one."""
        return self._chat.identities.by_client(author_key(bytes.fromhex(client)))

    def _come_in(
        self,
        request: Hello,
        name: Nickname,
        resume: Mapping[str, int],
        replaced_logs: set[str],
        proof: Proof | None,
    ) -> None:
        """Answer ``hello``: a new person joins the chat, or one who is here comes back.

        :param resume: for each room, the number of the last entry that the program has seen.
        :param replaced_logs: rooms whose logs are not those that the program saw.
        :param proof: of the account, or None for a guest.
        """
        other = None if request.client is None else self._known(request.client)
        language = match(request.language or "") or self.language
        if not isinstance(other, Session) or not self._is_same(other, proof):
            self.replaced_logs = replaced_logs
            self._set_style(language, timestamps=False)
            if other is not None:  # the client id stays that of the other person or connection
                request = structs.replace(request, client=None)
            self._come_in_anew(request, name, resume, proof)
            return
        if other._under_way:
            again = partial(self._come_in, request, name, resume, replaced_logs, proof)
            self._wait_for(other, again, request.id)
            return
        other.replaced_logs |= replaced_logs
        if proof is None:
            other._ignore_too(request.ignored or {})
        self._hand_over_to(other, resume, request.id)
        other._set_style(language, timestamps=False)
        if proof is None and name != other.nickname:
            other.handle(ChooseName(request.nickname, id=request.id))

    def _come_in_anew(
        self, request: Hello, name: Nickname, resume: Mapping[str, int], proof: Proof | None
    ) -> None:
        client_id = None if request.client is None else bytes.fromhex(request.client)
        if proof is not None:
            self._enter_as(proof, resume, client_id, request.id, resumed=bool(resume))
            return
        self._check_guest(name)
        self._ignore_too(request.ignored or {})
        called_otherwise = ChooseName(request.nickname, id=request.id)

        def entered() -> None:
            if name != self.nickname:  # the person was in the chat already, at another node
                self.handle(called_otherwise)

        rooms = self._with_first_rooms(resume)
        self._enter(name, rooms, client_id, request.id, entered, resumed=bool(resume))

    def _enter(
        self,
        name: Nickname,
        positions: Positions,
        client_id: bytes | None,
        id: str | None,
        entered: Callable[[], None] = nothing,
        refused: Callable[[], None] = nothing,
        resumed: bool = False,
    ) -> None:
        """Join the chat; then ``entered`` is called, or ``refused`` if the nickname is taken.

        :raises Refusal: the nickname is too long, or there are too many rooms.
        """
        given = self.client_id, self.author
        if client_id is not None:
            self.client_id = client_id  # a secret: others know only hashes of it
        guest = self._chat.guest(author_key(self.client_id))
        if self.author > 0:
            self._kept_as = self._kept_as or guest
        elif client_id is not None or self.author == NOBODY:
            self.author = guest
        if client_id is not None:
            self._chat.identities.add_client(self, author_key(client_id))
        elif not self.profile.resumes_by_number:
            self.code = self._chat.identities.add_code(self)

        def take_back() -> None:
            if self._phase is Phase.ENTERING:
                self._phase = Phase.CHOOSING
            self._chat.identities.forget_client(self)
            self.client_id, self.author = given
            self._keeps_client_id = False
            self._chat.identities.take_code_back(self)
            self.code = ""
            refused()

        def come_in() -> None:
            self._has_entered(client_id)
            entered()

        self._keeps_client_id = client_id is not None
        self._phase = Phase.ENTERING
        try:
            self._ask_chat(
                partial(self._chat.enter, self, name, positions, resumed=resumed),
                id,
                come_in,
                take_back,
            )
        except Refusal:
            take_back()
            raise

    def _has_entered(self, client_id: bytes | None) -> None:
        if self._phase is Phase.CLOSED:  # the server is stopping
            self._chat.leave(self, nothing)
            return
        self._phase = Phase.CHATTING
        self._chat.audit("named", self.address, self.nickname.text)
        if client_id is None and not self.profile.resumes_by_number:
            self._chat.keeper.save(self, self.kept())

    def _resume(self, request: Resume) -> None:
        try:
            self.source.check_guess()
        except Refusal:
            self._chat.audit("refused-code", self.address)
            raise
        kept = self._chat.keeper.take(request.code)
        if kept is not None:
            self._come_back_as(kept, request.id)
            return
        other = self._chat.identities.by_code(request.code)
        if isinstance(other, Session) and other.has_changed(request.code):
            other = None
        if other is None:
            self.source.count_wrong_guess()
            self._connection.wrong_code()
            self._chat.audit("wrong-code", self.address)
            self.refuse(UnknownCode(given=request.code), request.id)
            self._count_wrong_secret()
            return
        assert isinstance(other, Session)
        if other.author > 0:
            self._chat.proofs.check_secure(self._connection.secure)
        if other._under_way:
            self._wait_for(other, partial(self._resume, request), request.id)
        else:
            self._hand_over_to(other, {}, request.id)

    def _wait_for(self, other: Session, again: Callable[[], None], id: str | None) -> None:
        """Call ``again`` for the request ``id`` when ``other`` waits for no answer any more."""
        end = self._begin()

        def go_on() -> None:
            try:
                if self._phase is Phase.CHOOSING:
                    again()
            except Refusal as refusal:
                self.refuse(refusal, id)
            finally:
                end()

        other._postponed.append(go_on)

    def _come_back_as(self, kept: KeptPerson, id: str | None) -> None:
        """Join as a person who was here before the server's restart, or is at another node.

        If somebody else holds the nickname now, the person is told so and does not join.
        """
        try:
            name = nickname(kept.nickname)
            self._be_again(kept)
        except Refusal:
            self._chat.keeper.put_back(kept)
            raise
        self._set_style(kept.language, kept.timestamps)
        self._ignore_too({str(author): name for author, name in kept.ignored})

        def entered() -> None:
            self._chat.audit("resumed", self.address, self.nickname.text)
            self._offer_account()

        def refused() -> None:
            self._be_nobody()
            self._ignored = IgnoreList()
            self._chat.keeper.put_back(kept)

        rooms = dict(kept.rooms)
        self._enter(name, rooms, None, id, entered, refused, resumed=True)

    def _hand_over_to(self, other: Session, positions: Positions, id: str | None) -> None:
        """Hand this connection over to ``other``, the session of the same person.

        :raises Refusal: ``other`` cannot come back.
        """
        end = self._begin()

        def finished(is_taken_over: bool) -> None:
            if is_taken_over:
                self._successor = other
                self._phase = Phase.CLOSED
                self._chat.registry.remove(self)
            end()

        try:
            other.take_over(self._connection, positions, id, finished)
        except Refusal:
            end()
            raise

    def take_over(
        self,
        connection: Connection,
        positions: Positions,
        id: str | None,
        finished: Callable[[bool], None],
    ) -> None:
        """Go on over ``connection``; the previous connection is told so and closed.

        :param positions: for each room, the number of the last entry that a program has seen.
        :param id: the id of the request.
        :param finished: called with True, or with False if somebody else holds the nickname now.
        :raises Refusal: there are too many rooms.
        """
        self._forget_last_code()
        previous, self._connection = self._connection, connection
        code = self.code
        if code:
            self.code = self._chat.identities.add_code(self)

        def back() -> None:
            self._connection = previous
            if code:
                self._chat.identities.take_code_back(self)
                self.code = code

        def done() -> None:
            self._has_taken_over(connection, previous)
            finished(True)

        def refused() -> None:
            back()
            finished(False)

        if self._phase is Phase.CLOSED:
            self._positions = arrived(self._positions, previous)
            self._come_in_again(id, done, refused)
            return
        if not self.profile.resumes_by_number:
            positions = arrived(self._chat.positions(self), previous)
        end = self._begin()
        try:
            is_under_way = self._chat.come_back(self, positions, lambda _: end(), id)
        except Refusal:
            end()
            back()
            raise
        done()
        if not is_under_way:
            end()

    def _come_in_again(
        self, id: str | None, done: Callable[[], None], refused: Callable[[], None]
    ) -> None:
        def entered() -> None:
            self._phase = Phase.CHATTING
            done()

        def stay_away() -> None:
            self._phase = Phase.CLOSED
            self._chat.registry.remove(self)
            refused()
            source = self._absent_from or self.source
            if self._can_come_back(source):
                self._count_as_absent(source)

        self._chat.registry.add(self)
        self._chat.identities.back(self)
        self._phase = Phase.ENTERING
        enter = partial(self._chat.enter, self, self.nickname, self._positions, resumed=True)
        try:
            self._ask_chat(enter, id, entered, stay_away)
        except Refusal:
            stay_away()
            raise

    def _has_taken_over(self, connection: Connection, previous: Connection) -> None:
        """Adopt ``connection``. If it has broken off by now, the loss is handled afterwards."""
        if connection.is_there:
            self._code_was_shown()
            self._show_again()
        self._absence = None
        self._proved = ""  # by the previous connection
        self._come_from_absence()
        connection.adopt(self)
        self._chat.audit("resumed", self.address, self.nickname.text)
        if not connection.is_there:
            self._not_sent += previous.drop_lines()
        elif self.profile.deduplicates:
            # The program sends unacknowledged messages again.
            self.lines_dropped(previous.drop_lines())
        else:
            connection.put_lines(previous.take_lines())
        if connection.is_there:
            self._tell_not_sent()
            self._offer_account()
        self._chat.keeper.save(self, self.kept())
        previous.show((Replaced(),), self._style)
        previous.close()

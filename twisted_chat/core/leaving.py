"""How a person leaves, and what is kept so that they can come back.

* A program that gave a client id has a grace period, during which the others are not told.
* A person leaves at once; their code and nickname are kept for a while.

Lines that were received and not handled are counted, and the person is told their number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted_chat.core.changes import KeptPerson
from twisted_chat.core.chat import Chat
from twisted_chat.core.commands import State
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Goodbye, NothingWaits, NotSent, Replaced, ServerStopping
from twisted_chat.core.link import Link, NoConnection
from twisted_chat.core.people import Positions
from twisted_chat.core.requests import Cancel, Quit
from twisted_chat.core.sources import Source
from twisted_chat.core.talking import Speaker


def nobody(refusal: Refusal | None) -> None:
    """Nobody waits for the answer."""


def arrived(positions: Positions, connection: Link) -> Positions:
    """How much of what was shown up to ``positions`` has arrived at the other side."""
    missing = connection.missing()
    return {
        room: missing[room] - 1 if room in missing else position
        for room, position in positions.items()
    }


class Leaver(Speaker):
    """A person who can leave and come back."""

    def __init__(self, chat: Chat, connection: Link, language: str) -> None:
        super().__init__(chat, connection, language)
        self._state = State.CHOOSING
        self._keeps_client_id = False
        self._absence: object = None
        #: The source that this person counts for while they are away.
        self._absent_from: Source | None = None
        #: How far each room was seen, when that was looked at last.
        self._positions: Positions = {}
        #: Whether the code that was shown last has arrived; until then, the one before holds too.
        self._code_arrived: Callable[[], bool] | None = None
        #: Lines that were dropped, which was not told.
        self._not_sent = 0
        #: Whether the connection is lost, which is postponed.
        self._loss_waits = False
        #: Who this person turned out to be: the connection is theirs.
        self._successor: Leaver | None = None

    # -- what is kept --------------------------------------------------------------------------

    def kept(self) -> KeptPerson | None:
        if self._state is State.ENTERING:
            return None  # it is not known yet who they are
        if self._state is not State.CLOSED:
            self._positions = arrived(self._chat.positions(self), self._connection)
        code = self._chat.identities.newest_code(self)
        if code is None:
            return None
        return KeptPerson(
            self.author,
            code,
            self.nickname.text,
            self.language,
            self._style.timestamps,
            tuple(self._positions.items()),
            tuple((person.author.hex(), person.name) for person in self._ignored),
        )

    def has_changed(self, code: str) -> bool:
        """Whether ``code``, one of this person's, is an old one: the new one has arrived."""
        return not self._chat.identities.is_newest(self, code) and self._forget_last_code()

    def _forget_last_code(self) -> bool:
        """Only the newest code holds, if it has arrived; returns whether it has."""
        if self._code_arrived is None or not self._code_arrived():
            return False
        self._code_arrived = None
        self._chat.identities.forget_last_code(self)
        return True

    def _code_was_shown(self) -> None:
        if self.code:
            self._code_arrived = self._connection.arrival()
            self._code_arrived()  # it tells no sooner than when it is asked again

    # -- lines that were not handled -----------------------------------------------------------

    def lines_dropped(self, count: int) -> None:
        """``count`` lines that waited were dropped: that is told, or when the person comes back."""
        if self._successor is not None:
            self._successor.lines_dropped(count)
        elif self._loss_waits:
            self._postponed.append(partial(self.lines_dropped, count))
        else:
            self._not_sent += count
            if not isinstance(self._connection, NoConnection):
                self._tell_not_sent()

    def _tell_not_sent(self) -> None:
        if self._not_sent:
            self.show(NotSent(self._not_sent))
            self._not_sent = 0
            self._has_lost = True

    def _cancel(self, request: Cancel) -> None:
        self.show(NothingWaits())  # or else they would wait in front of it

    # -- the connection ends -------------------------------------------------------------------

    def ended(self) -> None:
        """The other side will say nothing more: also what a program leaves behind that dies."""
        if self._under_way:
            self._postponed.append(self.ended)
        elif self._state is State.CHATTING and self._keeps_client_id:
            self._chat.barrier(self._connection.close)  # then the grace period begins
        elif self._state is State.CHATTING:
            self._depart()
        elif self._state is State.CHOOSING:
            self._connection.close()
            self._state = State.CLOSED

    def connection_lost(self, connection: Link) -> Callable[[], None] | None:
        """The connection broke off, or was closed.

        Returns what is to be called when the grace period is over, for somebody who has one.
        """
        if self._under_way:
            return self._lose_later(connection)
        if self._successor is not None:
            return self._successor.connection_lost(connection)
        if connection is not self._connection:
            return None  # they have come back over another one
        self._forget_last_code()
        self._code_arrived = None
        self._connection = NoConnection(connection.source)
        self._chat.away(self)
        if self._state is State.CHATTING and self._keeps_client_id:
            self._absence = absence = object()
            over = partial(self._absence_over, absence)
            self._absent_from = self.source
            self._absent_from.add_absent(self, over)
            return over
        self._go()
        self._positions = arrived(self._positions, connection)
        self._chat.keeper.save(self, self.kept())
        return None

    def _lose_later(self, connection: Link) -> Callable[[], None]:
        """The connection is lost while a request waits for its answer: that comes first."""
        over: list[Callable[[], None] | None] = []

        def lose() -> None:
            self._loss_waits = False
            over.append(self.connection_lost(connection))

        def grace_is_over() -> None:
            if not over:
                self._postponed.append(grace_is_over)
            elif over[0] is not None:
                over[0]()

        self._loss_waits = True
        self._postponed.append(lose)
        return grace_is_over

    def goes_on_elsewhere(self) -> None:
        if self._state is State.ENTERING:
            return  # they are about to come back here
        self._chat.identities.let_go(self)
        self._chat.keeper.let_go(self)
        self._absence = None
        self._come_from_absence()
        if self._state is not State.CLOSED:
            self._state = State.CLOSED
            self._chat.registry.remove(self)
            self.lines_dropped(self._connection.drop_lines())
            self.show(Replaced())
            self._connection.close()

    def _absence_over(self, absence: object) -> None:
        """The grace period is over, or too many others of the same source are away, too."""
        if self._absence is absence:
            self._absence = None
            self._come_from_absence()
            self._go()

    def _come_from_absence(self) -> None:
        if self._absent_from is not None:
            self._absent_from.remove_absent(self)
            self._absent_from = None

    # -- the person leaves ---------------------------------------------------------------------

    def _go(self) -> None:
        if self._state is State.CHATTING:
            self._depart()
        self._state = State.CLOSED
        self._chat.registry.remove(self)

    def _depart(self) -> None:
        """Leave, in such a way that a person can come back with their code."""
        self._chat.audit("left", self.address, self.nickname.text)
        source, connection = self.source, self._connection
        if self.profile.resumes_by_number:
            self._chat.identities.forget(self)  # it knows its numbers itself
        else:
            self._positions = self._chat.positions(self)
        is_known = self._can_come_back(source)
        self._chat.leave(self, lambda _: connection.close(), keeps_name=is_known)
        self._state = State.CLOSED
        if is_known:
            self._count_as_absent(source)

    def _can_come_back(self, source: Source) -> bool:
        """Whether one can come back; the nickname is kept that long."""

        def forgotten() -> None:
            source.remove_absent(self)
            self._chat.forget(self)

        return self._chat.identities.gone(self, forgotten)

    def _count_as_absent(self, source: Source) -> None:
        """The nickname counts for ``source``; if that has too many, somebody is forgotten."""
        self._absent_from = source
        source.add_absent(self, partial(self._chat.identities.forget, self))

    def _quit(self, request: Quit) -> None:
        self._connection.hold()  # lines after it are not sent: that is told
        if self._state is State.CHATTING:
            self._chat.audit("left", self.address, self.nickname.text)
            self._chat.identities.forget(self)
            self._chat.leave(self, lambda _: self._say_goodbye())
        else:
            self._say_goodbye()
        self._state = State.CLOSED

    def _say_goodbye(self) -> None:
        self.lines_dropped(self._connection.drop_lines())
        if self.profile.receives_goodbye:
            self.show(Goodbye())
        self._connection.close()

    def dismiss(self) -> None:
        if self._state is State.CHATTING:
            self._chat.audit("left", self.address, self.nickname.text)
        self._state = State.CLOSED
        self.lines_dropped(self._connection.drop_lines())
        self.show(ServerStopping(not self._chat.log_lasts, self._has_lost))
        self._connection.close()

    @property
    def is_leaving(self) -> bool:
        return self._state is State.CLOSED

"""Leaving the chat, and the state that is kept so that a person can come back.

* A program that gave a client id has a grace period after a lost connection. It stays in its rooms
  meanwhile, and the others see nothing.
* A person leaves at once; their code and nickname are kept for a while.

Lines that were received but dropped are counted, and the person is shown their number
(:class:`.NotSent`). This module must not know bytes, nor how a person enters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted_chat.core.accounts import PASSWORD
from twisted_chat.core.changes import KeptPerson
from twisted_chat.core.chat import Chat
from twisted_chat.core.commands import Phase
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Goodbye, NothingWaits, NotSent, Replaced, ServerStopping
from twisted_chat.core.link import Link, NoConnection
from twisted_chat.core.people import Positions
from twisted_chat.core.requests import Cancel, Quit
from twisted_chat.core.sources import Source
from twisted_chat.core.talking import Speaker


def arrived(positions: Positions, connection: Link) -> Positions:
    """The last entry of each room that has surely arrived at the client.

    ``positions`` has the last entry of each room that was sent.
    """
    missing = connection.missing()
    return {
        room: missing[room] - 1 if room in missing else position
        for room, position in positions.items()
    }


class Leaver(Speaker):
    """A person who can leave and come back."""

    # Few sessions set these. CPython shares the keys of instances with up to 30 attributes; beyond
    # that, each session would take 1 kB more.
    _absence: object = None
    #: The source that counts this person as away.
    _absent_from: Source | None = None
    #: Dropped lines, not counting those of which the person was shown the number.
    _not_sent = 0
    #: Whether the connection is lost, and the loss is handled after the present request.
    _loss_waits = False
    #: Whether the person is out of the chat, but was not told so yet.
    _is_out = False
    #: The session of the same person that has taken over this connection.
    _successor: Leaver | None = None
    #: For an account, the author number under which the record of this session is kept.
    _kept_as = 0

    def __init__(self, chat: Chat, connection: Link, language: str) -> None:
        super().__init__(chat, connection, language)
        self._phase = Phase.CHOOSING
        self._keeps_client_id = False
        #: The last entry of each room that had arrived, when this was last computed.
        self._positions: Positions = {}
        #: Tells whether the newest code has arrived; until then, the previous code is valid too.
        self._code_arrived: Callable[[], bool] | None = None

    # -- the record that is kept ---------------------------------------------------------------

    def kept(self) -> KeptPerson | None:
        if self._phase is Phase.ENTERING:
            return None  # the chat has not accepted the nickname yet
        if self._phase is not Phase.CLOSED:
            self._positions = arrived(self._chat.positions(self), self._connection)
        code = self._chat.identities.newest_code(self)
        if code is None:
            return None
        return KeptPerson(
            self.kept_as,
            code,
            self.nickname.text,
            self.language,
            self._style.timestamps,
            tuple(self._positions.items()),
            tuple((person.author, person.name) for person in self._ignored),
            max(0, self.author),
            self.credential if self.author > 0 else "",
        )

    @property
    def kept_as(self) -> int:
        """The author number under which the record is kept: each connection has one of its own."""
        return self._kept_as or self.author

    def becomes(self, account: int) -> None:
        # The code was given to a guest. It must not let anybody into the account.
        self._chat.identities.forget(self, but_client=True)
        self.code = ""
        self._kept_as = self.kept_as
        self.author = account
        self.credential = PASSWORD

    def has_changed(self, code: str) -> bool:
        """Whether ``code``, a code of this person, is the previous one although the newest one has
        arrived. If so, the previous one becomes invalid.
        """
        return not self._chat.identities.is_newest(self, code) and self._forget_last_code()

    def _forget_last_code(self) -> bool:
        """Make the previous code invalid if the newest one has arrived; returns whether it has."""
        if self._code_arrived is None or not self._code_arrived():
            return False
        self._code_arrived = None
        self._chat.identities.forget_last_code(self)
        return True

    def _code_was_shown(self) -> None:
        if self.code:
            self._code_arrived = self._connection.arrival()
            self._code_arrived()  # under TLS, only a second call can return True

    # -- lines that were not handled -----------------------------------------------------------

    def lines_dropped(self, count: int) -> None:
        """Show that ``count`` waiting lines were dropped: now, or when the person comes back."""
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
        self.show(NothingWaits())  # if lines waited, the connection has handled the request

    # -- the connection ends -------------------------------------------------------------------

    def ended(self) -> None:
        """The other side has ended its half of the connection, as the system does for a program
        that dies.
        """
        if self._under_way:
            self._postponed.append(self.ended)
        elif self._phase is Phase.CHATTING and self._keeps_client_id:
            self._chat.barrier(self._connection.close)  # then the grace period begins
        elif self._phase is Phase.CHATTING:
            self._depart()
        elif self._phase is Phase.CHOOSING:
            self._connection.close()
            self._phase = Phase.CLOSED

    def connection_lost(self, connection: Link) -> Callable[[], None] | None:
        """``connection`` was lost or closed.

        Returns the function to call when the grace period is over, or None if there is none.
        """
        if self._under_way:
            return self._lose_later(connection)
        if self._successor is not None:
            return self._successor.connection_lost(connection)
        if connection is not self._connection:
            return None  # the person has come back over another one
        self._forget_last_code()
        self._code_arrived = None
        self._connection = NoConnection(connection.source)
        self._chat.away(self)
        if self._phase is Phase.CHATTING and self._keeps_client_id:
            self._absence = absence = object()
            end_absence = partial(self._end_absence, absence)
            self._absent_from = self.source
            self._absent_from.add_absent(self, end_absence)
            return end_absence
        self._go()
        self._positions = arrived(self._positions, connection)
        self._chat.keeper.save(self, self.kept())
        return None

    def _lose_later(self, connection: Link) -> Callable[[], None]:
        """Handle the loss of ``connection`` after the request that waits for its answer."""
        after_grace: list[Callable[[], None] | None] = []  # one, once the loss is handled

        def lose() -> None:
            self._loss_waits = False
            after_grace.append(self.connection_lost(connection))

        def grace_is_over() -> None:
            if not after_grace:
                self._postponed.append(grace_is_over)
            elif after_grace[0] is not None:
                after_grace[0]()

        self._loss_waits = True
        self._postponed.append(lose)
        return grace_is_over

    def goes_on_elsewhere(self) -> None:
        if self._phase is Phase.ENTERING:
            return  # this session is the one with which they come back
        self._chat.identities.let_go(self)
        self._chat.keeper.let_go(self)
        self._absence = None
        self._come_from_absence()
        if self._phase is not Phase.CLOSED:
            self._phase = Phase.CLOSED
            self._chat.registry.remove(self)
            self.lines_dropped(self._connection.drop_lines())
            self.show(Replaced())
            self._connection.close()

    def _end_absence(self, absence: object) -> None:
        """The grace period is over, or too many people of the same source are away: leave."""
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
        if self._phase is Phase.CHATTING:
            self._depart()
        self._phase = Phase.CLOSED
        self._chat.registry.remove(self)

    def _depart(self) -> None:
        """Leave the chat; a person can come back with their code."""
        self._chat.audit("left", self.address, self.nickname.text)
        source, connection = self.source, self._connection
        if self.profile.resumes_by_number:
            self._chat.identities.forget(self)  # a program keeps its positions itself
        else:
            self._positions = self._chat.positions(self)
        is_known = self._can_come_back(source)
        self._chat.leave(self, lambda _: connection.close(), keeps_name=is_known)
        self._phase = Phase.CLOSED
        if is_known:
            self._count_as_absent(source)

    def _can_come_back(self, source: Source) -> bool:
        """Whether this person can come back; their nickname is kept until they no longer can."""

        def forgotten() -> None:
            source.remove_absent(self)
            self._chat.forget(self)

        return self._chat.identities.gone(self, forgotten)

    def _count_as_absent(self, source: Source) -> None:
        """Count this person as away for ``source``, which forgets people if it has too many."""
        self._absent_from = source
        source.add_absent(self, partial(self._chat.identities.forget, self))

    def _quit(self, request: Quit) -> None:
        self._connection.hold()  # lines after /quit are dropped, and counted for the person
        if self._phase is Phase.CHATTING:
            self._chat.audit("left", self.address, self.nickname.text)
            self._chat.identities.forget(self)
            self._chat.leave(self, lambda _: self._say_goodbye())
        else:
            self._say_goodbye()
        self._phase = Phase.CLOSED

    def _say_goodbye(self) -> None:
        self.lines_dropped(self._connection.drop_lines())
        if self.profile.receives_goodbye:
            self.show(Goodbye())
        self._connection.close()

    def is_out(self) -> None:
        self._chat.identities.forget(self)
        self._absence = None
        self._come_from_absence()
        if self._phase is not Phase.CLOSED:
            self._chat.audit("left", self.address, self.nickname.text)
            self._phase = Phase.CLOSED
            self._is_out = True
            self._chat.registry.remove(self)
            self._connection.hold()  # what waits is dropped, and counted for the person

    def is_closed(self, refusal: Refusal) -> None:
        if self._is_out:
            self._is_out = False
            self.lines_dropped(self._connection.drop_lines())
            self._say_why_closed(refusal)
            self._connection.close()

    def _say_why_closed(self, refusal: Refusal) -> None:
        self.refuse(refusal)

    def dismiss(self) -> None:
        if self._phase is Phase.CHATTING:
            self._chat.audit("left", self.address, self.nickname.text)
        self._phase = Phase.CLOSED
        self.lines_dropped(self._connection.drop_lines())
        self.show(ServerStopping(not self._chat.log_lasts, self._has_lost))
        self._connection.close()

    @property
    def is_leaving(self) -> bool:
        return self._phase is Phase.CLOSED

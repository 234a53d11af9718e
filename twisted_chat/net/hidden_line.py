"""One line that the person at a telnet client types without seeing it, such as a password.

The client is asked to hide what is typed, and has :data:`ANSWER_TIMEOUT` seconds to answer. When
the line has come, or is no longer expected, it shows again what is typed. A client that is no
telnet client is not asked, because it would show the request as characters. This module must not
know what the line is for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from twisted_chat.core.callbacks import nothing
from twisted_chat.net.echo import Echo
from twisted_chat.net.incoming import Incoming

#: Seconds that a client has to answer whether it hides what is typed.
ANSWER_TIMEOUT = 1.0


class HiddenLine:
    """The next line of one connection.

    :param clock: provides IReactorTime.
    :param incoming: the bytes and lines of the connection.
    :param told: called once with whether what is typed is hidden, unless :meth:`end` comes before.
    :param release: called when that is known: until then, the caller handles no lines.
    """

    def __init__(
        self,
        clock: Any,
        incoming: Incoming,
        told: Callable[[bool], None],
        release: Callable[[], None],
    ) -> None:
        self._incoming = incoming
        self._told = told
        self._release = release
        self._timer: IDelayedCall | None = None
        # A line that waits is typed already, such as that of a script.
        if incoming.may_be_telnet and not incoming.has_work:
            incoming.hide_typing(True)
        if incoming.echo in (Echo.ASKED, Echo.AGAIN):
            self._timer = clock.callLater(ANSWER_TIMEOUT, self._give_up)
        else:
            self._tell()

    def answered(self) -> None:
        """Note that the client has answered, or changed its mind."""
        if self._timer is not None and self._incoming.echo is not Echo.ASKED:
            self._tell()

    def end(self) -> None:
        """Have the client show what is typed from now on."""
        self._told = nothing
        self._incoming.hide_typing(False)
        if self._timer is not None:
            self._tell()

    def _give_up(self) -> None:
        self._timer = None
        self._incoming.hide_typing(False)
        self._tell()

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        told, self._told = self._told, nothing
        told(self._incoming.echo is Echo.HIDDEN)
        self._release()

"""A client's state: stored between its runs, so that nothing is lost when it is killed.

:class:`State` is the interface; opening it returns :class:`Kept`. :class:`MemoryState` is in memory
only, :class:`.state_file.FileState` in a file. This module must not know the connection or the
format of a stored line.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec
from twisted.internet.defer import Deferred, fail, succeed

from twisted_chat.core.errors import LogRefusal
from twisted_chat.i18n.language import N_

#: The number of last typed lines that a state keeps.
TYPED_LIMIT = 1000

#: The reason for refusing a line before a state is open, or after it is closed.
NOT_OPEN = N_("the client is closing")


class NotKept(LogRefusal):
    code = "not-kept"
    template = N_("This line will be lost if the client ends before sending it ({reason}).")


class Kept(msgspec.Struct, frozen=True):
    """The contents of a state when it was opened."""

    #: The secret that identifies the client to the server: 32 lower-case hexadecimal digits.
    client_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    #: The number of the last entry dealt with in each room, in the order of joining.
    rooms: dict[str, int]
    #: Message ids and lines to send, in the order in which they were stored.
    waiting: tuple[tuple[str, bytes], ...]
    #: The ignored people: see :mod:`.ignored`.
    ignored: tuple[str, ...]
    #: The last lines typed, oldest first, at most :data:`TYPED_LIMIT`.
    typed: tuple[str, ...]
    #: The unfinished line; empty if there is none.
    draft: str
    #: The identity of the server's log to which the numbers in ``rooms`` belong.
    log: str = ""


class State(Protocol):
    """Stores a client's state. Used on the reactor's thread.

    Before :meth:`open` has fired and after :meth:`close`, messages are refused, and all other
    changes are ignored.
    """

    def open(self) -> Deferred[Kept]:
        """Open the state; fires with the contents, once any new client id is stored.

        Errback: :class:`~twisted_chat.core.errors.CannotStart`.
        """

    def keep(self, id: str, line: bytes) -> Deferred[None]:
        """Store ``line``, of the message ``id``, until :meth:`forget`. Fires when it is on disk.

        Errback: :class:`NotKept`.
        """

    def forget(self, id: str) -> None:
        """Delete the message ``id``: the server has saved or refused it."""

    def seen(self, room: str, number: int) -> None:
        """Note that entries of ``room`` up to ``number`` were dealt with.

        A lower number than before changes nothing. The call is cheap enough for every entry.
        """

    def of_log(self, log: str) -> Deferred[None]:
        """Set the identity of the log of all numbers: see ``log`` in ``docs/protocol.rst``.

        Fires when the identity is stored, or cannot be stored.
        """

    def left(self, room: str) -> None:
        """Delete the number of ``room``, which the client has left."""

    def ignore(self, names: Sequence[str]) -> None:
        """Replace the ignored people with ``names``: see :mod:`.ignored`."""

    def typed(self, line: str) -> None:
        """Add ``line`` to the typed lines."""

    def draft(self, text: str) -> None:
        """Replace the unfinished line with ``text``."""

    def close(self) -> Deferred[None]:
        """Write the remaining changes and close the state; fires at the end, even if not open."""


class Notes:
    """The current values of a state, except its messages and typed lines."""

    def __init__(self) -> None:
        self.rooms: dict[str, int] = {}
        self.ignored: tuple[str, ...] = ()
        self.draft = ""
        self.log = ""

    def see(self, room: str, number: int) -> bool:
        """Note ``number``, if it is higher than before; returns whether it is."""
        if number <= self.rooms.get(room, -1):
            return False
        self.rooms[room] = number
        return True


class MemoryState:
    """A :class:`State` in memory, which ends with the process; each ``Deferred`` fires at once."""

    def __init__(self, client_id: str | None = None) -> None:
        self._client_id = client_id or new_client_id()
        self._open = False
        self._notes = Notes()
        self._waiting: dict[str, bytes] = {}
        self._typed: deque[str] = deque(maxlen=TYPED_LIMIT)

    def open(self) -> Deferred[Kept]:
        self._open = True
        return succeed(
            Kept(
                self._client_id,
                dict(self._notes.rooms),
                tuple(self._waiting.items()),
                self._notes.ignored,
                tuple(self._typed),
                self._notes.draft,
                self._notes.log,
            )
        )

    def keep(self, id: str, line: bytes) -> Deferred[None]:
        if not self._open:
            return fail(NotKept(reason=NOT_OPEN))
        self._waiting[id] = line
        return succeed(None)

    def forget(self, id: str) -> None:
        if self._open:
            self._waiting.pop(id, None)

    def seen(self, room: str, number: int) -> None:
        if self._open:
            self._notes.see(room, number)

    def of_log(self, log: str) -> Deferred[None]:
        if self._open:
            self._notes.log = log
        return succeed(None)

    def left(self, room: str) -> None:
        if self._open:
            self._notes.rooms.pop(room, None)

    def ignore(self, names: Sequence[str]) -> None:
        if self._open:
            self._notes.ignored = tuple(names)

    def typed(self, line: str) -> None:
        if self._open:
            self._typed.append(line)

    def draft(self, text: str) -> None:
        if self._open:
            self._notes.draft = text

    def close(self) -> Deferred[None]:
        self._open = False
        return succeed(None)


def new_client_id() -> str:
    """A new random client id."""
    return secrets.token_hex(16)

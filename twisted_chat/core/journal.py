"""The log: numbers entries, commits them in groups, hands each group back in order.

What lives here is the only way to the disk. It must not know sessions, connections or the
reactor: whoever made a draft travels along as an opaque ``sender``, and results come back
through the function ``call_from_thread`` that the journal is given.

Its promise: an entry that was handed back is on disk, in one fixed place of its room.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from twisted_chat.core.errors import Refusal
from twisted_chat.core.messages import Entry, Kind


class Draft(msgspec.Struct, gc=False):
    """An entry before it has a number. ``sender`` is handed back with the result, unread.

    ``author`` is an author key: see :mod:`twisted_chat.core.author`.
    """

    room: str
    time: int
    kind: Kind
    nickname: str
    text: str
    author: bytes | None
    message_id: str | None
    sender: Any


class Saved(msgspec.Struct, frozen=True, gc=False):
    """``draft`` is on disk as ``entry``: since now if ``fresh``, or else since it first came."""

    draft: Draft
    entry: Entry
    fresh: bool = True


class Failed(msgspec.Struct, frozen=True):
    """``draft`` is not on disk, and ``refusal`` says why."""

    draft: Draft
    refusal: Refusal


class Marker(msgspec.Struct, frozen=True):
    """Something that is not stored but has its place in the order, such as a join."""

    callback: Callable[[], None]
    #: Called before the group is written, on the thread that writes.
    before: Callable[[], None] | None = None


#: What comes back of a group, in the order in which it was put in.
Outcome = Saved | Failed | Marker


class RoomState(msgspec.Struct, frozen=True):
    """What the log knows of a room: entries ``base + 1`` to ``last`` are kept.

    ``topic_by`` set the topic; empty if that is not kept any more.
    """

    name: str
    base: int
    last: int
    topic: str
    topic_by: str = ""


class KeptPerson(msgspec.Struct, frozen=True):
    """What is kept of somebody who can come back with a code after a restart.

    ``code`` is its hash; ``rooms`` has each room with the number of the last entry that arrived,
    or None, the current one first; ``ignored`` has the author key of each person they ignore, in
    hexadecimal, with a name.
    """

    author: bytes
    code: bytes
    nickname: str
    language: str
    timestamps: bool
    rooms: tuple[tuple[str, int | None], ...]
    ignored: tuple[tuple[str, str], ...] = ()


class Found(msgspec.Struct, frozen=True):
    """What a search found, the latest first; of each entry, what stands around the first word."""

    entries: tuple[Entry, ...]
    snippets: tuple[str, ...]


class HistoryReader(Protocol):
    """Called back on the reactor thread with a run of entries, oldest first, or a refusal."""

    def __call__(self, result: Sequence[Entry] | Refusal, /) -> None: ...


class SearchReader(Protocol):
    """Called back on the reactor thread with what was found, or a refusal."""

    def __call__(self, result: Found | Refusal, /) -> None: ...


class CommonReader(Protocol):
    """Called back on the reactor thread with a number for each room, or a refusal."""

    def __call__(self, result: Mapping[str, int] | Refusal, /) -> None: ...


class Journal(Protocol):
    """What the chat needs of a log. Every method is called on the reactor thread."""

    def start(self, deliver: Callable[[Sequence[Outcome]], None]) -> Sequence[RoomState]:
        """Open the log and say in which rooms there is anything; ``deliver`` gets each committed
        group.

        :raises Refusal: it cannot be opened.
        """

    def append(self, draft: Draft) -> None:
        """Put ``draft`` in the queue: it comes back as :class:`Saved` or :class:`Failed`."""

    def extend(self, drafts: Sequence[Draft]) -> None:
        """Append each of ``drafts``."""

    def mark(self, callback: Callable[[], None]) -> None:
        """Put a :class:`Marker` in the queue: it comes back in its place."""

    def find(self, room: str, reply: Callable[[RoomState | None], None]) -> None:
        """Put a :class:`Marker` in the queue that tells what the log knows of ``room`` then: also
        of one in which nothing is kept any more, and whose numbers go on.
        """

    @property
    def told(self) -> str:
        """What a client is to keep of the log, so that :meth:`common` can tell if it was replaced.

        A text of at most 512 ASCII characters.
        """

    @property
    def lasts(self) -> bool:
        """Whether the log outlives the server."""

    def common(self, positions: Mapping[str, int], told: str, reply: CommonReader) -> None:
        """How much of what a client saw is the same in this log.

        ``positions``: the number of the last entry that it saw in each room; ``told``: what it
        kept of the log. Where the number in the reply is lower, the log was replaced since, and
        what comes after that number may be something that the client never saw.
        """

    @property
    def full(self) -> bool:
        """Whether the queue takes no more for now."""

    def when_space(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the queue is no longer full."""

    def read_after(
        self, room: str, after: int, through: int, limit: int, reply: HistoryReader
    ) -> None:
        """Read the first ``limit`` entries numbered above ``after``, up to ``through``."""

    def read_before(self, room: str, before: int, limit: int, reply: HistoryReader) -> None:
        """Read the last ``limit`` entries numbered below ``before``."""

    def search(
        self,
        words: str,
        room: str | None,
        limit: int,
        reply: SearchReader,
        source: Hashable = None,
        without: Collection[bytes] = (),
        hidden: Collection[str] = (),
    ) -> None:
        """Find the latest ``limit`` entries that hold all of ``words``, the latest first, but for
        those of the authors ``without`` and those in the rooms ``hidden``.

        Searches of one ``source`` are made one after the other.
        """

    def remove_before(
        self, time: int, removed: Callable[[str, int], None], now: int | None = None
    ) -> None:
        """Begin to remove entries from before ``time``, in small steps behind the commits.

        If the clock says ``now``, and that is too far from what it said last, nothing is removed:
        see :mod:`twisted_chat.journal.retention`.

        After each step, ``removed`` is called with a room and the number of the last entry
        of it that is gone.
        """

    def people(self) -> Sequence[KeptPerson]:
        """Who was kept when the log was closed last: to be asked right after :meth:`start`."""

    def keep(self, people: Sequence[KeptPerson], forgotten: Sequence[bytes]) -> None:
        """Write ``people``, in place of what was kept of the same authors, and remove those
        ``forgotten``, behind the commits.
        """

    def stop(self, stopped: Callable[[], None]) -> None:
        """Commit what is queued, deliver it, close the log, then call ``stopped``.

        What is appended after this call comes back as :class:`Failed`. What is given to
        :meth:`keep` while what was queued is delivered is still written.
        """

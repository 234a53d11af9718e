"""The journal's interface: it orders changes, keeps entries, and hands both back in their order.

It is the only way to the disk. It must not know sessions, connections or the reactor. Its promise:
an entry that was handed back is on disk, in one fixed place of its room. The implementations
(:mod:`twisted_chat.journal`) pass one contract test.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Protocol

import msgspec

from twisted_chat.core.changes import Change, Group, KeptPerson, Outcome, RoomState
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry


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
    """What the chat, the service and its metrics need of a log.

    Every method is called on the reactor thread, and so is what it calls back.
    """

    # -- opening and closing ------------------------------------------------------------------

    def open(
        self,
        apply: Callable[[Group], None],
        opened: Callable[[Sequence[RoomState] | Refusal], None],
    ) -> None:
        """Open the log, then call ``opened`` with the rooms in which anything is kept, or with the
        reason why it cannot be opened. That may be before this returns, or later.

        After that, ``apply`` gets each group of changes in the one order: those that were submitted
        here, and those of other nodes.
        """

    def stop(self, stopped: Callable[[], None]) -> None:
        """Have what was submitted committed and applied, close the log, then call ``stopped``.

        A draft that is submitted after this call comes back as :class:`Failed`. A
        :class:`~twisted_chat.core.changes.Keep` that is submitted while the last groups are applied
        is still written.
        """

    @property
    def node(self) -> str:
        """The name of this node in the groups; empty where there is only one."""

    # -- changes ------------------------------------------------------------------------------

    def submit(self, changes: Sequence[Change]) -> None:
        """Put ``changes`` behind all that was submitted here before.

        A draft comes back as :class:`Saved` or :class:`Failed`, any other change as
        :class:`Ordered`. Only a :class:`~twisted_chat.core.changes.Keep`, which is submitted alone,
        is given to the other nodes alone, and is written behind the commits.
        """

    @property
    def full(self) -> bool:
        """Whether the queue takes no more for now."""

    def when_space(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the queue is no longer full."""

    # -- reading ------------------------------------------------------------------------------

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
        those of the authors ``without`` and those in the rooms ``hidden``, among all that was
        submitted here before.

        Searches of one ``source`` are made one after the other.
        """

    def people(self) -> Sequence[KeptPerson]:
        """Who was kept when the log was closed last: to be asked when it has been opened."""

    @property
    def told(self) -> str:
        """What a client is to keep of the log, so that :meth:`common` can tell if it was replaced.

        A text of at most 512 ASCII characters.
        """

    def common(self, positions: Mapping[str, int], told: str, reply: CommonReader) -> None:
        """How much of what a client saw is the same in this log.

        ``positions``: the number of the last entry that it saw in each room; ``told``: what it
        kept of the log. Where the number in the reply is lower, the log was replaced since, and
        what comes after that number may be something that the client never saw.
        """

    # -- retention ----------------------------------------------------------------------------

    def remove_before(self, time: int, now: int | None = None) -> None:
        """Begin to remove entries from before ``time``, in small steps behind the commits; each
        comes back as a :class:`~twisted_chat.core.changes.Removed`.

        Times are in microseconds since 1970 UTC. If the clock says ``now``, and that is too far
        from what it said last, nothing is removed: see :mod:`twisted_chat.journal.retention`.
        """

    @property
    def confirmed(self) -> int:
        """A time, in microseconds since 1970 UTC, that the operator says was reached; 0: none."""

    @confirmed.setter
    def confirmed(self, time: int) -> None: ...

    @property
    def max_size(self) -> int:
        """Bytes that the log may have on disk; 0 is any number."""

    @max_size.setter
    def max_size(self, size: int) -> None: ...

    # -- for the operator ---------------------------------------------------------------------

    @property
    def lasts(self) -> bool:
        """Whether the log outlives the server."""

    @property
    def is_open(self) -> bool:
        """Whether the log takes what it is given."""

    @property
    def obstacle(self) -> str:
        """Why the log takes nothing now, in English; empty if it does."""

    @property
    def outstanding(self) -> int:
        """How many changes were submitted here and have not been applied."""

    @property
    def size(self) -> int:
        """Bytes of the log on disk, as they were a moment ago; 0 before it is opened."""

    @property
    def measured(self) -> Callable[[Sequence[Outcome], float], None] | None:
        """Called with what became of the drafts of each group, and the seconds that it took, on
        whatever thread writes; to be set before the log is opened.
        """

    @measured.setter
    def measured(self, callback: Callable[[Sequence[Outcome], float], None] | None) -> None: ...

"""The journal's interface: it orders changes, keeps entries, and returns both in their order.

It is the only way to the disk. It must not know sessions, connections or the reactor. Its promise:
a returned entry is on disk, at a fixed place in its room. The implementations
(:mod:`twisted_chat.journal`) pass one contract test.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import msgspec

from twisted_chat.core.callbacks import nothing
from twisted_chat.core.changes import Change, Group, KeptPerson, Outcome, RoomState
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry
from twisted_chat.core.records import Forgotten, Record


class Found(msgspec.Struct, frozen=True):
    """The results of a search, newest first.

    ``snippets`` has, for each entry, the part of its text around the first word.
    """

    entries: tuple[Entry, ...]
    snippets: tuple[str, ...]


class HistoryReader(Protocol):
    """Called back on the reactor thread with a run of entries, oldest first, or a refusal."""

    def __call__(self, result: Sequence[Entry] | Refusal, /) -> None: ...


class SearchReader(Protocol):
    """Called back on the reactor thread with the results of a search, or a refusal."""

    def __call__(self, result: Found | Refusal, /) -> None: ...


class RecordReader(Protocol):
    """Called back on the reactor thread with records, or a refusal."""

    def __call__(self, result: Sequence[Record] | Refusal, /) -> None: ...


class CommonReader(Protocol):
    """Called back on the reactor thread with the number of an entry for each room, or a refusal."""

    def __call__(self, result: Mapping[str, int] | Refusal, /) -> None: ...


class Journal(Protocol):
    """A log, as the chat, the service and its metrics use it.

    Every method and every callback is called on the reactor thread, except :attr:`measured`.
    """

    # -- opening and closing ------------------------------------------------------------------

    def open(
        self,
        apply: Callable[[Group], None],
        opened: Callable[[Sequence[RoomState] | Refusal], None],
    ) -> None:
        """Open the log.

        :param apply: gets each group of changes, of this node and of others, in the one order.
        :param opened: called once before any group, during this call or later: with the states of
            the rooms in the log, or with the refusal if it cannot be opened.
        """

    def stop(self, stopped: Callable[[], None]) -> None:
        """Commit and apply all submitted changes, close the log, then call ``stopped``.

        A draft that is submitted after this call comes back as
        :class:`~twisted_chat.core.changes.Failed`. A :class:`~twisted_chat.core.changes.Keep` that
        is submitted while the last groups are applied is still written.
        """

    @property
    def node(self) -> str:
        """The name of this node in the groups; empty if there is only one node."""

    @property
    def secret(self) -> bytes:
        """32 random bytes that belong to the log, the same at all nodes: see :func:`.guest_number`.

        Read it once the log is open. It must not leave the process.
        """

    # -- changes ------------------------------------------------------------------------------

    def submit(self, changes: Sequence[Change]) -> None:
        """Queue ``changes`` behind all changes that were submitted at this node before.

        A draft comes back as :class:`~twisted_chat.core.changes.Saved` or
        :class:`~twisted_chat.core.changes.Failed`, any other change as
        :class:`~twisted_chat.core.changes.Ordered`. The exception is a
        :class:`~twisted_chat.core.changes.Keep`: it must be the only change in the call, only the
        other nodes get it, and it is written after the waiting commits.
        """

    @property
    def full(self) -> bool:
        """Whether the queue of changes is full: submitters should wait."""

    def when_space(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once the queue is no longer full."""

    # -- reading ------------------------------------------------------------------------------

    def read_after(
        self, room: str, after: int, through: int, limit: int, reply: HistoryReader
    ) -> None:
        """Read the first ``limit`` entries of ``room`` with numbers above ``after``, up to
        ``through`` inclusive.
        """

    def read_before(self, room: str, before: int, limit: int, reply: HistoryReader) -> None:
        """Read the last ``limit`` entries of ``room`` with numbers below ``before``."""

    def search(
        self,
        words: str,
        room: str | None,
        limit: int,
        reply: SearchReader,
        source: Hashable = None,
        without: Collection[int] = (),
        hidden: Collection[str] = (),
    ) -> None:
        """Find the newest ``limit`` entries that contain all of ``words``, newest first.

        The search covers all entries that were submitted at this node before.

        :param words: the words, separated by blanks.
        :param room: the room to search; None for all rooms.
        :param reply: called with the results.
        :param source: searches of the same source run one after the other.
        :param without: authors; their entries are left out.
        :param hidden: names of rooms; their entries are left out.
        """

    def people(self) -> Sequence[KeptPerson]:
        """The records of people that were in the log when it was opened; empty if they cannot be
        read. Call this once the log is open.
        """

    def store(
        self, records: Sequence[Record | Forgotten], done: Callable[[Refusal | None], None]
    ) -> None:
        """Write or delete ``records`` in this node's log, all or none of them.

        They are written before any change that is submitted at this node later. Records that are
        stored while the last groups are applied, after :meth:`stop`, are still written.

        :param done: called later with None, when they are on disk; or with the refusal if they
            could not be written, and then the caller tries again.
        """

    def records(self) -> Sequence[Record]:
        """The records that were in the log when it was opened, except those of the kinds
        :data:`.records.ON_DISK`. Call this once the log is open, and only once.
        """

    def keys(self, kind: str) -> Sequence[str]:
        """The keys of the records of this ``kind``, one of :data:`.records.ON_DISK`, that were in
        the log when it was opened, in their order. Call this as :meth:`records`.
        """

    def read_records(self, kind: str, prefix: str, reply: RecordReader) -> None:
        """Read the records of this ``kind`` whose key begins with ``prefix``, in the order of their
        keys. Damaged ones are left out.
        """

    @property
    def told(self) -> str:
        """The identity of the log, which a client keeps; :meth:`common` needs it to find out
        whether the log was replaced.

        It is a text of at most 512 ASCII characters.
        """

    def common(self, positions: Mapping[str, int], told: str, reply: CommonReader) -> None:
        """Find the last entry of each room that a client saw and this log surely has.

        If the number in the reply is lower than the client's, the log was replaced since then, and
        entries after that number may be others than the client saw.

        :param positions: the number of the last entry that the client saw in each room.
        :param told: the value of :attr:`told` that the client kept.
        :param reply: called with the number of the entry for each room.
        """

    # -- retention ----------------------------------------------------------------------------

    def remove_before(
        self,
        time: int,
        now: int | None = None,
        rooms: Mapping[str, int] = MappingProxyType({}),
        begun: Callable[[], None] = nothing,
    ) -> None:
        """Begin to remove entries from before ``time``, in small steps between the commits.

        Each step comes back as a :class:`~twisted_chat.core.changes.Removed`.

        :param time: microseconds since 1970 UTC; 0: no entry is so old.
        :param now: the time of the clock, in the same unit. If it is too far from the clock's last
            believed time, nothing is removed: see :mod:`twisted_chat.journal.retention`.
        :param rooms: the names of rooms with another ``time``.
        :param begun: called later if the clock is believed.
        """

    @property
    def confirmed(self) -> int:
        """The date that the operator has confirmed, in microseconds since 1970 UTC; 0 if none."""

    @confirmed.setter
    def confirmed(self, time: int) -> None: ...

    @property
    def max_size(self) -> int:
        """The largest size of the log on disk, in bytes; 0 for no limit."""

    @max_size.setter
    def max_size(self, size: int) -> None: ...

    # -- for the operator ---------------------------------------------------------------------

    @property
    def lasts(self) -> bool:
        """Whether the log outlives the server."""

    @property
    def is_open(self) -> bool:
        """Whether the log accepts drafts."""

    @property
    def obstacle(self) -> str:
        """The reason why the log accepts no drafts now, in English; empty if it accepts them."""

    @property
    def outstanding(self) -> int:
        """The number of changes that were submitted at this node and are not applied yet."""

    @property
    def size(self) -> int:
        """The size of the log on disk a moment ago, in bytes; 0 before it is opened."""

    @property
    def measured(self) -> Callable[[Sequence[Outcome], float], None] | None:
        """Called for each commit with the outcomes of its drafts, and its duration in seconds.

        It is called on the thread that writes. Set it before the log is opened.
        """

    @measured.setter
    def measured(self, callback: Callable[[Sequence[Outcome], float], None] | None) -> None: ...

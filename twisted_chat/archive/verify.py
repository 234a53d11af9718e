"""Checks the log: the chain of every room, from its base to its last entry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from twisted_chat.archive.chain import Chain
from twisted_chat.archive.database import (
    BLOCKS_SINCE,
    Archive,
    DatabaseMalformed,
    EntryDamaged,
    RoomDamaged,
    refusal_for,
    shown,
)
from twisted_chat.archive.index_check import IndexCheck
from twisted_chat.archive.progress import Progress
from twisted_chat.archive.tables_check import table_findings
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, Refusal
from twisted_chat.core.records import RecordDamaged, decode
from twisted_chat.i18n.language import N_
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of

_ROOMS = "SELECT id, name, base, base_hash, last, topic FROM room ORDER BY id"

# The entries of a room by their positions: the number by which readers find the row, whatever is in
# it. Before version 8, an index had the positions. There, the plus signs keep SQLite from using the
# index for the row as well: a row that differs from the index is not found.
_ENTRIES = """
    SELECT e.id, b.number + e.id - b.id, e.room, e.number, e.time, e.kind, e.nickname, e.text,
        e.author, e.message_id, e.seal, e.format
    FROM block AS b CROSS JOIN entry AS e ON e.id BETWEEN b.id AND b.id + b.count - 1
    WHERE b.room = ? ORDER BY b.number, e.id
"""
_FORMER_ENTRIES = """
    SELECT e.id, k.number, k.room, e.number, e.time, e.kind, e.nickname, e.text, NULL,
        e.message_id, e.client_id, e.hash
    FROM entry AS k INDEXED BY entry_number
    CROSS JOIN entry AS e ON e.id = k.id AND +e.room = k.room AND +e.number = k.number
    WHERE k.room = ? ORDER BY k.number
"""
_STRAYS = """
    SELECT room, number FROM entry
    WHERE NOT EXISTS (SELECT 1 FROM room WHERE room.id = entry.room)
"""

#: The columns of an entry, after its id and its position.
_KIND, _TEXT = 3, 5

#: The damage if the table and the index through which it is read have different rows.
WRONG_COUNT = N_("some entries are not in the index of their room")


class EntryMissing(Refusal):
    code = "entry-missing"
    template = N_("#{room}: entry {number} is missing")


class RoomUnreadable(DatabaseMalformed):
    code = "room-unreadable"
    template = N_("#{room} cannot be read: {reason}")


class EntryStray(Refusal):
    code = "entry-stray"
    template = N_("entry {number} belongs to room {room}, which does not exist")


class Verification:
    """Checks all of ``archive``; ``rooms`` and ``entries`` count what it has checked."""

    def __init__(self, archive: Archive, progress: Progress) -> None:
        self.rooms = 0
        self.entries = 0
        self._archive = archive
        self._progress = progress
        self._index = IndexCheck(archive)
        self._query, self._secret = _FORMER_ENTRIES, b""
        if archive.version() >= BLOCKS_SINCE:
            self._query = _ENTRIES
            self._secret = next(iter(archive.rows("SELECT secret FROM log")), (b"",))[0]

    def findings(self) -> Iterator[Refusal]:
        """The first damage of each room; empty if the log is intact."""
        for finding in self._findings():
            self._archive.check_unchanged()  # or else the fault may be in our reading
            yield finding

    def _findings(self) -> Iterator[Refusal]:
        sound = True
        try:
            for finding in chain(self._check_file(), self._check_rooms()):
                sound = False
                yield finding
            yield from self._check_rest(sound)
        except SQLITE_FAULTS as error:
            refusal = refusal_for(error, self._archive.path)
            if isinstance(refusal, CannotStart):
                raise
            if sound:  # otherwise some damage was told, and this may be the same
                yield refusal

    def _check_file(self) -> Iterator[Refusal]:
        """The first damage that SQLite itself finds."""
        for (result,) in islice(self._archive.rows("PRAGMA quick_check(1)"), 1):
            if result != "ok":
                reason = visible(" ".join(str(result).split()))
                yield DatabaseMalformed(path=visible(self._archive.path), reason=reason)

    def _check_rooms(self) -> Iterator[Refusal]:
        with self._archive.any_text():
            rooms = list(self._archive.rows(_ROOMS))
        sane = [(base, last) for _, _, base, hash, last, _ in rooms if _is_sane(base, hash, last)]
        self._progress.expect(sum(last - base for base, last in sane))
        for room in rooms:
            finding = self._check_room(*room)
            if finding is not None:
                yield finding
            self.rooms += 1

    def _check_room(
        self, id: Any, name: Any, base: Any, base_hash: Any, last: Any, topic: Any
    ) -> Refusal | None:
        if not _is_sane(base, base_hash, last):
            return RoomDamaged(room=shown(name))
        record = (id, name, base, base_hash, last, topic)
        try:
            return self._walk(*record)
        except SQLITE_FAULTS:
            pass  # perhaps a text is not UTF-8; reading such texts takes twice as long
        try:
            with self._archive.any_text():
                return self._walk(*record)
        except SQLITE_FAULTS as error:
            return RoomUnreadable(room=shown(name), reason=shown(reason_of(error)))

    def _walk(
        self, id: int, name: str, base: int, base_hash: bytes, last: int, topic: str
    ) -> Refusal | None:
        """Follow the chain of one room; returns its first broken link."""
        room = shown(name)
        set_topic = topic if base else ""  # the entry that set it may no longer be kept
        chain = Chain(name, base_hash, self._secret)
        expected, previous_id = base, -math.inf
        for rows in self._archive.batches(self._query, id):
            if base == last:
                return RoomDamaged(room=room)  # there should be no further row
            for row_id, position, *content in rows:
                expected += 1
                if position != expected:
                    if isinstance(position, int) and position > expected:
                        return EntryMissing(room=room, number=expected)
                    return EntryDamaged(room=room, number=_called(position, expected))
                if not chain.fits(id, expected, content) or row_id <= previous_id:
                    return EntryDamaged(room=room, number=expected)
                previous_id = row_id
                if content[_KIND] == "topic":
                    set_topic = content[_TEXT]
            self._index.expect(id, rows)
            self._progress.advance(len(rows))
        if expected < last:
            return EntryMissing(room=room, number=expected + 1)
        if expected > last or topic != set_topic:
            return RoomDamaged(room=room)
        self.entries += expected - base
        return None

    def _check_rest(self, sound: bool) -> Iterator[Refusal]:
        """Damage outside all rooms."""
        for room, number in islice(self._archive.rows(_STRAYS), 1):
            yield EntryStray(room=shown(room), number=shown(number))
            sound = False
        if not sound:
            return  # the counts differ because of the damage found above
        ((count,),) = self._archive.rows("SELECT count(*) FROM entry NOT INDEXED")
        blocks = self.entries
        if self._archive.version() >= BLOCKS_SINCE:
            ((blocks,),) = self._archive.rows("SELECT total(count) FROM block")
        if not count == blocks == self.entries:
            yield DatabaseMalformed(path=visible(self._archive.path), reason=WRONG_COUNT)
        yield from self._check_records()
        if self._archive.version() >= BLOCKS_SINCE:
            yield from table_findings(self._archive)
        yield from self._index.findings()

    def _check_records(self) -> Iterator[Refusal]:
        """The first record that cannot be read: with it, no server starts."""
        if self._archive.version() >= BLOCKS_SINCE:
            for row in self._archive.rows("SELECT kind, key, data FROM record ORDER BY kind, key"):
                try:
                    decode(*row)
                except RecordDamaged as damage:
                    path = visible(self._archive.path)
                    yield DatabaseMalformed(path=path, reason=visible(str(damage)))
                    return


def _is_sane(base: Any, base_hash: Any, last: Any) -> bool:
    """Whether a room's record is plausible; in a room without entries, ``base`` is ``last``."""
    if not (isinstance(base, int) and isinstance(last, int) and isinstance(base_hash, bytes)):
        return False
    return 0 <= base <= last > 0


def _called(number: Any, expected: int) -> int:
    """The name, in a message, of an entry whose ``number`` is neither the next nor a later one."""
    return number if isinstance(number, int) else expected

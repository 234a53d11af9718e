"""Whether the log is whole: every room's chain, from its base to its last entry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from twisted_chat.archive.database import (
    Archive,
    DatabaseMalformed,
    EntryDamaged,
    RoomDamaged,
    refusal_for,
    shown,
)
from twisted_chat.archive.index_check import IndexCheck
from twisted_chat.archive.progress import Progress
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import CannotStart, Refusal
from twisted_chat.i18n.language import N_
from twisted_chat.journal.chain import link
from twisted_chat.journal.sqlite.faults import SQLITE_FAULTS, reason_of

_ROOMS = "SELECT id, name, base, base_hash, last, topic FROM room ORDER BY id"

# By the index, through which everybody reads, but each row from the table itself, so that one
# where the two differ is not found. The plus signs keep SQLite from using the index for both.
_ENTRIES = """
    SELECT e.id, e.number, e.time, e.kind, e.nickname, e.text, e.client_id, e.message_id, e.hash
    FROM entry AS k INDEXED BY entry_number
    CROSS JOIN entry AS e ON e.id = k.id AND +e.room = k.room AND +e.number = k.number
    WHERE k.room = ? ORDER BY k.number
"""
_STRAYS = """
    SELECT room, number FROM entry
    WHERE NOT EXISTS (SELECT 1 FROM room WHERE room.id = entry.room)
"""

#: What is wrong where the table has other rows than the index through which it is read.
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
    """Reads all of ``archive``; what was read is counted in ``rooms`` and ``entries``."""

    def __init__(self, archive: Archive, progress: Progress) -> None:
        self.rooms = 0
        self.entries = 0
        self._archive = archive
        self._progress = progress
        self._index = IndexCheck(archive)

    def findings(self) -> Iterator[Refusal]:
        """What is wrong, the first thing of each room; nothing if all is well."""
        for finding in self._findings():
            self._archive.check_unchanged()  # or else it may be our reading that is wrong
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
            yield refusal

    def _check_file(self) -> Iterator[Refusal]:
        """What SQLite itself finds: the first thing."""
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
            pass  # perhaps some text is not UTF-8; reading any text takes twice as long
        try:
            with self._archive.any_text():
                return self._walk(*record)
        except SQLITE_FAULTS as error:
            return RoomUnreadable(room=shown(name), reason=shown(reason_of(error)))

    def _walk(
        self, id: int, name: str, base: int, base_hash: bytes, last: int, topic: str
    ) -> Refusal | None:
        """Follow the chain of one room: the first link of it that does not hold."""
        room = shown(name)
        set_topic = topic if base else ""  # what set it may not be kept any more
        expected, previous, previous_id = base, base_hash, -math.inf
        for rows in self._archive.batches(_ENTRIES, id):
            if base == last:
                return RoomDamaged(room=room)  # nothing should be there any more
            for row_id, number, *content, hash in rows:
                expected += 1
                if number != expected:
                    if isinstance(number, int) and number > expected:
                        return EntryMissing(room=room, number=expected)
                    return EntryDamaged(room=room, number=_called(number, expected))
                try:
                    previous = link(previous, name, number, *content)
                except UnicodeEncodeError:  # it was not UTF-8
                    return EntryDamaged(room=room, number=expected)
                if previous != hash or row_id <= previous_id:
                    return EntryDamaged(room=room, number=expected)
                previous_id = row_id
                if content[1] == "topic":
                    set_topic = content[3]
            self._index.expect(id, rows)
            self._progress.advance(len(rows))
        if expected < last:
            return EntryMissing(room=room, number=expected + 1)
        if expected > last or topic != set_topic:
            return RoomDamaged(room=room)
        self.entries += expected - base
        return None

    def _check_rest(self, sound: bool) -> Iterator[Refusal]:
        """What no walk through a room passes by."""
        for room, number in islice(self._archive.rows(_STRAYS), 1):
            yield EntryStray(room=shown(room), number=shown(number))
            sound = False
        if not sound:
            return  # the counts differ, for the reason that was told
        ((count,),) = self._archive.rows("SELECT count(*) FROM entry NOT INDEXED")
        if count != self.entries:
            yield DatabaseMalformed(path=visible(self._archive.path), reason=WRONG_COUNT)
        yield from self._index.findings()


def _is_sane(base: Any, base_hash: Any, last: Any) -> bool:
    """Whether a room's record can be true; where nothing is kept, ``base`` is ``last``."""
    if not (isinstance(base, int) and isinstance(last, int) and isinstance(base_hash, bytes)):
        return False
    return 0 <= base <= last > 0


def _called(number: Any, expected: int) -> int:
    """What to call an entry whose ``number`` is not the next, nor one that comes later."""
    return number if isinstance(number, int) else expected

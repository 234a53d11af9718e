"""Checks that the search index contains exactly the words of the entries.

It compares sums, read through ``fts5vocab``: comparing the words of each entry would take longer
than the rest of the check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from twisted_chat.archive.database import Archive
from twisted_chat.console.programs import program
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import Refusal
from twisted_chat.i18n.language import N_
from twisted_chat.journal import search
from twisted_chat.journal.sqlite.index import IndexDamaged, using_index

#: The first version of the schema whose index names the rules by which it was built.
SINCE = 4

_STATE = "SELECT entry, version FROM indexed"
_DOCUMENTS = "SELECT count(*), coalesce(sum(id), 0) FROM entry_text_docsize"
_VOCABULARY = "CREATE VIRTUAL TABLE temp.entry_words USING fts5vocab(main, entry_text, col)"
_WORDS = "SELECT term, col, doc, cnt FROM temp.entry_words"


# The records that FTS5 needs besides the words (its source, "fts5_index.c"): those of its structure
# and of its sizes, and the pages of each segment of words.
_RECORDS = "SELECT count(*) FROM entry_text_data WHERE id IN (1, 10)"
_LOST_SEGMENTS = """
    SELECT count(*) FROM (SELECT DISTINCT id >> 37 AS segment FROM entry_text_data WHERE id > 10)
    WHERE segment NOT IN (SELECT segid FROM entry_text_idx)
"""
_LOOK_UP = "SELECT count(*) FROM entry_text WHERE entry_text MATCH ?"

#: One word of this many is looked up, to check that words can be found.
_EVERY = 1009

#: Words in more entries than this are not looked up.
_RARE = 1000

#: The positions of the id and of the text among the columns of an entry in ``verify.py``.
_ID, _TEXT = 0, 7


class SearchIndexDamaged(Refusal):
    code = "search-index-damaged"
    template = N_(
        "the search index does not match the log ({reason}); {program} reindex {path} "
        "rebuilds it, and nothing is lost"
    )


class IndexCheck:
    """Sums over the expected entries (:meth:`expect`), and over the index."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._damage: str | None = None
        #: The last entry in the index; None if it was built by other rules for words, so that
        #: the next start of a server rebuilds it.
        self._position = self._read_position()
        self._count = self._id_sum = 0
        self._word_sum = self._text_sum = 0
        self._rooms: Counter[str] = Counter()

    def _read_position(self) -> int | None:
        if self._archive.version() < SINCE:
            return None
        try:
            with using_index():
                states = list(self._archive.rows(_STATE))
        except IndexDamaged as damage:
            self._damage = str(damage)
            return None
        if len(states) != 1 or not all(isinstance(value, int) for value in states[0]):
            self._damage = "indexed"
            return None
        position, version = states[0]
        return position if version == search.VERSION else None

    def expect(self, room: int, rows: Sequence[Sequence[Any]]) -> None:
        """These entries of ``room`` are in the log."""
        position = self._position
        if position is None:
            return
        tokens = search.tokens
        for row in rows:
            if row[_ID] > position:
                break
            words = tokens(row[_TEXT])
            self._word_sum += sum(map(hash, words))
            self._text_sum += sum(map(hash, set(words)))
            self._id_sum += row[_ID]
            self._count += 1
            self._rooms[search.room_token(room)] += 1

    def findings(self) -> Iterator[Refusal]:
        """The damage of the index, after all entries were expected; None if there is none."""
        damage = self._damage
        if damage is None and self._position is not None:
            try:
                with using_index():
                    damage = self._difference()
            except IndexDamaged as damaged:
                damage = str(damaged)
        if damage is not None:
            path = visible(self._archive.path)
            yield SearchIndexDamaged(
                path=path, reason=visible(damage), program=program("twisted-chat")
            )

    def _difference(self) -> str | None:
        """The table that differs from the expected sums, or None."""
        if self._one(_DOCUMENTS) != (self._count, self._id_sum):
            return "entry_text_docsize"
        if self._one(_RECORDS) != (2,):
            return "entry_text_data"
        if self._one(_LOST_SEGMENTS) != (0,):
            return "entry_text_idx"
        return self._difference_of_words()

    def _difference_of_words(self) -> str | None:
        word_sum = text_sum = 0
        rooms: dict[str, int] = {}
        looked_up: dict[str, int] = {}
        list(self._archive.rows(_VOCABULARY))
        try:
            for number, (word, column, texts, times) in enumerate(self._archive.rows(_WORDS)):
                if column == "text":
                    if number % _EVERY == 0 and texts <= _RARE:
                        looked_up[word] = texts
                    hashed = hash(word)
                    word_sum += hashed * times
                    text_sum += hashed * texts
                else:
                    rooms[word] = texts
        finally:
            list(self._archive.rows("DROP TABLE temp.entry_words"))
        if (word_sum, text_sum, rooms) != (self._word_sum, self._text_sum, self._rooms):
            return "entry_text_data"
        for word, texts in looked_up.items():
            if self._one(_LOOK_UP, f'text : "{word}"') != (texts,):
                return "entry_text_idx"
        return None

    def _one(self, query: str, *parameters: object) -> tuple[Any, ...]:
        return next(iter(self._archive.rows(query, *parameters)))

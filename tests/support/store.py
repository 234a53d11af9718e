"""Drafts for a store, and what it has stored: entries, their chain, its oldest entry."""

from __future__ import annotations

from contextlib import closing
from itertools import count

from twisted_chat.archive.chain import Chain
from twisted_chat.core.changes import Draft, Saved
from twisted_chat.core.events import Entry, Kind
from twisted_chat.journal.sqlite.store import Store

clock = count(1_795_463_820_000_000)


def draft(
    text: str = "hello",
    *,
    room: str = "lobby",
    kind: Kind = "say",
    nickname: str = "Ana",
    author: int = -3,
    message_id: str | None = None,
) -> Draft:
    return Draft(room, next(clock), kind, nickname, text, author, message_id)


def commit(store: Store, *drafts: Draft) -> list[Entry]:
    """The entries that ``drafts`` became: all of them are saved, and were not before."""
    entries = []
    for outcome, given_ in zip(store.commit(drafts), drafts, strict=True):
        assert isinstance(outcome, Saved)
        assert outcome.fresh
        assert outcome.draft is given_
        entries.append(outcome.entry)
    return entries


def log_of(store: Store, room: str = "lobby") -> list[Entry]:
    return store.reader().after(room, 0, 10**9, 10**9)


def check_chain(store: Store, room: str = "lobby") -> None:
    """Each stored hash is that of the entry before it and of its own content."""
    row = store._connection.execute(
        "SELECT id, base, base_hash FROM room WHERE name = ?", (room,)
    ).fetchone()
    if row is None:
        return
    id, base, hash = row
    chain = Chain(room, hash, store.secret)
    rows = store._connection.execute(
        "SELECT room, number, time, kind, nickname, text, author, message_id, seal, format"
        " FROM entry WHERE room = ? ORDER BY number",
        (id,),
    )
    for number, row in enumerate(rows, base + 1):
        assert chain.fits(id, number, row)


def base_of(store: Store, room: str = "lobby") -> tuple[int, bytes]:
    """What the database says of the last entry before the oldest kept one."""
    row = store._connection.execute("SELECT base, base_hash FROM room WHERE name = ?", (room,))
    base, base_hash = row.fetchone()
    return base, base_hash


def remove_all_before(store: Store, time: int, limit: int = 200, room: str = "lobby") -> int:
    """Remove step by step; returns the last number that is gone."""
    last, _ = base_of(store, room)
    more = True
    while more:
        step, more = store.remove_before(room, time, limit)
        assert step == 0 or 0 < step - last <= limit
        assert step == last + limit or not more
        last = step or last
    return last


def index_all(store: Store) -> None:
    while store.index(500):
        pass
    assert store.unindexed() == 0


def found(store: Store, words: str, room: str | None = None, limit: int = 100) -> list[str]:
    """The texts that a search gives, in its order, of all that is committed."""
    index_all(store)
    with closing(store.reader()) as reader:
        return [entry.text for entry in reader.search(words, room, limit)]

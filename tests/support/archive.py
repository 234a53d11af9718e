"""A log in three rooms, for what reads archives."""

from __future__ import annotations

from itertools import count

from twisted_chat.core.changes import Draft
from twisted_chat.core.events import Kind
from twisted_chat.journal.sqlite.store import Store

START = 1_795_463_820_000_000


AUTHOR = -4_611_686_018_427_387_123


#: What the lobby's entries are like; the texts of the others do not matter.
LOBBY: list[tuple[Kind, str, str]] = [
    ("say", "Ana", "Olá a todos"),
    ("act", "Bia", "waves"),
    ("topic", "Ana", "films, old"),
    ("say", "李雷", "🙂 *not bold*"),
    ("say", "Ana", '=HYPERLINK("http://example.org")'),
    ("say", "Ana", "\x1b[2J and \x9b2J"),
]


def fill(store: Store) -> None:
    """Three rooms, in turns: #lobby 1 to 6; #cinema 7 to 9, as the first are gone; #empty 1."""
    ids = count(1)
    for place, (kind, nickname, text) in enumerate(LOBBY):
        time = START + place * 86_400_000_000 // 2 + place
        id = f"m{next(ids)}" if place % 2 else None
        store.commit([Draft("lobby", time, kind, nickname, text, AUTHOR, id)])
        store.commit([Draft("cinema", time, "say", "Ana", "gone", AUTHOR, None)])
    late = START * 2
    store.commit([Draft("cinema", late, "say", "Bia", text, 0, None) for text in "789"])
    store.commit([Draft("empty", START, "say", "Ana", "", AUTHOR, f"m{next(ids)}")])
    while store.index(100):
        pass
    store.remove_before("cinema", late, 100)

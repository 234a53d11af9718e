"""A search index that is destroyed stops nothing, is noticed, and is made anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.search_index import DESTROYED
from tests.support.store import found, index_all
from twisted_chat.core.changes import Draft
from twisted_chat.journal.sqlite.store import MEMORY, Store


def draft(text: str, time: int = 1) -> Draft:
    return Draft("lobby", time, "say", "Ana", text, 0, None)


def commit(store: Store, *drafts: Draft) -> None:
    store.commit(drafts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.mark.parametrize("statement", DESTROYED)
def test_a_destroyed_index_stops_nothing(
    path: Path, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither commits nor the removal of old entries; and it is made anew when it is noticed."""
    with closing(Store(str(path))) as store:
        commit(store, *(draft(f"word{n} é common", n) for n in range(20)))
        index_all(store)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    with closing(Store(str(path))) as store:
        commit(store, draft("new", 100))
        assert store.remove_before("lobby", 10, 5) == (5, True)
        assert store.remove_before("lobby", 10, 100) == (10, False)
        index_all(store)
        assert found(store, "new") == ["new"]
        if store.search_index.made_anew:
            assert "is made anew" in caplog.text
            assert len(found(store, "common")) == 10
        store.search_index.make_anew("as an operator asked")
        assert found(store, "common", limit=1) == ["word19 é common"]
        assert len(found(store, "common")) == 10
        assert found(store, "word3") == []


def test_a_text_that_is_not_utf8_holds_up_neither_the_index_nor_retention(path: Path) -> None:
    with closing(Store(str(path))) as store:
        commit(store, *(draft(f"word{n}", n) for n in range(5)))
        store._connection.execute(
            "UPDATE entry SET text = CAST(x'66ff6f' AS TEXT) WHERE number = 2"
        )
        assert found(store, "word4") == ["word4"]
        assert store.remove_before("lobby", 4, 10) == (4, False)
        assert found(store, "word1") == []


def test_an_index_of_other_rules_is_made_anew(path: Path) -> None:
    with closing(Store(str(path))) as store:
        commit(store, draft("one"), draft("two"))
        index_all(store)
        store._connection.execute("UPDATE indexed SET version = 0")
    with closing(Store(str(path))) as store:
        assert store.unindexed() == 2
        assert found(store, "one") == ["one"]
    with closing(Store(str(path))) as store:
        assert store.unindexed() == 0


def test_long_texts_are_indexed_in_short_steps() -> None:
    """As a step holds up the commits."""
    memory = Store(MEMORY)
    commit(memory, *(draft("word " * 800) for _ in range(200)))
    assert 0 < memory.index(500) < 100
    assert memory.search_index.has_more
    index_all(memory)
    assert not memory.search_index.has_more

"""The log in SQLite: what is committed comes back as it was, and nothing else does."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.database_files import (
    FIRST_SCHEMA,
    author_in,
    foreign,
    made_by_the_first_version,
    refusal_of,
    upgraded,
)
from tests.support.store import (
    base_of,
    check_chain,
    commit,
    draft,
    found,
    index_all,
    log_of,
    remove_all_before,
)
from twisted_chat.core.author import NOBODY, author_key, guest_number
from twisted_chat.core.changes import Draft, Failed, KeptPerson, RoomState, Saved
from twisted_chat.core.errors import (
    BackupFailed,
    CannotStart,
    DatabaseForeign,
    DatabaseInUse,
    DatabaseNewer,
    DatabaseUnusable,
    IdReused,
)
from twisted_chat.core.events import Entry, Kind
from twisted_chat.journal import search as searching
from twisted_chat.journal.chain import SALT_SIZE, SIZE, START, link, seal, starter
from twisted_chat.journal.sqlite.blocks import ONE
from twisted_chat.journal.sqlite.store import MEMORY, Store
from twisted_chat.journal.sqlite.upgrade import APPLICATION_ID, schema_scripts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def memory() -> Iterator[Store]:
    with closing(Store(MEMORY)) as store:
        yield store


# -- what is written comes back ---------------------------------------------------------------

HOSTILE = (
    "",
    "'",
    '"; DROP TABLE entry; --',
    "'); DELETE FROM room; --",
    "../../x",
    "/etc/passwd",
    "?1 :name @x $y",
    "%s {0} \\",
    "\0 before and after \0",
    "\x1b]52;c;aGk=\x07",
    "José 李雷 🙂 \u202e \u0301",
    "NULL",
    "1e3",
    " spaces and a line break \r\n",
)

hostile = st.one_of(st.sampled_from(HOSTILE), st.text())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_only_a_text(memory: Store, text: str) -> None:
    """As a text, a nickname, a message id, a topic and a room's name."""
    given_ = draft(text, room=text, nickname=text, message_id=text or None, kind="topic")
    (entry,) = commit(memory, given_)
    assert log_of(memory, text) == [entry]
    assert (entry.room, entry.nickname, entry.text, entry.message_id or "") == (text,) * 4
    assert memory.rooms() == [RoomState(text, 0, 1, text, text)]


@given(
    st.lists(
        st.builds(
            draft,
            hostile,
            room=hostile,
            kind=st.sampled_from(["say", "act", "topic"]),
            nickname=hostile,
            author=st.integers(-(2**62), 2**62),
        ),
        max_size=8,
    )
)
@settings(deadline=None, max_examples=60)
def test_any_draft_comes_back_as_it_was(drafts: list[Draft]) -> None:
    with closing(Store(MEMORY)) as store:
        entries = commit(store, *drafts)
        for entry, given_ in zip(entries, drafts, strict=True):
            fields = msgspec.structs.asdict(given_)
            del fields["sender"]
            assert msgspec.structs.asdict(entry) == {
                **fields,
                "number": entry.number,
                "hash": entry.hash,
            }
        for room in {given_.room for given_ in drafts}:
            log = [entry for entry in entries if entry.room == room]
            assert log_of(store, room) == log
            assert [entry.number for entry in log] == list(range(1, len(log) + 1))
            check_chain(store, room)


def test_a_file_is_opened_in_no_other_place(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with closing(Store(str(folder / "chat.db"))) as store:
        store.commit([draft("../../x", room="../../x", nickname="../../x")])
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("name", ["a?mode=memory", "a#b.db", "a%20b.db", "olá mundo.db", ":x:"])
def test_a_file_of_any_name_can_be_written_and_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with closing(Store(str(path))) as store:
        entries = commit(store, draft())
        assert path.is_file()
        assert log_of(store) == entries


# -- numbers ----------------------------------------------------------------------------------


def test_numbers_are_contiguous_in_each_room_over_commits_and_reopening(path: Path) -> None:
    logs: dict[str, list[Entry]] = {"lobby": [], "cinema": []}
    for _ in range(3):
        with closing(Store(str(path))) as store:
            for _ in range(3):
                group = [draft(room=room) for room in ("lobby", "cinema", "lobby")]
                for entry in commit(store, *group):
                    logs[entry.room].append(entry)
    with closing(Store(str(path))) as store:
        for room, length in (("lobby", 18), ("cinema", 9)):
            assert [entry.number for entry in logs[room]] == list(range(1, length + 1))
            assert log_of(store, room) == logs[room]
            check_chain(store, room)
        assert store.rooms() == [RoomState("lobby", 0, 18, ""), RoomState("cinema", 0, 9, "")]


def test_an_empty_group_writes_nothing(memory: Store) -> None:
    assert memory.commit([]) == []
    assert memory.rooms() == []


def test_a_failed_commit_leaves_nothing_and_the_next_goes_on(path: Path) -> None:
    with closing(Store(str(path))) as store:
        before = commit(store, draft("one", message_id="m1"))
        store._connection.execute(
            "CREATE TEMP TRIGGER doom BEFORE INSERT ON main.entry WHEN new.text = 'doomed'"
            " BEGIN SELECT raise(ABORT, 'doomed'); END"
        )
        doomed = [
            draft("two", message_id="m2"),
            draft("new room", room="cinema"),
            draft("one", message_id="m1"),
            draft("doomed"),
        ]
        with pytest.raises(sqlite3.IntegrityError):
            store.commit(doomed)
        assert log_of(store) == before
        assert log_of(store, "cinema") == []
        assert store.rooms() == [RoomState("lobby", 0, 1, "")]

        after = commit(store, draft("three"), draft("first", room="cinema"))
        assert [(entry.room, entry.number) for entry in after] == [("lobby", 2), ("cinema", 1)]
        assert log_of(store) == [before[0], after[0]]
        check_chain(store)
        check_chain(store, "cinema")
    with closing(Store(str(path))) as store:
        assert store.rooms() == [RoomState("lobby", 0, 2, ""), RoomState("cinema", 0, 1, "")]


def test_a_draft_that_cannot_be_written_fails_its_group_only(memory: Store) -> None:
    with pytest.raises(Exception, match="surrogates"):
        memory.commit([draft("fine"), draft("\ud800")])
    (entry,) = commit(memory, draft("next"))
    assert log_of(memory) == [entry]
    assert entry.number == 1


# -- the same message again -------------------------------------------------------------------


def test_a_message_id_is_stored_once_for_each_client(memory: Store) -> None:
    (first,) = commit(memory, draft(author=1, message_id="m"))
    (other,) = commit(memory, draft(author=-1, message_id="m"))
    again = draft(author=1, message_id="m")
    assert memory.commit([again]) == [Saved(again, first, fresh=False)]
    assert log_of(memory) == [first, other]


def test_drafts_without_a_message_id_never_collide(memory: Store) -> None:
    """Nor is there anything else by which one of them would be taken for another."""
    commit(memory, draft("x", message_id="m"))
    commit(memory, draft("x"), draft("x"), draft("x", author=NOBODY), draft("x", author=NOBODY))
    outcomes = memory.commit([draft("x"), draft("x", message_id="m"), draft("x")])
    assert [isinstance(o, Saved) and o.fresh for o in outcomes] == [True, False, True]
    assert [entry.number for entry in log_of(memory)] == list(range(1, 8))
    check_chain(memory)


def test_what_comes_again_is_the_first_entry(path: Path) -> None:
    """Whenever it comes: in the same group, in a later one, after a restart."""
    with closing(Store(str(path))) as store:
        once, twice = draft("oi", message_id="m"), draft("oi", message_id="m")
        first, again = store.commit([once, twice])
        assert isinstance(first, Saved)
        assert first.fresh
        assert again == Saved(twice, first.entry, fresh=False)
        assert again.draft is twice
        assert store.commit([once]) == [Saved(once, first.entry, fresh=False)]
    with closing(Store(str(path))) as store:
        late = draft("oi", message_id="m", nickname="Renamed")
        assert store.commit([late]) == [Saved(late, first.entry, fresh=False)]
        assert log_of(store) == [first.entry]
        assert store.rooms() == [RoomState("lobby", 0, 1, "")]


@pytest.mark.parametrize(
    ("text", "room", "kind"),
    [
        ("another", "lobby", "say"),
        ("Hello", "lobby", "say"),
        ("hello", "cinema", "say"),
        ("hello", "lobby", "act"),
    ],
)
@pytest.mark.parametrize("when", ["same group", "later", "reopened"])
def test_an_id_with_another_content_is_refused_and_nothing_is_stored(
    path: Path, text: str, room: str, kind: Kind, when: str
) -> None:
    given_ = draft("hello", message_id="m")
    other = draft(text, room=room, kind=kind, message_id="m")
    store = Store(str(path))
    if when == "same group":
        first, refused = store.commit([given_, other])
    else:
        (first,) = store.commit([given_])
        if when == "reopened":
            store.close()
            store = Store(str(path))
        (refused,) = store.commit([other])
    with closing(store):
        assert isinstance(first, Saved)
        assert isinstance(refused, Failed)
        assert refused.draft is other
        assert isinstance(refused.refusal, IdReused)
        assert "m" in str(refused.refusal)
        assert log_of(store) == [first.entry]
        assert store.rooms() == [RoomState("lobby", 0, 1, "")]


def test_the_rest_of_the_group_is_stored_without_a_gap(path: Path) -> None:
    with closing(Store(str(path))) as store:
        (first,) = commit(store, draft("one", message_id="1"))
        group = [
            draft("two", message_id="2"),
            draft("one", message_id="1"),
            draft("reused", message_id="1"),
            draft("three", message_id="3"),
            draft("elsewhere", room="cinema"),
            draft("three", message_id="3"),
            draft("four"),
        ]
        outcomes = store.commit(group)
        assert [outcome.draft for outcome in outcomes] == group
        fresh = [o.entry for o in outcomes if isinstance(o, Saved) and o.fresh]
        known = [o.entry for o in outcomes if isinstance(o, Saved) and not o.fresh]
        assert [entry.text for entry in fresh] == ["two", "three", "elsewhere", "four"]
        assert known == [first, fresh[1]]
        assert [o.draft.text for o in outcomes if isinstance(o, Failed)] == ["reused"]
    with closing(Store(str(path))) as store:
        log = log_of(store)
        assert [(entry.number, entry.text) for entry in log] == [
            (1, "one"),
            (2, "two"),
            (3, "three"),
            (4, "four"),
        ]
        check_chain(store)
        assert store.rooms() == [RoomState("lobby", 0, 4, ""), RoomState("cinema", 0, 1, "")]


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["x", "y"]),
                st.sampled_from(["lobby", "cinema"]),
                st.sampled_from([None, "1", "2", "3"]),
                st.sampled_from([7, -7]),
            ),
            max_size=5,
        ),
        max_size=5,
    )
)
@settings(deadline=None)
def test_any_mixture_of_new_and_known_is_what_a_dictionary_would_say(
    groups: list[list[tuple[str, str, str | None, int]]],
) -> None:
    """Against a model: a dictionary of messages, and a list for each room."""
    messages: dict[tuple[int, str], Entry] = {}
    logs: dict[str, list[Entry]] = {"lobby": [], "cinema": []}
    with closing(Store(MEMORY)) as store:
        for group in groups:
            drafts = [
                draft(text, room=room, message_id=id_, author=client)
                for text, room, id_, client in group
            ]
            for given_, outcome in zip(drafts, store.commit(drafts), strict=True):
                key = (given_.author, given_.message_id or "")
                known = messages.get(key) if given_.message_id else None
                if known is None:
                    assert isinstance(outcome, Saved)
                    assert outcome.fresh
                    logs[given_.room].append(outcome.entry)
                    if given_.message_id:
                        messages[key] = outcome.entry
                elif (known.text, known.room) == (given_.text, given_.room):
                    assert outcome == Saved(given_, known, fresh=False)
                else:
                    assert isinstance(outcome, Failed)
        for room, log in logs.items():
            assert log_of(store, room) == log
            assert [entry.number for entry in log] == list(range(1, len(log) + 1))
            check_chain(store, room)


# -- reading ----------------------------------------------------------------------------------


def test_after_gives_the_first_ones_above_a_number_in_order(memory: Store) -> None:
    entries = commit(memory, *(draft(str(number)) for number in range(1, 11)))
    reader = memory.reader()
    assert reader.after("lobby", 0, 10, 100) == entries
    assert reader.after("lobby", 3, 10, 4) == entries[3:7]
    assert reader.after("lobby", 3, 5, 4) == entries[3:5]
    assert reader.after("lobby", 10, 10, 4) == []
    assert reader.after("lobby", 5, 5, 4) == []
    assert reader.after("cinema", 0, 10, 4) == []


def test_before_gives_the_last_ones_below_a_number_in_order(memory: Store) -> None:
    entries = commit(memory, *(draft(str(number)) for number in range(1, 11)))
    reader = memory.reader()
    assert reader.before("lobby", 11, 100) == entries
    assert reader.before("lobby", 11, 3) == entries[7:]
    assert reader.before("lobby", 8, 3) == entries[4:7]
    assert reader.before("lobby", 2, 3) == entries[:1]
    assert reader.before("lobby", 1, 3) == []
    assert reader.before("cinema", 11, 3) == []


def test_a_reader_sees_what_is_committed_and_writes_nothing(path: Path) -> None:
    with closing(Store(str(path))) as store, closing(store.reader()) as reader:
        assert reader.after("lobby", 0, 10, 10) == []
        entries = commit(store, draft())
        assert reader.after("lobby", 0, 10, 10) == entries
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM entry")


def test_closing_a_reader_leaves_the_writer_alone(memory: Store) -> None:
    """In memory too, where both have one connection."""
    memory.reader().close()
    assert len(memory.commit([draft()])) == 1


def test_the_topic_is_the_last_one_set(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit(
            [
                draft("Old films", kind="topic", room="cinema"),
                draft("hi", room="cinema"),
                draft("New films", kind="topic", room="cinema"),
                draft("hi", room="cinema"),
                draft("hi"),
                draft("x", kind="topic", room="empty"),
                draft("", kind="topic", room="empty"),
            ]
        )
    with closing(Store(str(path))) as store:
        topics = {state.name: state.topic for state in store.rooms()}
        assert topics == {"cinema": "New films", "lobby": "", "empty": ""}


def test_what_is_in_memory_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Store(MEMORY)) as one, closing(Store(MEMORY)) as other:
        one.commit([draft()])
        assert other.rooms() == []
        assert one.in_memory
    assert list(tmp_path.iterdir()) == []


# -- search -----------------------------------------------------------------------------------


def is_found(text: str, words: str) -> bool:
    with closing(Store(MEMORY)) as store:
        commit(store, draft("something else"), draft(text), draft("and more"))
        return text in found(store, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Meet at the Café", "cafe"),
        ("Meet at the Cafe\u0301", "cafe"),
        ("meet at the cafe", "CAFÉ"),
        ("Ação e emoção", "acao emocao"),
        ("Straße", "straße"),
        ("ÅNGSTRÖM", "angstrom"),
        ("ПРИВЕТ", "привет"),
        ("ＦＵＬＬ width", "full"),
        ("half ﾃｽﾄ width", "テスト"),
        ("one two three", "three one"),
        ("well-known", "well-known"),
        ("it's me", "it's"),
        ("see https://example.org/a?b=c", "https://example.org/a?b=c"),
        ("snake_case here", "snake_case"),
        ("a_ b", "a_"),
        ("number 12345", "12345"),
        ("with\ttab", "tab"),
        ("a\0b", "b"),
        ("हिन्दी में", "हिन्दी"),
        ("दिल से", "दिल"),
        ("क्‍ष", "क्ष"),
        ("می‌روم", "میروم"),
        ("مُحَمَّد", "محمد"),
        ("محمد", "مُحَمَّد"),
        ("محمـــد", "محمد"),
        ("أحمد", "احمد"),
        ("שָׁלוֹם", "שלום"),
        ("שלום", "שָׁלוֹם"),
        ("צה״ל", 'צה"ל'),
        ("தமிழ் மொழி", "தமிழ்"),
        ("don’t", "don't"),
        ("O'Brien", "brien"),
        ("l'eau", "eau"),
        ("write to ana@example.org", "example.org"),
        ("pi is 3.14", "3.14"),
        ("1,000", "1,000"),
        ("٣٤", "34"),
        ("İZMİR", "izmir"),
        ("ısparta", "ISPARTA"),
        ("co­operate", "cooperate"),
        ("♥️️heart️", "heart"),
        ("a\u0335b struck through", "a\u0335b"),
        ("hello _ world", "hello _ world"),
        ("hello 🙂 world", "hello 🙂 world"),
        ("hello - world", "- hello"),
    ],
)
def test_words_are_found_whatever_their_case_accents_and_width(text: str, words: str) -> None:
    assert is_found(text, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我今天去电影院看电影", "我"),
        ("我今天去电影院看电影", "影"),
        ("我今天去电影院看电影", "今天"),
        ("我今天去电影院看电影", "电影院"),
        ("我今天去电影院看电影", "看电影 今天"),
        ("明日は映画を見に行きます", "見"),
        ("明日は映画を見に行きます", "映画"),
        ("明日は映画を見に行きます", "行きま"),
        ("人々の時々", "人々"),
        ("コーヒーを飲む", "コーヒー"),
        ("오늘영화를봤어요", "영"),
        ("오늘영화를봤어요", "영화"),
        ("오늘영화를봤어요", "봤어요"),
        ("\U00020000\U00020001\U00020002", "\U00020001\U00020002"),
        ("Python入門を読む", "入門"),
        ("Python入門を読む", "python入門"),
        ("Python入門を読む", "Python"),
        ("ฉันดื่มน้ำทุกวัน", "น้ำ"),
        ("ฉันดื่มน้ำทุกวัน", "นํ้า"),
        ("ฉันดื่มน้ำทุกวัน", "ดื่ม"),
        ("ຂ້ອຍດື່ມນ້ຳ", "ນ້ຳ"),
        ("ខ្ញុំស្រឡាញ់ភាសាខ្មែរ", "ខ្មែរ"),
        ("မြန်မာစာ", "မာစာ"),
        ("ㅋㅋㅋ", "ㅋㅋ"),
        ("ドナルド・トランプ", "ドナルドトランプ"),
        ("བོད་ཡིག", "ཡིག"),
    ],
)
def test_words_of_unspaced_scripts_are_found_within_a_text(text: str, words: str) -> None:
    assert is_found(text, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我今天去电影院", "天今"),
        ("我今天去电影院", "今去"),
        ("我今天去电影院", "看"),
        ("दाल", "दिल"),
        ("दिल", "दाल"),
        ("दिल", "दल"),
        ("น้ำ", "นา"),
        ("กาแฟ", "แกฟ"),
        ("ခ", "ခို"),
        ("தமிழ்", "தமழ"),
        ("ue697a5", "日"),
        ("well known", "unknown"),
        ("concert", "cert"),
        ("concert", "con"),
        ("one two", "one three"),
        ("r1", "r2"),
        ("anything", "r1"),
        ("anything", "lobby"),
        ("anything", "Ana"),
    ],
)
def test_what_a_text_does_not_hold_does_not_find_it(text: str, words: str) -> None:
    """Characters in another order, parts of words, some of the words only, other columns."""
    assert not is_found(text, words)


def test_all_words_are_needed(memory: Store) -> None:
    commit(memory, draft("red green"), draft("green blue"), draft("blue green red"))
    assert found(memory, "green") == ["blue green red", "green blue", "red green"]
    assert found(memory, "red green") == ["blue green red", "red green"]
    assert found(memory, "red blue green") == ["blue green red"]
    assert found(memory, "red black") == []


def test_the_latest_are_found_first_and_no_more_than_asked_for(memory: Store) -> None:
    """Those of one group are found by rooms."""
    for n in range(0, 20, 2):
        commit(memory, draft(f"word {n}"), draft(f"word {n + 1}", room="cinema"))
    latest_first = [f"word {n}" for n in reversed(range(20))]
    assert found(memory, "word") == latest_first
    assert found(memory, "word", limit=3) == latest_first[:3]
    assert found(memory, "word", "cinema", limit=3) == ["word 19", "word 17", "word 15"]


def test_a_search_in_one_room_finds_that_room_s_entries_only(memory: Store) -> None:
    rooms = [f"room{n}" for n in range(12)]  # so that one id is the beginning of another
    for room in rooms:
        commit(memory, draft(f"word in {room}", room=room))
    for room in rooms:
        assert found(memory, "word", room) == [f"word in {room}"]
    assert len(found(memory, "word")) == 12
    assert found(memory, "word", "no such room") == []


def test_what_is_found_is_the_whole_entry(memory: Store) -> None:
    said = commit(memory, draft("hello", message_id="m"), draft("hello", room="cinema"))
    index_all(memory)
    assert memory.reader().search("hello", None, 10) == said[::-1]


QUERIES = (
    '"',
    '""',
    '"a',
    "'",
    "a OR b",
    "a AND b",
    "NOT a",
    "a NOT b",
    "NEAR(a b)",
    "NEAR(a b, 2)",
    "NEAR",
    "AND",
    "OR OR",
    "(",
    ")",
    "(a",
    "a)",
    "*",
    "a*",
    "^a",
    ":",
    "text:a",
    "text : a",
    "room:r1",
    "-a",
    "- a",
    "{text room}: a",
    "a + b",
    "a ; DROP TABLE entry",
    "%",
    "?1",
    "\\",
    "\0",
    "\0a",
    "\ud800",
    "a\ud800",
    "🙂",
    "_",
    "\u0301",
    "…",
    "",
    "   ",
)


@pytest.mark.parametrize("words", QUERIES)
def test_a_query_has_no_operators(memory: Store, words: str) -> None:
    """It is only words, all of which a text must hold."""
    texts = ["a", "b", "a b", "a or b", "a and b", "not a", "a not b", "near a b 2", "r1", "lobby"]
    commit(memory, *(draft(text) for text in texts))
    wanted = set("".join(c if c.isalnum() else " " for c in words.lower()).split())
    expected = [text for text in texts if wanted and wanted <= set(text.split())]
    assert found(memory, words) == expected[::-1]
    assert found(memory, words, "lobby") == expected[::-1]


@given(hostile, st.sampled_from([None, "lobby", "cinema"]))
@settings(deadline=None, max_examples=2 * settings().max_examples)
def test_no_query_raises(words: str, room: str | None) -> None:
    with closing(Store(MEMORY)) as store:
        commit(store, draft("hello"))
        index_all(store)
        assert len(store.reader().search(words, room, 10)) <= 1


#: SQLite's tables of Unicode are older: these were marks then, and are letters now.
_ONCE_MARKS = "".join(map(chr, (*range(0x19B0, 0x19C1), 0x19C8, 0x19C9, 0x1CF2, 0x1CF3)))

#: Texts in which words of many scripts and signs that are no words stand side by side.
texts = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters=_ONCE_MARKS)),
        st.text(st.sampled_from("aéÀçß漢字かなカﾅー々한글 _-.'\"*():\u0301\u0335\u3099🙂９")),
    ),
    max_size=3,
).map(" ".join)


@given(texts)
@settings(deadline=None, max_examples=3 * settings().max_examples)
def test_every_word_of_a_text_finds_it(text: str) -> None:
    """Each alone, all of them together, and each in another case where that is only that."""
    words = [word for word in text.split() if searching.tokens(word)]
    with closing(Store(MEMORY)) as store:
        commit(store, draft("before"), draft(text), draft("after"))
        for word in words:
            assert text in found(store, word)
        if words:
            assert text in found(store, text)


def test_the_index_follows_in_steps_and_says_how_far_it_is_behind(path: Path) -> None:
    with closing(Store(str(path))) as store:
        commit(store, *(draft(f"word {n}") for n in range(10)))
        assert store.unindexed() == 10
        assert [store.index(4) for _ in range(4)] == [4, 4, 2, 0]
        commit(store, draft("word 10"))
        assert store.unindexed() == 1
    with closing(Store(str(path))) as store:
        assert store.unindexed() == 1
        assert len(found(store, "word")) == 11


def test_a_step_of_the_index_that_fails_is_done_again(memory: Store) -> None:
    commit(memory, draft("one"), draft("two"))
    memory._connection.execute(
        "CREATE TEMP TRIGGER doom BEFORE UPDATE ON main.indexed"
        " BEGIN SELECT raise(ABORT, 'doomed'); END"
    )
    with pytest.raises(sqlite3.Error):
        memory.index(10)
    assert memory.unindexed() == 2
    memory._connection.execute("DROP TRIGGER doom")
    assert found(memory, "one") == ["one"]


@pytest.mark.parametrize(
    ("text", "words", "snippet"),
    [
        ("short café", "cafe", "short café"),
        ("x" * 200, "missing", "x" * 60 + "…"),
        ("word " + "x" * 200, "word", "word " + "x" * 55 + "…"),
        ("x" * 200 + " Café", "cafe", "…" + "x" * 29 + " Café"),
        (
            "x" * 100 + " two " + "x" * 100 + " one",
            "one two",
            "…" + "x" * 29 + " two " + "x" * 56 + "…",
        ),
    ],
)
def test_a_snippet_is_what_stands_around_the_first_word(
    text: str, words: str, snippet: str
) -> None:
    assert searching.snippets(words)(text) == snippet


@given(hostile, hostile)
def test_a_snippet_is_a_part_of_any_text(text: str, words: str) -> None:
    snippet = searching.snippets(words)(text)
    assert snippet.removeprefix("…").removesuffix("…") in text or snippet in text
    assert len(snippet) <= 92


# -- old entries ------------------------------------------------------------------------------


def test_old_entries_are_removed_in_steps(memory: Store) -> None:
    entries = commit(memory, *(draft(str(n)) for n in range(10)))
    time = entries[7].time
    assert memory.remove_before("lobby", time, 3) == (3, True)
    assert log_of(memory) == entries[3:]
    assert memory.remove_before("lobby", time, 3) == (6, True)
    assert memory.remove_before("lobby", time, 3) == (7, False)
    assert memory.remove_before("lobby", time, 3) == (0, False)
    assert log_of(memory) == entries[7:]
    assert memory.rooms() == [RoomState("lobby", 7, 10, "")]


def test_what_is_left_is_verifiable_from_its_base(memory: Store) -> None:
    entries = commit(memory, *(draft(str(n)) for n in range(10)))
    for step in range(1, 10):
        assert memory.remove_before("lobby", entries[step].time, 100) == (step, False)
        assert base_of(memory) == (step, entries[step - 1].hash)
        check_chain(memory)


def test_only_the_beginning_of_a_room_is_removed(memory: Store) -> None:
    """Where a clock went ahead, no hole arises: a late time goes with those around it."""
    drafts = [draft(str(n)) for n in range(5)]
    drafts[2].time = drafts[4].time + 1_000_000
    entries = commit(memory, *drafts)
    assert memory.remove_before("lobby", drafts[3].time + 1, 100) == (4, False)
    assert log_of(memory) == entries[4:]
    check_chain(memory)


def test_the_other_rooms_are_left_alone(memory: Store) -> None:
    entries = commit(memory, *(draft(str(n), room="lobby" if n % 2 else "x") for n in range(10)))
    memory.remove_before("lobby", 2**62, 100)
    assert log_of(memory, "x") == entries[::2]
    assert log_of(memory) == entries[-1:]
    assert base_of(memory, "x") == (0, START)


def test_the_last_entry_of_a_room_stays_and_numbering_goes_on(path: Path) -> None:
    """After reopening too."""
    with closing(Store(str(path))) as store:
        entries = commit(store, *(draft(str(n)) for n in range(10)))
        assert remove_all_before(store, 2**62, 4) == 9
        assert log_of(store) == entries[-1:]
    with closing(Store(str(path))) as store:
        assert store.rooms() == [RoomState("lobby", 9, 10, "")]
        entries += commit(store, draft("next"))
        assert entries[-1].number == 11
        assert log_of(store) == entries[-2:]
        check_chain(store)
        assert remove_all_before(store, 2**62, 4) == 10
    with closing(Store(str(path))) as store:
        assert [entry.number for entry in commit(store, draft("next"))] == [12]


def test_a_topic_outlives_the_entry_that_set_it(path: Path) -> None:
    with closing(Store(str(path))) as store:
        commit(store, draft("Films", kind="topic"), draft("a"), draft("b"))
        remove_all_before(store, 2**62)
    with closing(Store(str(path))) as store:
        assert [state.topic for state in store.rooms()] == ["Films"]


@pytest.mark.parametrize("indexed", [0, 4, 10])
def test_what_is_removed_is_not_found_any_more(memory: Store, indexed: int) -> None:
    """However far the index had come; and what is said afterwards is found."""
    entries = commit(memory, *(draft(f"common word{n}") for n in range(10)))
    if indexed:
        memory.index(indexed)
    remove_all_before(memory, entries[7].time, 2)
    assert found(memory, "common") == [f"common word{n}" for n in (9, 8, 7)]
    for n in range(7):
        assert found(memory, f"word{n}") == []
    commit(memory, draft("common word10"))
    assert found(memory, "common") == [f"common word{n}" for n in (10, 9, 8, 7)]
    memory._connection.execute(  # raises if it does not fit what it indexes
        "INSERT INTO entry_text (entry_text) VALUES ('integrity-check')"
    )


def test_nothing_of_what_is_removed_is_left_in_the_index(memory: Store) -> None:
    """Checked on the index itself: a search joins the entries, which could hide a rest."""
    commit(memory, *(draft(f"común 電影 word{n}") for n in range(10)))
    index_all(memory)
    remove_all_before(memory, 2**62, 3)
    rows = memory._connection.execute(
        "SELECT rowid FROM entry_text WHERE entry_text MATCH 'comun OR r1'"
    ).fetchall()
    assert rows == [(10,)]


def test_a_step_that_fails_does_nothing(memory: Store) -> None:
    entries = commit(memory, *(draft(f"word{n}") for n in range(5)))
    index_all(memory)
    memory._connection.execute(
        "CREATE TEMP TRIGGER doom BEFORE UPDATE ON main.room"
        " BEGIN SELECT raise(ABORT, 'doomed'); END"
    )
    with pytest.raises(sqlite3.Error):
        memory.remove_before("lobby", 2**62, 100)
    assert log_of(memory) == entries
    assert base_of(memory) == (0, START)
    assert found(memory, "word0") == ["word0"]


@pytest.mark.parametrize("size", [40, 1000, 4096])
def test_the_file_gives_space_back(path: Path, size: int) -> None:
    """Not only to itself: the free pages leave the file, and it becomes smaller."""
    alphabet = "abcdefghijklmnop"
    with closing(Store(str(path))) as store:
        for first in range(0, 2000, 100):
            group = [
                draft(f"{n} " + "".join(alphabet[n * k % 16] for k in range(size)))
                for n in range(first, first + 100)
            ]
            commit(store, *group)
        index_all(store)
    before = path.stat().st_size
    with closing(Store(str(path))) as store:
        remove_all_before(store, 2**62)
        (free,) = store._connection.execute("PRAGMA freelist_count").fetchone()
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        assert free < pages / 2
    assert path.stat().st_size < before / 2


# -- the chain --------------------------------------------------------------------------------


SALT = b"s" * SALT_SIZE


def test_the_hash_depends_on_every_field() -> None:
    content = (SALT, 1, 2, "say", "Ana", "hello", -5, "m")
    changed = (b"t" * SALT_SIZE, 2, 3, "act", "Anb", "hellp", 5, "")
    start = starter("lobby")
    hashes = {seal(start, START, *content), seal(start, b"\1" * SIZE, *content)}
    hashes.add(seal(starter("Lobby"), START, *content))
    for place, value in enumerate(changed):
        other = (*content[:place], value, *content[place + 1 :])
        hashes.add(seal(start, START, *other))  # type: ignore[arg-type]
    assert len(hashes) == 3 + len(changed)
    assert all(len(hash_) == SIZE for hash_ in hashes)
    assert seal(start, START, *content) in hashes  # its starter can be used again


def test_texts_next_to_each_other_do_not_run_together() -> None:
    start = starter("lobby")
    one = seal(start, START, SALT, 1, 2, "say", "Ana", "oi", -5, "")
    assert one != seal(start, START, SALT, 1, 2, "say", "An", "aoi", -5, "")
    assert one != seal(start, START, SALT, 1, 2, "say", "Ana", "o", -5, "i")


def test_the_present_format_never_changes() -> None:
    """It is in people's logs."""
    hash = seal(starter("lobby"), START, SALT, 1, 2, "topic", "Ana", "Olá\noi", -5, "m")
    assert hash.hex() == "ae0f38689d42d2b955e5cac0ad1a7e60fb91578d2ea35a9516777afb20c7f327"


def test_the_hash_of_the_first_format_depends_on_every_field() -> None:
    content = ("lobby", 1, 2, "say", "Ana", "hello", b"c" * 16, "m")
    changed = ("Lobby", 2, 3, "act", "Anb", "hellp", b"d" * 16, None)
    hashes = {link(START, *content), link(b"\1" * SIZE, *content)}
    for place, value in enumerate(changed):
        other = (*content[:place], value, *content[place + 1 :])
        hashes.add(link(START, *other))  # type: ignore[arg-type]
    assert len(hashes) == 2 + len(changed)
    assert all(len(hash_) == SIZE for hash_ in hashes)


def test_neighbouring_fields_of_the_first_format_do_not_run_into_each_other() -> None:
    one = link(START, "lobby", 1, 2, "say", "Ana", "oi", None, None)
    other = link(START, "lobby", 1, 2, "say", "An", "aoi", None, None)
    assert one != other
    assert one != link(START, "lobby", 1, 2, "say", "Ana", "oi", None, "")


def test_an_edited_row_breaks_the_chain(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit([draft("one"), draft("two"), draft("three")])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entry SET text = 'twa' WHERE text = 'two'")
    with closing(Store(str(path))) as store, pytest.raises(AssertionError):
        check_chain(store)


# -- opening ----------------------------------------------------------------------------------


def test_a_second_server_is_refused_with_the_file_and_the_process(path: Path) -> None:
    with closing(Store(str(path))) as store:
        for _ in range(2):
            refusal = refusal_of(path)
            assert isinstance(refusal, DatabaseInUse)
            assert refusal.details["process"] == str(os.getpid())
        store.commit([draft()])
    Store(str(path)).close()


def test_the_process_is_this_one_and_not_one_of_the_past(path: Path) -> None:
    Path(f"{path}.lock").write_text("99999999999999\n")
    with closing(Store(str(path))):
        assert refusal_of(path).details["process"] == str(os.getpid())


@pytest.mark.parametrize("link_", ["symbolic", "relative"])
def test_another_spelling_of_its_path_is_the_same_file(
    path: Path, link_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writers that do not know of each other would give a number twice."""
    monkeypatch.chdir(path.parent)
    other = Path("link.db")
    if link_ == "symbolic":
        other.symlink_to(path)
    else:
        other = Path("..", path.parent.name, path.name)
    with closing(Store(str(path))):
        assert isinstance(refusal_of(other), DatabaseInUse)


def test_the_lock_ends_with_its_process(path: Path) -> None:
    """However it ends: it leaves the lock file, which holds nobody up."""
    program = (
        "import os, sys; from twisted_chat.journal.sqlite.store import Store;"
        "store = Store(sys.argv[1]); print('open', flush=True); os._exit(9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        check=False,
    )
    assert (done.stdout, done.returncode) == (b"open\n", 9)
    Store(str(path)).close()


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE room (x)", "INSERT INTO room VALUES ('mine')"),
        ("PRAGMA application_id = 42", "CREATE TABLE x (y)"),
        ("PRAGMA application_id = 42",),
        ("PRAGMA journal_mode = WAL", "CREATE TABLE x (y)"),
    ],
)
def test_a_database_of_another_program_is_left_as_it_is(
    path: Path, statements: tuple[str, ...]
) -> None:
    foreign(path, *statements)
    before = path.read_bytes()
    assert isinstance(refusal_of(path), DatabaseForeign)
    assert path.read_bytes() == before


def test_a_crashed_database_of_another_program_is_left_as_it_is(path: Path) -> None:
    """With a write-ahead log that its own program will want to recover."""
    origin = path.with_name("origin.db")
    log = path.with_name("chat.db-wal")
    with closing(sqlite3.connect(origin, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE x (y)")
        shutil.copy(origin, path)
        shutil.copy(f"{origin}-wal", log)
    before = (path.read_bytes(), log.read_bytes())
    assert isinstance(refusal_of(path), DatabaseForeign)
    assert (path.read_bytes(), log.read_bytes()) == before


def test_garbage_in_the_header_is_refused_and_left_as_it_is(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit([draft()])
    content = bytearray(path.read_bytes())
    content[:16] = b"garbage garbage!"
    path.write_bytes(content)
    assert isinstance(refusal_of(path), DatabaseUnusable)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content", [b"notes\n" * 50, b"notes\n" * 1000, b"SQLite format 3\0", b"\xff" * 4096]
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    assert isinstance(refusal_of(path), CannotStart)
    assert path.read_bytes() == content


def test_a_newer_database_is_refused_and_left_as_it_is(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit([draft()])
    foreign(path, "PRAGMA journal_mode = DELETE", "PRAGMA user_version = 99")
    before = path.read_bytes()
    assert isinstance(refusal_of(path), DatabaseNewer)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", range(1, len(schema_scripts()) + 1))
def test_ours_without_its_tables_is_refused(path: Path, version: int) -> None:
    foreign(path, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {version}")
    assert isinstance(refusal_of(path), DatabaseUnusable)


def test_no_folder_and_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    missing = refusal_of(tmp_path / "missing" / "chat.db")
    assert isinstance(missing, DatabaseUnusable)
    assert "No such file or directory" in str(missing)
    (tmp_path / "folder").mkdir()
    assert isinstance(refusal_of(tmp_path / "folder"), DatabaseUnusable)


def test_a_refused_database_is_not_kept_locked(path: Path) -> None:
    """When the cause is gone, it opens: also within the same process."""
    path.write_bytes(b"garbage" * 100)
    refusal_of(path)
    path.unlink()
    Store(str(path)).close()
    foreign(path, "PRAGMA user_version = 99")
    refusal_of(path)
    foreign(path, f"PRAGMA user_version = {len(schema_scripts())}")
    Store(str(path)).close()


def test_an_empty_file_is_a_new_database(path: Path) -> None:
    path.touch()
    with closing(Store(str(path))) as store:
        assert store.rooms() == []


# -- the schema -------------------------------------------------------------------------------


def normalised(sql: str) -> str:
    """``sql`` without comments and spacing."""
    return " ".join(re.sub(r"--.*", "", sql).split())


def schema_of(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 2")
        return [(*names, normalised(sql or "")) for *names, sql in rows]


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_fresh_database_says_what_it_is(path: Path) -> None:
    Store(str(path)).close()
    assert pragma(path, "application_id") == APPLICATION_ID == int.from_bytes(b"Chat", "big")
    assert pragma(path, "user_version") == len(schema_scripts()) > 0
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "auto_vacuum") == 2  # incremental: so that it can give space back


def test_an_upgraded_schema_equals_a_fresh_one(tmp_path: Path) -> None:
    """From each version that there was before this one."""
    fresh = tmp_path / "fresh.db"
    Store(str(fresh)).close()
    for version in range(1, len(schema_scripts())):
        old = tmp_path / f"{version}.db"
        with closing(sqlite3.connect(old)) as connection:
            for script in schema_scripts()[:version]:
                connection.executescript(script)
        foreign(
            old, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {version}"
        )
        Store(str(old)).close()
        assert schema_of(old) == schema_of(fresh)
        assert pragma(old, "user_version") == len(schema_scripts())
        assert pragma(old, "auto_vacuum") == pragma(fresh, "auto_vacuum")


def test_a_script_that_was_released_is_not_changed() -> None:
    """It is not run again for those who have it: what is to change goes into the next one."""
    assert normalised(schema_scripts()[0]) == normalised(FIRST_SCHEMA)


def test_an_upgrade_keeps_everything_and_makes_it_searchable(path: Path) -> None:
    made = made_by_the_first_version(path, ["Olá", "Café ☕", "映画を見る"])
    with closing(Store(str(path))) as store:
        author = author_in(store)
        entries = upgraded(made, author)
        assert log_of(store) == entries
        assert store.rooms() == [RoomState("lobby", 0, 3, "")]
        assert base_of(store) == (0, START)
        assert store.unindexed() == 3
        assert found(store, "cafe") == ["Café ☕"]
        assert found(store, "映画", "lobby") == ["映画を見る"]
        again = draft("Olá", author=author, message_id="m1")
        assert store.commit([again]) == [Saved(again, entries[0], fresh=False)]
        entries += commit(store, draft("next"))
        assert log_of(store) == entries
        check_chain(store)
    assert pragma(path, "user_version") == len(schema_scripts())
    assert pragma(path, "integrity_check") == "ok"


def test_an_upgrade_numbers_people_and_whom_they_ignore(path: Path) -> None:
    ana, bia = author_key(b"a" * 16), author_key(b"b" * 16)
    row = (ana, b"c" * 32, "Ana", "pt-BR", 1, '[["lobby",3],["cinema",null]]')
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for script in schema_scripts()[:7]:
            connection.executescript(script)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 7")
        insert = "INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?)"
        connection.execute(insert, (*row, f'[["{bia.hex()}", "Bia"]]'))
        connection.execute(insert, (b"damaged", *row[1:], "[[0, 1]]"))
    with closing(Store(str(path))) as store:
        rooms = (("lobby", 3), ("cinema", None))
        ignored = ((guest_number(bia, store.secret), "Bia"),)
        author = guest_number(ana, store.secret)
        assert store.people() == [
            KeptPerson(author, b"c" * 32, "Ana", "pt-BR", True, rooms, ignored)
        ]


def test_an_upgrade_keeps_the_topic(path: Path) -> None:
    made_by_the_first_version(path, ["one", "two"], topic="Films")
    with closing(Store(str(path))) as store:
        assert store.rooms() == [RoomState("lobby", 0, 3, "Films", "Ana")]
        remove_all_before(store, 2**62)
    with closing(Store(str(path))) as store:
        assert store.rooms() == [RoomState("lobby", 2, 3, "Films")]  # who set it is gone


def test_the_schema_of_the_first_version_is_upgraded_to_that_of_a_fresh_one(path: Path) -> None:
    made_by_the_first_version(path, ["one"])
    Store(str(path)).close()
    fresh = path.with_name("fresh.db")
    Store(str(fresh)).close()
    assert schema_of(path) == schema_of(fresh)
    for name in ("user_version", "application_id", "auto_vacuum", "journal_mode"):
        assert pragma(path, name) == pragma(fresh, name)


def test_an_upgrade_makes_a_backup_first(path: Path) -> None:
    made_by_the_first_version(path, ["one", "two"])
    old = schema_of(path)
    Store(str(path)).close()
    backup = path.with_name("chat.db.backup-1")
    assert schema_of(backup) == old != schema_of(path)
    assert pragma(backup, "user_version") == 1
    assert pragma(backup, "application_id") == APPLICATION_ID
    with closing(sqlite3.connect(backup)) as connection:
        rows = connection.execute("SELECT number, text FROM entry ORDER BY number").fetchall()
    assert rows == [(1, "one"), (2, "two")]


def test_without_a_backup_there_is_no_upgrade(path: Path) -> None:
    """A folder stands in its place."""
    made_by_the_first_version(path, ["one"])
    path.with_name("chat.db.backup-1").mkdir()
    assert isinstance(refusal_of(path), BackupFailed)
    assert pragma(path, "user_version") == 1


def test_a_database_that_is_up_to_date_is_not_backed_up(path: Path) -> None:
    Store(str(path)).close()
    Store(str(path)).close()
    assert [file.name for file in path.parent.glob("*backup*")] == []


def test_an_upgraded_database_gives_space_back(path: Path) -> None:
    made_by_the_first_version(path, ["x" * 4000] * 1000)
    Store(str(path)).close()
    before = path.stat().st_size
    with closing(Store(str(path))) as store:
        index_all(store)
        remove_all_before(store, 2**62)
    assert path.stat().st_size < before / 2


def test_reopening_changes_nothing(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit([draft()])
        before = (log_of(store), store.rooms())
    with closing(Store(str(path))) as store:
        assert (log_of(store), store.rooms()) == before


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_durability_is_how_the_disk_is_waited_for(
    path: Path, durability: str, synchronous: int
) -> None:
    with closing(Store(str(path), durability)) as store:  # type: ignore[arg-type]
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)


def test_full_durability_is_the_default(path: Path) -> None:
    with closing(Store(str(path))) as store:
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_no_number_is_given_twice(path: Path) -> None:
    """If the table of blocks does not know that an entry is there, nothing is written."""
    with closing(Store(str(path))) as store:
        entries = commit(store, draft("one"), draft("two"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE block SET count = 1")
    with closing(Store(str(path))) as store:
        with pytest.raises(sqlite3.DatabaseError, match="numbers"):
            store.commit([draft("three")])
        assert log_of(store) == entries[:1]


def test_a_room_that_goes_on_alone_needs_one_block(memory: Store) -> None:
    """So the blocks of a server with one room take no space, whatever the size of its groups."""
    for n in range(10):
        commit(memory, *[draft(str(n))] * (n + 1))
    blocks = memory._connection.execute("SELECT number, id, count FROM block").fetchall()
    assert blocks == [(1, 1, 55)]
    remove_all_before(memory, 2**62, 7)
    commit(memory, draft("other", room="cinema"), draft("last"))
    blocks = memory._connection.execute("SELECT number, id, count FROM block").fetchall()
    assert blocks == [(55, 55, 1), (56, 57, 1), (1, 56, 1)]
    assert [entry.number for entry in log_of(memory)] == [55, 56]
    check_chain(memory)


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), max_size=12),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12), st.integers(1, 5)), max_size=4),
    st.data(),
)
@settings(deadline=None)
def test_pages_are_right_however_rooms_and_groups_mix(
    groups: list[list[str]], removals: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    """Against a model: a list for each room."""
    logs: dict[str, list[Entry]] = {room: [] for room in "abc"}
    with closing(Store(MEMORY)) as store:
        for group in groups:
            for entry in commit(store, *[draft(room=room) for room in group]):
                logs[entry.room].append(entry)
            if data.draw(st.booleans()) and removals:
                room, keep, step = removals.pop()
                if len(logs[room]) > keep:
                    last, _ = store.remove_before(room, logs[room][-keep - 1].time + 1, step)
                    logs[room] = [entry for entry in logs[room] if entry.number > last]
        reader = store.reader()
        for room, log in logs.items():
            check_chain(store, room)
            assert log_of(store, room) == log
            after, limit = data.draw(st.integers(-2, 60)), data.draw(st.integers(1, 9))
            through = data.draw(st.integers(-2, 60))
            page = [entry for entry in log if after < entry.number <= through]
            assert reader.after(room, after, through, limit) == page[:limit]
            page = [entry for entry in log if entry.number < after]
            assert reader.before(room, after, limit) == page[-limit:]


def test_one_entry_is_found_by_its_number_and_no_other(memory: Store) -> None:
    entries = commit(memory, *[draft(room=room) for room in "abababba"])
    for number in range(6):
        row = memory._connection.execute(ONE.format("e.room, e.number"), (1, number)).fetchone()
        there = any((entry.room, entry.number) == ("a", number) for entry in entries)
        assert row == ((1, number) if there else None)


def test_the_database_itself_refuses_a_number_twice(memory: Store) -> None:
    memory.commit([draft()])
    with pytest.raises(sqlite3.IntegrityError):
        memory._connection.execute("INSERT INTO block SELECT room, number, 7, 1 FROM block")

"""Verify, history and export: what they find, what they show, and that they touch nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.archive import AUTHOR, LOBBY, START, fill
from tests.support.processes import PATIENCE, Server, client_command, environment
from tests.support.search_index import DESTROYED
from twisted_chat import cli
from twisted_chat.archive import progress
from twisted_chat.archive.database import (
    BATCH,
    DatabaseChanged,
    RoomDamaged,
    open_archive,
)
from twisted_chat.archive.export import FORMATS, escaped, guarded
from twisted_chat.archive.index_check import SearchIndexDamaged
from twisted_chat.archive.progress import Progress, grouped
from twisted_chat.archive.verify import WRONG_COUNT, EntryStray, Verification
from twisted_chat.core.changes import Draft
from twisted_chat.core.characters import find_unsafe, visible
from twisted_chat.core.errors import Refusal
from twisted_chat.core.events import Entry, Kind
from twisted_chat.journal.chain import SIZE
from twisted_chat.journal.sqlite.store import Store
from twisted_chat.journal.sqlite.upgrade import schema_scripts


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "chat.db"
    with closing(Store(str(path))) as store:
        fill(store)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    """A database of one's own, alone in its folder."""
    return Path(shutil.copy(original, tmp_path))


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that writes at once, and leaves the one file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


def change(path: Path, *statements: str) -> None:
    """Do what no program should."""
    with opened(path) as connection:
        for statement in statements:
            connection.execute(statement)


def found(path: Path) -> list[Refusal]:
    with open_archive(str(path)) as archive:
        return list(Verification(archive, Progress(None, "en")).findings())


def damaged(path: Path) -> list[str]:
    """What verify tells."""
    return [finding.sentence("en") for finding in found(path)]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The command line's status, output and errors."""
    status = cli.main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


# -- verify -----------------------------------------------------------------------------------


def test_all_is_well(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    assert run(capsys, "verify", str(path)) == (0, "3 rooms, 10 entries: all is well.\n", "")


def test_one_of_each_is_well(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    with closing(Store(path)) as store:
        store.commit([Draft("lobby", START, "say", "Ana", "oi", 0, None)])
    assert run(capsys, "verify", path) == (0, "1 room, 1 entry: all is well.\n", "")


def test_damage_is_told_with_status_1(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """In every room that has some, only the first."""
    change(
        path,
        "UPDATE entry SET text = 'Olá' WHERE room = 1 AND number IN (2, 5)",
        "DELETE FROM entry WHERE room = 2 AND number = 8",
    )
    told = "#lobby: entry 2 is damaged\n#cinema: entry 8 is missing\n"
    assert run(capsys, "verify", str(path)) == (1, told, "")


COLUMNS = (
    *("id", "room", "number", "time", "kind", "nickname"),
    *("text", "author", "message_id", "seal", "format"),
)

#: Columns whose value is the entry's own: damage of them is named as just that.
NAMED = ("number", *COLUMNS[3:])


def flips(value: object) -> Iterator[str]:
    """``value`` with each of its bits flipped, as SQL."""
    if isinstance(value, int):
        for bit in range(64):
            flipped = value ^ (1 << bit)
            yield str(flipped - (1 << 64) if flipped >> 63 else flipped)
    else:
        assert isinstance(value, str | bytes)
        data = value.encode() if isinstance(value, str) else value
        for at in range(len(data) * 8):
            flipped_data = bytearray(data)
            flipped_data[at // 8] ^= 1 << at % 8
            literal = f"x'{flipped_data.hex()}'"
            yield f"CAST({literal} AS TEXT)" if isinstance(value, str) else literal


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("number", [1, 2, 6])
def test_every_flipped_bit_of_an_entry_is_found(path: Path, column: str, number: int) -> None:
    """The first, one amid the others, the last; also where no UTF-8 is left."""
    with opened(path) as connection:
        row_id, value = connection.execute(
            f"SELECT id, {column} FROM entry WHERE room = 1 AND number = ?", (number,)
        ).fetchone()
        for flipped in flips(value) if value is not None else ("x'00'", "''"):
            here = row_id
            if column == "id":
                here = int(flipped)
                taken = connection.execute("SELECT 1 FROM entry WHERE id = ?", (here,)).fetchone()
                if taken:
                    continue  # there cannot be two of one id
            try:
                connection.execute(f"UPDATE entry SET {column} = {flipped} WHERE id = {row_id}")
            except sqlite3.IntegrityError:
                continue  # nor two of one number
            told = damaged(path)
            assert told, flipped
            if column in NAMED:
                assert told == [f"#lobby: entry {number} is damaged"], flipped
            connection.execute(f"UPDATE entry SET {column} = ? WHERE id = {here}", (value,))
        assert damaged(path) == []


TYPES = ("NULL", "CAST({} AS BLOB)", "CAST({} AS TEXT) || 'x'", "1.5", "''", "x''", "0", "-1")


@pytest.mark.parametrize("column", COLUMNS[1:])
@pytest.mark.parametrize("number", [1, 2, 6])
def test_every_change_of_type_is_found(path: Path, column: str, number: int) -> None:
    """NULL above all, which the schema forbids but a damaged file does not."""
    with opened(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'entry'"
        )
    tried = 0
    for changed in TYPES:
        with opened(path) as connection:
            connection.text_factory = partial(str, encoding="utf-8", errors="replace")
            where = f"WHERE room IS 1 AND number IS {number}"
            (row_id, value), *_ = connection.execute(f"SELECT id, {column} FROM entry {where}")
            connection.execute(f"UPDATE entry SET {column} = {changed.format(column)} {where}")
            (now,) = connection.execute(
                f"SELECT {column} FROM entry WHERE id = {row_id}"
            ).fetchone()
            if (type(now), now) != (type(value), value):
                tried += 1
                assert damaged(path), changed
            connection.execute(f"UPDATE entry SET {column} = ? WHERE id = {row_id}", (value,))
    assert tried >= 5
    assert damaged(path) == []


@pytest.mark.parametrize(
    ("room", "column"),
    [
        *(("lobby", column) for column in ("id", "name", "base", "base_hash", "last", "topic")),
        *(("cinema", column) for column in ("id", "name", "base", "base_hash", "last")),
    ],
)
def test_every_flipped_bit_of_a_room_is_found(path: Path, room: str, column: str) -> None:
    """Of one that is kept from its first entry, and of one that is not."""
    with opened(path) as connection:
        row_id, value = connection.execute(
            f"SELECT id, {column} FROM room WHERE name = '{room}'"
        ).fetchone()
        for flipped in flips(value):
            here = int(flipped) if column == "id" else row_id
            try:
                connection.execute(f"UPDATE room SET {column} = {flipped} WHERE id = {row_id}")
            except sqlite3.IntegrityError:
                continue  # there cannot be two rooms of one id
            assert damaged(path), flipped
            connection.execute(f"UPDATE room SET {column} = ? WHERE id = {here}", (value,))
        for changed in ("x''", "''", "1.5", "CAST(name AS BLOB)"):
            if column != "id":
                connection.execute(f"UPDATE room SET {column} = {changed} WHERE id = {row_id}")
                assert damaged(path), changed
                connection.execute(f"UPDATE room SET {column} = ? WHERE id = {row_id}", (value,))
        assert damaged(path) == []


MISSING = "#lobby: entry {} is missing"
DAMAGED = "#lobby: entry {} is damaged"
EXTRA = f"{{path}} is damaged: {WRONG_COUNT}"
ROOM = "#lobby: the record of the room itself is damaged"


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        *(
            ([f"DELETE FROM entry WHERE room = 1 AND number = {n}"], [MISSING.format(n)])
            for n in range(1, 7)
        ),
        (["DELETE FROM entry WHERE room = 1"], [MISSING.format(1)]),
        (["DELETE FROM entry WHERE room = 1 AND number > 3"], [MISSING.format(4)]),
        (["DELETE FROM entry WHERE room = 3"], ["#empty: entry 1 is missing"]),
        (
            [
                "UPDATE entry SET number = -1 WHERE room = 1 AND number = 4",
                "UPDATE entry SET number = 4 WHERE room = 1 AND number = 5",
                "UPDATE entry SET number = 5 WHERE room = 1 AND number = -1",
            ],
            [DAMAGED.format(4)],
        ),
        (
            [
                "UPDATE entry SET text = CASE number WHEN 1 THEN 'waves' ELSE 'Olá a todos' END"
                " WHERE room = 1 AND number IN (1, 2)",
            ],
            [DAMAGED.format(1)],
        ),
        (
            [
                "UPDATE entry SET id = -1 WHERE room = 1 AND number = 1",
                "UPDATE entry SET id = 1 WHERE room = 1 AND number = 2",
                "UPDATE entry SET id = 3 WHERE room = 1 AND number = 1",
            ],
            [DAMAGED.format(1)],
        ),
        (
            [
                "INSERT INTO entry SELECT 99, room, 7, time, kind, nickname, text, author,"
                " '', seal, 2 FROM entry WHERE room = 1 AND number = 6"
            ],
            [EXTRA],
        ),
        (
            [
                "INSERT INTO entry SELECT 99, room, 6, time, kind, nickname, text, author,"
                " '', seal, 2 FROM entry WHERE room = 2 AND number = 9",
                "INSERT INTO block VALUES (2, 6, 99, 1)",
            ],
            ["#cinema: entry 6 is damaged"],
        ),
        (["UPDATE room SET last = 5 WHERE id = 1"], [ROOM]),
        (["UPDATE room SET base = -1 WHERE id = 1"], [ROOM]),
        (["UPDATE room SET topic = '' WHERE id = 1"], [ROOM]),
        (["UPDATE room SET topic = 'x' WHERE id = 3"], [ROOM.replace("lobby", "empty")]),
        (["UPDATE room SET topic = 'from an entry that is gone' WHERE id = 2"], []),
        (["UPDATE room SET last = 7 WHERE id = 1"], [MISSING.format(7)]),
        (
            ["UPDATE room SET last = 6, base = 6 WHERE id = 1"],
            [RoomDamaged(room="lobby").sentence("en")],
        ),
        (
            ["UPDATE entry SET room = 9 WHERE room = 1 AND number = 6"],
            [DAMAGED.format(6), EntryStray(room=9, number=6).sentence("en")],
        ),
        (["DELETE FROM room WHERE id = 1"], [EntryStray(room=1, number=1).sentence("en")]),
        (
            ["UPDATE entry SET text = CAST(x'ff' AS TEXT) WHERE room = 1 AND number = 6"],
            [DAMAGED.format(6)],
        ),
    ],
)
def test_what_is_wrong_is_named(path: Path, statements: list[str], told: list[str]) -> None:
    change(path, "PRAGMA foreign_keys = OFF", *statements)
    assert damaged(path) == [line.format(path=path) for line in told]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_other_value_is_found(path: Path, data: st.DataObject) -> None:
    """Of any type, in any column of any entry that the chain covers."""
    room, number = data.draw(st.sampled_from([(1, n) for n in range(1, 7)] + [(2, 8), (3, 1)]))
    column = data.draw(st.sampled_from(NAMED[1:]))
    value = data.draw(
        st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary() | st.floats(allow_nan=False)
    )
    where = f"WHERE room = {room} AND number = {number}"
    with opened(path) as connection:
        (was,) = connection.execute(f"SELECT {column} FROM entry {where}").fetchone()
        try:
            connection.execute(f"UPDATE entry SET {column} = ? {where}", (value,))
        except (sqlite3.IntegrityError, UnicodeEncodeError):
            return
        (now,) = connection.execute(f"SELECT {column} FROM entry {where}").fetchone()
        if (type(was), was) != (type(now), now):
            assert [finding.details["number"] for finding in found(path)] == [number]
        connection.execute(f"UPDATE entry SET {column} = ? {where}", (was,))
        assert damaged(path) == []


@pytest.mark.parametrize("column", ["room", "number", "id", "count"])
@pytest.mark.parametrize("room", [1, 2, 3])
def test_every_flipped_bit_of_the_places_of_entries_is_found(
    path: Path, room: int, column: str
) -> None:
    """The server finds entries by the table of blocks, which is not in the chain."""
    with opened(path) as connection:
        connection.execute("CREATE TEMP TABLE kept AS SELECT * FROM block")
        block = connection.execute(
            f"SELECT room, number, {column} FROM block WHERE room = {room} LIMIT 1"
        ).fetchone()
        where = "WHERE room = ? AND number = ?"
        for changed in (*flips(block[2]), "'x'", "1.5", "x''"):
            try:
                connection.execute(f"UPDATE block SET {column} = {changed} {where}", block[:2])
            except sqlite3.IntegrityError:
                continue  # there cannot be two of one number
            assert damaged(path), changed
            connection.execute("DELETE FROM block")
            connection.execute("INSERT INTO block SELECT * FROM kept")
        assert damaged(path) == []


@pytest.mark.parametrize(
    "statement",
    [
        *DESTROYED,
        "DELETE FROM entry_text_docsize WHERE id = 3",
        "UPDATE indexed SET entry = entry - 1",
        "INSERT INTO entry_text (rowid, room, text) VALUES (1000, 'r1', 'extra')",
        "INSERT INTO entry_text (entry_text, rowid, room, text)"
        " VALUES ('delete', 1, 'r1', 'ola a todos')",
        "UPDATE entry_text_data SET block ="
        " CAST(replace(CAST(block AS TEXT), 'todos', 'fodos') AS BLOB) WHERE id > 10",
    ],
)
def test_a_search_index_that_does_not_fit_is_found_and_made_anew(
    capsys: pytest.CaptureFixture[str], path: Path, statement: str
) -> None:
    """Missing words and entries, such as there are not, and what SQLite cannot read."""
    change(path, statement)
    (finding,) = found(path)
    assert isinstance(finding, SearchIndexDamaged)
    assert f"reindex {path} rebuilds it" in finding.sentence("en")
    assert run(capsys, "verify", str(path))[0] == 1
    told = "The search index was rebuilt from 10 entries.\n"
    assert run(capsys, "reindex", str(path)) == (0, told, "")
    assert damaged(path) == []


def test_an_index_that_lags_behind_is_no_damage(path: Path) -> None:
    with closing(Store(str(path))) as store:
        store.commit([Draft("lobby", START, "say", "Ana", "new", 0, None)])
    assert damaged(path) == []
    change(path, "UPDATE indexed SET version = 0", "DELETE FROM entry_text_data")
    assert damaged(path) == [], "the next start makes it anew"


def test_what_cannot_be_indexed_anew(
    capsys: pytest.CaptureFixture[str], path: Path, tmp_path: Path
) -> None:
    assert run(capsys, "reindex", str(tmp_path / "nothing.db"))[0] == 2
    assert not (tmp_path / "nothing.db").exists()
    with closing(Store(str(path))):
        status, out, err = run(capsys, "reindex", str(path))
    assert (status, out) == (2, "")
    assert "in use by another server" in err


def test_a_malformed_file_is_told_with_status_1(
    capsys: pytest.CaptureFixture[str], path: Path
) -> None:
    """A page that is no page any more; what can be read is checked all the same."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'entry'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA journal_mode = DELETE")
    with open(path, "r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 8)
    status, output, errors = run(capsys, "verify", str(path))
    assert (status, errors) == (1, "")
    first, *others = output.splitlines()
    assert first.startswith(f"{path} is damaged: ")
    assert others == [
        f"#{room} cannot be read: database disk image is malformed"
        for room in ("lobby", "cinema", "empty")
    ]


@pytest.mark.parametrize("sql", ["'CREATE nonsense'", "CAST(x'435245415445ff' AS TEXT)"])
def test_a_malformed_schema_is_told_with_status_1(
    capsys: pytest.CaptureFixture[str], path: Path, sql: str
) -> None:
    """SQLite quotes it, also what is not UTF-8."""
    change(
        path,
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_schema SET sql = {sql} WHERE name = 'entry'",
    )
    status, output, errors = run(capsys, "verify", str(path))
    assert status == 1
    (line,) = (output + errors).splitlines()
    assert f"{path} is damaged" in line


# -- history ----------------------------------------------------------------------------------

HISTORY = """\
1 2026-11-23 19:57 [Ana]: Olá a todos
2 2026-11-24 07:57 * Bia waves
3 2026-11-24 19:57 [SERVER]: Ana changed the topic to: films, old
4 2026-11-25 07:57 [李雷]: 🙂 *not bold*
5 2026-11-25 19:57 [Ana]: =HYPERLINK("http://example.org")
6 2026-11-26 07:57 [Ana]: \u241b[2J and \ufffd2J
"""


@pytest.mark.parametrize("room", ["lobby", "#lobby", "LOBBY"])
def test_history(capsys: pytest.CaptureFixture[str], path: Path, room: str) -> None:
    """Oldest first, and no control character reaches the terminal."""
    assert run(capsys, "history", str(path), room) == (0, HISTORY, "")


@pytest.mark.parametrize("last", [1, 2, 6, 7, 10**17])
def test_the_last_of_a_history(capsys: pytest.CaptureFixture[str], path: Path, last: int) -> None:
    expected = "".join(HISTORY.splitlines(keepends=True)[-last:])
    assert run(capsys, "history", str(path), "lobby", "--last", str(last)) == (0, expected, "")


def test_numbers_stand_below_each_other(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Over more than one batch, of which none is lost."""
    path = str(tmp_path / "chat.db")
    total = 2 * BATCH + 1
    with closing(Store(path)) as store:
        store.commit([Draft("lobby", START, "say", "Ana", f"{n}", 0, None) for n in range(total)])
    status, output, _ = run(capsys, "history", path, "lobby")
    lines = output.splitlines()
    assert status == 0
    assert [int(line[: len(str(total))]) for line in lines] == list(range(1, total + 1))
    assert lines[0] == "   1 2026-11-23 19:57 [Ana]: 0"


def test_an_unknown_room(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    told = f"There is no room #\u241bx in {path}. There are: #lobby, #cinema, #empty."
    expected = (1, "", f"twisted-chat history: {told}\n")
    assert run(capsys, "history", str(path), "\x1bx") == expected


def test_there_is_no_room_yet(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(tmp_path / "chat.db")
    Store(path).close()
    status, output, errors = run(capsys, "export", path, "lobby", "--format", "csv")
    assert (status, output, len(errors.splitlines())) == (1, "", 1)
    assert "which has no rooms yet" in errors
    assert run(capsys, "export", path, "--format", "jsonl") == (0, "", "")
    assert run(capsys, "verify", path) == (0, "0 rooms, 0 entries: all is well.\n", "")


@pytest.mark.parametrize("column", ["time", "kind", "nickname", "text", "message_id"])
def test_history_stops_at_what_nobody_said(
    capsys: pytest.CaptureFixture[str], path: Path, column: str
) -> None:
    change(path, f"UPDATE entry SET {column} = x'00' WHERE room = 1 AND number = 4")
    told = "twisted-chat history: #lobby: entry 4 is damaged\n"
    assert run(capsys, "history", str(path), "lobby") == (1, "", told)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET text = CAST(x'ff' AS TEXT) WHERE number = 4",
        "UPDATE entry SET time = 1 << 62 WHERE number = 4",
        "UPDATE room SET name = x'00' WHERE id = 1",
    ],
)
def test_damage_is_one_line(capsys: pytest.CaptureFixture[str], path: Path, statement: str) -> None:
    change(path, statement)
    status, _, errors = run(capsys, "export", str(path), "--format", "jsonl")
    assert (status, len(errors.splitlines())) == (1, 1)
    assert "damaged" in errors


# -- export -----------------------------------------------------------------------------------

JSONL = """\
{"room":"lobby","seq":1,"time":"2026-11-23T19:57:00.000000Z","kind":"say","nickname":"Ana",\
"text":"Olá a todos","id":null}
{"room":"lobby","seq":2,"time":"2026-11-24T07:57:00.000001Z","kind":"act","nickname":"Bia",\
"text":"waves","id":"m1"}
"""

MARKDOWN = r"""# \#lobby

## 2026-11-23

- `1` 19:57:00 **Ana**: Olá a todos

## 2026-11-24

- `2` 07:57:00 \* **Bia** waves
- `3` 19:57:00 Ana changed the topic to: films, old

## 2026-11-25

- `4` 07:57:00 **李雷**: 🙂 \*not bold\*
- `5` 19:57:00 **Ana**: \=HYPERLINK("http\://example\.org")

## 2026-11-26

- `6` 07:57:00 **Ana**: ␛\[2J and �2J
""".replace("Ana changed", "**Ana** changed")

CSV = """\
room,seq,time,kind,nickname,text,id\r
lobby,1,2026-11-23T19:57:00.000000Z,say,Ana,Olá a todos,\r
lobby,2,2026-11-24T07:57:00.000001Z,act,Bia,waves,m1\r
lobby,3,2026-11-24T19:57:00.000002Z,topic,Ana,"films, old",\r
lobby,4,2026-11-25T07:57:00.000003Z,say,李雷,🙂 *not bold*,m2\r
lobby,5,2026-11-25T19:57:00.000004Z,say,Ana,"'=HYPERLINK(""http://example.org"")",\r
lobby,6,2026-11-26T07:57:00.000005Z,say,Ana,\u241b[2J and \ufffd2J,m3\r
"""


def exported(capsys: pytest.CaptureFixture[str], path: Path, format: str, *arguments: str) -> str:
    status, output, errors = run(capsys, "export", str(path), *arguments, "--format", format)
    assert (status, errors) == (0, "")
    return output


def test_jsonl(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """Nothing is lost, and no control character is there as itself."""
    output = exported(capsys, path, "jsonl", "lobby")
    assert output.startswith(JSONL)
    assert find_unsafe(output.replace("\n", "")) is None
    said = [json.loads(line) for line in output.splitlines()]
    assert [(each["kind"], each["nickname"], each["text"]) for each in said] == LOBBY
    assert [each["seq"] for each in said] == [1, 2, 3, 4, 5, 6]


def test_markdown(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    assert exported(capsys, path, "markdown", "lobby") == MARKDOWN


def test_csv(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    assert exported(capsys, path, "csv", "lobby") == CSV


def test_csv_with_a_byte_order_mark(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """By which spreadsheets know that it is UTF-8."""
    arguments = ("export", str(path), "lobby", "--format")
    assert run(capsys, *arguments, "csv", "--bom") == (0, "\ufeff" + CSV, "")
    assert run(capsys, *arguments, "jsonl", "--bom")[:2] == (2, "")


def test_all_rooms(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    said = [json.loads(line) for line in exported(capsys, path, "jsonl").splitlines()]
    assert [(each["room"], each["seq"]) for each in said] == [
        *(("lobby", n) for n in range(1, 7)),
        *(("cinema", n) for n in range(7, 10)),
        ("empty", 1),
    ]
    headings = re.findall("^# .*", exported(capsys, path, "markdown"), re.MULTILINE)
    assert headings == [r"# \#lobby", r"# \#cinema", r"# \#empty"]
    assert len(list(csv.reader(exported(capsys, path, "csv").splitlines()))) == 11


@pytest.mark.parametrize("format", FORMATS)
def test_no_author_leaves(capsys: pytest.CaptureFixture[str], path: Path, format: str) -> None:
    """An export has nicknames only."""
    output = exported(capsys, path, format)
    assert str(abs(AUTHOR)) not in output


def test_the_formats_of_the_command_line_are_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["export", "--help"])
    assert "{" + ",".join(FORMATS) + "}" in capsys.readouterr().out


def entry(text: str, nickname: str = "Ana", kind: Kind = "say", id: str | None = None) -> Entry:
    return Entry("lobby", 1, START, kind, nickname, text, 0, id, bytes(SIZE))


anything = st.text(st.characters(exclude_categories=["Cs"]))


@given(text=anything, nickname=anything, id=st.none() | anything)
def test_jsonl_gives_back_any_text(text: str, nickname: str, id: str | None) -> None:
    (line,) = FORMATS["jsonl"](iter([[entry(text, nickname, id=id)]]), "en")
    assert line.count("\n") == 1
    assert find_unsafe(line[:-1]) is None
    said = json.loads(line)
    assert (said["text"], said["nickname"], said["id"]) == (text, nickname, id)


@given(text=anything | st.text("=+-@'\t ＝＠;,\"\r\n\x00a"))
def test_no_cell_is_a_formula_and_any_text_comes_back(text: str) -> None:
    """One apostrophe is taken away wherever one is first."""
    header, records = FORMATS["csv"](iter([[entry(text, nickname=text, id=text)]]), "en")
    assert header.endswith("\r\n")
    ((*_, nickname, said, id),) = csv.reader(io.StringIO(records, newline=""), strict=True)
    assert nickname == said == id == guarded(text)
    assert not re.match(r"\s*[-=+@＝＋－＠]|[\t\r\n]", said)
    assert said.removeprefix("'") == visible(text)


@given(text=anything | st.text("\\`*_{}[]<>#!|~&:@$^=w.-"))
def test_markdown_shows_any_text(text: str) -> None:
    """Without the backslashes it is the text, and nothing that could be markup has none."""
    shown = escaped(text)
    assert re.sub(r"\\([!-/:-@[-`{-~])", r"\1", shown) == visible(text)
    plain = re.sub(r"\\[!-/:-@[-`{-~]", "", shown)
    assert not set(plain) & set("\\`*_{}[]<>#!|~&:@$^=")
    assert not re.search(r"[^\s\\]\.\S", shown)
    assert "\n" not in shown


# -- output -----------------------------------------------------------------------------------


def test_export_into_a_file(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    """In UTF-8, whatever the terminal speaks, and over what was there."""
    target = path.with_name("lobby.csv")
    target.write_text("old" * 1000)
    assert exported(capsys, path, "csv", "lobby", "--output", str(target)) == ""
    assert target.read_bytes() == CSV.encode()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", ".lock", "-link", "-symlink"])
def test_export_does_not_write_over_the_database(
    capsys: pytest.CaptureFixture[str], path: Path, suffix: str
) -> None:
    """Nor over what belongs to it, under whatever name."""
    os.link(path, f"{path}-link")
    os.symlink(path, f"{path}-symlink")
    before = files(path.parent)
    status, output, errors = run(
        capsys, "export", str(path), "--format", "csv", "--output", f"{path}{suffix}"
    )
    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert files(path.parent) == before


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere/a.csv", "No such file or directory"),
        ("", "No such file or directory"),
        (".", "Is a directory"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_a_file_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], path: Path, target: str, reason: str
) -> None:
    told = f"twisted-chat export: cannot write {visible(target)}: {reason}\n"
    arguments = ("export", str(path), "--format", "csv", "--output", target)
    assert run(capsys, *arguments) == (2, "", told)


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_a_full_disk(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    told = "twisted-chat export: cannot write /dev/full: No space left on device\n"
    arguments = ("export", str(path), "--format", "csv")
    assert run(capsys, *arguments, "--output", "/dev/full") == (2, "", told)
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            archive_command(*arguments),
            env={**environment(), "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert (result.returncode, result.stderr.decode()) == (2, told.replace("/dev/full", "stdout"))


def test_ctrl_c(
    capsys: pytest.CaptureFixture[str], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> list[Entry]:
        raise KeyboardInterrupt

    monkeypatch.setattr("twisted_chat.archive.database._entries", interrupt)
    assert run(capsys, "history", str(path), "lobby") == (130, "", "")


class Terminal(io.StringIO):
    """A screen; it keeps what stood on it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.seen.append(text)
        return super().write(text)

    def lines(self) -> list[str]:
        """What stands on it now."""
        lines = []
        for written in self.getvalue().split("\n"):
            line = ""
            for text in written.split("\r"):
                line = text + line[len(text) :]
            lines.append(line.rstrip())
        return lines


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (["verify"], ["Checking the file …", "60 %", "90 %", "99 %"]),
        (["export", "--format", "csv"], ["60 %", "90 %", "99 %"]),
    ],
)
def test_progress_on_a_terminal(
    path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    seen: list[str],
) -> None:
    """It is gone in the end, and what is shown is nothing but one line."""
    terminal = Terminal()
    monkeypatch.setattr(progress, "_INTERVAL", -1)
    monkeypatch.setattr(sys, "stderr", terminal)
    command, *options = arguments
    assert cli.main([command, str(path), *options]) == 0
    assert capsys.readouterr().out
    shown = [text.strip() for text in terminal.seen if text.strip()]
    assert [text.split(",")[0] for text in shown] == seen
    assert terminal.lines() == [""]


def test_no_progress_in_a_log(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    assert run(capsys, "verify", str(path))[2] == ""


def test_no_progress_over_the_output(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both on one terminal would mix."""
    terminal = Terminal()
    monkeypatch.setattr(progress, "_INTERVAL", -1)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cli.main(["history", str(path), "lobby"]) == 0
    assert terminal.getvalue() == HISTORY


def test_what_verify_tells_stands_on_lines_of_its_own(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the terminal that shows the progress too."""
    change(path, "UPDATE entry SET text = '' WHERE room < 3 AND number IN (6, 8)")
    terminal = Terminal()
    monkeypatch.setattr(progress, "_INTERVAL", -1)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert cli.main(["verify", str(path)]) == 1
    assert any("entries per second" in text for text in terminal.seen)
    *lines, last = terminal.lines()
    assert lines == ["#lobby: entry 6 is damaged", "#cinema: entry 8 is damaged"]
    assert last == ""


def test_digits_in_groups() -> None:
    assert grouped(1234567, "en") == "1,234,567"
    assert grouped(1234567, "pt_BR") == "1.234.567"


# -- what is not a database -------------------------------------------------------------------


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("PRAGMA journal_mode = WAL")


def of_version(version: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        Store(str(path)).close()
        change(path, f"PRAGMA user_version = {version}")

    return make


@pytest.mark.parametrize("command", ["verify", "history", "export"])
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_text("Olá, " * 1000), "file is not a database"),
        (lambda path: path.write_bytes(b""), "another program"),
        (foreign, "another program"),
        (of_version(len(schema_scripts()) + 1), "newer version"),
        (of_version(0), "older version"),
        (of_version(1), "older version"),
    ],
)
def test_what_is_not_ours_is_left_as_it_is(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
    make: Callable[[Path], None],
    told: str,
) -> None:
    """One line and status 2, and the output is not touched."""
    path = tmp_path / "x.db"
    make(path)
    before = sorted(tmp_path.iterdir())
    target = tmp_path.parent / f"{tmp_path.name}.csv"
    more = {
        "verify": [],
        "history": ["lobby"],
        "export": ["--format", "csv", "--output", str(target)],
    }
    status, output, errors = run(capsys, command, str(path), *more[command])
    assert (status, output) == (2, "")
    (line,) = errors.splitlines()
    assert line.startswith(f"twisted-chat {command}: ")
    assert told in line
    assert str(path) in line
    assert sorted(tmp_path.iterdir()) == before
    assert not target.exists()


@pytest.mark.parametrize("name", ["a\0b", ":memory:", "\udcff", "x" * 5000])
def test_a_path_that_is_none(capsys: pytest.CaptureFixture[str], name: str) -> None:
    status, output, errors = run(capsys, "verify", name)
    assert (status, output, len(errors.splitlines())) == (2, "", 1)


# -- nothing is written, and one moment is seen -----------------------------------------------


def copied(path: Path, folder: Path, *suffixes: str) -> Path:
    """The files of a database that is in use, as a crash leaves them."""
    folder.mkdir()
    for suffix in suffixes:
        shutil.copy(f"{path}{suffix}", folder)
    return folder / path.name


COMMANDS = (
    ("verify",),
    ("history", "lobby"),
    ("export", "--format", "jsonl"),
    ("export", "lobby", "--format", "markdown"),
)


def run_all(capsys: pytest.CaptureFixture[str], path: Path) -> list[str]:
    outputs = []
    for command, *options in COMMANDS:
        status, output, errors = run(capsys, command, str(path), *options)
        assert (status, errors) == (0, "")
        outputs.append(output)
    return outputs


def test_a_database_that_nobody_has_open(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    before = files(path.parent)
    assert list(before) == ["chat.db"]
    run_all(capsys, path)
    assert files(path.parent) == before


def test_a_link_to_a_database(
    capsys: pytest.CaptureFixture[str], path: Path, tmp_path: Path
) -> None:
    """What belongs to it lies beside the database itself."""
    with closing(Store(str(path))) as store:
        live(store)
        crashed = copied(path, tmp_path / "crashed", "", "-wal", "-shm")
    link = tmp_path / "link.db"
    os.symlink(crashed, link)
    assert "said last" in run(capsys, "history", str(link), "lobby")[1]


def live(store: Store) -> None:
    """Something that stands in the write-ahead log alone."""
    store.commit([Draft("lobby", START, "say", "Ana", "said last", 0, None)])


@pytest.mark.parametrize("suffixes", [("", "-wal", "-shm"), ("", "-wal")])
def test_what_a_crashed_server_left(
    capsys: pytest.CaptureFixture[str], path: Path, tmp_path: Path, suffixes: tuple[str, ...]
) -> None:
    """What it had acknowledged is read, and left for the server to recover."""
    with closing(Store(str(path))) as store:
        live(store)
        crashed = copied(path, tmp_path / "crashed", *suffixes)
    before = files(crashed.parent)
    outputs = run_all(capsys, crashed)
    assert files(crashed.parent) == before
    assert outputs[0] == "3 rooms, 11 entries: all is well.\n"
    assert all("said last" in output for output in outputs[1:])


def test_a_server_that_has_written_nothing_yet(
    capsys: pytest.CaptureFixture[str], path: Path
) -> None:
    with closing(Store(str(path))):
        before = sorted(path.parent.iterdir())
        run_all(capsys, path)
        assert sorted(path.parent.iterdir()) == before


def test_one_moment_is_seen_while_a_server_writes(path: Path) -> None:
    with closing(Store(str(path))) as store:
        with open_archive(str(path)) as archive:
            room = archive.room("lobby")
            for _ in range(3):
                live(store)
                store.remove_before("lobby", START + 1, 1)
                read = [entry.number for batch in archive.entries(room) for entry in batch]
                assert read == [1, 2, 3, 4, 5, 6]
                assert list(Verification(archive, Progress(None, "en")).findings()) == []
        with open_archive(str(path)) as archive:
            assert archive.room("lobby").last == 9


def test_a_server_that_starts_meanwhile_is_noticed(path: Path) -> None:
    """There were no locks to hold, so what was read may be of two moments."""
    with open_archive(str(path)) as archive:
        room = archive.room("lobby")
        with closing(Store(str(path))) as store:
            archive.check_unchanged()
            live(store)
        with pytest.raises(DatabaseChanged):
            list(Verification(archive, Progress(None, "en")).findings())
        with pytest.raises(DatabaseChanged):
            list(archive.entries(room))


def test_damage_that_comes_of_a_change_is_not_told_as_damage(path: Path) -> None:
    with pytest.raises(DatabaseChanged), open_archive(str(path)):  # noqa: PT012
        os.utime(path, ns=(0, 0))
        raise sqlite3.DatabaseError("database disk image is malformed")


# -- in processes of their own ----------------------------------------------------------------


def archive_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "twisted_chat.cli", *arguments]


@pytest.mark.slow
@pytest.mark.process
def test_output_that_nobody_reads_any_more(tmp_path: Path) -> None:
    """As for ``| head -1``: it ends, and without a word."""
    path = str(tmp_path / "chat.db")
    with closing(Store(path)) as store:
        store.commit([Draft("lobby", START, "say", "Ana", "x" * 1000, 0, None)] * 1000)
    with subprocess.Popen(
        archive_command("export", path, "--format", "jsonl"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment(), "PYTHONUNBUFFERED": ""},
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline().startswith(b'{"room":"lobby","seq":1,')
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait(PATIENCE) == 128 + signal.SIGPIPE


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_files(path: Path, closed: str) -> None:
    command = ["sh", "-c", f'"$@" {closed}', "sh", *archive_command("verify", str(path))]
    result = subprocess.run(
        command, env=environment(), capture_output=True, timeout=PATIENCE, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.slow
@pytest.mark.process
def test_an_output_that_is_not_unicode(path: Path) -> None:
    """What others may read later is always UTF-8."""
    settings = {**environment(), "PYTHONIOENCODING": "ascii"}
    history = subprocess.run(
        archive_command("history", str(path), "lobby"),
        env=settings,
        capture_output=True,
        check=True,
    )
    assert "Olá a todos" in history.stdout.decode()
    export = subprocess.run(
        archive_command("export", str(path), "lobby", "--format", "csv"),
        env=settings,
        capture_output=True,
        check=True,
    )
    assert export.stdout == CSV.encode()


@pytest.mark.process
def test_while_a_server_runs_and_after_it_was_killed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "chat.db"
    with Server(tmp_path) as server:
        for line in (b"one", b"two"):
            subprocess.run(
                client_command(server.port, "--nick", "Ana"),
                input=line + b"\nsair\n",
                env=environment(),
                stdout=subprocess.DEVNULL,
                timeout=PATIENCE,
                check=True,
            )
            before = files(tmp_path)
            assert line.decode() in run(capsys, "history", str(path), "lobby", "--last", "1")[1]
            assert run(capsys, "verify", str(path))[0] == 0
            assert files(tmp_path).keys() == before.keys()
            assert files(tmp_path)["chat.db-wal"] == before["chat.db-wal"]
    before = files(tmp_path)
    assert {"chat.db-wal", "chat.db-shm"} <= before.keys()
    assert run(capsys, "verify", str(path))[:2] == (0, "1 room, 2 entries: all is well.\n")
    assert len(run(capsys, "history", str(path), "lobby")[1].splitlines()) == 2
    assert files(tmp_path) == before

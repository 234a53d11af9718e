"""Records: state that outlives the server, such as accounts."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.support.writer import Setup, draft
from twisted_chat import cli
from twisted_chat.core.account_errors import AccountNotSaved
from twisted_chat.core.accounts import Account, Credential
from twisted_chat.core.alterations import Alterations
from twisted_chat.core.changes import Draft, Failed, Saved
from twisted_chat.core.errors import DatabaseUnusable, Refusal
from twisted_chat.core.mailboxes import StoredMessage
from twisted_chat.core.names import nickname
from twisted_chat.core.records import (
    KINDS,
    Forgotten,
    Record,
    RecordDamaged,
    decode,
    encode,
    place,
)
from twisted_chat.journal.sqlite.store import MEMORY, Store

ANA = Account(
    1,
    nickname("Ana"),
    credentials=(Credential("password", "password", "hash"),),
    former=(nickname("Anna"),),
    ignored=((-5, "Troll"),),
    read={"lobby": 7},
)


numbers = st.integers(-(2**63), 2**63 - 1)
credentials = st.builds(Credential, made=numbers, expires=numbers)
accounts = st.builds(
    Account,
    number=numbers,
    made=numbers,
    credentials=st.lists(credentials, max_size=3).map(tuple),
    ignored=st.lists(st.tuples(numbers, st.text()), max_size=3).map(tuple),
    read=st.dictionaries(st.text(), numbers, max_size=3),
)


@given(accounts)
def test_a_record_is_read_as_it_was_written(account: Account) -> None:
    assert decode(*place(account), encode(account)) == account


def test_what_the_first_version_wrote_stays_readable() -> None:
    """A field that is added needs a default: this is in people's files."""
    data = (
        '{"number":3,"nickname":{"text":"Ana","folded":"ana","keys":["ana"]},"status":"disabled",'
        '"credentials":[{"id":"d1","kind":"device","hash":"h","label":"phone","rooms":["lobby"],'
        '"made":1,"expires":2}],"former":[{"text":"Bia","folded":"bia","keys":["bia"]}],'
        '"ignored":[[-5,"Troll"]],"read":{"lobby":7},"made":9}'
    )
    account = decode("account", "3", data)
    assert isinstance(account, Account)
    assert account.nickname.text == "Ana"
    assert account.credentials[0].label == "phone"
    added = {"directory": "", "logouts": 0}
    assert json.loads(encode(account)) == json.loads(data) | added


def test_what_the_first_version_kept_stays_readable() -> None:
    data = (
        '{"recipient":1,"number":5,"author":-7,"origin":-9,"size":130,"sender":"Bia","text":"oi",'
        '"time":5}'
    )
    message = decode("message", "1.00000000000000000005.-7.-9.130", data)
    assert message == StoredMessage(1, 5, -7, -9, 130, "Bia", "oi", 5)
    assert json.loads(encode(message)) == json.loads(data)


def test_a_damaged_message_is_left_out_and_the_others_are_read() -> None:
    messages = [StoredMessage(1, number, -7, 0, 130, "Bia", "oi", 5) for number in (1, 2, 3)]
    with closing(Store(MEMORY)) as store:
        store.store(messages)
        store._connection.execute(
            "UPDATE record SET data = '{' WHERE key = ?", (place(messages[1])[1],)
        )
        assert store.reader().records("message", "1.") == [messages[0], messages[2]]
        assert store.records() == []


def test_nothing_of_a_deleted_or_replaced_record_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    texts = ["marmalade " * size for size in (1, 20, 1000)]
    messages = [StoredMessage(1, at, -7, 0, 130, "Bia", text, 5) for at, text in enumerate(texts)]
    with closing(Store(str(path))) as store:
        store._connection.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite begin so
        store.store([ANA, *messages])
        password = structs.replace(ANA.credentials[0], hash="marmalade")
        store.store([structs.replace(ANA, credentials=(password,))])
    assert b"marmalade" in path.read_bytes()
    with closing(Store(str(path))) as store:
        store._connection.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite begin so
        store.store([ANA, *(Forgotten(*place(message)) for message in messages)])
    assert [file.name for file in tmp_path.iterdir() if b"marmalade" in file.read_bytes()] == []


def test_an_older_version_of_a_record_is_not_written_over_a_newer_one() -> None:
    """The first write fails after the second one has succeeded."""
    calls: list[tuple[object, Callable[[Refusal | None], None]]] = []
    alterations = Alterations(lambda records, done: calls.append((records, done)))
    for record in (ANA, structs.replace(ANA, status="disabled")):
        alterations.altered(record)
        alterations.save(lambda refusal: None)
    calls[1][1](None)
    calls[0][1](AccountNotSaved(reason="disk full"))
    alterations.look()
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("kind", "key", "data"),
    [
        ("account", "1", "{"),
        ("account", "1", "[]"),
        ("account", "1", encode(ANA).replace('"number":1', '"number":"1"')),
        ("account", "2", encode(ANA)),
        ("unknown", "1", encode(ANA)),
    ],
)
def test_a_damaged_record_is_no_record(kind: str, key: str, data: str) -> None:
    with pytest.raises(RecordDamaged):
        decode(kind, key, data)


def test_each_kind_has_its_own_class() -> None:
    assert len({kind.type for kind in KINDS.values()}) == len(KINDS)


def test_a_log_with_a_damaged_record_is_not_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nickname of an account that is left out would be free for anybody."""
    path = str(tmp_path / "chat.db")
    with closing(Store(path)) as store:
        store.store([ANA])
        store._connection.execute("UPDATE record SET data = substr(data, 2)")
    with pytest.raises(DatabaseUnusable, match="the record account 1 is damaged"):
        Setup(path)
    assert cli.main(["verify", path]) == 1
    assert "chat.db is damaged: the record account 1 is damaged" in capsys.readouterr().out


def test_all_records_of_a_call_are_written_or_none() -> None:
    with closing(Store(MEMORY)) as store:
        with pytest.raises(UnicodeEncodeError):
            store.store([ANA, Forgotten("account", "\udcff")])
        assert store.records() == []


def test_nothing_of_a_former_record_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with closing(Store(str(path))) as store:
        for number in range(50):
            marked = Credential("password", "password", f"former hash {number} " + "x" * 500)
            store.store([Account(number, nickname("Ana"), credentials=(marked,))])
        former, kept = range(0, 50, 3), range(1, 50, 3)
        store.store([Forgotten("account", str(number)) for number in former])
        store.store([Account(number, nickname("Ana")) for number in kept])
    assert [file.name for file in tmp_path.iterdir() if file.suffix != ".lock"] == ["chat.db"]
    assert path.read_bytes().count(b"former hash") == 50 - len(former) - len(kept)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(str(tmp_path / "chat.db"))


def test_calls_that_wait_are_one_transaction_and_fail_apart(setup: Setup) -> None:
    store = setup.stores[0]
    write: Callable[..., None] = store.store
    calls: list[int] = []

    def fail_with(changed: Iterable[Record | Forgotten]) -> None:
        records = list(changed)
        calls.append(len(records))
        if any(isinstance(record, Forgotten) for record in records):
            raise sqlite3.OperationalError("database or disk is full")
        write(records)

    store.store = fail_with  # type: ignore[method-assign]
    done: list[tuple[str, Refusal | None]] = []
    bia = Account(2, nickname("Bia"))
    with setup.journal._wake:  # so that both wait
        setup.journal.store((ANA,), lambda refusal: done.append(("Ana", refusal)))
        setup.journal.store((Forgotten("account", "9"),), lambda r: done.append(("none", r)))
        setup.journal.store((bia,), lambda refusal: done.append(("Bia", refusal)))
    setup.loop.run_until(lambda: len(done) == 3)
    assert calls == [3, 1, 1, 1]
    assert dict(done)["Ana"] is dict(done)["Bia"] is None
    refusal = dict(done)["none"]
    assert isinstance(refusal, AccountNotSaved)
    assert refusal.details["reason"] == "database or disk is full"
    assert store.records() == [ANA, bia]
    setup.stop()


def test_a_record_is_on_disk_before_what_is_said_after_it(setup: Setup) -> None:
    """Or else, after a kill, the number of an account that has said something could be reused."""
    order: list[str] = []
    store = setup.stores[0]
    write, commit = store.store, store.commit
    store.store = lambda records: (order.append("record"), write(records))[1]  # type: ignore
    store.commit = lambda drafts: (order.append("entry"), commit(drafts))[1]  # type: ignore
    with setup.journal._wake:
        setup.journal.store((ANA,), lambda refusal: None)
        setup.journal.submit((draft("I am here"),))
    setup.loop.run_until(lambda: bool(setup.loop.outcomes))
    assert order == ["record", "entry"]
    setup.stop()


class Racing(deque[Any]):
    """A queue into which more comes just before its length is looked at without the lock."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self._setup = setup
        self.has_raced = False

    def __len__(self) -> int:
        journal = self._setup.journal
        if not self.has_raced and not journal._wake._is_owned():  # type: ignore[attr-defined]
            self.has_raced = True
            journal.store((ANA,), lambda refusal: None)
            self.append(draft("I am here"))
        return super().__len__()


def test_a_record_that_comes_while_a_group_is_taken_is_before_what_follows_it(
    setup: Setup,
) -> None:
    order: list[str] = []
    store = setup.stores[0]
    write, commit = store.store, store.commit
    store.store = lambda records: (order.append("record"), write(records))[1]  # type: ignore

    def note(drafts: Sequence[Draft]) -> list[Saved | Failed]:
        order.extend(each.text for each in drafts)
        return commit(drafts)

    store.commit = note  # type: ignore[method-assign]
    queue = setup.journal._queue = Racing(setup)
    setup.say(draft("first"))
    setup.stop()
    assert "first" in order
    if queue.has_raced:
        assert order.index("record") < order.index("I am here")


def test_nothing_is_stored_in_files_that_are_out_of_place(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "chat.db").rename(tmp_path / "elsewhere.db")
    done: list[Refusal | None] = []
    setup.journal.store((ANA,), done.append)
    setup.loop.run_until(lambda: bool(done))
    assert isinstance(done[0], AccountNotSaved)
    setup.stop()


def test_after_the_end_it_is_told_that_nothing_was_stored(setup: Setup) -> None:
    setup.stop()
    done: list[Refusal | None] = []
    setup.journal.store((ANA,), done.append)
    setup.loop.run_until(lambda: bool(done))
    assert isinstance(done[0], AccountNotSaved)

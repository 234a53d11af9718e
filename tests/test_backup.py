"""A backup is whole, of one moment, made beside a running server, and takes nobody's place."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, Server, environment
from twisted_chat import cli
from twisted_chat.archive import backup
from twisted_chat.archive.database import open_archive
from twisted_chat.archive.progress import Progress
from twisted_chat.archive.verify import Verification
from twisted_chat.core.changes import Draft
from twisted_chat.journal.sqlite.store import Store

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

START = 1_795_463_820_000_000


def fill(store: Store, entries: int, room: str = "lobby") -> None:
    store.commit(
        [Draft(room, START, "say", "Ana", f"line {n} " * 20, 0, None) for n in range(entries)]
    )


def texts(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM entry ORDER BY id")]


def whole(path: Path) -> bool:
    with open_archive(str(path)) as archive:
        return not list(Verification(archive, Progress(None, "en")).findings())


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """What the command does with them is forgotten afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "chat.db"
    with closing(Store(str(path))) as store:
        fill(store, 3)
        fill(store, 2, "cinema")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["backup", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_backup_is_the_whole_database(
    capsys: pytest.CaptureFixture[str], database: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    assert run(capsys, str(database), str(copy)) == (0, "2 rooms, 5 entries: all is well.\n", "")
    assert texts(copy) == texts(database)
    with closing(Store(str(copy))) as store:  # a server can go on with it
        fill(store, 1)
    assert whole(copy)


def test_only_its_owner_can_read_it(
    capsys: pytest.CaptureFixture[str], database: Path, tmp_path: Path
) -> None:
    """It holds what people said, and the secrets with which programs come back."""
    copy = tmp_path / "copy.db"
    assert run(capsys, str(database), str(copy))[0] == 0
    assert copy.stat().st_mode & 0o777 == 0o600


@contextmanager
def writing(store: Store) -> Iterator[Callable[[], int]]:
    """A server that goes on saving lines; gives how many groups it has saved by now."""
    done = threading.Event()
    groups = count()
    saved = [0]

    def write() -> None:
        while not done.is_set():
            fill(store, 5)
            saved[0] = next(groups) + 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield lambda: saved[0]
    finally:
        done.set()
        writer.join()


def test_the_server_goes_on_meanwhile(
    capsys: pytest.CaptureFixture[str],
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is said meanwhile neither delays the backup for ever nor comes into it by halves."""
    copy = tmp_path / "copy.db"
    monkeypatch.setattr(backup, "STEP", 1)
    steps: list[int] = []
    with closing(Store(str(database))) as store:
        fill(store, 2000)
        before = len(texts(database))
        with writing(store) as groups:

            def tell(self: Progress, sentence: str, **details: object) -> None:
                """After each page that is copied, the server saves something."""
                at = groups()
                while len(steps) < 20 and groups() == at:
                    pass
                steps.append(groups())

            monkeypatch.setattr(Progress, "tell", tell)
            assert run(capsys, str(database), str(copy))[0] == 0
        assert steps[20] - steps[0] >= 19, "it was written to while it was copied"
    copied = len(texts(copy))
    assert before <= copied < len(texts(database))
    assert (copied - before) % 5 == 0, "no group is there in part"
    assert whole(copy)


def test_a_server_that_was_killed_can_be_backed_up(
    capsys: pytest.CaptureFixture[str], database: Path, tmp_path: Path
) -> None:
    """What is in the write-ahead log alone is in the copy."""
    with closing(Store(str(database))) as store:
        fill(store, 7)
        for suffix in ("", "-wal"):
            (tmp_path / f"left.db{suffix}").write_bytes(Path(f"{database}{suffix}").read_bytes())
    assert run(capsys, str(tmp_path / "left.db"), str(tmp_path / "copy.db"))[0] == 0
    assert len(texts(tmp_path / "copy.db")) == 12


# -- what is refused --------------------------------------------------------------------------


def untouched(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(capsys: pytest.CaptureFixture[str], database: Path, copy: str, status: int = 2) -> str:
    """The one line that says why; nothing is made, nothing is left behind."""
    before = untouched(database.parent)
    given, out, err = run(capsys, str(database), copy)
    assert untouched(database.parent) == before
    assert given == status
    assert err.count("\n") == 1
    return out + err


def test_a_file_that_exists_is_left_as_it_is(
    capsys: pytest.CaptureFixture[str], database: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("something dear")
    assert "already exists" in refused(capsys, database, str(copy))
    dangling = tmp_path / "link.db"
    dangling.symlink_to("nowhere")
    assert "already exists" in refused(capsys, database, str(dangling))


def test_a_file_that_comes_meanwhile_is_left_as_it_is(
    capsys: pytest.CaptureFixture[str],
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = tmp_path / "copy.db"
    monkeypatch.setattr(Progress, "start", lambda self: copy.write_text("something dear"))
    assert "already exists" in run(capsys, str(database), str(copy))[2]
    assert copy.read_text() == "something dear"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", ".lock"])
def test_the_database_is_not_its_own_backup(
    capsys: pytest.CaptureFixture[str], database: Path, suffix: str
) -> None:
    assert "itself" in refused(capsys, database, f"{database}{suffix}")


@pytest.mark.parametrize("name", ["no/such/folder", "x" * 300, "a\0b"])
def test_what_cannot_be_written(
    capsys: pytest.CaptureFixture[str], database: Path, tmp_path: Path, name: str
) -> None:
    assert "cannot write" in refused(capsys, database, str(tmp_path / name))


def test_a_full_disk(
    capsys: pytest.CaptureFixture[str],
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SQLite's words do not say whose disk it is; ours do."""

    def copy_to(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("twisted_chat.archive.database.Archive.copy_to", copy_to)
    told = refused(capsys, database, str(tmp_path / "copy.db"))
    assert f"cannot write {tmp_path / 'copy.db'}: {os.strerror(errno.ENOSPC)}" in told


def test_a_damaged_log_makes_no_backup(
    capsys: pytest.CaptureFixture[str], database: Path, tmp_path: Path
) -> None:
    """It would take the place of a good one, in the mind of whoever relies on it."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE entry SET text = 'no' WHERE number = 2")
    told = refused(capsys, database, str(tmp_path / "copy.db"), status=1)
    assert "#lobby: entry 2 is damaged" in told
    assert "No backup was made" in told


@pytest.mark.process
def test_a_real_server_is_backed_up_under_load(tmp_path: Path) -> None:
    with Server(tmp_path, "--rate=off") as server:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        connection.sendall(b'{"type":"hello","nickname":"bot"}\n')
        lines = b"".join(
            b'{"type":"say","text":"line %d","id":"%d"}\n' % (n, n) for n in range(50_000)
        )

        def speak() -> None:
            with suppress(OSError):
                connection.sendall(lines)

        def listen() -> None:
            with suppress(OSError):
                while connection.recv(65536):
                    pass

        for work in (speak, listen):
            threading.Thread(target=work, daemon=True).start()
        while texts(tmp_path / "chat.db")[999:] == []:
            pass
        done = subprocess.run(
            [sys.executable, "-m", "twisted_chat.cli", "backup", "chat.db", "copy.db"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
        )
        connection.close()
        assert (done.returncode, done.stderr) == (0, "")
    copied = texts(tmp_path / "copy.db")
    print(f"{len(copied)} entries copied while more were said")
    assert copied == [f"line {n}" for n in range(len(copied))]
    assert len(copied) >= 1000
    assert whole(tmp_path / "copy.db")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_ended_halfway_leaves_nothing(
    database: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """As cron and systemd end what takes too long; the copy would hold secrets."""

    def ended(*arguments: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr(backup, "_copy", ended)
    before = sorted(database.parent.iterdir())
    with pytest.raises(SystemExit) as end:
        cli.main(["backup", str(database), str(database.parent / "copy.db")])
    assert end.value.code == 128 + number
    assert sorted(database.parent.iterdir()) == before


def test_ctrl_c_halfway_leaves_nothing(
    capsys: pytest.CaptureFixture[str], database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_sync", lambda path: os.kill(os.getpid(), signal.SIGINT))
    before = sorted(database.parent.iterdir())
    assert run(capsys, str(database), str(database.parent / "copy.db")) == (130, "", "")
    assert sorted(database.parent.iterdir()) == before


# -- the words, the status and the disk agree -------------------------------------------------

WELL = "2 rooms, 5 entries: all is well.\n"


def test_where_links_are_not_permitted(
    capsys: pytest.CaptureFixture[str],
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on FAT, and in some containers; and nobody's place is taken either."""

    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    copy = tmp_path / "copy.db"
    assert run(capsys, str(database), str(copy)) == (0, WELL, "")
    assert whole(copy)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy.db"]
    other = tmp_path / "other.db"
    monkeypatch.setattr(Progress, "start", lambda self: other.write_text("something dear"))
    status, out, err = run(capsys, str(database), str(other))
    assert (status, out) == (2, "")
    assert "already exists" in err
    assert other.read_text() == "something dear"


def test_nothing_is_left_where_it_cannot_get_its_name(
    capsys: pytest.CaptureFixture[str],
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ "All is well" is not said before."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "rename", refuse)
    assert "cannot write" in refused(capsys, database, str(tmp_path / "copy.db"))


def test_a_folder_that_cannot_be_synced_is_no_failure(
    capsys: pytest.CaptureFixture[str],
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync = backup._sync

    def fail(path: str) -> None:
        if os.path.isdir(path):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(path)

    monkeypatch.setattr(backup, "_sync", fail)
    status, out, err = run(capsys, str(database), str(tmp_path / "copy.db"))
    assert (status, out) == (0, WELL)
    assert "could not be synced" in err
    assert err.count("\n") == 1
    assert whole(tmp_path / "copy.db")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_comes_too_late_changes_nothing(
    capsys: pytest.CaptureFixture[str],
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    place = backup._place

    def interrupted(copy: str, path: str) -> None:
        place(copy, path)
        signal.raise_signal(number)  # to this thread, as in a program that has no other

    monkeypatch.setattr(backup, "_place", interrupted)
    assert run(capsys, str(database), str(tmp_path / "copy.db")) == (0, WELL, "")
    assert whole(tmp_path / "copy.db")


def test_a_backup_whose_words_cannot_be_written_is_one(database: Path, tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "twisted_chat.cli", "backup", str(database), "copy.db"],
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 0
    assert b"cannot write stdout" in done.stderr
    assert whole(tmp_path / "copy.db")


def test_a_damaged_search_index_prevents_no_backup(
    capsys: pytest.CaptureFixture[str], database: Path, tmp_path: Path
) -> None:
    """It can be made anew; the log cannot. The copy needs no care."""
    with closing(Store(str(database))) as store:
        store.index(100)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM entry_text_data")
    copy = tmp_path / "copy.db"
    status, out, err = run(capsys, str(database), str(copy))
    assert (status, out) == (0, WELL)
    assert "search index is damaged" in err
    assert whole(copy)
    with closing(Store(str(copy))) as store:
        assert store.search_index.made_anew == 1


@pytest.mark.parametrize("name", ["", "copy.db/"])
def test_a_name_that_is_none_is_refused_first(
    database: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = f"{database.parent}/{name}" if name else ""
    assert cli.main(["backup", str(database), copy]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "cannot write" in captured.err or "already exists" in captured.err

"""Whatever is damaged in a file of ours, a program starts with it or says in one line why not."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.archive import fill
from tests.support.client_state import Place
from twisted_chat.archive.database import open_archive
from twisted_chat.archive.progress import Progress
from twisted_chat.archive.verify import Verification
from twisted_chat.client.state_database import StateDamaged, StateUnusable
from twisted_chat.core.changes import Draft
from twisted_chat.core.errors import DatabaseUnusable, Refusal
from twisted_chat.journal.sqlite.store import Store

#: Where in the file, as a share of it, and which byte.
Flips = list[tuple[float, int]]
flips = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=100)
#: How much of the file is left.
kept = st.just(1.0) | st.floats(0, 1)

any_damage = settings(
    deadline=None,
    max_examples=2 * settings().max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def damaged(original: Path, folder: Path, flips: Flips, kept: float) -> Path:
    """A copy, alone in ``folder``, that is damaged.

    Not in the header: a file of another kind is refused by its header alone.
    """
    content = bytearray(original.read_bytes())
    for place, byte in flips:
        content[100 + int(place * (len(content) - 101))] = byte
    shutil.rmtree(folder)
    folder.mkdir()
    path = folder / original.name
    path.write_bytes(content[: int(kept * len(content))])
    return path


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "chat.db"
    with closing(Store(str(path))) as store:
        fill(store)
    return path


@any_damage
@given(flips=flips, kept=kept)
def test_a_database(database: Path, tmp_path: Path, flips: Flips, kept: float) -> None:
    """For a server, and for those who read it without one."""
    path = damaged(database, tmp_path, flips, kept)
    with suppress(Refusal), open_archive(str(path)) as archive:
        for finding in Verification(archive, Progress(None, "en")).findings():
            assert len(finding.sentence("en").splitlines()) == 1
    with suppress(DatabaseUnusable), closing(Store(str(path))) as store, suppress(sqlite3.Error):
        store.commit([Draft("lobby", 1, "say", "Ana", "new", 0, None)])


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "Ana.db"
    Place(path).look()
    return path


@any_damage
@given(flips=flips, kept=kept)
def test_a_client_state(state: Path, tmp_path: Path, flips: Flips, kept: float) -> None:
    with suppress(StateDamaged, StateUnusable):
        Place(damaged(state, tmp_path, flips, kept)).look()

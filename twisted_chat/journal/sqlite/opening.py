"""Opens a database of ours to be written, and refuses all others. Blocking."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Literal

from twisted_chat.core.errors import DatabaseForeign, DatabaseNewer, DatabaseUnusable
from twisted_chat.journal.sqlite.upgrade import (
    APPLICATION_ID,
    INCREMENTAL,
    schema_scripts,
    upgrade,
)

Durability = Literal["full", "normal"]

#: Pages of the write-ahead log (16 MB) after which it is written back into the database. SQLite's
#: default, 1000, costs a quarter of the throughput under load.
CHECKPOINT = 4000

#: Seconds that one attempt waits while another process holds the database locked.
BUSY_TIMEOUT = 1.0


def connect(path: str, durability: Durability) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT
    )
    try:
        _check_ours(connection, path)
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {durability}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        upgrade(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def look(path: str) -> None:
    """Check the database without writing: if it is refused, all its files are left as they are."""
    if not os.path.exists(path):
        return
    if not os.path.isfile(path):
        reason = os.strerror(errno.EISDIR) if os.path.isdir(path) else "it is not a regular file"
        raise DatabaseUnusable(path=path, reason=reason)
    uri = read_only(path)
    if not os.path.exists(f"{os.path.realpath(path)}-wal"):
        uri += "&immutable=1"  # otherwise SQLite would create one, and leave it
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT)
    try:
        _check_ours(connection, path)
    except sqlite3.OperationalError:
        pass  # it must be recovered first, which needs a connection that writes
    finally:
        connection.close()


def _check_ours(connection: sqlite3.Connection, path: str) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (application or tables):
        raise DatabaseForeign(path=path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(schema_scripts()):
        raise DatabaseNewer(path=path)


def read_only(path: str) -> str:
    return Path(path).absolute().as_uri() + "?mode=ro"

"""Checks the small tables beside the entries, and that tables and indexes are as they were made.

With damage in some of them, no server starts; without an index, a message that is sent again is
saved again. This module must not know the entries.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from twisted_chat.archive.database import Archive, DatabaseMalformed
from twisted_chat.core.characters import visible
from twisted_chat.core.errors import Refusal
from twisted_chat.i18n.language import N_
from twisted_chat.journal.runs import IDENTITY_SIZE, TOKEN_SIZE
from twisted_chat.journal.sqlite import people
from twisted_chat.journal.sqlite.index import TABLE as SEARCH_INDEX
from twisted_chat.journal.sqlite.upgrade import SECRET_SIZE, schema_scripts

#: All that is ours, except the search index, which is checked otherwise and can be made anew, and
#: the former tables, which an upgrade removes.
_SCHEMA = f"""
    SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema
    WHERE name NOT LIKE 'sqlite%' AND name NOT LIKE '{SEARCH_INDEX}%' AND name <> 'indexed'
        AND tbl_name NOT LIKE 'former%'
"""
_COLUMNS = "SELECT name, type, dflt_value, pk FROM pragma_table_info(?)"  # SQLite finds NULLs
_KEYS = """
    SELECT i."unique", i.origin, i.partial, c.seqno, c.name
    FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS c
    WHERE i.origin <> 'c' ORDER BY 1, 2, 3, 5, 4
"""

#: Rows that must not be there.
_BLOCKS = """
    SELECT 1 FROM block WHERE count < 1 OR typeof(count) <> 'integer' OR typeof(id) <> 'integer'
        OR room NOT IN (SELECT id FROM room)
"""

#: The damage that is told.
LOG = N_("the identity, the secret or the epoch of the log is damaged")
RUNS = N_("the table of the runs of the server is damaged")
CLOCK = N_("the time at which the clock was believed is damaged")
PERSON = N_("the record of a person who can come back is damaged")
BLOCK = N_("the index of the entries of a room is damaged")

#: What SQL returns for a query with parameters.
_Rows = Callable[..., Iterator[tuple[Any, ...]]]

#: By name, the type, the table and what else is compared.
_Schema = dict[str, tuple[Any, ...]]


class SchemaDamaged(Refusal):
    code = "schema-damaged"
    template = N_("{path} is damaged: {name} in its schema is missing, or is not as it was made")


def table_findings(archive: Archive) -> Iterator[Refusal]:
    """The first damage. For a version of the schema that has the table ``block``."""
    path = visible(archive.path)
    with closing(sqlite3.connect(":memory:")) as connection:
        for script in schema_scripts()[: archive.version()]:
            connection.executescript(script)
        made = _schema(lambda query, *parameters: connection.execute(query, parameters))
    present = _schema(archive.rows)
    for name in sorted(made.keys() | present.keys()):
        if made.get(name) != present.get(name) and _matters(name, made, present):
            yield SchemaDamaged(path=path, name=visible(name))
            return
    for reason in islice(_damaged_tables(archive), 1):
        yield DatabaseMalformed(path=path, reason=reason)


def _matters(name: str, made: _Schema, present: _Schema) -> bool:
    """Tables and views that somebody has added do no harm; indexes and triggers may."""
    return name in made or (present[name][0] in ("index", "trigger") and present[name][1] in made)


def _damaged_tables(archive: Archive) -> Iterator[str]:
    rows = list(archive.rows("SELECT identity, secret, epoch FROM log"))
    if len(rows) != 1 or not (
        _is_key(rows[0][0], IDENTITY_SIZE)
        and _is_key(rows[0][1], SECRET_SIZE)
        and isinstance(rows[0][2], int)
        and rows[0][2] > 0
    ):
        yield LOG
    for token, entry in archive.rows("SELECT token, entry FROM run"):
        if not _is_key(token, TOKEN_SIZE) or not isinstance(entry, int):
            yield RUNS
    times = [seen for (seen,) in archive.rows("SELECT seen FROM clock")]
    if len(times) > 1 or not all(isinstance(seen, int) for seen in times):
        yield CLOCK
    if any(people.decode(row) is None for row in archive.rows(people.SELECT)):
        yield PERSON
    for _ in archive.rows(_BLOCKS):
        yield BLOCK


def _is_key(value: object, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size


def _schema(rows: _Rows) -> _Schema:
    """What each table and index is like, by its name.

    The text of a table's statement depends on the version of SQLite that has altered it.
    """
    found: _Schema = {}
    for type, name, table, sql in list(rows(_SCHEMA)):
        if type == "table":
            found[name] = type, table, list(rows(_COLUMNS, name)), list(rows(_KEYS, name))
        else:
            found[name] = type, table, " ".join(sql.split()).lower(), []
    return found

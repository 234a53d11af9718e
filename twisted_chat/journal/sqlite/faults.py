"""The exceptions by which Python reports SQLite's faults."""

from __future__ import annotations

import sqlite3

#: A damaged file can also make SQLite ask for more memory than there is, or quote the file in a
#: message that is not UTF-8.
SQLITE_FAULTS = (sqlite3.Error, MemoryError, UnicodeDecodeError)


def reason_of(fault: object) -> str:
    """The reason of ``fault``, one of :data:`SQLITE_FAULTS`, in SQLite's words."""
    if isinstance(fault, UnicodeDecodeError):
        return fault.object.decode(errors="backslashreplace")
    if isinstance(fault, MemoryError):
        return "it asks for more memory than there is"
    return str(fault)

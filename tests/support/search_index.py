"""Statements that destroy the search index."""

from __future__ import annotations

#: What a fault of the disk, or a hand, can do to the index, and whether SQLite notices.
DESTROYED = (
    "DELETE FROM entry_text_data",
    "DELETE FROM entry_text_data WHERE id = 1",
    "DELETE FROM entry_text_data WHERE id > 10",
    "DELETE FROM entry_text_idx",
    "DELETE FROM entry_text_docsize",
    "DELETE FROM entry_text_config",
    "UPDATE entry_text_data SET block = randomblob(100)",
    "UPDATE entry_text_data SET block = zeroblob(length(block))",
    # A structure (row 10) of one level with 2**31 - 1 segments: FTS5 asks for room for them all.
    "UPDATE entry_text_data SET block = x'00000000010100008FFFFFFF7F' WHERE id = 10",
    "DROP TABLE entry_text_data",
    "DROP TABLE entry_text_idx",
    "DROP TABLE entry_text_docsize",
    "DROP TABLE entry_text_config",
    "DROP TABLE entry_text",
    "DELETE FROM indexed",
    "DROP TABLE indexed",
    "UPDATE indexed SET entry = 2",
)

"""Finds entries by room and number. SQL only.

The table of entries is in the order of writing. A row of the table ``block`` says that some entries
of a room that follow each other have ids that follow each other. In both queries below, the entries
of the block from which the page starts are not read from its beginning.
"""

from __future__ import annotations

#: The first entries of room ?1 with numbers above ?2, up to ?3, at most ?4; with the columns {}.
AFTER = """
    SELECT {} FROM block AS b
    CROSS JOIN entry AS e ON e.id BETWEEN b.id + max(?2 + 1 - b.number, 0) AND b.id + b.count - 1
    WHERE b.room = ?1 AND b.number <= ?3 AND e.number <= ?3 AND b.number >= coalesce(
        (SELECT max(number) FROM block WHERE room = ?1 AND number <= ?2 + 1), 0)
    ORDER BY b.number, e.id LIMIT ?4
"""

#: The last entries of room ?1 with numbers below ?2, at most ?3, the last one first.
BEFORE = """
    SELECT {} FROM block AS b
    CROSS JOIN entry AS e ON e.id BETWEEN b.id AND b.id + min(b.count, ?2 - b.number) - 1
    WHERE b.room = ?1 AND b.number < ?2
    ORDER BY b.number DESC, e.id DESC LIMIT ?3
"""

#: The entry ?2 of room ?1.
ONE = """
    SELECT {} FROM (
        SELECT id + ?2 - number AS id, id + count AS end FROM block
        WHERE room = ?1 AND number <= ?2 ORDER BY number DESC LIMIT 1
    ) AS b
    JOIN entry AS e ON e.id = b.id WHERE b.id < b.end
"""

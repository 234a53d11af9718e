-- What an author is known by is a hash of the client id (twisted_chat.core.author). The column
-- keeps its name; twisted_chat.journal.sqlite.upgrade rewrites what is in it, and the chain of hashes.

-- Which log this is, and which of its runs: one row for each start of a server, with the last
-- entry that there was. A client that knows a run which is not here has seen another log.
CREATE TABLE log (identity BLOB NOT NULL);
INSERT INTO log VALUES (randomblob(16));
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    token  BLOB    NOT NULL,               -- random, 6 bytes
    entry  INTEGER NOT NULL                -- entry.id of the last entry before it
);

-- The last time, in microseconds since 1970 UTC, at which the clock was believed; or no row.
CREATE TABLE clock (seen INTEGER NOT NULL);

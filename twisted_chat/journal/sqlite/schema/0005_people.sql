-- People who can come back with a code, also to a server that was started again.

CREATE TABLE person (
    author     BLOB PRIMARY KEY,           -- as in entry.client_id
    code       BLOB    NOT NULL,           -- SHA-256 of the code
    nickname   TEXT    NOT NULL,
    language   TEXT    NOT NULL,
    timestamps INTEGER NOT NULL,           -- 1 if they want to see them
    rooms      TEXT    NOT NULL            -- JSON: [[room, last number seen or null], …], the current first
) WITHOUT ROWID;

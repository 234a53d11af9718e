-- The author of an entry is a number (twisted_chat.core.author). The author keys of earlier entries,
-- which their hashes cover, go to the column "salt"; twisted_chat.journal.sqlite.upgrade moves them.

ALTER TABLE log ADD COLUMN secret BLOB NOT NULL DEFAULT x''; -- 32 random bytes, a key for authors

ALTER TABLE entry RENAME COLUMN client_id TO author;
ALTER TABLE entry ADD COLUMN salt BLOB;

-- State that outlives the server, such as accounts (twisted_chat.core.records).
CREATE TABLE record (
    kind TEXT NOT NULL,
    key  TEXT NOT NULL,
    data TEXT NOT NULL,                    -- JSON
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

ALTER TABLE person RENAME TO former_person;
CREATE TABLE person (
    author     INTEGER PRIMARY KEY,        -- as in entry.author
    code       BLOB    NOT NULL,           -- SHA-256 of the code
    nickname   TEXT    NOT NULL,
    language   TEXT    NOT NULL,
    timestamps INTEGER NOT NULL,           -- 1 if they want to see them
    rooms      TEXT    NOT NULL,           -- JSON: [[room, last number seen or null], …], the current first
    ignored    TEXT    NOT NULL,           -- JSON: [[author, name], …]
    account    INTEGER NOT NULL DEFAULT 0  -- the number of the account; 0 for a guest
);

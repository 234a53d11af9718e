-- The second format of the log (twisted_chat.journal.chain), in another layout; accounts.
-- twisted_chat.journal.sqlite.upgrade copies the entries and people of earlier versions.

ALTER TABLE log ADD COLUMN secret BLOB NOT NULL DEFAULT x''; -- 32 random bytes, a key for authors
-- Grows when a backup is put back, or when entries were lost.
ALTER TABLE log ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;

DROP INDEX IF EXISTS entry_message;
DROP INDEX IF EXISTS entry_topic;
ALTER TABLE entry RENAME TO former_entry;

-- In the order in which they were written; those of one transaction by rooms. So each row is
-- appended to one b-tree, and an index by room needs a row for many of them.
CREATE TABLE entry (
    id         INTEGER PRIMARY KEY,
    room       INTEGER NOT NULL REFERENCES room (id),
    number     INTEGER NOT NULL,           -- contiguous in each room, from 1
    time       INTEGER NOT NULL,           -- microseconds since 1970, UTC
    kind       TEXT    NOT NULL,           -- say, act or topic
    nickname   TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    author     INTEGER NOT NULL,           -- twisted_chat.core.author
    message_id TEXT    NOT NULL,           -- the author's own name for this message, or ''
    -- The salt (in format 1: the author key, or nothing), and the hash, 32 bytes, of the room's
    -- previous entry and this content. They are one value because that takes less time to write.
    seal       BLOB    NOT NULL,
    format     INTEGER NOT NULL DEFAULT 2  -- of the hash; 0: 1, and the message id does not count
);
CREATE UNIQUE INDEX entry_message ON entry (author, message_id)
WHERE message_id <> '' AND format > 0;
CREATE INDEX entry_topic ON entry (room) WHERE kind = 'topic';

-- Where the entries of a room are: "count" entries from "number" on have the ids from "id" on.
CREATE TABLE block (
    room   INTEGER NOT NULL,
    number INTEGER NOT NULL,
    id     INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (room, number)
) WITHOUT ROWID;

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
    account    INTEGER NOT NULL DEFAULT 0, -- the number of the account; 0 for a guest
    credential TEXT    NOT NULL DEFAULT '' -- the id of that with which the account came in, or ''
);

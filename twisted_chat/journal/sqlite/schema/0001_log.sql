-- The log: rooms and their entries.

CREATE TABLE room (
    id        INTEGER PRIMARY KEY,
    name      TEXT    NOT NULL UNIQUE,
    -- Number of the last entry: if the last ones are missing, this tells.
    last      INTEGER NOT NULL DEFAULT 0,
    -- Number and hash of the last entry before the oldest kept one: the chain starts here.
    base      INTEGER NOT NULL DEFAULT 0,
    base_hash BLOB    NOT NULL
);

CREATE TABLE entry (
    id         INTEGER PRIMARY KEY,
    room       INTEGER NOT NULL REFERENCES room (id),
    number     INTEGER NOT NULL,           -- contiguous in each room, from 1
    time       INTEGER NOT NULL,           -- microseconds since 1970, UTC
    kind       TEXT    NOT NULL,           -- say, act or topic
    nickname   TEXT    NOT NULL,
    text       TEXT    NOT NULL,
    client_id  BLOB,                       -- the author's, 16 bytes
    message_id TEXT,                       -- the author's own name for this message
    hash       BLOB    NOT NULL            -- of the room's previous entry and this content
);

CREATE UNIQUE INDEX entry_number ON entry (room, number);
CREATE UNIQUE INDEX entry_message ON entry (client_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX entry_topic ON entry (room, number) WHERE kind = 'topic';

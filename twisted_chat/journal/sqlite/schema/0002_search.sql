-- Full-text search over the entries, filled behind the commits; and topics that stay.

-- Contentless: it holds no second copy of the texts. Its rowids are entry.id; its column is
-- the text as twisted_chat.journal.search segments it, and a token for the room.
CREATE VIRTUAL TABLE entry_text USING fts5 (
    room, text, content = '', tokenize = 'ascii'
);

-- How far the index has come: one row, the id of the last entry in it.
CREATE TABLE indexed (entry INTEGER NOT NULL);
INSERT INTO indexed VALUES (0);

-- The topic, which outlives the entry that set it.
ALTER TABLE room ADD COLUMN topic TEXT NOT NULL DEFAULT '';
UPDATE room SET topic = coalesce(
    (SELECT text FROM entry WHERE entry.room = room.id AND kind = 'topic'
     ORDER BY number DESC LIMIT 1),
    ''
);
DROP INDEX IF EXISTS entry_topic;

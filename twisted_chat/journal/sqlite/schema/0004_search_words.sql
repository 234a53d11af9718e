-- Which rules made the words in the search index (twisted_chat.journal.search.VERSION). Where they
-- are others by now, the index is made anew, behind the commits.
ALTER TABLE indexed ADD COLUMN version INTEGER NOT NULL DEFAULT 0;

-- Who set a room's topic is in the entry that did: found without reading the others.

CREATE INDEX entry_topic ON entry (room, number) WHERE kind = 'topic';

-- From version 2 to version 3, in one transaction: a chat's id is a name among those of its owner.
-- SQLite cannot drop a constraint, so the table is made anew, with the same keys. Foreign keys must be
-- off, or dropping the old table would delete its messages and runs.
CREATE TABLE chat_3 (
  key        INTEGER PRIMARY KEY,
  id         TEXT NOT NULL,
  owner      TEXT NOT NULL,
  title      TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  head       TEXT,
  seen_at    INTEGER NOT NULL DEFAULT 0,
  UNIQUE (owner, id)
);
INSERT INTO chat_3 (key, id, owner, title, created_at, updated_at, head, seen_at)
  SELECT key, id, owner, title, created_at, updated_at, head, seen_at FROM chat ORDER BY key;
DROP TABLE chat;
ALTER TABLE chat_3 RENAME TO chat;
CREATE INDEX chat_of_owner ON chat (owner, updated_at DESC, key DESC);
CREATE INDEX chat_by_age ON chat (seen_at);

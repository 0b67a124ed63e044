-- Version 3. Times are milliseconds since 1970 UTC. Applied once, in one transaction; `upgrade_2.sql`
-- and `upgrade_3.sql` make the same of a file of version 1.

-- `node`: raised by every process that opens the file to serve it; each write checks it.
-- `secret`: what signs visitors' cookies.
-- `seen`: how much time the servers have seen pass, the clock of `seen_at` and retention; `wall`: the
-- wall clock when `seen` was written (see stores/seen_time.py).
-- `zeroed`: how often bytes of deleted rows were zeroed (see stale_bytes.py).
-- `check`: written to test whether the file can be written.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

-- A chat's id is a name among those of its owner.
CREATE TABLE chat (
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
CREATE INDEX chat_of_owner ON chat (owner, updated_at DESC, key DESC);
CREATE INDEX chat_by_age ON chat (seen_at);

-- An assistant message's body is empty until its run ends.
CREATE TABLE message (
  key        INTEGER PRIMARY KEY,
  chat       INTEGER NOT NULL REFERENCES chat (key) ON DELETE CASCADE,
  id         TEXT NOT NULL,
  parent     TEXT,
  role       TEXT NOT NULL,
  body       BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  run        TEXT,
  UNIQUE (chat, id)
);

-- AUTOINCREMENT: journal items name runs by key, so a key must never be used again.
-- `dedup` identifies duplicates of a request; `content` is a fingerprint that they must share.
CREATE TABLE run (
  key        INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT NOT NULL UNIQUE,
  chat       INTEGER NOT NULL REFERENCES chat (key) ON DELETE CASCADE,
  dedup      TEXT,
  content    TEXT NOT NULL,
  prompt     TEXT NOT NULL,
  answer     TEXT NOT NULL,
  model      TEXT NOT NULL,
  status     TEXT NOT NULL,
  epoch      INTEGER NOT NULL,
  token      TEXT NOT NULL,
  takeovers  INTEGER NOT NULL,
  spans      BLOB NOT NULL,
  next_seq   INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at   INTEGER,
  has_log    INTEGER NOT NULL DEFAULT 1,
  seen_at    INTEGER,
  UNIQUE (chat, dedup)
);
CREATE INDEX run_of_chat ON run (chat, key);
CREATE INDEX run_active ON run (key) WHERE status IN ('queued', 'running');
CREATE INDEX run_ended ON run (seen_at) WHERE seen_at IS NOT NULL AND has_log;

-- One row for each batch: the records of all runs in it.
CREATE TABLE journal (
  id   INTEGER PRIMARY KEY,
  data BLOB NOT NULL
);

-- The same records again, by run, about 16 KB each. Then their journal rows are deleted. Records are
-- joined by line feeds.
CREATE TABLE segment (
  run   INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
  first INTEGER NOT NULL,
  count INTEGER NOT NULL,
  data  BLOB NOT NULL,
  PRIMARY KEY (run, first)
) WITHOUT ROWID;

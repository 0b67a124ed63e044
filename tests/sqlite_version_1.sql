-- A file as version 1 of the schema made it, without its comments, and what may stand in one.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE chat (
  key        INTEGER PRIMARY KEY,
  id         TEXT NOT NULL UNIQUE,
  owner      TEXT NOT NULL,
  title      TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  head       TEXT
);
CREATE INDEX chat_of_owner ON chat (owner, updated_at DESC, key DESC);
CREATE INDEX chat_by_age ON chat (updated_at);
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
  UNIQUE (chat, dedup)
);
CREATE INDEX run_of_chat ON run (chat, key);
CREATE INDEX run_active ON run (key) WHERE status IN ('queued', 'running');
CREATE INDEX run_ended ON run (ended_at) WHERE ended_at IS NOT NULL AND has_log;
CREATE TABLE journal (
  id   INTEGER PRIMARY KEY,
  data BLOB NOT NULL
);
CREATE TABLE segment (
  run   INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
  first INTEGER NOT NULL,
  count INTEGER NOT NULL,
  data  BLOB NOT NULL,
  PRIMARY KEY (run, first)
) WITHOUT ROWID;

PRAGMA application_id = 1145852673;
PRAGMA user_version = 1;
INSERT INTO meta VALUES ('node', 7), ('secret', x'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff');
-- The clock was right until 2023-11-14 22:13:20 UTC, 1700000000000: `recent` is from then, `older` from
-- ten hours before. `early` was made in 1970, `late` a year ahead.
INSERT INTO chat (id, owner, title, created_at, updated_at, head) VALUES
  ('older', 'ann', 'Older', 1699900000000, 1699964000000, 'a1'),
  ('recent', 'ann', 'Recent', 1700000000000, 1700000000000, 'a2'),
  ('early', 'ann', 'Early', 100000, 200000, 'a3'),
  ('late', 'ann', 'Late', 1731536000000, 1731536000000, 'a4');
INSERT INTO message (chat, id, parent, role, body, created_at, run)
  SELECT key, 'm' || key, NULL, 'user', '{"text":"hello"}', created_at, NULL FROM chat;
INSERT INTO message (chat, id, parent, role, body, created_at, run)
  SELECT key, 'a' || key, 'm' || key, 'assistant', '{"text":"hello you"}', updated_at, 'r' || key FROM chat;
INSERT INTO run (id, chat, content, prompt, answer, model, status, epoch, token, takeovers, spans,
    next_seq, created_at, started_at, ended_at)
  SELECT 'r' || key, key, '', 'm' || key, 'a' || key, 'demo', 'finished', 1, 'aa', 0,
    '[[1,1,"aa"]]', 3, created_at, created_at, updated_at FROM chat;
UPDATE run SET spans = CAST(spans AS BLOB);
UPDATE message SET body = CAST(body AS BLOB);
INSERT INTO segment SELECT key, 1, 2, CAST('{"n":1}' || char(10) || '{"type":"finish"}' AS BLOB) FROM run;

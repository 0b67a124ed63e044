-- What a file of any version gets when it is opened to be served: what visitors signed out of, and
-- their one-time links. Times are milliseconds of the time that the servers have seen pass.
CREATE TABLE IF NOT EXISTS signed_out (
  owner      TEXT PRIMARY KEY,
  not_before INTEGER NOT NULL
) WITHOUT ROWID;

-- `digest`: SHA-256 of the token. An owner has one link at most.
CREATE TABLE IF NOT EXISTS link (
  owner   TEXT PRIMARY KEY,
  digest  TEXT NOT NULL UNIQUE,
  made_at INTEGER NOT NULL
) WITHOUT ROWID;

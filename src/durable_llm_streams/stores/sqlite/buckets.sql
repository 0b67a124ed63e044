-- Applied at every opening: files of earlier versions get these tables, too.

-- The limits: `tat` is the moment, in microseconds since 1970 UTC, at which the bucket will be full, and
-- `period` is how long an empty one takes. A bucket without a row is full.
CREATE TABLE IF NOT EXISTS bucket (
  name   TEXT PRIMARY KEY,
  tat    INTEGER NOT NULL,
  period INTEGER NOT NULL
) WITHOUT ROWID;

-- What each attempt of a run that has not ended may cost (JSON), and how often that was taken.
CREATE TABLE IF NOT EXISTS reservation (
  run     INTEGER PRIMARY KEY REFERENCES run (key) ON DELETE CASCADE,
  charges BLOB NOT NULL,
  times   INTEGER NOT NULL
);

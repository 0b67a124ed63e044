-- From version 1 to version 2, in one transaction. `seen_at` is set when the count of seen time begins
-- (seen_time.py).
ALTER TABLE chat ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN seen_at INTEGER;
DROP INDEX chat_by_age;
CREATE INDEX chat_by_age ON chat (seen_at);
DROP INDEX run_ended;
CREATE INDEX run_ended ON run (seen_at) WHERE seen_at IS NOT NULL AND has_log;

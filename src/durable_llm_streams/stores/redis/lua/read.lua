#!lua flags=no-writes
-- Reads a stretch of a log. See `LogReader.read`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  run
-- ARGV[2]  the last record that the reader has
-- ARGV[3]  the most bytes
--
-- Replies {status, spans, next, whether the log is there: 1 or 0, records} or {}, without a run.
-- include shared.lua
-- include reading.lua
local reply = stretch(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
return reply or {}

#!lua flags=no-writes
-- Reads a page of a log. See `LogReader.read`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  run
-- ARGV[2]  the last record that the reader has
-- ARGV[3]  how many bytes at most
--
-- Replies {status, spans, next, whether the log exists: 1 or 0, records}; {} if there is no run.
-- include shared.lua
-- include reading.lua
local reply = log_page(ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
return reply or {}

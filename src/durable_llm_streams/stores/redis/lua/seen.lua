#!lua flags=no-writes
-- The time that a partition has seen pass, in milliseconds. See `VisitorStore.now`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  clock, or '' for the server's
-- include shared.lua
local seen = seen_at(clock(ARGV[1]))
return whole(seen)

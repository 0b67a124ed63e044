#!lua flags=no-writes
-- Whether a run is in this partition.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  run
return redis.call('EXISTS', KEYS[1] .. ':run:' .. ARGV[1])

#!lua
-- Writes a value that is never read, to check that the store can be written.
--
-- KEYS[1]  the partition's root
redis.call('SET', KEYS[1] .. ':check', '1', 'EX', 60)
return 1

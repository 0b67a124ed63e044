#!lua
-- Writes something that means nothing, through the same path as any write.
--
-- KEYS[1]  the partition's root
redis.call('SET', KEYS[1] .. ':check', '1', 'EX', 60)
return 1

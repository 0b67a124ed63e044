#!lua
-- Draws what a store is known by, once.
--
-- KEYS[1]  the store's root, `{PREFIX}`
-- ARGV     field, value, … for those that are not there yet
--
-- Replies with all fields.
local meta = KEYS[1] .. ':meta'
for index = 1, #ARGV, 2 do
  redis.call('HSETNX', meta, ARGV[index], ARGV[index + 1])
end
return redis.call('HGETALL', meta)

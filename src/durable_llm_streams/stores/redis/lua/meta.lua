#!lua
-- Reads the fields of a store as a whole; fields that are missing are written first.
--
-- KEYS[1]  the store's root, `{PREFIX}`
-- ARGV     field, value, …: the values of fields that are missing
--
-- Replies with all fields.
local meta = KEYS[1] .. ':meta'
for index = 1, #ARGV, 2 do
  redis.call('HSETNX', meta, ARGV[index], ARGV[index + 1])
end
return redis.call('HGETALL', meta)

#!lua
-- Marks a store as one of a newer layout whose chats are being renamed, or as done.
--
-- KEYS[1]  the store's root, `{PREFIX}`
-- ARGV[1]  the version of the layout
-- ARGV[2]  `begin` or `end`
local meta = KEYS[1] .. ':meta'
if ARGV[2] == 'begin' then
  return redis.call('HSET', meta, 'version', ARGV[1], 'upgrading', '1')
end
return redis.call('HDEL', meta, 'upgrading')

#!lua
-- Keeps a one-time link in the place of the owner's earlier one. See `VisitorStore.keep_link`.
--
-- KEYS[1]  the store's root, `{PREFIX}`
-- ARGV[1]  digest of its token
-- ARGV[2]  owner
-- ARGV[3]  when it was made, milliseconds
-- ARGV[4]  how long it is kept, milliseconds
local newest = KEYS[1] .. ':linkof:' .. ARGV[2]
local earlier = redis.call('GET', newest)
if earlier then
  redis.call('DEL', KEYS[1] .. ':link:' .. earlier)
end
redis.call('SET', KEYS[1] .. ':link:' .. ARGV[1], ARGV[3] .. '|' .. ARGV[2], 'PX', ARGV[4])
redis.call('SET', newest, ARGV[1], 'PX', ARGV[4])
return 1

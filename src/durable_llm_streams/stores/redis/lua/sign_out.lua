#!lua
-- Cookies of an owner that were signed before a time are no longer valid. See
-- `VisitorStore.sign_out`.
--
-- KEYS[1]  the store's root, `{PREFIX}`
-- ARGV[1]  owner
-- ARGV[2]  that time, milliseconds
-- ARGV[3]  sign-outs before this time are deleted, some at a time
local signed_out = KEYS[1] .. ':signedout'
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', signed_out, '-inf', '(' .. ARGV[3], 'LIMIT', 0, 200)) do
  redis.call('ZREM', signed_out, owner)
end
local held = redis.call('ZSCORE', signed_out, ARGV[1])
if not held or tonumber(held) < tonumber(ARGV[2]) then
  redis.call('ZADD', signed_out, ARGV[2], ARGV[1])
end
return 1

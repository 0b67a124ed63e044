#!lua flags=no-writes
-- When owners signed out. See `VisitorStore.signed_out`.
--
-- KEYS[1]  the store's root, `{PREFIX}`
-- ARGV     owners
--
-- Replies with a time in milliseconds for each, '0' for those that never did.
local reply = {}
for index, owner in ipairs(ARGV) do
  reply[index] = redis.call('ZSCORE', KEYS[1] .. ':signedout', owner) or '0'
end
return reply

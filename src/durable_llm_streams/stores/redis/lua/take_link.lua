#!lua flags=allow-oom
-- Uses a one-time link: the first call gets it. See `VisitorStore.take_link`.
--
-- KEYS[1]  the store's root, `{PREFIX}`
-- ARGV[1]  digest of its token
--
-- Replies `MADE|OWNER`, or nothing.
local link = KEYS[1] .. ':link:' .. ARGV[1]
local found = redis.call('GET', link)
redis.call('DEL', link)
return found

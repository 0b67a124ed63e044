#!lua
-- Writes a mark in a store for a minute, or reads it, to detect that two addresses are one store.
--
-- KEYS[1]  the store's root, `{PREFIX}`
-- ARGV[1]  the mark, or '' to only read it
--
-- Replies with the mark, or ''.
local mark = KEYS[1] .. ':mark'
if ARGV[1] ~= '' then
  redis.call('SET', mark, ARGV[1], 'EX', 60)
end
return redis.call('GET', mark) or ''

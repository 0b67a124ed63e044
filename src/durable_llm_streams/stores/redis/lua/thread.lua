#!lua flags=no-writes
-- The messages that a run answers, oldest first. See `ChatStore.thread`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  run
--
-- Replies {'ok', messages as id, tree entry and body} or {refusal}.
-- include shared.lua
local held = call('HMGET', key('run', ARGV[1]), 'chat', 'prompt')
if not held[1] then
  return {'run-not-found'}
end
return {'ok', path(held[1], held[2])}

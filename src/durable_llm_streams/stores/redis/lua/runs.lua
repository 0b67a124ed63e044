#!lua flags=no-writes
-- Runs of all chats, newest first. See `RunStore.newest`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  which: `running` (all that have not ended) or `runs`
-- ARGV[2]  how many at most
--
-- Replies with {run, fields, next} for each.
-- include shared.lua
local replies = {}
for _, run in ipairs(call('ZREVRANGE', root .. ':' .. ARGV[1], 0, tonumber(ARGV[2]) - 1)) do
  if call('EXISTS', key('run', run)) == 1 then
    replies[#replies + 1] = run_reply(run)
  end
end
return replies

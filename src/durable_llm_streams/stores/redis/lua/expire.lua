#!lua flags=allow-oom
-- Deletes a portion of what has outlived its retention. See `Store.expire`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  logs of runs that ended before this time go
-- ARGV[2]  chats that last changed before this time go, or '' to keep them
-- ARGV[3]  records of runs that ended before this time have gone by themselves
--
-- Replies with the number of logs and chats that went.
-- include shared.lua
local gone = 0
for _, run in ipairs(call('ZRANGEBYSCORE', root .. ':ended', '-inf', '(' .. ARGV[1], 'LIMIT', 0, 200)) do
  local ended = call('ZSCORE', root .. ':ended', run)
  call('UNLINK', key('log', run))
  call('ZREM', root .. ':ended', run)
  call('ZADD', root .. ':kept', ended, run)
  gone = gone + 1
end
for _, run in ipairs(call('ZRANGEBYSCORE', root .. ':kept', '-inf', '(' .. ARGV[3], 'LIMIT', 0, 200)) do
  call('ZREM', root .. ':kept', run)
  call('ZREM', root .. ':runs', run)
end
if ARGV[2] ~= '' then
  local offset, deleted = 0, 0
  while deleted < 50 do
    local part = call('ZRANGEBYSCORE', root .. ':ages', '-inf', '(' .. ARGV[2], 'LIMIT', offset, 50)
    for _, chat in ipairs(part) do
      local owner = call('HGET', key('chat', chat), 'owner')
      if not owner then
        call('ZREM', root .. ':ages', chat)
      elseif active_run(chat) == '' then
        forget_chat(chat, owner)
        deleted = deleted + 1
      else
        offset = offset + 1
      end
    end
    if #part < 50 then
      break
    end
  end
  gone = gone + deleted
end
return gone

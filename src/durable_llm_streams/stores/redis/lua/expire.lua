#!lua flags=allow-oom
-- Deletes a portion of what has outlived its retention. See `Store.expire`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  logs go when their run ended so many milliseconds ago
-- ARGV[2]  chats go when they last changed so many milliseconds ago, or '' to keep them
-- ARGV[3]  records of runs that ended so many milliseconds ago have gone by themselves
-- ARGV[4]  clock, or '' for the server's
-- ARGV[5]  so many milliseconds may count since the last look at the clock, see stores/seen_time.py
--
-- Replies {how many logs and chats went, the clock at the last look, the clock now}.
-- include shared.lua
local now = clock(ARGV[4])
local held = call('HMGET', root .. ':clock', 'seen', 'wall')
local before = tonumber(held[2] or now)
local seen = held[1] and tonumber(held[1]) + math.max(0, math.min(now - before, tonumber(ARGV[5])))
  or first_seen(now)
call('HSET', root .. ':clock', 'seen', whole(seen), 'wall', whole(now))

-- Stamps that this time cannot have made come from a clock: another version of this software writes
-- those. What they say of a time before there was any, or to come, counts as now.
for _, index in ipairs({'ages', 'ended', 'kept'}) do
  local set = root .. ':' .. index
  for _, range in ipairs({
    {'-inf', '(' .. whole(FIRST)}, {'(' .. whole(seen + MOST_BETWEEN_LOOKS), '+inf'},
  }) do
    for _, member in ipairs(call('ZRANGEBYSCORE', set, range[1], range[2], 'LIMIT', 0, 200)) do
      call('ZADD', set, whole(seen), member)
    end
  end
end

local function older(milliseconds)
  return '(' .. whole(seen - tonumber(milliseconds))
end

local gone = 0
for _, run in ipairs(call('ZRANGEBYSCORE', root .. ':ended', '-inf', older(ARGV[1]), 'LIMIT', 0, 200)) do
  local ended = call('ZSCORE', root .. ':ended', run)
  call('UNLINK', key('log', run))
  call('ZREM', root .. ':ended', run)
  call('ZADD', root .. ':kept', ended, run)
  gone = gone + 1
end
for _, run in ipairs(call('ZRANGEBYSCORE', root .. ':kept', '-inf', older(ARGV[3]), 'LIMIT', 0, 200)) do
  call('ZREM', root .. ':kept', run)
  call('ZREM', root .. ':runs', run)
end
if ARGV[2] ~= '' then
  local offset, deleted = 0, 0
  while deleted < 50 do
    local part = call('ZRANGEBYSCORE', root .. ':ages', '-inf', older(ARGV[2]), 'LIMIT', offset, 50)
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
return {gone, whole(before), whole(now)}

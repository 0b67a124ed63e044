#!lua flags=allow-oom
-- Deletes some of what has outlived its retention. See `Sweeper.delete_some`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  how long a log is kept after its run's end, milliseconds
-- ARGV[2]  how long a chat is kept after its last change, milliseconds, or '' for ever
-- ARGV[3]  how long a run's record is kept after its end, milliseconds; then Redis has deleted it
-- ARGV[4]  clock, or '' for the server's
-- ARGV[5]  how many milliseconds count at most since the last look at the clock, see
--          stores/seen_time.py
--
-- Replies {how many logs and chats were deleted, the clock at the last look, the clock now}.
-- include shared.lua
local now = clock(ARGV[4])
local held = call('HMGET', root .. ':clock', 'seen', 'wall')
local before = tonumber(held[2] or now)
local seen = held[1] and tonumber(held[1]) + math.max(0, math.min(now - before, tonumber(ARGV[5])))
  or first_seen(now)
call('HSET', root .. ':clock', 'seen', whole(seen), 'wall', whole(now))

-- Stamps outside the range of this time come from a clock: an earlier version of this software wrote
-- them. They are set to now.
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

local count = 0
for _, run in ipairs(call('ZRANGEBYSCORE', root .. ':ended', '-inf', older(ARGV[1]), 'LIMIT', 0, 200)) do
  local ended = call('ZSCORE', root .. ':ended', run)
  call('UNLINK', key('log', run))
  call('ZREM', root .. ':ended', run)
  call('ZADD', root .. ':kept', ended, run)
  count = count + 1
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
        delete_chat(chat, owner)
        deleted = deleted + 1
      else
        offset = offset + 1
      end
    end
    if #part < 50 then
      break
    end
  end
  count = count + deleted
end
return {count, whole(before), whole(now)}

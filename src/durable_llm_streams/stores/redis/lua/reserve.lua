#!lua
-- Takes a run's reservation until it was taken so many times. See `RunStore.reserve`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  run
-- ARGV[2]  the writer (`NUMBER.TOKEN`)
-- ARGV[3]  how often it is to be taken in all
-- ARGV[4]  clock, or '' for the server's
-- ARGV[5…] the charges of the reservation, see limits.lua
--
-- Replies {'ok', run, fields, next} or {refusal, …}.
-- include shared.lua
-- include limits.lua
local run, times = ARGV[1], tonumber(ARGV[3])
local held = call('HMGET', key('run', run), 'status', 'writer', 'reservations')
if not held[1] then
  return {'run-not-found'}
elseif held[2] ~= ARGV[2] then
  return {'fenced'}
end
local more = times - tonumber(held[3] or times)
if more > 0 then
  local now = clock(ARGV[4])
  local buckets, moments, refused = charged(5, (#ARGV - 4) / 4, now, more)
  if refused then
    return refused
  end
  write_buckets(buckets, moments, now)
  call('HSET', key('run', run), 'reservations', times)
end
local reply = run_reply(run)
return {'ok', reply[1], reply[2], reply[3]}

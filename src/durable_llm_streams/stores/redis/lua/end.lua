#!lua
-- Ends a run: its last records, its status, the message in the history, in one step.
-- See `LogStore.end`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  run
-- ARGV[2]  the writer (`NUMBER.TOKEN`)
-- ARGV[3]  the sequence number of the first record
-- ARGV[4]  the final status
-- ARGV[5]  the assistant message's body
-- ARGV[6]  the time
-- ARGV[7]  how long the log is kept, milliseconds
-- ARGV[8]  how long the run's record is kept, milliseconds
-- ARGV[9]  how long the chat is kept, milliseconds, or 0
-- ARGV[10] clock, or '' for the server's
-- ARGV[11] how many charges settle the reservation
-- ARGV[12…] these charges, see limits.lua; then the last records
--
-- Replies {'ok', run, fields, next} or {refusal, detail}.
-- include shared.lua
-- include turns.lua
-- include limits.lua
local run, writer, at, status, now = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[6]
local held = call('HMGET', key('run', run),
  'status', 'writer', 'epoch', 'token', 'spans', 'chat', 'answer', 'ended')
if not held[1] then
  return {'run-not-found'}
end
if held[8] then
  if writer == held[3] .. '.' .. held[4] then
    local reply = run_reply(run)
    return {'ok', reply[1], reply[2], reply[3]}
  end
  return {'fenced'}
end
if writer ~= held[2] then
  return {'fenced'}
end
local next_seq = call('LLEN', key('log', run)) + 1
if at ~= next_seq then
  return {'mismatch', next_seq}
end

-- All checks are done: writes begin here.
local chat = held[6]
local log = key('log', run)
local charges = tonumber(ARGV[11])
local first = 12 + 4 * charges
local time = clock(ARGV[10])
local buckets, moments = charged(12, charges, time, 1)
write_buckets(buckets, moments, time)
for from = first, #ARGV, 1000 do
  call('RPUSH', log, unpack(ARGV, from, math.min(from + 999, #ARGV)))
end
call('HSET', key('run', run), 'status', status, 'ended', now, 'next', call('LLEN', log) + 1)
call('HDEL', key('run', run), 'writer', 'worker', 'charges', 'reservations')
for _, index in ipairs({root .. ':queue', root .. ':leases', root .. ':running', key('active', chat)}) do
  call('ZREM', index, run)
end
local seen = stamp(time)
call('ZADD', root .. ':ended', whole(seen), run)
call('PEXPIRE', log, ARGV[7])
call('PEXPIRE', key('run', run), ARGV[8])
call('HSET', key('body', chat), held[7], ARGV[5])
local about = call('HMGET', key('chat', chat), 'owner', 'updated')
touch(chat, about[1], whole(math.max(tonumber(now), tonumber(about[2]))), seen)
keep_chat(chat, about[1], ARGV[9])

local is_work = leaves(owner_of(chat), run, true)
local waiting = active_run(chat)
if waiting ~= '' then
  local behind = call('HMGET', key('run', waiting), 'status', 'number')
  if behind[1] == 'queued' then
    waits(owner_of(chat), waiting, behind[2])
    is_work = true
  end
end
if is_work then
  publish('w')
end
publish_change('run-ended', about[1], chat, {run, held[7], status})
call('PUBLISH', root .. ':tail:' .. run,
  at .. ' ' .. writer .. ' ' .. status .. '\n' .. table.concat(ARGV, '\n', first))
publish('e' .. run)
local reply = run_reply(run)
return {'ok', reply[1], reply[2], reply[3]}

#!lua
-- Claims one run, also one that another worker holds or that waits in the queue. See
-- `RunStore.claim_run`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  run
-- ARGV[2]  worker
-- ARGV[3]  the lease, milliseconds
-- ARGV[4]  clock, or '' for the server's
-- ARGV[5]  a token
--
-- Replies {'ok', run, fields, next} or {refusal}.
-- include shared.lua
-- include turns.lua
-- include claiming.lua
local status = call('HGET', key('run', ARGV[1]), 'status')
if not status then
  return {'run-not-found'}
elseif status ~= 'queued' and status ~= 'running' then
  return {'fenced'}
end
local reply = take(ARGV[1], ARGV[2], tonumber(ARGV[3]), clock(ARGV[4]), ARGV[5], false)
return {'ok', reply[1], reply[2], reply[3]}

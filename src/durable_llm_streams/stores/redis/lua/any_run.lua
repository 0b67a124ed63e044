#!lua flags=no-writes
-- A run of any owner. See `RunList.any_run`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  run
--
-- Replies {'ok', run, fields, next} or {refusal}.
-- include shared.lua
if call('EXISTS', key('run', ARGV[1])) == 0 then
  return {'run-not-found'}
end
local reply = run_reply(ARGV[1])
return {'ok', reply[1], reply[2], reply[3]}

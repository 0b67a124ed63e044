#!lua flags=allow-oom
-- Returns where a log ends; from now on its records are published for readers in other processes.
-- It needs hardly any memory, so it is allowed when memory is full: readers must be able to go on.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  run
--
-- Replies {status, spans, next, whether the log is there: 1 or 0, {}} or {}, without a run.
-- include shared.lua
-- include reading.lua
local reply = log_page(ARGV[1], math.huge, 0)
if reply and (reply[1] == 'queued' or reply[1] == 'running') then
  call('HSET', key('run', ARGV[1]), 'followed', 1)
end
return reply or {}

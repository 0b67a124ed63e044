#!lua flags=allow-oom
-- Tells where a log ends; from now on its records are published for readers in other processes.
-- It needs no memory to speak of, and without it nobody could read on when there is none.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  run
--
-- Replies {status, spans, next, whether the log is there: 1 or 0, {}} or {}, without a run.
-- include shared.lua
-- include reading.lua
local reply = stretch(ARGV[1], math.huge, 0)
if reply and (reply[1] == 'queued' or reply[1] == 'running') then
  call('HSET', key('run', ARGV[1]), 'followed', 1)
end
return reply or {}

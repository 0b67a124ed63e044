#!lua
-- Stages a run of a chat that does not exist yet, or records of it. See `Portable.put_in`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  the migration's token
-- ARGV[2]  run
-- ARGV[3]  the sequence number of the first record
-- ARGV[4]  how many arguments its fields are
-- ARGV[5…] the fields: name, value, …; then the records
--
-- Replies with a 1, or with a 0 if the records before these are missing.
-- include shared.lua
-- include moving.lua
local token, run, at, fields = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local hash, log = staged(token, 'run', run), staged(token, 'log', run)
if fields > 0 then
  call('HSET', hash, unpack(ARGV, 5, 4 + fields))
end
local first = 5 + fields
local length, count = call('LLEN', log), #ARGV - first + 1
if at == length + 1 then
  for from = first, #ARGV, 1000 do
    call('RPUSH', log, unpack(ARGV, from, math.min(from + 999, #ARGV)))
  end
elseif at + count ~= length + 1 then -- not a duplicate either
  return 0
end
call('PEXPIRE', hash, STAGED_MILLISECONDS)
call('PEXPIRE', log, STAGED_MILLISECONDS)
return 1

#!lua flags=allow-oom
-- Renews leases. See `RunStore.renew`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  the lease, milliseconds
-- ARGV[2]  clock, or '' for the server's
-- ARGV[3…] run, writer (`NUMBER.TOKEN`) for each claim
--
-- Replies with a string: a 1 for each claim that is held, a 0 for each that is lost.
-- include shared.lua
local lease_until = clock(ARGV[2]) + tonumber(ARGV[1])
local held = {}
for index = 3, #ARGV, 2 do
  local run = ARGV[index]
  if call('HGET', key('run', run), 'writer') == ARGV[index + 1] then
    call('ZADD', root .. ':leases', lease_until, run)
    held[#held + 1] = '1'
  else
    held[#held + 1] = '0'
  end
end
return table.concat(held)

#!lua
-- Claims runs: queued ones whose turn it is, and running ones whose lease ran out. Oldest first.
-- See `RunStore.claim`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  worker
-- ARGV[2]  how many at the most
-- ARGV[3]  the lease, milliseconds
-- ARGV[4]  clock, or '' for the server's
-- ARGV[5…] a token for each
--
-- Replies with {run, fields, next} for each claim.
-- include shared.lua
-- include claiming.lua
local limit, now = tonumber(ARGV[2]), clock(ARGV[4])
local free = {}
local expired = call('ZRANGEBYSCORE', root .. ':leases', '-inf', now, 'LIMIT', 0, 1000)
for _, run in ipairs(expired) do
  free[#free + 1] = {tonumber(call('HGET', key('run', run), 'number')) or 0, run}
end
local queued = call('ZRANGE', root .. ':queue', 0, limit, 'WITHSCORES')
for index = 1, #queued, 2 do
  free[#free + 1] = {tonumber(queued[index + 1]), queued[index]}
end
table.sort(free, function(one, other) return one[1] < other[1] end)

local claims = {}
for index = 1, math.min(limit, #free) do
  local run = free[index][2]
  claims[index] = take(run, ARGV[1], tonumber(ARGV[3]), now, ARGV[4 + index], true)
end
if #free > limit then
  publish('w') -- there is something left for others
end
return claims

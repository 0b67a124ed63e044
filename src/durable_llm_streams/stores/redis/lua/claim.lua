#!lua
-- Claims runs: queued ones whose turn it is, and running ones whose lease ran out. Oldest first.
-- See `RunStore.claim`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  worker
-- ARGV[2]  how many at the most
-- ARGV[3]  the lease, milliseconds
-- ARGV[4]  clock, or '' for the server's
-- ARGV[5]  how many tokens follow of earlier claims that nobody heard the outcome of
-- ARGV[6…] these, then a new token for each claim
--
-- Replies with {run, fields, next} for each claim.
--
-- A claim whose reply was lost would leave its runs to nobody until their leases run out. So its
-- tokens come again with the worker's next claim: a run that still has one of them is handed over.
-- include shared.lua
-- include claiming.lua
local LONGEST = 100 -- leases of another server's setting
local limit, lease, now = tonumber(ARGV[2]), tonumber(ARGV[3]), clock(ARGV[4])
local unanswered = tonumber(ARGV[5])
local claims = {}
if unanswered > 0 then
  local ours = {}
  for index = 6, 5 + unanswered do
    ours[ARGV[index]] = true
  end
  for _, run in ipairs(call('ZRANGE', root .. ':leases', 0, -1)) do
    local held = call('HMGET', key('run', run), 'token', 'worker')
    if held[2] == ARGV[1] and ours[held[1]] then
      call('ZADD', root .. ':leases', now + lease, run)
      claims[#claims + 1] = run_reply(run)
    end
  end
end

-- No lease is this long: it was given while the clock was ahead, and would hold up its run for as long.
for _, run in ipairs(call('ZRANGEBYSCORE', root .. ':leases', '(' .. whole(now + LONGEST * lease), '+inf',
    'LIMIT', 0, 1000)) do
  call('ZADD', root .. ':leases', now + lease, run)
end

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

local taken = math.max(0, math.min(limit - #claims, #free))
for index = 1, taken do
  claims[#claims + 1] = take(free[index][2], ARGV[1], lease, now, ARGV[5 + unanswered + index], true)
end
if #free > taken then
  publish('w') -- there is something left for others
end
return claims

#!lua
-- Claims runs: queued ones whose turn it is, and running ones whose lease ran out. Oldest first.
-- See `RunStore.claim`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  worker
-- ARGV[2]  how many at most
-- ARGV[3]  the lease, milliseconds
-- ARGV[4]  clock, or '' for the server's
-- ARGV[5]  how many tokens follow of earlier claims without a reply
-- ARGV[6…] these, then a new token for each claim
--
-- Replies with {run, fields, next} for each claim.
--
-- If the reply of a claim is lost, no worker writes its runs until their leases run out. So the
-- worker's next claim sends the same tokens again. Runs that still have one of them are returned.
-- include shared.lua
-- include claiming.lua
local LONGEST = 100 -- in leases: other servers may have a longer one
local limit, lease, now = tonumber(ARGV[2]), tonumber(ARGV[3]), clock(ARGV[4])
local unconfirmed = tonumber(ARGV[5])
local claims = {}
if unconfirmed > 0 then
  local ours = {}
  for index = 6, 5 + unconfirmed do
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

-- A lease as long as this was given while the clock was ahead; it would block its run for as long.
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
  claims[#claims + 1] = take(free[index][2], ARGV[1], lease, now, ARGV[5 + unconfirmed + index], true)
end
if #free > taken then
  publish('w') -- there is work for other workers
end
return claims

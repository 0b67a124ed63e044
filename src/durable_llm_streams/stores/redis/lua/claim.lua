#!lua
-- Claims runs: queued ones whose turn it is, and running ones whose lease ran out. The owner with the
-- fewest running runs is next, then the oldest run. See `RunStore.claim`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  worker
-- ARGV[2]  how many at most
-- ARGV[3]  the lease, milliseconds
-- ARGV[4]  clock, or '' for the server's
-- ARGV[5]  how many tokens follow of earlier claims without a reply
-- ARGV[6]  how many runs of one owner may run at once, or ''
-- ARGV[7…] these, then a new token for each claim
--
-- Replies with {run, fields, next} for each claim.
--
-- If the reply of a claim is lost, no worker writes its runs until their leases run out. So the
-- worker's next claim sends the same tokens again. Runs that still have one of them are returned.
-- include shared.lua
-- include turns.lua
-- include claiming.lua
local LONGEST = 100 -- in leases: other servers may have a longer one
local limit, lease, now = tonumber(ARGV[2]), tonumber(ARGV[3]), clock(ARGV[4])
local unconfirmed, per_owner = tonumber(ARGV[5]), tonumber(ARGV[6])
local claims = {}
if unconfirmed > 0 then
  local ours = {}
  for index = 7, 6 + unconfirmed do
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

count_runs()
local expired = {} -- owner: the runs whose leases ran out, oldest first, and how many run
for _, run in ipairs(call('ZRANGEBYSCORE', root .. ':leases', '-inf', now, 'LIMIT', 0, 1000)) do
  local fields = call('HMGET', key('run', run), 'number', 'chat')
  local owner = owner_of(fields[2])
  expired[owner] = expired[owner] or {running = running(owner)}
  table.insert(expired[owner], {tonumber(fields[1]) or 0, run})
end
for _, runs in pairs(expired) do
  table.sort(runs, function(one, other) return one[1] < other[1] end)
end

-- The run whose turn it is, and its owner if it comes from the queue; nil when there is none.
local function next_run()
  local best, from
  for owner, runs in pairs(expired) do
    local turn = runs[1] and runs.running * ROUND + runs[1][1]
    if turn and (not best or turn < best) then
      best, from = turn, owner
    end
  end
  local below = per_owner and '(' .. whole(per_owner * ROUND) or '+inf'
  local first = call('ZRANGEBYSCORE', root .. ':waiting', '-inf', below, 'WITHSCORES', 'LIMIT', 0, 1)
  if first[1] and (not best or tonumber(first[2]) < best) then
    return call('ZRANGE', key('waits', first[1]), 0, 0)[1], first[1]
  end
  return best and expired[from][1][2], nil, from
end

local taken = 0
local run, owner, from = next_run()
while run and #claims < limit do
  taken = taken + 1
  claims[#claims + 1] = take(run, ARGV[1], lease, now, ARGV[6 + unconfirmed + taken], true)
  if from then
    table.remove(expired[from], 1)
  elseif expired[owner] then
    expired[owner].running = expired[owner].running + 1
  end
  run, owner, from = next_run()
end
if run then
  publish('w') -- there is work for other workers
end
return claims

-- How many runs each owner has, and whose turn it is. Needs shared.lua.
--
-- Theory of operation
-- ===================
-- 1. `owned` counts an owner's runs that have not ended, `held` those that run. A run whose lease ran
--    out counts as running.
-- 2. `waits:OWNER` has the owner's runs in the queue. `waiting` has the owners of such runs: first the
--    one with the fewest running runs, then the one with the oldest run in the queue.
-- 3. Each script that changes a run's status changes the counts in the same step.
-- 4. Stores of earlier versions have no counts. `count_runs` makes them from the runs.
local ROUND = 1e10 -- more than the number of any run

local function owner_of(chat)
  return string.match(chat, '^(.*)/') or ''
end

local function owned(owner)
  return tonumber(call('HGET', root .. ':owned', owner) or 0)
end

local function running(owner)
  return tonumber(call('HGET', root .. ':held', owner) or 0)
end

local function all_waiting()
  return call('ZCARD', root .. ':running') - call('ZCARD', root .. ':leases')
end

local function count(counts, owner, by)
  if call('HINCRBY', counts, owner, by) <= 0 then
    call('HDEL', counts, owner)
  end
end

-- Sets an owner's place in the order. Returns whether the owner has runs in the queue.
local function set_turn(owner)
  local first = call('ZRANGE', key('waits', owner), 0, 0, 'WITHSCORES')
  if first[1] then
    call('ZADD', root .. ':waiting', whole(running(owner) * ROUND + first[2]), owner)
  else
    call('ZREM', root .. ':waiting', owner)
  end
  return first[1] ~= nil
end

-- A new run.
local function enters(owner)
  count(root .. ':owned', owner, 1)
end

-- It comes into the queue.
local function waits(owner, run, number)
  call('ZADD', root .. ':queue', number, run)
  call('ZADD', key('waits', owner), number, run)
  set_turn(owner)
end

local function leave_queue(owner, run)
  call('ZREM', root .. ':queue', run)
  call('ZREM', key('waits', owner), run)
end

-- It begins to run.
local function begins(owner, run)
  leave_queue(owner, run)
  count(root .. ':held', owner, 1)
  set_turn(owner)
end

-- It no longer runs. Returns what `set_turn` does.
local function pauses(owner)
  count(root .. ':held', owner, -1)
  return set_turn(owner)
end

-- It has ended, or is deleted. Returns what `set_turn` does.
local function leaves(owner, run, was_running)
  leave_queue(owner, run)
  count(root .. ':owned', owner, -1)
  if was_running then
    count(root .. ':held', owner, -1)
  end
  return set_turn(owner)
end

-- Whether a new run of an owner may begin at once: the owner has fewer than `most` running runs, and
-- no run in the queue is another owner's whose turn comes first.
local function may_begin(owner, most)
  local held = running(owner)
  if held >= most then
    return false
  end
  local before = '(' .. whole((held + 1) * ROUND)
  for _, other in ipairs(call('ZRANGEBYSCORE', root .. ':waiting', '-inf', before, 'LIMIT', 0, 2)) do
    if other ~= owner then
      return false
    end
  end
  return true
end

local function count_runs()
  if call('EXISTS', root .. ':owned') == 1 or call('EXISTS', root .. ':running') == 0 then
    return
  end
  call('DEL', root .. ':held')
  local owners = {}
  for _, run in ipairs(call('ZRANGE', root .. ':running', 0, -1)) do
    local fields = call('HMGET', key('run', run), 'chat', 'status')
    local owner = owner_of(fields[1] or '')
    owners[owner] = true
    enters(owner)
    if fields[2] == 'running' then
      count(root .. ':held', owner, 1)
    else
      local number = call('ZSCORE', root .. ':queue', run)
      if number then
        call('ZADD', key('waits', owner), number, run)
      end
    end
  end
  for owner in pairs(owners) do
    set_turn(owner)
  end
end

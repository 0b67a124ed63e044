-- One claim. Needs shared.lua and turns.lua.

-- Gives a run to a worker under a new epoch; returns {run, fields, next}.
local function take(run, worker, lease, now, token, counts_as_takeover)
  local held = call('HMGET', key('run', run), 'status', 'epoch', 'takeovers', 'spans', 'started', 'chat')
  local number = whole(tonumber(held[2]) + 1)
  local first = call('LLEN', key('log', run)) + 1
  if counts_as_takeover and held[1] == 'running' then
    call('HINCRBY', key('run', run), 'takeovers', 1)
  end
  call('HSET', key('run', run),
    'status', 'running', 'epoch', number, 'token', token, 'writer', number .. '.' .. token,
    'first', first, 'spans', with_span(held[4], first, number, token), 'worker', worker,
    'started', held[5] or whole(now))
  call('HDEL', key('run', run), 'followed') -- followers are notified of the claim and ask again
  if held[1] == 'queued' then
    begins(owner_of(held[6]), run)
  end
  call('ZADD', root .. ':leases', now + lease, run)
  publish('c' .. run .. ' ' .. number .. '.' .. token)
  return run_reply(run)
end

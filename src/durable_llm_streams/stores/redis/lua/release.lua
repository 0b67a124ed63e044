#!lua flags=allow-oom
-- Gives runs back: they are queued again and claimable at once. See `RunStore.release`.
--
-- KEYS[1]  the partition's root
-- ARGV[1…] run, writer (`NUMBER.TOKEN`) for each claim
-- include shared.lua
-- include turns.lua
local is_work = false
for index = 1, #ARGV, 2 do
  local run = ARGV[index]
  local held = call('HMGET', key('run', run), 'writer', 'number', 'chat')
  if held[1] == ARGV[index + 1] then
    call('HSET', key('run', run), 'status', 'queued')
    call('HDEL', key('run', run), 'writer', 'worker')
    call('ZREM', root .. ':leases', run)
    local owner = owner_of(held[3])
    if active_run(held[3]) == run then
      waits(owner, run, held[2])
    end
    is_work = pauses(owner) or is_work
  end
end
if is_work then
  publish('w')
end
return 1

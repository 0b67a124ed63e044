#!lua
-- Names some chats of layout 1 within their owners, as layout 2 does. See stores/redis/upgrading.py.
-- Their logs, leases and places in the queue stay as they are: those go by run.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  how many chats to skip
-- ARGV[2]  how many to look at
--
-- Replies {how many were looked at, how many of them got their name}.
-- include shared.lua
local first, named = tonumber(ARGV[1]), 0
local part = call('ZRANGE', root .. ':ages', first, first + tonumber(ARGV[2]) - 1)
for _, id in ipairs(part) do
  local owner = id_of(id) == id and call('HGET', key('chat', id), 'owner')
  if owner then
    local chat = name_of(owner, id)
    for _, entry in ipairs(call('HVALS', key('tree', id))) do
      local run = string.match(entry, '|([^|]*)$')
      if run ~= '' and call('EXISTS', key('run', run)) == 1 then
        call('HSET', key('run', run), 'chat', chat)
      end
    end
    for _, kind in ipairs({'chat', 'order', 'tree', 'body', 'keys', 'active'}) do
      if call('EXISTS', key(kind, id)) == 1 then
        call('RENAME', key(kind, id), key(kind, chat))
      end
    end
    -- The new entry comes first: a set that becomes empty would lose its time to live.
    for _, index in ipairs({key('owner', owner), root .. ':ages'}) do
      local score = call('ZSCORE', index, id)
      if score then
        call('ZADD', index, score, chat)
        call('ZREM', index, id)
      end
    end
    named = named + 1
  end
end
return {#part, named}

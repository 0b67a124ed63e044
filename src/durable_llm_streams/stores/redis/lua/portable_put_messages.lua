#!lua
-- Stages some messages of a chat that does not exist yet. See `Portable.put_in`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  the migration's token
-- ARGV[2]  the chat's name in keys
-- ARGV[3]  how many messages come before these
-- ARGV[4…] id, tree entry, body for each
-- include shared.lua
-- include moving.lua
local token, chat, at = ARGV[1], ARGV[2], tonumber(ARGV[3])
for index = 4, #ARGV, 3 do
  local id, entry, body = ARGV[index], ARGV[index + 1], ARGV[index + 2]
  at = at + 1
  call('ZADD', staged(token, 'order', chat), at, id)
  call('HSET', staged(token, 'tree', chat), id, entry)
  if body ~= '' then
    call('HSET', staged(token, 'body', chat), id, body)
  end
end
for _, kind in ipairs({'order', 'tree', 'body'}) do
  call('PEXPIRE', staged(token, kind, chat), STAGED_MILLISECONDS)
end
return 1

#!lua flags=no-writes
-- Chats of all owners by their last change, oldest first. See `Portable.listing`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  how many to skip
-- ARGV[2]  how many to read
--
-- Replies {how many there are, how many were read, those that still exist as owner, name, …}.
-- include shared.lua
local ages, offset = root .. ':ages', tonumber(ARGV[1])
local part = call('ZRANGE', ages, offset, offset + tonumber(ARGV[2]) - 1)
local there = {}
for _, chat in ipairs(part) do
  local owner = call('HGET', key('chat', chat), 'owner')
  if owner then
    there[#there + 1] = owner
    there[#there + 1] = chat
  end
end
return {call('ZCARD', ages), #part, there}

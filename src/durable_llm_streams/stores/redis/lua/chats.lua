#!lua flags=no-writes
-- An owner's chats by their last change, newest first, from a place on. See `ChatStore.page`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  owner
-- ARGV[2]  the last change of the chat before the place, or `+inf`
-- ARGV[3]  that chat's id, or ''
-- ARGV[4]  how many at most
--
-- Replies with a chat for each.
-- include shared.lua
local most, before, limit = ARGV[2], name_of(ARGV[1], ARGV[3]), tonumber(ARGV[4])
local replies, offset = {}, 0
while #replies < limit do
  local part = call('ZREVRANGEBYSCORE', key('owner', ARGV[1]), most, '-inf',
    'WITHSCORES', 'LIMIT', offset, limit)
  for index = 1, #part, 2 do
    local chat, updated = part[index], part[index + 1]
    local behind = updated ~= most or chat < before
    if behind and #replies < limit and call('EXISTS', key('chat', chat)) == 1 then
      replies[#replies + 1] = chat_reply(chat)
    end
  end
  if #part < 2 * limit then
    break
  end
  offset = offset + limit
end
return replies

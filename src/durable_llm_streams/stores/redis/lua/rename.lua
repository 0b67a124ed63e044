#!lua
-- Sets a chat's title. See `ChatStore.rename`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  owner
-- ARGV[2]  the chat's id
-- ARGV[3]  title
--
-- Replies {'ok', chat} or {refusal}.
-- include shared.lua
local owner, chat = ARGV[1], name_of(ARGV[1], ARGV[2])
if call('HGET', key('chat', chat), 'owner') ~= owner then
  return {'chat-not-found'}
end
call('HSET', key('chat', chat), 'title', ARGV[3])
publish_change('chat-renamed', owner, chat)
return {'ok', chat_reply(chat)}

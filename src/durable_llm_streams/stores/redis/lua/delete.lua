#!lua flags=allow-oom
-- Deletes a chat with its messages, runs and logs. See `ChatStore.delete`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  owner
-- ARGV[2]  the chat's id
--
-- Replies {'ok'} or {refusal}.
-- include shared.lua
-- include turns.lua
local owner, chat = ARGV[1], name_of(ARGV[1], ARGV[2])
if call('HGET', key('chat', chat), 'owner') ~= owner then
  return {'chat-not-found'}
end
local is_work = false
for _, run in ipairs(call('ZRANGE', key('active', chat), 0, -1)) do
  is_work = leaves(owner, run, call('HGET', key('run', run), 'status') == 'running')
end
delete_chat(chat, owner)
if is_work then
  publish('w')
end
return {'ok'}

#!lua flags=no-writes
-- One run of a chat: the named one, or the active one. See `RunStore.find`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  owner
-- ARGV[2]  the chat's id
-- ARGV[3]  run, or '' for the active one
--
-- Replies {'ok', run, fields, next} or {refusal}.
-- include shared.lua
local chat, run = name_of(ARGV[1], ARGV[2]), ARGV[3]
if call('HGET', key('chat', chat), 'owner') ~= ARGV[1] then
  return {'chat-not-found'}
end
if run == '' then
  run = active_run(chat)
end
if run == '' or call('HGET', key('run', run), 'chat') ~= chat then
  return {'run-not-found'}
end
local reply = run_reply(run)
return {'ok', reply[1], reply[2], reply[3]}

#!lua flags=no-writes
-- One run of a chat: the named one, or the active one. See `RunStore.find`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  whether the owner is checked: 1 or 0
-- ARGV[2]  owner
-- ARGV[3]  chat
-- ARGV[4]  run, or '' for the active one
--
-- Replies {'ok', run, fields, next} or {refusal}.
-- include shared.lua
local chat, run = ARGV[3], ARGV[4]
local owner = call('HGET', key('chat', chat), 'owner')
if not owner or (ARGV[1] == '1' and owner ~= ARGV[2]) then
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

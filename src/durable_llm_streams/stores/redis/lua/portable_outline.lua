#!lua flags=no-writes
-- A chat without its text. See `Portable.outline`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  chat
--
-- Replies {chat, messages as id and tree entry, {run, fields, next} for each run} or {}.
-- include shared.lua
local chat = ARGV[1]
if call('EXISTS', key('chat', chat)) == 0 then
  return {}
end
local messages, runs = {}, {}
for _, id in ipairs(call('ZRANGE', key('order', chat), 0, -1)) do
  local entry = call('HGET', key('tree', chat), id)
  messages[#messages + 1] = id
  messages[#messages + 1] = entry
  local run = string.match(entry, '|([^|]*)$')
  if run ~= '' and call('EXISTS', key('run', run)) == 1 then
    runs[#runs + 1] = run_reply(run)
  end
end
return {chat_reply(chat), messages, runs}

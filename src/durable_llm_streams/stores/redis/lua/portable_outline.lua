#!lua flags=no-writes
-- A chat without its text. See `Portable.outline`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  the chat's name in keys
-- ARGV[2]  clock, or '' for the server's
--
-- Replies {chat, messages as id and tree entry, {run, fields, next} for each run, ages} or {}. Ages
-- are milliseconds of the partition's time: since the chat's last change, since each run's end.
-- include shared.lua
local chat = ARGV[1]
if call('EXISTS', key('chat', chat)) == 0 then
  return {}
end
local messages, runs = {}, {}
local seen = seen_at(clock(ARGV[2]))
local function age(index, member)
  local stamp = call('ZSCORE', root .. ':' .. index, member)
  return stamp and whole(math.max(0, seen - tonumber(stamp)))
end
local ages = {age('ages', chat) or '0'}
for _, id in ipairs(call('ZRANGE', key('order', chat), 0, -1)) do
  local entry = call('HGET', key('tree', chat), id)
  messages[#messages + 1] = id
  messages[#messages + 1] = entry
  local run = string.match(entry, '|([^|]*)$')
  if run ~= '' and call('EXISTS', key('run', run)) == 1 then
    runs[#runs + 1] = run_reply(run)
    ages[#ages + 1] = age('ended', run) or age('kept', run) or '0'
  end
end
return {chat_reply(chat), messages, runs, ages}

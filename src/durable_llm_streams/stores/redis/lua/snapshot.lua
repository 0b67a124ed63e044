#!lua flags=no-writes
-- A chat with its messages and its active run's log, as of one moment. See `ChatStore.snapshot`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  owner
-- ARGV[2]  the chat's id
-- ARGV[3]  the message whose branch to show, or '' for the head's
--
-- Replies {'ok', chat, versions as id and tree entry, branch as id, tree entry and body,
-- {run, fields, next} or {}, a page of its log or {}} or {refusal}.
-- include shared.lua
-- include reading.lua
local owner, leaf = ARGV[1], ARGV[3]
local chat = name_of(owner, ARGV[2])
local about = chat_reply(chat)
if about[2] ~= owner then
  return {'chat-not-found'}
end
if leaf == '' then
  leaf = about[6]
elseif message(chat, leaf) then
  leaf = newest_below(chat, leaf)
else
  return {'message-not-found'}
end
local versions = {}
for _, id in ipairs(call('ZRANGE', key('order', chat), 0, -1)) do
  versions[#versions + 1] = id
  versions[#versions + 1] = call('HGET', key('tree', chat), id)
end
local run = about[7]
if run == '' then
  return {'ok', about, versions, path(chat, leaf), {}, {}}
end
return {'ok', about, versions, path(chat, leaf), run_reply(run), log_page(run, 0, math.huge)}

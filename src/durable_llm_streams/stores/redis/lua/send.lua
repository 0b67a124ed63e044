#!lua
-- Accepts a message: the chat if it is new, the message, the run, its claim. See `RunStore.send`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  owner
-- ARGV[2]  the chat's id
-- ARGV[3]  place: follow, edit or again
-- ARGV[4]  anchor, or ''
-- ARGV[5]  the new message's id, or ''
-- ARGV[6]  its body
-- ARGV[7]  the new run's id
-- ARGV[8]  the answer's id
-- ARGV[9]  model
-- ARGV[10] the idempotency key, or ''
-- ARGV[11] fingerprint of the request
-- ARGV[12] title
-- ARGV[13] whether the head moves to the answer's branch: 1 or 0
-- ARGV[14] whether the run may wait behind another one: 1 or 0
-- ARGV[15] the claiming worker, or ''
-- ARGV[16] its lease, milliseconds
-- ARGV[17] the sender's time
-- ARGV[18] clock, or '' for the server's
-- ARGV[19] a token for the claim
-- ARGV[20] how long the chat is kept, milliseconds, or 0
-- ARGV[21] the bounds, see `Bounds`: `RUNNING ACTIVE WAITING`, each a number or -
-- ARGV[22] the run's reservation as text, or ''
-- ARGV[23…] the charges, then those of the reservation, see limits.lua
--
-- Replies {'new' or 'found', run, fields, next, moments of the buckets, now} or {refusal, …}.
-- include shared.lua
-- include turns.lua
-- include limits.lua
local owner, place, anchor, message_id = ARGV[1], ARGV[3], ARGV[4], ARGV[5]
local chat = name_of(owner, ARGV[2])
local run, answer, dedup, content = ARGV[7], ARGV[8], ARGV[10], ARGV[11]
local now = tonumber(ARGV[17])

local known = call('HMGET', key('chat', chat), 'owner', 'head', 'updated')
local is_new = not known[1]
if is_new and place ~= 'follow' then
  return {'chat-not-found'}
end
local head = known[2] or ''

local asked
if place == 'again' then
  local from = anchor ~= '' and anchor or head
  local role, parent = message(chat, from)
  if not role then
    asked = nil
  elseif role == 'user' then
    asked = from
  elseif parent ~= '' then
    asked = parent
  end
end

local found
if dedup ~= '' then
  found = call('HGET', key('keys', chat), dedup)
  local asked_before = found and call('HGET', key('run', found), 'content')
  if asked_before and asked_before ~= content then
    return {'key-conflict'}
  end
  found = asked_before and found -- the run's record may have expired
end
if not found and call('HGET', key('run', run), 'chat') == chat then
  found = run -- this very order was executed before, and is sent again
end
if not found and call('EXISTS', key('gone', run)) == 1 then
  return {'chat-not-found'} -- a late repetition: the chat was deleted after this order was executed
end
if not found and place == 'again' then
  if not asked then
    return {'message-not-found'}
  end
  for _, active in ipairs(call('ZRANGE', key('active', chat), 0, -1)) do
    if call('HGET', key('run', active), 'prompt') == asked then
      found = active
      break
    end
  end
end
if found then
  if ARGV[13] == '1' then
    local shown = call('HGET', key('run', found), 'answer')
    local at = head
    while at ~= '' and at ~= shown do
      local _, parent = message(chat, at)
      at = parent or ''
    end
    if at ~= shown then
      call('HSET', key('chat', chat), 'head', newest_below(chat, shown))
    end
  end
  local reply, held = run_reply(found), call('HMGET', key('run', found), 'status', 'token')
  -- If the reply of this order was lost, its claim is still this worker's.
  local claimed = found == run and held[1] == 'running' and held[2] == ARGV[19]
  return {claimed and 'new' or 'found', reply[1], reply[2], reply[3]}
end

local before = active_run(chat)
if before ~= '' and ARGV[14] ~= '1' then
  return {'busy', before}
end

count_runs()
local bounds = {}
for bound in string.gmatch(ARGV[21], '%S+') do
  bounds[#bounds + 1] = tonumber(bound) or math.huge
end
local at_once = before == '' and ARGV[15] ~= '' and may_begin(owner, bounds[1])
if owned(owner) >= bounds[2] then
  return {'too-many-runs', bounds[2]}
elseif not at_once and all_waiting() >= bounds[3] then
  return {'queue-full', bounds[3]}
end

local parent
if place == 'edit' then
  local role, edited_parent = message(chat, anchor)
  if not role then
    return {'message-not-found'}
  elseif role ~= 'user' then
    return {'not-a-question'}
  end
  parent = edited_parent
elseif place == 'follow' then
  parent = anchor ~= '' and message(chat, anchor) and anchor or head
end
if place ~= 'again' and (message_id == '' or message(chat, message_id)) then
  return {'message-conflict'}
end
local taken_at = clock(ARGV[18])
local buckets, moments, refused = charged(23, (#ARGV - 22) / 4, taken_at, 1)
if refused then
  return refused
end

-- All checks are done: writes begin here.
write_buckets(buckets, moments, taken_at)
local function add(id, role, above, by)
  local place_in_order = call('HINCRBY', key('chat', chat), 'messages', 1)
  local entry = role .. '|' .. above .. '|' .. ARGV[17] .. '|' .. by
  call('HSET', key('tree', chat), id, entry)
  call('ZADD', key('order', chat), place_in_order, id)
end

if is_new then
  call('HSET', key('chat', chat), 'owner', owner, 'title', ARGV[12], 'created', ARGV[17])
end
if place ~= 'again' then
  add(message_id, 'user', parent, '')
  call('HSET', key('body', chat), message_id, ARGV[6])
  asked = message_id
end
add(answer, 'assistant', asked, run)

local number = call('INCR', root .. ':number')
call('HSET', key('run', run),
  'chat', chat, 'number', number, 'prompt', asked, 'answer', answer, 'model', ARGV[9],
  'created', ARGV[17], 'key', dedup, 'content', content, 'status', 'queued',
  'epoch', 0, 'token', '', 'takeovers', 0, 'spans', '')
for _, index in ipairs({key('active', chat), root .. ':running', root .. ':runs'}) do
  call('ZADD', index, number, run)
end
if ARGV[22] ~= '' then
  call('HSET', key('run', run), 'charges', ARGV[22], 'reservations', 1)
end
if dedup ~= '' then
  call('HSET', key('keys', chat), dedup, run)
end
enters(owner)
if before == '' then
  if at_once then
    local started = clock(ARGV[18])
    local token = ARGV[19]
    call('HSET', key('run', run),
      'status', 'running', 'epoch', 1, 'token', token, 'spans', '1:1:' .. token, 'first', 1,
      'writer', '1.' .. token, 'started', whole(started), 'worker', ARGV[15])
    call('ZADD', root .. ':leases', started + tonumber(ARGV[16]), run)
    begins(owner, run)
  else
    waits(owner, run, number)
    publish('w')
  end
end
call('HSET', key('chat', chat), 'head', answer)
touch(chat, owner, whole(math.max(now, tonumber(known[3] or '0'))), stamp(clock(ARGV[18])))
keep_chat(chat, owner, ARGV[20])
if is_new then
  publish_change('chat-created', owner, chat)
end
publish_change('run-started', owner, chat, {run, answer})
local reply = run_reply(run)
return {'new', reply[1], reply[2], reply[3], moments, whole(taken_at * 1000)}

-- Functions that several scripts use. A script includes them with a line `-- include shared.lua`.
--
-- Theory of operation
-- ===================
-- 1. KEYS[1] is the root of a partition, `{PREFIX:N}`. Every other key of the partition begins with
--    it, so all of them are in one hash slot; see docs/redis.md for the whole layout.
-- 2. Scripts are not rolled back when they fail. So a script does all its checks first and then
--    writes. `#!lua` without flags makes Redis refuse the whole script, before its first write, when
--    memory is full. Scripts that free memory, or need hardly any, have `flags=allow-oom`.
-- 3. Times are milliseconds. The clock is the server's; a given clock is for tests.
-- 4. A refusal is a reply, not an error: its first element says which.
-- 5. Retention goes by the time that the partition has seen pass, not by the clock, which may jump.
--    `expire` advances that time; `seen_at` and `stamp` read it. See stores/seen_time.py.
local root = KEYS[1]
local call = redis.call

local function key(kind, id)
  return root .. ':' .. kind .. ':' .. id
end

-- A chat's name in keys: `OWNER/ID`. Where a script says `chat`, it is this name; no id has a slash.
local function name_of(owner, id)
  return owner .. '/' .. id
end

local function id_of(chat)
  return string.match(chat, '[^/]*$')
end

local function clock(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- A number without an exponent, which Lua would write from 10^14 on.
local function whole(number)
  return string.format('%.0f', number)
end

local MOST_BETWEEN_LOOKS = 5 * 60 * 1000 -- as in stores/seen_time.py
local FIRST = 1577836800000 -- 2020: every stamp of a correct clock is later

-- The first value of the partition's time: its newest stamp, or the clock if that is earlier. So a
-- clock that is ahead makes nothing old. Stamps of an earlier version stay valid.
local function first_seen(now)
  local newest = -math.huge
  for _, index in ipairs({'ages', 'ended'}) do
    local last = call('ZREVRANGE', root .. ':' .. index, 0, 0, 'WITHSCORES')[2]
    newest = math.max(newest, tonumber(last or '-inf') or newest)
  end
  if newest > -math.huge then
    now = math.min(now, newest)
  end
  return math.max(now, FIRST)
end

-- The time that the partition has seen pass, and whether it is stored.
local function seen_at(now)
  local held = call('HMGET', root .. ':clock', 'seen', 'wall')
  if not held[1] then
    return first_seen(now), false
  end
  local moved = math.min(now - tonumber(held[2]), MOST_BETWEEN_LOOKS)
  return tonumber(held[1]) + math.max(0, moved), true
end

-- The same, for a new stamp; stores it if it is not stored.
local function stamp(now)
  local seen, known = seen_at(now)
  if not known then
    call('HSET', root .. ':clock', 'seen', whole(seen), 'wall', whole(now))
  end
  return seen
end

local function publish(event)
  call('PUBLISH', root .. ':events', event)
end

-- A run's fields, and the sequence number of its log's next record.
local function run_reply(run)
  local fields = call('HGETALL', key('run', run))
  return {run, fields, call('LLEN', key('log', run)) + 1}
end

-- A chat's first active run, or ''.
local function active_run(chat)
  return call('ZRANGE', key('active', chat), 0, 0)[1] or ''
end

-- A chat as replies have it: id, owner, title, created, updated, head, active run.
local function chat_reply(chat)
  local fields = call('HMGET', key('chat', chat), 'owner', 'title', 'created', 'updated', 'head')
  return {id_of(chat), fields[1], fields[2], fields[3], fields[4], fields[5] or '', active_run(chat)}
end

-- role, parent, created, run of a message; nil when it is not in the chat.
local function message(chat, id)
  local found = call('HGET', key('tree', chat), id)
  if not found then
    return nil
  end
  return string.match(found, '^(%a*)|([^|]*)|(%d*)|(.*)$')
end

-- The message that is reached from `leaf` by always going to the newest child.
local function newest_below(chat, leaf)
  local order = call('ZRANGE', key('order', chat), 0, -1)
  local newest = {}
  for _, id in ipairs(order) do
    local _, parent = message(chat, id)
    newest[parent] = id
  end
  while newest[leaf] do
    leaf = newest[leaf]
  end
  return leaf
end

-- The messages from the first one down to `leaf`, as id, tree entry, body.
local function path(chat, leaf)
  local upwards = {}
  while leaf ~= '' do
    upwards[#upwards + 1] = leaf
    local _, parent = message(chat, leaf)
    leaf = parent or ''
  end
  local reply = {}
  for index = #upwards, 1, -1 do
    local id = upwards[index]
    reply[#reply + 1] = id
    reply[#reply + 1] = call('HGET', key('tree', chat), id) or ''
    reply[#reply + 1] = call('HGET', key('body', chat), id) or ''
  end
  return reply
end

-- Spans are written as `FIRST:NUMBER:TOKEN FIRST:NUMBER:TOKEN`. An epoch that wrote nothing has none.
local function with_span(spans, first, number, token)
  local last = string.match(spans, '[^ ]+$') or ''
  if string.match(last, '^%d+') == whole(first) then
    spans = string.sub(spans, 1, #spans - #last)
  elseif spans ~= '' then
    spans = spans .. ' '
  end
  return spans .. whole(first) .. ':' .. number .. ':' .. token
end

local function touch(chat, owner, updated, seen)
  call('HSET', key('chat', chat), 'updated', updated)
  call('ZADD', key('owner', owner), updated, chat)
  call('ZADD', root .. ':ages', whole(seen), chat)
end

-- Lets the keys of a chat expire so long after its last change, and one day more; 0: never. Within
-- that day the servers delete it, which also cleans the indexes and publishes the change.
local DAY = 24 * 3600 * 1000
local function keep_chat(chat, owner, milliseconds)
  if tonumber(milliseconds) > 0 then
    milliseconds = whole(tonumber(milliseconds) + DAY)
    for _, kind in ipairs({'chat', 'order', 'tree', 'body', 'keys'}) do
      call('PEXPIRE', key(kind, chat), milliseconds)
    end
    call('PEXPIRE', key('owner', owner), milliseconds)
  end
end

-- How many changes of an owner are kept; one more shows whether older ones were dropped.
local FEED_LENGTH = 100
local FEED_MILLISECONDS = 24 * 3600 * 1000

-- Publishes a change in its owner's feed. `about` is {run, answer, status} or nil.
local function publish_change(kind, owner, chat, about)
  local number = call('INCR', root .. ':changes')
  local view = kind == 'chat-deleted' and {} or chat_reply(chat)
  local feed = key('feed', owner)
  local time = call('TIME') -- the token: if this change is lost, its number is given again
  local token = time[1] .. string.format('%06d', time[2])
  local entry = cjson.encode({whole(number), kind, id_of(chat), about or {}, view, token})
  call('RPUSH', feed, entry)
  call('LTRIM', feed, -FEED_LENGTH - 1, -1)
  call('PEXPIRE', feed, FEED_MILLISECONDS)
  publish('f' .. owner)
end

-- Takes the titles of a chat out of its owner's feed. A subscriber goes on from a change of it, so
-- these stay, as deletions with a seventh element: readers skip them.
local function forget_changes(owner, chat)
  local feed, id = key('feed', owner), id_of(chat)
  local entries, has_some = call('LRANGE', feed, 0, -1), false
  for index, text in ipairs(entries) do
    local number, about = string.match(text, '^%["(%d+)","[^"]+","([^"]+)"')
    if about == id then
      has_some = true
      local token = string.match(text, '"(%d+)"[,1]*%]$') or ''
      entries[index] = cjson.encode({number, 'chat-deleted', id, {}, {}, token, 1})
    end
  end
  if has_some then
    call('DEL', feed)
    call('RPUSH', feed, unpack(entries))
  end
end

-- Runs whose chat was deleted are remembered for a while. A `send` that was repeated after a timeout
-- may still be on its way, in a connection that was given up; it must not bring the chat back.
local GONE_MILLISECONDS = 3600 * 1000
local function delete_chat(chat, owner)
  for _, entry in ipairs(call('HVALS', key('tree', chat))) do
    local run = string.match(entry, '|([^|]*)$')
    if run ~= '' then
      call('DEL', key('run', run), key('log', run))
      for _, index in ipairs({'queue', 'leases', 'running', 'runs', 'ended', 'kept'}) do
        call('ZREM', root .. ':' .. index, run)
      end
      call('SET', key('gone', run), '', 'PX', GONE_MILLISECONDS)
      publish('g' .. run)
    end
  end
  for _, kind in ipairs({'chat', 'order', 'tree', 'body', 'keys', 'active'}) do
    call('DEL', key(kind, chat))
  end
  call('ZREM', key('owner', owner), chat)
  call('ZREM', root .. ':ages', chat)
  forget_changes(owner, chat)
  publish_change('chat-deleted', owner, chat)
end

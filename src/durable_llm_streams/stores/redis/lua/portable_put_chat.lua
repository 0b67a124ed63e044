#!lua
-- Makes a chat of what was staged, in one step. See `Portable.put_in`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  the migration's token
-- ARGV[2]  the chat's name in keys
-- ARGV[3]  owner
-- ARGV[4]  title
-- ARGV[5]  when it was created
-- ARGV[6]  when it last changed
-- ARGV[7]  head, or ''
-- ARGV[8]  how many messages it has
-- ARGV[9]  how long it is kept, milliseconds, or 0
-- ARGV[10] milliseconds since its last change, by the time that stores see pass
-- ARGV[11] clock, or '' for the server's
-- ARGV[12…] for each run, oldest first: run, how many records, how long they are kept and how long
--          its own record is kept, milliseconds (0: for ever), milliseconds since its end
--
-- Replies 'ok'; 'taken' if the chat or one of its runs exists; 'lost' if something is missing.
-- include shared.lua
-- include moving.lua
local token, chat, owner = ARGV[1], ARGV[2], ARGV[3]
local messages, lifetime = tonumber(ARGV[8]), tonumber(ARGV[9])
if call('EXISTS', key('chat', chat)) == 1 then
  return 'taken'
end
if call('ZCARD', staged(token, 'order', chat)) ~= messages then
  return 'lost'
end
for index = 12, #ARGV, 5 do
  local run = ARGV[index]
  if call('EXISTS', key('run', run)) == 1 then
    return 'taken'
  elseif call('EXISTS', staged(token, 'run', run)) == 0
    or call('LLEN', staged(token, 'log', run)) ~= tonumber(ARGV[index + 1]) then
    return 'lost'
  end
end

-- All checks are done: writes begin here.
local seen = stamp(clock(ARGV[11]))
local function move(kind, id, milliseconds)
  if call('EXISTS', staged(token, kind, id)) == 1 then
    call('RENAME', staged(token, kind, id), key(kind, id))
    if milliseconds > 0 then
      call('PEXPIRE', key(kind, id), milliseconds)
    else
      call('PERSIST', key(kind, id))
    end
  end
end

for _, kind in ipairs({'order', 'tree', 'body', 'keys', 'active'}) do
  call('DEL', key(kind, chat)) -- of an earlier chat with this id, which has expired
end
for index = 12, #ARGV, 5 do
  local run, number = ARGV[index], call('INCR', root .. ':number')
  move('log', run, tonumber(ARGV[index + 2]))
  move('run', run, tonumber(ARGV[index + 3]))
  call('HSET', key('run', run), 'number', number)
  local held = call('HMGET', key('run', run), 'ended', 'key')
  call('ZADD', root .. ':runs', number, run)
  if not held[1] then
    call('ZADD', key('active', chat), number, run)
    call('ZADD', root .. ':running', number, run)
  else
    local index_of = ARGV[index + 1] == '0' and ':kept' or ':ended'
    call('ZADD', root .. index_of, whole(seen - tonumber(ARGV[index + 4])), run)
  end
  if held[2] and held[2] ~= '' then
    call('HSET', key('keys', chat), held[2], run)
  end
end
for _, kind in ipairs({'order', 'tree', 'body'}) do
  move(kind, chat, lifetime)
end
call('HSET', key('chat', chat), 'owner', owner, 'title', ARGV[4], 'created', ARGV[5],
  'messages', messages)
if ARGV[7] ~= '' then
  call('HSET', key('chat', chat), 'head', ARGV[7])
end
local left = call('PTTL', key('owner', owner)) -- -1: for ever, -2: does not exist
touch(chat, owner, ARGV[6], seen - tonumber(ARGV[10]))
if lifetime == 0 then
  call('PERSIST', key('owner', owner))
else
  keep_chat(chat, owner, lifetime)
  if left == -1 then
    call('PERSIST', key('owner', owner))
  elseif left > lifetime then
    call('PEXPIRE', key('owner', owner), left)
  end
end
local first = active_run(chat)
if first ~= '' then
  call('ZADD', root .. ':queue', call('HGET', key('run', first), 'number'), first)
  publish('w')
end
return 'ok'

#!lua
-- Writes the records of many runs. See `LogStore.append`. This is the hot path.
--
-- KEYS[1]           the partition's root
-- KEYS[2i], [2i+1]  the hash and the log of the i-th run
-- ARGV              for each run: its writer (`NUMBER.TOKEN`), the sequence number of the first
--                   record, how many records, and the records
--
-- Replies with a string: a 1 for each run whose log has the records now, a 0 for each other run.
--
-- Theory of operation
-- ===================
-- 1. The log is a list: record n is its element n - 1, so it cannot have a hole.
-- 2. Only the run's writer may append, number and token compared together, and only at the log's end.
--    RPUSH returns where the end is. What it added at a wrong place is removed in the same step, so
--    no reader sees it. To ask for the length first would be one command more for each record.
-- 3. Records that the log has already under this epoch are duplicates, which add nothing.
-- 4. Records are published for readers in other processes in the same step, if there are any.
local call, concat = redis.call, table.concat
local tail = KEYS[1] .. ':tail:'
local id_from = #KEYS[1] + 6

-- Appends records to a log; returns its new length.
local function push(log, first, last)
  if first == last then
    return call('RPUSH', log, ARGV[first])
  end
  local length
  for from = first, last, 1000 do
    length = call('RPUSH', log, unpack(ARGV, from, math.min(from + 999, last)))
  end
  return length
end

local written = {}
local argument = 1
for index = 2, #KEYS, 2 do
  local run, log = KEYS[index], KEYS[index + 1]
  local writer, at, count = ARGV[argument], tonumber(ARGV[argument + 1]), tonumber(ARGV[argument + 2])
  local first = argument + 3
  argument = first + count
  local committed = '0'
  local held = call('HMGET', run, 'writer', 'followed')
  if held[1] == writer then
    local length = count > 0 and push(log, first, argument - 1) or call('LLEN', log)
    if length == at + count - 1 then
      committed = '1'
      if held[2] and count > 0 then
        call('PUBLISH', tail .. run:sub(id_from),
          at .. ' ' .. writer .. ' running\n' .. concat(ARGV, '\n', first, argument - 1))
      end
    else
      if count > 0 then
        call('LTRIM', log, 0, -1 - count)
      end
      local before = length - count
      if at + count <= before + 1 and at >= tonumber(call('HGET', run, 'first')) then
        committed = '1'
      end
    end
  end
  written[#written + 1] = committed
end
return concat(written)

-- A page of a log. Needs shared.lua.

local function log_page(run, after, most)
  local held = call('HMGET', key('run', run), 'status', 'spans', 'next')
  if not held[1] then
    return nil
  end
  local log = key('log', run)
  local length = call('LLEN', log)
  local next_seq = held[3] and tonumber(held[3]) or length + 1
  local records, bytes = {}, 0
  local at, step = after, 64
  while at < length do
    local part = call('LRANGE', log, at, at + step - 1)
    for _, record in ipairs(part) do
      bytes = bytes + #record
      if bytes > most and #records > 0 then
        return {held[1], held[2], next_seq, 1, records}
      end
      records[#records + 1] = record
    end
    at = at + step
    step = 512
  end
  return {held[1], held[2], next_seq, length + 1 == next_seq and 1 or 0, records}
end

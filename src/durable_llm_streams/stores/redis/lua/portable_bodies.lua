#!lua flags=no-writes
-- Bodies of a chat's messages, in their order. See `Portable.contents`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  the chat's name in keys
-- ARGV[2]  how many messages to skip
-- ARGV[3]  how many bytes at most; one body is always returned
--
-- Replies with the bodies, '' for one that is not written yet.
-- include shared.lua
local chat, at, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local bodies, bytes = {}, 0
while true do
  local part = call('ZRANGE', key('order', chat), at, at + 63)
  for _, id in ipairs(part) do
    local body = call('HGET', key('body', chat), id) or ''
    bytes = bytes + #body
    if bytes > most and #bodies > 0 then
      return bodies
    end
    bodies[#bodies + 1] = body
  end
  if #part < 64 or #bodies >= 1000 then
    return bodies
  end
  at = at + 64
end

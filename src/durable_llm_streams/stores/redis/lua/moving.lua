-- Where the pieces of a chat lie until it is whole. Needs shared.lua.
--
-- Nobody looks there, and each migration has a place of its own: its token is in the keys' names.
-- What a killed one has left goes by itself.
local PATIENCE_MILLISECONDS = 3600 * 1000

local function staged(token, kind, id)
  return root .. ':moving:' .. token .. ':' .. kind .. ':' .. id
end

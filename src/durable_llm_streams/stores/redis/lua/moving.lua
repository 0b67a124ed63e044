-- The staging area of a chat that is copied here, until it is complete. Needs shared.lua.
--
-- Nothing else reads these keys. Each migration has its own: its token is in their names. What a
-- killed migration leaves expires.
local STAGED_MILLISECONDS = 3600 * 1000

local function staged(token, kind, id)
  return root .. ':moving:' .. token .. ':' .. kind .. ':' .. id
end

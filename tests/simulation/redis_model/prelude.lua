-- What Redis puts around a script: what the script may call, and what becomes of its result.
--
-- The chunk is given `dispatch`, which runs a command, and returns two functions: `compile` and `run`.
--
-- Theory of operation
-- ===================
-- 1. `dispatch` replies with a value, or with several: `true` and the elements of an array, or `nil`,
--    the name of a field ('err' or 'ok') and its text. A table is an array that is too long for that.
-- 2. What is missing is `false` in Lua.
-- 3. A script's result leaves as the protocol has it, so that no table has to be taken apart outside.
-- 4. What is a C function in Redis is one of Lua here. So a script that ends with `return redis.call()`
--    has left its last line when the call fails: the error then does not name it.
local dispatch = ...

local SCRIPT = '@user_script'
local concat, format, floor, ceil = table.concat, string.format, math.floor, math.ceil
local rawset, select, tostring, type, xpcall = rawset, select, tostring, type, xpcall
local getinfo = debug.getinfo

-- Where the script is now: Redis's own functions are passed over. It may have left its last line.
local function place_in_script()
  local level = 2
  local place = getinfo(level, 'Sl')
  while place and place.source ~= SCRIPT do
    level = level + 1
    place = getinfo(level, 'Sl')
  end
  return place or {source = '=(tail call)', currentline = -1}
end

-- Raises an error as a C function of Redis does.
local function fail(text)
  error('user_script:' .. place_in_script().currentline .. ': ' .. text, 0)
end

-- --- commands -----------------------------------------------------------------------------------

local function value_of(first, ...)
  if first == true then
    return {...}
  elseif first == nil then
    local field, text = ...
    return {[field] = text}
  end
  return first
end

local redis = {}

function redis.pcall(...)
  local reply = value_of(dispatch(...))
  return reply
end

function redis.call(...)
  local reply = value_of(dispatch(...))
  if type(reply) == 'table' and reply.err then
    error(reply)
  end
  return reply
end

function redis.error_reply(text)
  local code, message = string.match(text, '^%-?(%S+) (.*)$')
  if string.sub(text, 1, 1) ~= '-' and not code or not code then
    return {err = 'ERR ' .. string.gsub(text, '^%-', '')}
  end
  return {err = code .. ' ' .. message}
end

function redis.status_reply(text)
  return {ok = text}
end

-- --- cjson --------------------------------------------------------------------------------------

local ESCAPES = {['"'] = '\\"', ['\\'] = '\\\\', ['/'] = '\\/', ['\b'] = '\\b', ['\f'] = '\\f',
  ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t', ['\127'] = '\\u007f'}
for byte = 0, 31 do
  local character = string.char(byte)
  ESCAPES[character] = ESCAPES[character] or format('\\u%04x', byte)
end

local function json_text(text)
  return '"' .. string.gsub(text, '[%z\1-\31"\\/\127]', ESCAPES) .. '"'
end

local json

-- The length of a table that is an array; nil when it is none.
local function array_length(value)
  local length, count = 0, 0
  for index in pairs(value) do
    if type(index) ~= 'number' or index < 1 or floor(index) ~= index then
      return nil
    end
    length, count = math.max(length, index), count + 1
  end
  if length > 10 and length > count * 2 then
    fail('Cannot serialise table: excessively sparse array')
  end
  return count > 0 and length or nil
end

local function json_table(value)
  local parts, length = {}, array_length(value)
  if length then
    for index = 1, length do
      parts[index] = json(value[index])
    end
    return '[' .. concat(parts, ',') .. ']'
  end
  for name, each in pairs(value) do
    if type(name) ~= 'string' and type(name) ~= 'number' then
      fail('Cannot serialise table: table key must be a number or string')
    end
    parts[#parts + 1] = json_text(tostring(name)) .. ':' .. json(each)
  end
  return '{' .. concat(parts, ',') .. '}'
end

function json(value)
  local kind = type(value)
  if kind == 'string' then
    return json_text(value)
  elseif kind == 'table' then
    return json_table(value)
  elseif kind == 'number' then
    if value ~= value or value == math.huge or value == -math.huge then
      fail('Cannot serialise number: must not be NaN or Inf')
    end
    return format('%.14g', value)
  elseif kind == 'boolean' then
    return tostring(value)
  elseif kind == 'nil' then
    return 'null'
  end
  fail('Cannot serialise ' .. kind .. ': type not supported')
end

-- --- results ------------------------------------------------------------------------------------

local out, written

local function put(text)
  written = written + 1
  out[written] = text
end

local function one_line(text)
  return (string.gsub(text, '[\r\n]', ' '))
end

local function put_value(value)
  local kind = type(value)
  if kind == 'string' then
    put('$' .. #value .. '\r\n' .. value .. '\r\n')
  elseif kind == 'number' then
    put(':' .. format('%.0f', value < 0 and ceil(value) or floor(value)) .. '\r\n')
  elseif kind == 'table' then
    if type(value.err) == 'string' then
      put('-' .. one_line(value.err) .. '\r\n')
    elseif type(value.ok) == 'string' then
      put('+' .. one_line(value.ok) .. '\r\n')
    else
      local length = 0
      while value[length + 1] ~= nil do
        length = length + 1
      end
      put('*' .. length .. '\r\n')
      for index = 1, length do
        put_value(value[index])
      end
    end
  else
    put(value and ':1\r\n' or '$-1\r\n')
  end
end

-- What went wrong in a script, and where.
local function describe(problem)
  local place = place_in_script()
  if type(problem) == 'userdata' then
    return problem -- an exception of the model's own
  elseif type(problem) ~= 'table' then
    problem = {err = 'ERR ' .. tostring(problem)}
  end
  problem.source, problem.line = place.source, place.currentline
  return problem
end

local function result(sha, fine, value)
  if not fine then
    if type(value) == 'userdata' then
      error(value, 0)
    end
    return '-' .. one_line(tostring(value.err)) .. ' script: ' .. sha .. ', on ' .. value.source .. ':'
      .. value.line .. '.\r\n'
  end
  out, written = {}, 0
  put_value(value)
  return concat(out)
end

-- Redis's pcall gives the text of an error, not the table that it came in.
local function text_of_error(fine, problem, ...)
  if not fine and type(problem) == 'table' and type(problem.err) == 'string' then
    return false, problem.err
  end
  return fine, problem, ...
end

local function protected(...)
  return text_of_error(pcall(...))
end

-- --- scripts ------------------------------------------------------------------------------------

local surroundings = setmetatable({
  redis = redis, cjson = {encode = json},
  string = string, table = table, math = math,
  assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, next = next,
  pairs = pairs, pcall = protected, rawequal = rawequal, rawget = rawget, select = select,
  tonumber = tonumber, tostring = tostring, type = type, unpack = unpack, xpcall = xpcall,
}, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
  __newindex = function()
    error('Attempt to modify a readonly table', 2)
  end,
})

-- The body of a script, or nil and what is wrong with it.
local function compile(text)
  local body, problem = loadstring(text, SCRIPT)
  return body and setfenv(body, surroundings), problem
end

-- Runs a body. So many of the words are KEYS, the others are ARGV.
local function run(body, sha, key_count, ...)
  local words, keys = {...}, {}
  for index = 1, key_count do
    keys[index] = words[index]
  end
  rawset(surroundings, 'KEYS', keys)
  rawset(surroundings, 'ARGV', {select(key_count + 1, ...)})
  return result(sha, xpcall(body, describe))
end

-- The same for more words than a call can have.
local function run_long(body, sha, keys, arguments)
  rawset(surroundings, 'KEYS', keys)
  rawset(surroundings, 'ARGV', arguments)
  return result(sha, xpcall(body, describe))
end

return compile, run, run_long

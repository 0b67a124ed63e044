#!lua
-- Tries every command that the scripts use, on keys of its own, and deletes them.
--
-- KEYS[1]  a partition's root
--
-- Replies with the commands that were refused and why: name, error, name, error, …
local text, hash = KEYS[1] .. ':check:text', KEYS[1] .. ':check:hash'
local list, set = KEYS[1] .. ':check:list', KEYS[1] .. ':check:set'
local refused = {}

local function try(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) == 'table' and reply.err then
    refused[#refused + 1] = command
    refused[#refused + 1] = reply.err
  end
end

try('TIME')
try('SET', text, '1', 'PX', 60000)
try('GET', text)
try('INCR', text)
try('EXISTS', text)
try('HSET', hash, 'field', 'value')
try('PEXPIRE', hash, 60000)
try('HSETNX', hash, 'field', 'value')
try('HINCRBY', hash, 'number', 1)
try('HGET', hash, 'field')
try('HMGET', hash, 'field', 'number')
try('HGETALL', hash)
try('HVALS', hash)
try('HDEL', hash, 'field')
try('RPUSH', list, 'element')
try('PEXPIRE', list, 60000)
try('LLEN', list)
try('LRANGE', list, 0, -1)
try('LTRIM', list, 0, -1)
try('ZADD', set, 1, 'member')
try('PEXPIRE', set, 60000)
try('ZSCORE', set, 'member')
try('ZCARD', set)
try('ZRANGE', set, 0, -1)
try('ZREVRANGE', set, 0, -1)
try('ZRANGEBYSCORE', set, 0, 1)
try('ZREVRANGEBYSCORE', set, 1, 0)
try('ZREM', set, 'member')
try('PTTL', set)
try('PERSIST', text)
try('RENAME', text, text)
try('UNLINK', text, hash)
try('DEL', list, set)
try('PUBLISH', KEYS[1] .. ':check', '')
return refused

#!lua flags=no-writes
-- What happened to an owner's chats since a position. See `FeedStore.changes`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  owner
-- ARGV[2]  clock, or '' for the server's
--
-- Replies {time, the number of the last change of any owner, the owner's last changes}.
-- include shared.lua
local last = call('GET', root .. ':changes') or '0'
return {whole(clock(ARGV[2])), last, call('LRANGE', key('feed', ARGV[1]), 0, -1)}

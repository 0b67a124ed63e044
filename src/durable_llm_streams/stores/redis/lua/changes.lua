#!lua flags=no-writes
-- The last changes of an owner's chats. See `FeedStore.changes`.
--
-- KEYS[1]  the partition's root
-- ARGV[1]  owner
-- ARGV[2]  clock, or '' for the server's
--
-- Replies {time, the owner's last changes}.
-- include shared.lua
return {whole(clock(ARGV[2])), call('LRANGE', key('feed', ARGV[1]), 0, -1)}

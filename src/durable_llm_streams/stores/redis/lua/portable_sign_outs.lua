#!lua flags=no-writes
-- All owners who signed out everywhere, and when. See `Portable.sign_outs`.
--
-- KEYS[1]  the store's root, `{PREFIX}`
--
-- Replies owner, time in milliseconds, …
return redis.call('ZRANGE', KEYS[1] .. ':signedout', 0, -1, 'WITHSCORES')

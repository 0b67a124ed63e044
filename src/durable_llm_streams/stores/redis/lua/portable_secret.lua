#!lua
-- Sets the secret that signs visitors' cookies. See `Portable.set_secret`.
--
-- KEYS[1]  the store's root, `{PREFIX}`
-- ARGV[1]  the secret, hexadecimal
return redis.call('HSET', KEYS[1] .. ':meta', 'secret', ARGV[1])

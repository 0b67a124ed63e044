#!lua flags=no-writes
-- How many leases have not run out. See `Portable.refuse_served`.
--
-- KEYS[1]  the partition's root
-- include shared.lua
return #call('ZRANGEBYSCORE', root .. ':leases', '(' .. whole(clock('')), '+inf')

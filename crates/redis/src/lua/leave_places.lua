#!lua flags=allow-oom
-- Leaves places of requests that have ended. Allowed without memory: the way out.
-- KEYS   {cp:d:<no>}
-- ARGV   places..
-- reply  time
-- bound  128 places
redis.call('ZREM', KEYS[1], unpack(ARGV))
return { t }

#!lua flags=allow-oom
-- Reports a change.
-- KEYS   cp:changes, its number, its open changes
-- ARGV   campaign number, name of the open change
-- reply  time
-- bound  three keys
redis.call('ZADD', KEYS[1], redis.call('INCR', KEYS[2]), arg())
redis.call('ZREM', KEYS[3], arg())
return { t }

#!lua flags=allow-oom
-- Fixes the layout at the first start; afterwards says what it is.
-- KEYS   cp:layout
-- ARGV   format, shards, birth, hash key (both as hex)
-- reply  time, format, shards, birth, hash key
-- bound  one key
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', arg(), 'shards', arg(), 'birth', arg(), 'hash_key', arg())
end
return { t, unpack(redis.call('HMGET', KEYS[1], 'format', 'shards', 'birth', 'hash_key')) }

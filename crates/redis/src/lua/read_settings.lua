#!lua flags=no-writes
-- KEYS   cp:settings
-- ARGV   none
-- reply  time, revision, settings or nil
-- bound  one key
return { t, tonumber(redis.call('HGET', KEYS[1], 'version') or 0) or 0, redis.call('HGET', KEYS[1], 'doc') }

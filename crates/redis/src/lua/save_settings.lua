#!lua
-- Writes the deployment's settings if their revision is still the one read.
-- KEYS   cp:settings
-- ARGV   revision read (0: there are none), revision, settings
-- reply  time, 1 written | 0 it was another revision
-- bound  one key
local read, revision, settings = num(), arg(), arg()
if (tonumber(redis.call('HGET', KEYS[1], 'version') or 0) or 0) ~= read then
  return { t, 0 }
end
redis.call('HSET', KEYS[1], 'version', revision, 'doc', settings)
return { t, 1 }

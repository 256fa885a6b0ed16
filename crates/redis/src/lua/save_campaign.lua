#!lua
-- Writes a campaign's record if its version is still the one read, and keeps the revision if it is new.
-- KEYS   the record, the revision
-- ARGV   version read (0: there is none), version, record, definition
-- reply  time, 1 written | 0 it was another version
-- bound  two keys of at most some 100 KiB
local read, version, record, definition = num(), arg(), arg(), arg()
if (tonumber(redis.call('HGET', KEYS[1], 'v') or 0) or 0) ~= read then
  return { t, 0 }
end
redis.call('HSET', KEYS[1], 'v', version, 'doc', record)
redis.call('SET', KEYS[2], definition, 'NX')
return { t, 1 }

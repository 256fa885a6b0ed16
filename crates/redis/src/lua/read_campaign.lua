#!lua flags=no-writes
-- A campaign's record, or one of its revisions.
-- KEYS   the record | the revision
-- ARGV   record | revision
-- reply  time, JSON (nil: none)
-- bound  one key
if arg() == 'record' then
  return { t, redis.call('HGET', KEYS[1], 'doc') }
end
return { t, redis.call('GET', KEYS[1]) }

#!lua flags=no-writes
-- The counters of a campaign.
-- KEYS   the shard's tag
-- ARGV   campaign
-- reply  time, (field, value)..
-- bound  about 30 fields an action
local found = peek('HGETALL', 'c:' .. arg()) or {}
return { t, unpack(found, 1, math.min(#found, 4000)) }

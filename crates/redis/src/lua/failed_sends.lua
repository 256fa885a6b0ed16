#!lua flags=no-writes
-- Failed sends in the order of their failure.
-- KEYS   the shard's tag
-- ARGV   ms of the first ones, how many of those to pass over, limit
-- reply  time, (lane and core, ms of its failure)..
-- bound  1,000 sends
local from, skip, limit = arg(), num(), num()
local found = peek('ZRANGEBYSCORE', 'failed', from, '+inf', 'WITHSCORES', 'LIMIT', skip, limit) or {}
return { t, unpack(found) }

#!lua flags=no-writes
-- Refusals kept singly, newest first.
-- KEYS   the shard's tag
-- ARGV   campaign, limit
-- reply  time, rows..
-- bound  1,000 rows
local campaign, limit = arg(), num()
return { t, unpack(peek('LRANGE', 'refused:' .. campaign, 0, math.min(limit, 1000) - 1) or {}) }

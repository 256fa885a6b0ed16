#!lua
-- Says that a campaign is about to change: whoever follows changes looks at it until the change is reported.
-- KEYS   cp:changes, its number, its open changes
-- ARGV   campaign number
-- reply  time, name of the open change
-- bound  three keys
local name = arg() .. ':' .. redis.call('INCR', KEYS[2])
redis.call('ZADD', KEYS[3], t, name)
return { t, name }

#!lua
-- Gives an id a number, for good; the same id again has the same number.
-- KEYS   cp:names, its numbers, its ids
-- ARGV   id
-- reply  time, number
-- bound  three keys
local id = arg()
local no = redis.call('HGET', KEYS[1], 'c:' .. id)
if not no then
  no = redis.call('HINCRBY', KEYS[2], 'c', 1)
  redis.call('HSET', KEYS[1], 'c:' .. id, no)
end
redis.call('ZADD', KEYS[3], 0, id)
return { t, tonumber(no) }
